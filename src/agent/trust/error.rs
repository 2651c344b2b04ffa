//! Why a server isn't trusted, said so that whoever reads it knows what to do.

use std::fmt::Write;

use rustls::CertificateError;
use rustls_pki_types::ServerName;
use time::OffsetDateTime;

use super::moment;
use crate::agent::moment::rfc3339;

/// Why the server isn't the one that the invitation came from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The pinned root isn't in the chain that the server sent.
    #[error(
        "the server did not show the pinned root certificate (SHA-256 {expected}); it showed {}: either another \
         server answers at this address, or its root was replaced since the invitation was made (ask for a new one), or \
         it does not send its root, and then give the root with --ca FILE",
        list(presented)
    )]
    RootNotPresented {
        /// The pinned digest in hexadecimal.
        expected: String,
        /// The digests of the certificates above the server's own.
        presented: Vec<String>,
    },
    /// The certificate with the right digest can't be an anchor.
    #[error("the root certificate can't be used: it is malformed")]
    RootMalformed,
    /// The file given with `--ca` holds another root than the invitation names.
    #[error(
        "{file} holds a certificate with SHA-256 {found}, but the invitation names {expected}: take the root \
         certificate of the server that made the invitation"
    )]
    OtherRoot {
        /// The file.
        file: String,
        /// The pinned digest in hexadecimal.
        expected: String,
        /// The digest of what the file holds.
        found: String,
    },
    /// The server's chain leads to another root.
    #[error(
        "the server's certificate was not issued by the authority that this device trusts: either another server \
         answers at this address, or the authority's root was replaced while this device was away; ask the operator, \
         and if it was, ask for a new invitation (`portcullis invite`) and run `portcullis-agent enroll TOKEN` with it"
    )]
    OtherIssuer,
    /// The server's certificate is for another name.
    #[error(
        "the server's certificate is not for {asked:?}, by which it was reached; it is for {}: use one of those names \
         in --server, or have the server's certificate made for this one too",
        list(presented)
    )]
    Name {
        /// The name that was asked for.
        asked: String,
        /// The names in the certificate.
        presented: Vec<String>,
    },
    /// A certificate's validity begins later than the device's clock says it is.
    #[error(
        "the {whose}'s certificate is valid from {}, but this device's clock says {}: set the clock (it is \
         probably slow)",
        rfc3339(*since), rfc3339(*now)
    )]
    NotYetValid {
        /// Whose certificate it is.
        whose: &'static str,
        /// When its validity begins.
        since: OffsetDateTime,
        /// What the clock says.
        now: OffsetDateTime,
    },
    /// A certificate's validity ended before the time that the device's clock says it is.
    #[error(
        "the {whose}'s certificate was valid until {}, and this device's clock says {}: if the clock is right, the \
         server needs a new certificate",
        rfc3339(*until), rfc3339(*now)
    )]
    Expired {
        /// Whose certificate it is.
        whose: &'static str,
        /// When its validity ended.
        until: OffsetDateTime,
        /// What the clock says.
        now: OffsetDateTime,
    },
    /// Anything else that TLS finds wrong.
    #[error("the server's certificate is not acceptable: {0}")]
    Other(String),
}

impl TrustError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's errors may grow; the rest is told in its words"
    )]
    pub(super) fn new(why: CertificateError, asked: &ServerName<'_>) -> Self {
        match why {
            CertificateError::NotValidForNameContext {
                presented,
                expected: _,
            } => Self::Name {
                asked: asked.to_str().into_owned(),
                presented,
            },
            CertificateError::NotValidForName => Self::Name {
                asked: asked.to_str().into_owned(),
                presented: Vec::new(),
            },
            CertificateError::NotValidYetContext { time, not_before } => Self::NotYetValid {
                whose: "server",
                since: moment(not_before),
                now: moment(time),
            },
            CertificateError::ExpiredContext { time, not_after } => Self::Expired {
                whose: "server",
                until: moment(not_after),
                now: moment(time),
            },
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::OtherIssuer,
            other => Self::Other(other.to_string()),
        }
    }
}

fn list(entries: &[String]) -> String {
    let mut text = String::new();
    for (index, entry) in entries.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        // Writing to a String can't fail.
        let _ = write!(text, "{comma}{entry}");
    }
    if text.is_empty() {
        text.push_str("nothing");
    }
    text
}
