//! The agent on the device: it makes a key, enrols with an invitation token, and keeps the certificate fresh. It speaks
//! to its server over the network only, and is no part of it.
//!
//! ```text
//! STATE/                 0700
//!   current -> live/0000000002       moved in one step; the pair in use
//!   live/0000000002/key.pem   0600   made on the device
//!   live/0000000002/cert.pem         the certificate and its issuers
//!   live/0000000002/chain.pem        the issuers alone
//!   live/0000000001/…                the pair before
//!   root.pem                         the roots that the server is trusted by
//!   account.json       0600          the ACME account
//!   pending-account.json             the same, while an enrolment is under way
//!   deployed                         the pair and the roots for which the hook has succeeded
//!   failures.json                    what failed the last time it was tried
//!   renewal-info.json                when to renew, as the server said
//!   lock                             held while one of these is changed
//! ```
//!
//! Whoever reads `current/cert.pem` and then `current/key.pem` while a renewal is going on may catch two different
//! pairs: follow the link once, or read them in the hook.

pub mod account;
pub mod arguments;
mod attempts;
pub mod certificate;
pub mod clock;
pub mod deployment;
mod digest;
mod directory;
mod durable;
pub mod enroll;
pub mod error;
pub mod failure;
pub mod hook;
pub mod identifier;
pub mod install;
pub mod issuance;
pub mod key;
mod moment;
pub mod program;
mod random;
pub mod registration;
pub mod renewal;
pub mod renewal_info;
pub mod run;
pub mod schedule;
mod signals;
mod signed_request;
pub mod state;
pub mod status;
pub mod token;
pub mod transport;
pub mod trust;
pub mod trust_bundle;
