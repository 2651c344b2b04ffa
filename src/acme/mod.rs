//! RFC 8555 on the wire: it reads and checks signed requests, asks `authority`, and writes the answers. It decides nothing.
//!
//! ```text
//! routes -> signed_request (jws, jwk, nonce, urls) -> directory, account, order, authorization, challenge, certificate, trust_bundle, renewal_info
//!                                                       |                                     `-> validation
//!                                                       `-> authority
//! ```
//!
//! Whatever is refused becomes a `problem`. To add one more kind of challenge: see `validation`.

pub mod account;
pub mod attestation;
mod authorization;
pub mod certificate;
mod certificate_key;
pub mod challenge;
pub mod chaos;
pub mod config;
pub mod directory;
pub mod external_account_binding;
pub mod identifier;
mod json;
pub mod jwk;
pub mod jws;
pub mod key_change;
mod known_keys;
pub mod limits;
pub mod nonce;
pub mod order;
pub mod problem;
mod refusal;
pub mod renewal_info;
pub mod resource_path;
pub mod routes;
pub mod signature_algorithm;
pub mod signed_request;
pub mod state;
mod terms;
pub mod trust_bundle;
pub mod urls;
pub mod validation;

pub use config::{AcmeConfig, AcmeConfigError, AcmeSettings, DirectorySettings};
pub use json::MAX_JSON_DEPTH;
pub use limits::LimitsConfig;
pub use routes::router;
pub use state::{AcmeServer, AcmeSetUpError, AcmeState};
