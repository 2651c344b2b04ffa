//! How the agent knows its server: by the root certificate that the invitation pins, then by the roots in the trust
//! bundle, and nothing else.
//!
//! Before the first contact the device has only the root's SHA-256, from the token. The server sends its chain with
//! the root in it; the certificate with that digest becomes the one trust anchor, and the chain is then verified to it
//! as any TLS client does, host name and validity included. From then on the stored roots are the anchors: while the
//! authority replaces its root there are two, and a chain to either will do. The system's own list of authorities is
//! never asked.

mod error;

use std::sync::{Arc, OnceLock};

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

use super::{certificate::Certificate, digest::sha256};
pub use error::TrustError;

/// The most certificates of a chain that are looked at.
const LONGEST_CHAIN: usize = 10;

/// The verifier of the server's certificate.
#[derive(Debug)]
pub struct ServerTrust {
    anchors: Anchors,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Anchors {
    /// The root with this SHA-256, once it was shown.
    Pinned([u8; 32], OnceLock<Vec<Certificate>>),
    /// These.
    Known(Vec<Certificate>),
}

impl ServerTrust {
    /// Trusts the root certificate whose DER has this SHA-256, once a server has shown it.
    #[must_use]
    pub fn pinned(pin: [u8; 32]) -> Self {
        Self {
            anchors: Anchors::Pinned(pin, OnceLock::new()),
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        }
    }

    /// Trusts each of these root certificates.
    #[must_use]
    pub fn anchored(roots: Vec<Certificate>) -> Self {
        Self {
            anchors: Anchors::Known(roots),
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        }
    }

    /// The root certificates, as far as they are known.
    #[must_use]
    pub fn roots(&self) -> &[Certificate] {
        match &self.anchors {
            Anchors::Pinned(_, shown) => shown.get().map(Vec::as_slice).unwrap_or_default(),
            Anchors::Known(roots) => roots,
        }
    }

    /// The cryptographic provider that verifies.
    #[must_use]
    pub fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// The roots to verify by, the pinned one among what the server presents if it isn't known yet.
    fn roots_by(&self, presented: &[CertificateDer<'_>]) -> Result<&[Certificate], TrustError> {
        let Anchors::Pinned(pin, shown) = &self.anchors else {
            return Ok(self.roots());
        };
        if shown.get().is_some() {
            return Ok(self.roots());
        }
        let presented = &presented[..presented.len().min(LONGEST_CHAIN)];
        let found = presented
            .iter()
            .find(|der| sha256(der) == *pin)
            .ok_or_else(|| TrustError::RootNotPresented {
                expected: hex::encode(pin),
                presented: presented
                    .iter()
                    .map(|der| hex::encode(sha256(der)))
                    .collect(),
            })?;
        let root = Certificate::from_der(found.clone().into_owned())
            .map_err(|_| TrustError::RootMalformed)?;
        Ok(shown.get_or_init(|| vec![root]))
    }

    /// One root at a time, so that it is known by which one the server is trusted, and one that can't be used is in
    /// nobody's way.
    fn verify_by(&self, root: &Certificate, server: &Presented<'_>) -> Result<(), TrustError> {
        let mut anchors = RootCertStore::empty();
        anchors
            .add(root.der().clone())
            .map_err(|_| TrustError::RootMalformed)?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(anchors), self.provider.clone())
                .build()
                .map_err(|error| TrustError::Other(error.to_string()))?;
        let between: Vec<_> = server
            .intermediates
            .iter()
            .filter(|der| *der != root.der())
            .cloned()
            .collect();
        match verifier.verify_server_cert(server.end_entity, &between, server.name, &[], server.now)
        {
            Ok(_) => {}
            Err(Error::InvalidCertificate(why)) => return Err(TrustError::new(why, server.name)),
            Err(error) => return Err(TrustError::Other(error.to_string())),
        }
        // webpki takes an anchor as it is, expired or not.
        let now = moment(server.now);
        if now < root.not_before() {
            return Err(TrustError::NotYetValid {
                whose: "root",
                since: root.not_before(),
                now,
            });
        }
        if now > root.not_after() {
            return Err(TrustError::Expired {
                whose: "root",
                until: root.not_after(),
                now,
            });
        }
        Ok(())
    }
}

/// What a server shows of itself.
struct Presented<'a> {
    end_entity: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    name: &'a ServerName<'a>,
    now: UnixTime,
}

