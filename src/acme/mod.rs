//! RFC 8555 on the wire: it reads and checks signed requests, asks `authority`, and writes the answers. It decides nothing.

pub mod config;
pub mod external_account_binding;
pub mod http01;
pub mod identifier;
mod json;
pub mod jwk;
pub mod jws;
pub mod nonce;
pub mod problem;
pub mod urls;
