//! Configuration to running process; the only wiring.
