//! How the agent knows its server: by the root certificate that the invitation pins, and nothing else.
//!
//! Before the first contact the device has only the root's SHA-256, from the token. The server sends its chain with
//! the root in it; the certificate with that digest becomes the one trust anchor, and the chain is then verified to it
//! as any TLS client does, host name and validity included. From then on the stored root is the anchor. The system's
//! own list of authorities is never asked.

use std::{fmt::Write, sync::Arc, sync::OnceLock};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;

use super::{certificate::Certificate, digest::sha256, moment::rfc3339};

/// The most certificates of a chain that are looked at.
const LONGEST_CHAIN: usize = 10;

/// The verifier of the server's certificate.
#[derive(Debug)]
pub struct ServerTrust {
    pin: [u8; 32],
    root: OnceLock<Certificate>,
    provider: Arc<CryptoProvider>,
}

impl ServerTrust {
    /// Trusts the root certificate whose DER has this SHA-256, once a server has shown it.
    #[must_use]
    pub fn pinned(pin: [u8; 32]) -> Self {
        Self {
            pin,
            root: OnceLock::new(),
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        }
    }

    /// Trusts this root certificate.
    #[must_use]
    pub fn anchored(root: Certificate) -> Self {
        Self {
            pin: root.sha256(),
            root: OnceLock::from(root),
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        }
    }

    /// The root certificate, once it is known.
    #[must_use]
    pub fn root(&self) -> Option<&Certificate> {
        self.root.get()
    }

    /// The cryptographic provider that verifies.
    #[must_use]
    pub fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    fn root_among(&self, presented: &[CertificateDer<'_>]) -> Result<&Certificate, TrustError> {
        if let Some(root) = self.root.get() {
            return Ok(root);
        }
        let found = presented
            .iter()
            .take(LONGEST_CHAIN)
            .find(|der| sha256(der) == self.pin)
            .ok_or_else(|| TrustError::RootNotPresented {
                expected: hex::encode(self.pin),
                presented: presented
                    .iter()
                    .take(LONGEST_CHAIN)
                    .map(|der| hex::encode(sha256(der)))
                    .collect(),
            })?;
        let root = Certificate::from_der(found.clone().into_owned())
            .map_err(|_| TrustError::RootMalformed)?;
        Ok(self.root.get_or_init(|| root))
    }
}

impl ServerCertVerifier for ServerTrust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let root = self.root_among(intermediates).map_err(refused)?;
        // webpki takes an anchor as it is, expired or not.
        let moment = moment(now);
        if moment < root.not_before() {
            return Err(refused(TrustError::NotYetValid {
                whose: "root",
                since: root.not_before(),
                now: moment,
            }));
        }
        if moment > root.not_after() {
            return Err(refused(TrustError::Expired {
                whose: "root",
                until: root.not_after(),
                now: moment,
            }));
        }
        let mut anchors = RootCertStore::empty();
        anchors
            .add(root.der().clone())
            .map_err(|_| refused(TrustError::RootMalformed))?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(anchors), self.provider.clone())
                .build()
                .map_err(|error| refused(TrustError::Other(error.to_string())))?;
        let between: Vec<_> = intermediates
            .iter()
            .filter(|der| *der != root.der())
            .cloned()
            .collect();
        verifier
            .verify_server_cert(end_entity, &between, server_name, ocsp_response, now)
            .map_err(|error| {
                let Error::InvalidCertificate(why) = error else {
                    return error;
                };
                refused(TrustError::new(why, server_name))
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn refused(error: TrustError) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

fn moment(time: UnixTime) -> OffsetDateTime {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Why the server isn't the one that the invitation came from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The pinned root isn't in the chain that the server sent.
    #[error(
        "the server did not show the pinned root certificate (SHA-256 {expected}); it showed {}: either another \
         server answers at this address, or it does not send its root, and then give the root with --ca FILE",
        list(presented)
    )]
    RootNotPresented {
        /// The pinned digest in hexadecimal.
        expected: String,
        /// The digests of the certificates above the server's own.
        presented: Vec<String>,
    },
    /// The certificate with the right digest can't be an anchor.
    #[error("the pinned root certificate is malformed")]
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
         answers at this address, or its authority was replaced"
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
    fn new(why: CertificateError, asked: &ServerName<'_>) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);

    struct Authority {
        der: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    }

    fn authority(not_after: OffsetDateTime) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.not_after = not_after;
        let der = parameters.self_signed(&key).unwrap().der().clone();
        Authority {
            der,
            issuer: Issuer::new(parameters, key),
        }
    }

    fn server(authority: &Authority, name: &str) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        CertificateParams::new([name.to_owned()])
            .unwrap()
            .signed_by(&key, &authority.issuer)
            .unwrap()
            .der()
            .clone()
    }

    fn verify(
        trust: &ServerTrust,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
    ) -> Result<(), TrustError> {
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            NOW.unix_timestamp().unsigned_abs(),
        ));
        let name = ServerName::try_from("ca.example").unwrap();
        match trust.verify_server_cert(leaf, above, &name, &[], now) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(CertificateError::Other(other))) => {
                Err(other.0.downcast_ref::<TrustError>().unwrap().clone())
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn only_a_chain_to_the_pinned_root_is_trusted() {
        let later = NOW + time::Duration::days(1000);
        let (ours, other) = (authority(later), authority(later));
        let expired = authority(NOW - time::Duration::SECOND);
        let leaf = server(&ours, "ca.example");
        let hex = |der| hex::encode(sha256(der));
        let cases = [
            (
                "the root is sent",
                &ours,
                &leaf,
                vec![ours.der.clone()],
                Ok(()),
            ),
            (
                "the root is not sent",
                &ours,
                &leaf,
                vec![],
                Err(TrustError::RootNotPresented {
                    expected: hex(&ours.der),
                    presented: vec![],
                }),
            ),
            (
                "another root is sent",
                &ours,
                &server(&other, "ca.example"),
                vec![other.der.clone()],
                Err(TrustError::RootNotPresented {
                    expected: hex(&ours.der),
                    presented: vec![hex(&other.der)],
                }),
            ),
            // Everybody has the root certificate; showing it proves nothing.
            (
                "the pinned root is sent along with a chain to another",
                &ours,
                &server(&other, "ca.example"),
                vec![other.der.clone(), ours.der.clone()],
                Err(TrustError::OtherIssuer),
            ),
            (
                "another name",
                &ours,
                &server(&ours, "other.example"),
                vec![ours.der.clone()],
                Err(TrustError::Name {
                    asked: "ca.example".into(),
                    presented: vec!["DnsName(\"other.example\")".into()],
                }),
            ),
            // traps.md 34: webpki does not check the validity of an anchor.
            (
                "the root has expired",
                &expired,
                &server(&expired, "ca.example"),
                vec![expired.der.clone()],
                Err(TrustError::Expired {
                    whose: "root",
                    until: NOW - time::Duration::SECOND,
                    now: NOW,
                }),
            ),
        ];
        for (what, pinned, leaf, above, expected) in cases {
            let trust = ServerTrust::pinned(sha256(&pinned.der));
            assert_eq!(verify(&trust, leaf, &above), expected, "{what}");
            if !matches!(expected, Err(TrustError::RootNotPresented { .. })) {
                let root = Certificate::from_der(pinned.der.clone()).unwrap();
                let trust = ServerTrust::anchored(root);
                assert_eq!(verify(&trust, leaf, &above), expected, "{what}, root known");
            }
        }
        let root = Certificate::from_der(ours.der.clone()).unwrap();
        assert_eq!(verify(&ServerTrust::anchored(root), &leaf, &[]), Ok(()));
    }
}
