//! Portcullis: a mutual-TLS certificate authority, device enrolment service and gate.
//!
//! `src/ARCHITECTURE.md` is the plan of the house. Directions:
//! `cli, app > listen, acme, status, api, gate, metrics > authority > store > domain > ca`; `token` stands beside them.

pub mod acme;
pub mod agent;
pub mod api;
pub mod app;
pub mod authority;
pub mod cli;
pub mod domain;
pub mod gate;
pub mod listen;
pub mod metrics;
pub mod status;
pub mod store;
#[cfg(feature = "pkcs11")]
pub mod token;
