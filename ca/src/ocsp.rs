//! Online certificate status (RFC 6960): reading requests, and answers that are drafted, checked and signed. Which
//! status a certificate has is not known in here.
//!
//! ```text
//! Request::from_der -> CertId…                       ResponseDraft --check--> CheckedResponse --sign--> DER
//! ```
//! Profiles: RFC 5019 (answers for many, small and cacheable) and RFC 9654 (nonces). An answer is signed by a delegated
//! responder ([`Responder`]), never by the CA's own key, and always names it by its key.

mod cert_id;
mod lint;
mod nonce;
mod request;
mod responder;
mod response;
mod status;

pub use cert_id::{CertId, HashAlgorithm, IssuerHashes};
pub use nonce::Nonce;
pub use request::{Request, RequestError};
pub use responder::{NotAResponder, Responder};
pub use response::{CertStatus, CheckedResponse, ResponseDraft, SingleResponse};
pub use status::ResponseStatus;

/// Tags of the ASN.1 module in RFC 6960 appendix B, whose tagging is explicit.
mod tag {
    pub(super) use crate::der::tag::{NULL, OBJECT_IDENTIFIER, SEQUENCE};
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const OCTET_STRING: u8 = 0x04;
    pub(super) const ENUMERATED: u8 = 0x0a;
    pub(super) const GENERALIZED_TIME: u8 = 0x18;
    pub(super) const EXPLICIT_0: u8 = 0xa0;
    pub(super) const EXPLICIT_1: u8 = 0xa1;
    pub(super) const EXPLICIT_2: u8 = 0xa2;
    /// `[0] IMPLICIT NULL`, `[1] IMPLICIT SEQUENCE`, `[2] IMPLICIT NULL`: the alternatives of CertStatus.
    pub(super) const GOOD: u8 = 0x80;
    pub(super) const REVOKED: u8 = 0xa1;
    pub(super) const UNKNOWN: u8 = 0x82;
}

/// id-pkix-ocsp-nonce (RFC 9654 section 2.1).
const OID_NONCE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02];
/// id-pkix-ocsp-basic (RFC 6960 section 4.2.1).
const OID_BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];

#[cfg(test)]
mod tests;
