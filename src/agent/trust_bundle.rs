//! The trust bundle: every root that the server says is to be trusted. It is fetched over the connection that is trusted
//! already, and put in force as `root.pem` only if the server is still trusted by it.
//!
//! While an authority replaces its root, the bundle holds the old one and the new one, so that the device's programs
//! trust both. What is no longer in the bundle is no longer in `root.pem`.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{
    account::StoredAccount,
    certificate::{Certificate, CertificateError},
    clock::Clock,
    digest::sha256,
    directory::Directory,
    error::{AgentError, Step},
    moment::rfc3339,
    signed_request::{KeyReference, SignedRequests},
    state::{StateDirectory, StateLock},
    transport::Transport,
    trust::{ServerTrust, TrustError},
};

/// The most roots that a bundle may hold.
const MOST_ROOTS: usize = 16;

/// What became of `root.pem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The server has no such thing; the root that the invitation pinned stays.
    NotOffered,
    /// It holds the bundle already.
    Unchanged,
    /// It holds another bundle now.
    Changed,
}

/// Fetches the bundle for the account at `account_url`, and puts it in force.
///
/// # Errors
/// The server can't be reached, isn't trusted or refuses, or the bundle can't be used; `root.pem` is then as it was.
pub async fn refresh(
    state: &StateDirectory,
    lock: &StateLock,
    transport: &Transport,
    account: &StoredAccount,
    account_url: &str,
    clock: &Clock,
) -> Result<Refreshed, AgentError> {
    let step = Step::TrustBundle;
    let requests = SignedRequests::new(transport, account).await?;
    let Some(url) = requests.directory().trust_bundle() else {
        return Ok(Refreshed::NotOffered);
    };
    let answer = requests
        .post(step, url, None, KeyReference::Account(account_url))
        .await
        .map_err(|failure| failure.told(step, account))?;
    let roots = read(answer.body(), clock.now())?;
    let before = state.roots()?.unwrap_or_default();
    if id(&roots) == id(&before) {
        return Ok(Refreshed::Unchanged);
    }
    try_out(&roots, account, clock).await?;
    state.set_roots(&roots, lock)?;
    tracing::info!(
        added = list(&roots, &before),
        removed = list(&before, &roots),
        bundle = hex::encode(id(&roots)),
        "the trust bundle has changed"
    );
    Ok(Refreshed::Changed)
}

/// SHA-256 over the roots in the order of their octets: the same roots have the same id, as on the server.
#[must_use]
pub fn id(roots: &[Certificate]) -> [u8; 32] {
    let mut sorted: Vec<&[u8]> = roots.iter().map(|root| root.der().as_ref()).collect();
    sorted.sort_unstable();
    sha256(&sorted.concat())
}

