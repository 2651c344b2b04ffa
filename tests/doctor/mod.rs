//! The doctor: alarms come before anything is stale, in log, metric and exit code.

mod exit_code;
mod failing_signer;
mod staleness;
