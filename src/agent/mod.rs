//! The agent on the device: key, enrol, renew, install.
