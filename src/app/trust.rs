//! What this node trusts: the anchors of its gate, and `root.pem` for clients, both of them the trust bundle.

use portcullis_ca::{
    chain::{Anchor, Anchors},
    pki_types::CertificateDer,
};

use super::StateDir;
use crate::{authority::Authority, gate::GateAnchors};

/// The anchors of the built-in authority.
///
/// # Errors
/// A root that can't be read, and its place.
pub(super) fn anchors(authority: &Authority) -> Result<Anchors, String> {
    let anchors = authority.issuers().bundle().certificates.into_iter();
    let anchors = anchors.map(|der| Anchor {
        id: "internal".to_owned(),
        certificate: CertificateDer::from(der),
    });
    Anchors::new(anchors.collect()).map_err(|error| error.to_string())
}

/// Has the gate and `root.pem` follow the trust bundle, until it is dropped.
pub(super) async fn keep_trust_current(
    authority: &Authority,
    gate: &GateAnchors,
    state: &StateDir,
) {
    let mut epochs = authority.standing().subscribe();
    // What changed since the gate was started counts as a change.
    let mut known = None;
    loop {
        let bundle = authority.issuers().bundle();
        if known.as_ref() != Some(&bundle) {
            match anchors(authority) {
                Ok(anchors) => gate.replace(anchors),
                Err(error) => {
                    tracing::error!(alarm = "anchors", %error, "the gate keeps the anchors that it had");
                }
            }
            write(state, "root.pem", &bundle.pem());
            if known.is_some() {
                tracing::info!(
                    roots = bundle.certificates.len(),
                    bundle = hex::encode(&bundle.id()[..8]),
                    "the trust bundle has changed"
                );
            }
            known = Some(bundle);
        }
        if let Ok(issuer) = authority.issuers().issuing("device") {
            write(state, "intermediate.pem", &issuer.pem());
        }
        if epochs.changed().await.is_err() {
            return;
        }
    }
}

/// Clients are told to take these; nothing here reads them.
fn write(state: &StateDir, name: &str, pem: &str) {
    if let Err(error) = state.replace(name, 0o644, pem.as_bytes()) {
        tracing::warn!(%error, "{name} is not up to date");
    }
}