/// Reads a bundle, and checks what can be checked of it by itself.
fn read(pem: &[u8], now: OffsetDateTime) -> Result<Vec<Certificate>, BundleError> {
    let mut roots: Vec<Certificate> = Vec::new();
    for root in Certificate::chain_from_pem(pem)? {
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    if roots.len() > MOST_ROOTS {
        return Err(BundleError::TooMany(roots.len()));
    }
    if let Some(root) = roots.iter().find(|root| !root.is_authority()) {
        return Err(BundleError::NoAuthority(root.subject().to_owned()));
    }
    if !roots.iter().any(|root| root.is_valid_at(now)) {
        return Err(BundleError::NoneValid(now));
    }
    Ok(roots)
}

/// Whoever trusts these roots and nothing else must still trust the server: a bundle that is wrong would else cut the
/// device off for good, from the next bundle too.
async fn try_out(
    roots: &[Certificate],
    account: &StoredAccount,
    clock: &Clock,
) -> Result<(), AgentError> {
    let trust = Arc::new(ServerTrust::anchored(roots.to_vec()));
    let transport = Transport::new(trust, clock.clone())?;
    match Directory::fetch(&transport, account).await {
        Err(AgentError::Untrusted(error)) => Err(BundleError::LosesServer(error).into()),
        outcome => outcome.map(drop),
    }
}

/// The fingerprints of those that aren't among `others`.
fn list(roots: &[Certificate], others: &[Certificate]) -> String {
    let rest = roots.iter().filter(|root| !others.contains(root));
    let fingerprints: Vec<_> = rest.map(|root| hex::encode(root.sha256())).collect();
    fingerprints.join(" ")
}

/// Why a trust bundle can't be put in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It is empty or damaged.
    #[error("the server's trust bundle can't be used: {0}; root.pem stays as it is")]
    Certificate(#[from] CertificateError),
    /// It is longer than any that makes sense.
    #[error(
        "the server's trust bundle holds {0} roots, and {MOST_ROOTS} are the most that are taken; root.pem stays as it is"
    )]
    TooMany(usize),
    /// Something in it is no CA's certificate.
    #[error(
        "the server's trust bundle holds the certificate of {0:?}, which is no CA's (RFC 5280 section 4.2.1.9); root.pem \
         stays as it is"
    )]
    NoAuthority(String),
    /// All of them have expired, or are for later.
    #[error(
        "no root in the server's trust bundle is valid at {}, which is what this device's clock says: set the clock, or \
         the server needs a new root; root.pem stays as it is",
        rfc3339(*.0)
    )]
    NoneValid(OffsetDateTime),
    /// The server itself could not be verified by it.
    #[error(
        "the server could not be trusted by its own trust bundle, so root.pem stays as it is: {0}"
    )]
    LosesServer(TrustError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);

    fn root(change: impl FnOnce(&mut CertificateParams)) -> String {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, "R");
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        parameters.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn a_bundle_that_is_empty_damaged_or_of_no_use_is_refused() {
        let good = root(|_| {});
        let leaf = root(|it| it.is_ca = IsCa::NoCa);
        let cannot_sign = root(|it| it.key_usages = vec![KeyUsagePurpose::CrlSign]);
        let expired = root(|it| it.not_after = NOW - time::Duration::SECOND);
        let later = root(|it| it.not_before = NOW + time::Duration::SECOND);
        let many: String = (0..=MOST_ROOTS).map(|_| root(|_| {})).collect();
        let damaged = good.replacen("MII", "AAA", 1);
        let no_authority = || Err(BundleError::NoAuthority("CN=R".into()));
        let cases = [
            ("nothing", String::new(), Err(CertificateError::Pem.into())),
            ("no PEM", "<html>".into(), Err(CertificateError::Pem.into())),
            (
                "one that is damaged",
                good.clone() + &damaged,
                Err(CertificateError::Malformed.into()),
            ),
            ("a leaf", good.clone() + &leaf, no_authority()),
            ("one that can't sign", cannot_sign, no_authority()),
            ("too many", many, Err(BundleError::TooMany(MOST_ROOTS + 1))),
            (
                "none that is valid",
                expired.clone() + &later,
                Err(BundleError::NoneValid(NOW)),
            ),
            ("one that has expired", good.clone() + &expired, Ok(2)),
            ("the same twice", good.clone() + &good, Ok(1)),
            ("one", good, Ok(1)),
        ];
        for (what, pem, expected) in cases {
            let read = read(pem.as_bytes(), NOW).map(|roots| roots.len());
            assert_eq!(read, expected, "{what}");
        }
    }

    #[test]
    fn the_id_is_that_of_the_set_whatever_its_order() {
        let read = |pem: String| read(pem.as_bytes(), NOW).unwrap();
        let (a, b) = (root(|_| {}), root(|_| {}));
        let both = id(&read(a.clone() + &b));
        assert_eq!(id(&read(b.clone() + &a)), both);
        assert_ne!(id(&read(a)), both);
        assert_ne!(id(&read(b)), both);
    }
}
