//! The agent on the device: key, enrol, renew, install.

pub mod account;
pub mod certificate;
pub mod clock;
mod digest;
mod durable;
pub mod error;
pub mod identifier;
pub mod install;
pub mod issuance;
pub mod key;
mod random;
pub mod registration;
pub mod renewal;
pub mod state;
pub mod token;
pub mod transport;
pub mod trust;
