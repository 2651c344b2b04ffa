//! Changes to inputs: to bytes of whatever kind, to JSON, to DER, and to text in base64url within them.

pub mod bytes;
pub mod der;
pub mod json;
