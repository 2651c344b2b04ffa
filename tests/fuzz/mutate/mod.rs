//! Changes to inputs: to bytes of whatever kind, to JSON, to DER, to CBOR, and to text in base64url within them.

pub mod bytes;
pub mod cbor;
pub mod der;
pub mod json;
