//! The agent on the device: key, enrol, renew, install.

pub mod clock;
pub mod identifier;
pub mod token;
