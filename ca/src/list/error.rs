//! Why a revocation list can't be used, and where in it the reason stands.

use crate::{chain::Fault, serial::InvalidSerial};

/// Why a revocation list can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Neither DER nor PEM.
    #[error(
        "there is no revocation list in it, neither as DER nor as a PEM block \"X509 CRL\": {0}"
    )]
    NoPem(String),
    /// The certificate of the issuer can't be read.
    #[error("the issuer's certificate: {0}")]
    Issuer(Fault),
    /// It is cut off, or is not what RFC 5280 section 5.1 describes.
    #[error("the list's {field} can't be read, at octet {offset}")]
    Malformed {
        /// Which field.
        field: &'static str,
        /// Where it should be, in octets from the beginning of the DER.
        offset: usize,
    },
    /// Not version 2 (RFC 5280 section 5.1.2.1).
    #[error("the list is not of version 2")]
    NotVersion2,
    /// No nextUpdate (RFC 5280 section 5.1.2.5), so that nobody can tell when it is stale.
    #[error("the list has no nextUpdate")]
    NoNextUpdate,
    /// nextUpdate is not after thisUpdate.
    #[error("the list's nextUpdate is not after its thisUpdate")]
    NextUpdateBeforeThisUpdate,
    /// No CRLNumber (RFC 5280 section 5.2.3).
    #[error("the list has no number, or one of more than 20 octets")]
    NoNumber,
    /// A critical extension of the list that is not understood (RFC 5280 section 5.2).
    #[error("the list has a critical extension that is not understood: {0}")]
    UnknownCriticalExtension(String),
    /// A critical extension of an entry that is not understood (RFC 5280 section 5.3), counted from 1.
    #[error("the list's entry {entry} has a critical extension that is not understood: {oid}")]
    UnknownCriticalEntryExtension {
        /// Which entry, from 1.
        entry: usize,
        /// Which extension.
        oid: String,
    },
    /// RFC 5280 section 5.2.4.
    #[error("the list is a delta list; a full one is needed")]
    Delta,
    /// RFC 5280 section 5.2.5: other issuers' certificates.
    #[error("the list is an indirect one; one of the certificates' own issuer is needed")]
    Indirect,
    /// RFC 5280 section 5.2.5: onlySomeReasons, onlyContainsAttributeCerts, a name relative to the issuer, or
    /// contradictory flags.
    #[error("the list's issuing distribution point has a scope that is not processed: {0}")]
    Scope(&'static str),
    /// Its issuer's name is another.
    #[error(
        "the list is of another issuer: its name is not the subject of the certificate at hand"
    )]
    OtherIssuer,
    /// Its authority key identifier is not the issuer's subject key identifier.
    #[error(
        "the list was made with another key: its authority key identifier is not that of the certificate at hand"
    )]
    OtherKey,
    /// RFC 5280 section 6.3.3 (f).
    #[error("the issuer's key usage does not allow cRLSign")]
    IssuerMayNotSignLists,
    /// The signature does not verify, or its algorithm is not accepted.
    #[error("the list's signature: {0}")]
    Signature(Fault),
    /// A serial that is none.
    #[error("the list's entry {entry}: {error}")]
    Serial {
        /// Which entry, from 1.
        entry: usize,
        /// Why.
        error: InvalidSerial,
    },
    /// A reason that is none (RFC 5280 section 5.3.1), or removeFromCRL, which only delta lists have.
    #[error("the list's entry {entry} has the reason code {code}, which is none of a full list")]
    Reason {
        /// Which entry, from 1.
        entry: usize,
        /// The code.
        code: u8,
    },
}
