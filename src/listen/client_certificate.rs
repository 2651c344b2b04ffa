//! Client certificates: the path of each is verified once, and looked at again every time.
//!
//! [`VerifiedPaths`] verifies chains and remembers those whose signatures it has verified; what changes with time
//! (validity, revocation, which anchors are trusted) is looked at anew on every call, so that a remembered verdict never
//! outlives what it was based on. [`ClientCertificateVerifier`] asks it during a full handshake. A resumed handshake
//! asks nobody (rustls, and every other library), so whoever admits a connection has to ask again.

use std::{collections::HashMap, fmt, mem, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use portcullis_ca::chain::{
    self, Anchors, Category, ChainError, Requirements, RevocationStatus, VerifiedPath,
};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{
        WebPkiSupportedAlgorithms, aws_lc_rs as provider, verify_tls12_signature,
        verify_tls13_signature,
    },
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::domain::Timestamp;

/// The paths of client certificates to the anchors that a listener trusts.
pub struct VerifiedPaths {
    trust: ArcSwap<Trust>,
    revocation: Arc<dyn RevocationStatus + Send + Sync>,
    requirements: Requirements,
    capacity: usize,
}

/// A set of anchors and what was verified against that very set.
struct Trust {
    anchors: Anchors,
    remembered: Box<[Mutex<Remembered>]>,
}

/// Two generations: when the young one is full it becomes the old one, and what nobody asked for since is forgotten.
#[derive(Default)]
struct Remembered {
    young: HashMap<ChainDigest, Arc<VerifiedPath>>,
    old: HashMap<ChainDigest, Arc<VerifiedPath>>,
}

/// SHA-256 over the whole chain as it was presented, lengths included.
type ChainDigest = [u8; 32];

impl VerifiedPaths {
    /// Nothing verified yet. About `capacity` paths are remembered.
    #[must_use]
    pub fn new(
        anchors: Anchors,
        revocation: Arc<dyn RevocationStatus + Send + Sync>,
        requirements: Requirements,
        capacity: usize,
    ) -> Self {
        Self {
            trust: ArcSwap::from_pointee(Trust::new(anchors)),
            revocation,
            requirements,
            capacity,
        }
    }

    /// Trusts other anchors from now on; nothing that was verified against the present ones is remembered.
    pub fn replace_anchors(&self, anchors: Anchors) {
        self.trust.store(Arc::new(Trust::new(anchors)));
    }

    /// The path from `leaf` to an anchor, valid and not revoked at the time `at`.
    ///
    /// # Errors
    /// [`ChainError`] says which certificate is at fault and why.
    pub fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        at: UnixTime,
    ) -> Result<Arc<VerifiedPath>, ChainError> {
        let trust = self.trust.load();
        let digest = digest(leaf, intermediates);
        if let Some(path) = trust.recall(&digest) {
            self.recheck(&path, at)?;
            return Ok(path);
        }
        let path = Arc::new(chain::verify(
            leaf,
            intermediates,
            &trust.anchors,
            &*self.revocation,
            &self.requirements,
            at,
        )?);
        trust.remember(digest, Arc::clone(&path), self.capacity);
        Ok(path)
    }

    /// Looks again at what changes with time: validity, revocation, and whether the path's anchor is still trusted.
    ///
    /// # Errors
    /// [`ChainError`] says which certificate is at fault and why.
    pub fn recheck(&self, path: &VerifiedPath, at: UnixTime) -> Result<(), ChainError> {
        let trusted = self
            .trust
            .load()
            .anchors
            .iter()
            .any(|(id, key, _)| id == &**path.anchor_id() && key == path.anchor_key());
        if !trusted {
            return Err(ChainError {
                place: chain::Place::Anchor(path.anchor_id().to_string()),
                fault: chain::Fault::UnknownIssuer,
            });
        }
        path.recheck(&*self.revocation, self.requirements.unknown_status, at)
    }
}

impl fmt::Debug for VerifiedPaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedPaths").finish_non_exhaustive()
    }
}

/// A power of two; so many handshakes can look up at once.
const SHARDS: usize = 16;

impl Trust {
    fn new(anchors: Anchors) -> Self {
        Self {
            anchors,
            remembered: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    fn shard(&self, digest: &ChainDigest) -> &Mutex<Remembered> {
        &self.remembered[usize::from(digest[0]) % SHARDS]
    }

    fn recall(&self, digest: &ChainDigest) -> Option<Arc<VerifiedPath>> {
        let mut remembered = self.shard(digest).lock();
        if let Some(path) = remembered.young.get(digest) {
            return Some(Arc::clone(path));
        }
        let path = remembered.old.remove(digest)?;
        remembered.young.insert(*digest, Arc::clone(&path));
        Some(path)
    }

    fn remember(&self, digest: ChainDigest, path: Arc<VerifiedPath>, capacity: usize) {
        let mut remembered = self.shard(&digest).lock();
        if remembered.young.len() >= (capacity / SHARDS / 2).max(1) {
            remembered.old = mem::take(&mut remembered.young);
        }
        remembered.young.insert(digest, path);
    }
}

fn digest(leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> ChainDigest {
    let mut context = Context::new(&SHA256);
    for certificate in std::iter::once(leaf).chain(intermediates) {
        context.update(&certificate.len().to_be_bytes());
        context.update(certificate);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// The time as certificates are judged by.
#[must_use]
pub fn unix_time(at: Timestamp) -> UnixTime {
    let millis = u64::try_from(at.unix_millis()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_millis(millis))
}

/// Whether a client must present a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// The handshake fails without one.
    #[default]
    Required,
    /// It may come without one, and prove itself otherwise.
    Optional,
}

/// Judges client certificates in the handshake, with the alert that says what is wrong.
#[derive(Debug)]
pub struct ClientCertificateVerifier {
    paths: Arc<VerifiedPaths>,
    presence: Presence,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertificateVerifier {
    /// A verifier over these paths, to be shared with whoever admits the connections.
    #[must_use]
    pub fn new(paths: Arc<VerifiedPaths>, presence: Presence) -> Self {
        Self {
            paths,
            presence,
            algorithms: provider::default_provider().signature_verification_algorithms,
        }
    }
}

impl ClientCertVerifier for ClientCertificateVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.presence == Presence::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Devices know their certificate; a list of names would only tell strangers whom we trust.
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match self.paths.verify(leaf, intermediates, now) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(error) => {
                tracing::debug!(%error, "refused a client certificate in the handshake");
                Err(alert_for(&error))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The error that makes rustls send the alert for this refusal (RFC 8446 section 6.2).
fn alert_for(error: &ChainError) -> rustls::Error {
    rustls::Error::InvalidCertificate(match error.category() {
        // `bad_certificate`; rustls has no error of its own for what a CA of the path forbids.
        Category::Malformed | Category::Forbidden => CertificateError::BadEncoding,
        Category::Expired => CertificateError::Expired,
        Category::NotYetValid => CertificateError::NotValidYet,
        Category::Revoked => CertificateError::Revoked,
        Category::RevocationStatusUnknown => CertificateError::UnknownRevocationStatus,
        Category::UnknownIssuer => CertificateError::UnknownIssuer,
        Category::BadSignature => CertificateError::BadSignature,
        Category::UnsuitablePurpose => CertificateError::InvalidPurpose,
        Category::UnknownCriticalExtension => CertificateError::UnhandledCriticalExtension,
    })
}