impl ServerCertVerifier for ServerTrust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let server = Presented {
            end_entity,
            intermediates,
            name: server_name,
            now,
        };
        // That the server is another root's says the least.
        let mut refusal = TrustError::OtherIssuer;
        for root in self.roots_by(intermediates).map_err(refused)? {
            match self.verify_by(root, &server) {
                Ok(()) => return Ok(ServerCertVerified::assertion()),
                Err(error) if refusal == TrustError::OtherIssuer => refusal = error,
                Err(_) => {}
            }
        }
        Err(refused(refusal))
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

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);

    struct Authority {
        der: CertificateDer<'static>,
        parameters: CertificateParams,
        issuer: Issuer<'static, KeyPair>,
    }

    impl Authority {
        /// The other's subject and key, signed by this one.
        fn sign(&self, other: &Self) -> CertificateDer<'static> {
            let signed = other.parameters.signed_by(other.issuer.key(), &self.issuer);
            signed.unwrap().der().clone()
        }
    }

    fn authority(not_after: OffsetDateTime) -> Authority {
        authority_named("R", not_after)
    }

    fn authority_named(name: &str, not_after: OffsetDateTime) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        parameters.not_after = not_after;
        let der = parameters.self_signed(&key).unwrap().der().clone();
        Authority {
            der,
            issuer: Issuer::new(parameters.clone(), key),
            parameters,
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
                let trust = anchored(&[pinned]);
                assert_eq!(verify(&trust, leaf, &above), expected, "{what}, root known");
            }
        }
        assert_eq!(verify(&anchored(&[&ours]), &leaf, &[]), Ok(()));
    }

    fn anchored(roots: &[&Authority]) -> ServerTrust {
        let roots = roots.iter().map(|root| root.der.clone());
        ServerTrust::anchored(
            roots
                .map(|der| Certificate::from_der(der).unwrap())
                .collect(),
        )
    }

    #[test]
    fn a_chain_to_any_root_that_is_known_is_trusted_and_one_that_is_of_no_use_is_in_nobodys_way() {
        let later = NOW + time::Duration::days(1000);
        let (old, new, stranger) = (authority(later), authority(later), authority(later));
        let expired = authority(NOW - time::Duration::SECOND);
        let (by_old, by_new) = (server(&old, "ca.example"), server(&new, "ca.example"));
        let other_name = server(&new, "other.example");
        let name = || {
            Err(TrustError::Name {
                asked: "ca.example".into(),
                presented: vec!["DnsName(\"other.example\")".into()],
            })
        };
        let root_expired = Err(TrustError::Expired {
            whose: "root",
            until: NOW - time::Duration::SECOND,
            now: NOW,
        });
        let other = || Err(TrustError::OtherIssuer);
        let by_expired = server(&expired, "ca.example");
        let cases: &[(_, &[&Authority], _, _)] = &[
            ("the first of two", &[&old, &new], &by_old, Ok(())),
            ("the second of two", &[&old, &new], &by_new, Ok(())),
            ("one has expired", &[&expired, &new], &by_new, Ok(())),
            ("one was removed", &[&new], &by_old, other()),
            ("neither", &[&old, &stranger], &by_new, other()),
            ("nobody is trusted", &[], &by_new, other()),
            // What is said is what is wrong with the server, not with the roots that aren't its.
            ("another name", &[&old, &new, &expired], &other_name, name()),
            (
                "its own has expired",
                &[&old, &expired, &new],
                &by_expired,
                root_expired,
            ),
        ];
        for (what, roots, leaf, expected) in cases {
            assert_eq!(verify(&anchored(roots), leaf, &[]), *expected, "{what}");
        }
    }

    /// RFC 4210 section 4.4: while a root is replaced, each signs the other's key, and the server shows both ways.
    #[test]
    fn while_the_root_is_replaced_a_device_that_knows_only_one_of_the_two_trusts_the_server() {
        let later = NOW + time::Duration::days(1000);
        let (old, new) = (authority_named("old", later), authority_named("new", later));
        let new_by_old = old.sign(&new);
        let leaf = server(&new, "ca.example");
        let chain = [new_by_old, new.der.clone(), old.der.clone()];
        for root in [&old, &new] {
            assert_eq!(verify(&anchored(&[root]), &leaf, &chain), Ok(()));
            let pinned = ServerTrust::pinned(sha256(&root.der));
            assert_eq!(verify(&pinned, &leaf, &chain), Ok(()));
            assert_eq!(pinned.roots().len(), 1);
        }
        // Once the old root is retired nothing leads to it any more.
        let chain = [new.der.clone()];
        assert_eq!(
            verify(&anchored(&[&old]), &leaf, &chain),
            Err(TrustError::OtherIssuer)
        );
        assert_eq!(verify(&anchored(&[&old, &new]), &leaf, &chain), Ok(()));
    }
}
