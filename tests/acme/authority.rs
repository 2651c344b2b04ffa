//! An authority of its own for a test: a fresh root, intermediate and store.

use std::{path::Path, sync::Arc};

use portcullis::{
    authority::{Authority, Issuer, Issuers, ListSchedule, Parts, Profiles, Secrets, Standing},
    domain::{Clock, policy::PolicyContext},
    store::sqlite::SqliteStore,
};
use portcullis_ca::{
    certificate::{Draft, IssuerCertificate},
    key::{KeyAlgorithm, Signer, SigningKey},
    profile::{Profile, ProfileKind},
    serial::Serial,
};

const PUBLIC_URL: &str = "http://127.0.0.1:8080";

/// Starts an authority whose store lies in a directory.
pub async fn start(directory: &Path, clock: Arc<dyn Clock>) -> Authority {
    let (root, intermediate) = issuers(clock.now().unix_seconds()).await;
    let parts = Parts {
        store: Arc::new(SqliteStore::open(&directory.join("portcullis.db")).unwrap()),
        clock,
        issuers: Issuers { root, intermediate },
        profiles: Profiles::default(),
        list_schedule: ListSchedule::default(),
        secrets: Secrets::from_seed(&[9; 32]),
        policy_context: PolicyContext {
            trust_domain: "acme.test".parse().unwrap(),
            local_admins: Vec::new(),
        },
        standing: Arc::new(Standing::closed()),
    };
    Authority::start(parts, "").await.unwrap()
}

async fn issuers(now: i64) -> (Issuer, Issuer) {
    let (root, root_key) = ca(now, ProfileKind::Root, None).await;
    let signer: Arc<dyn Signer> = Arc::new(root_key);
    let root = Issuer::new(root, signer, PUBLIC_URL);
    let (intermediate, key) = ca(now, ProfileKind::Intermediate, Some(&root)).await;
    (root, Issuer::new(intermediate, Arc::new(key), PUBLIC_URL))
}

async fn ca(
    now: i64,
    kind: ProfileKind,
    issuer: Option<&Issuer>,
) -> (IssuerCertificate, SigningKey) {
    let key = SigningKey::generate(KeyAlgorithm::P256).unwrap();
    let profile = Profile::default_for(kind);
    let latest = issuer.map_or(i64::MAX, |issuer| issuer.certificate.not_after());
    let (not_before, not_after) = profile.validity(now, latest);
    let draft = Draft {
        profile,
        serial: Serial::random().unwrap(),
        common_name: Some(format!("Test {kind}")),
        not_before,
        not_after,
        public_key: key.public_key().clone(),
        names: Vec::new(),
        revocation_list: Some(match issuer {
            Some(issuer) => issuer.list_url().to_owned(),
            None => format!("{PUBLIC_URL}/root.crl"),
        }),
        issuer_certificate: issuer.map(|issuer| issuer.certificate_url().to_owned()),
        ocsp: None,
    };
    let checked = draft
        .check(issuer.map(|issuer| &issuer.certificate))
        .unwrap();
    let signer = issuer.map_or(&key as &dyn Signer, |issuer| &*issuer.signer);
    let certificate = checked.sign(signer).await.unwrap();
    (IssuerCertificate::from_der(certificate.der()).unwrap(), key)
}
