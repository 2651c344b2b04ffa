//! The certificate authority as a library: it knows X.509 and nothing else.
//!
//! There is no socket, no database and no clock in here. Serials and times are arguments; only key generation and
//! signatures use the cryptographic provider's own randomness.

pub mod attestation;
pub mod certificate;
pub mod chain;
pub mod crl;
pub mod csr;
mod der;
pub mod issuer_key_id;
pub mod key;
pub mod lint;
pub mod list;
pub mod name;
pub mod ocsp;
pub mod oid;
pub mod profile;
pub mod revocation;
pub mod serial;

#[doc(no_inline)]
pub use rustls_pki_types as pki_types;
