//! The integration tests: one binary, one folder for each room or noun.
#![allow(missing_docs)]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests measure, wait, and stop at the first thing that isn't as they need it"
)]

mod acme;
mod agent;
mod ca;
mod cli;
mod doctor;
mod domain;
mod durability;
mod fuzz;
mod gate;
mod keeping;
mod metrics;
mod peers;
mod repo;
mod revocation;
mod status;
mod store;
mod support;
#[cfg(feature = "pkcs11")]
mod token;
mod vectors;
