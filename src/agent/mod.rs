//! The agent on the device: key, enrol, renew, install.

pub mod account;
pub mod certificate;
pub mod clock;
mod digest;
mod durable;
pub mod identifier;
pub mod install;
pub mod key;
pub mod state;
pub mod token;
