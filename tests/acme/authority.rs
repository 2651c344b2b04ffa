//! An authority of its own for a test: made as `init` makes one, in a directory.

use std::{path::Path, sync::Arc};

use portcullis::{
    app::{Init, StateDir, StoredKeys, init},
    authority::{
        Authority, CaKeys, DoctorSettings, ListSchedule, OcspSchedule, Parts, Profiles, Secrets,
        Standing,
    },
    domain::{Clock, Directories, Timestamp, attestation::AttestationRules, policy::PolicyContext},
    store::sqlite::SqliteStore,
};
use portcullis_ca::key::KeyAlgorithm;

/// Where certificates say that lists are.
pub const PUBLIC_URL: &str = "http://127.0.0.1:8080";

/// Starts an authority whose store lies in a directory.
pub async fn start(directory: &Path, clock: Arc<dyn Clock>) -> Authority {
    start_with(directory, clock, Profiles::default()).await
}

/// The same with profiles of the test's own.
pub async fn start_with(directory: &Path, clock: Arc<dyn Clock>, profiles: Profiles) -> Authority {
    let rules = AttestationRules::default();
    start_with_directories(directory, clock, profiles, Directories::default(), rules).await
}

/// And with ACME directories of the test's own.
pub async fn start_with_directories(
    directory: &Path,
    clock: Arc<dyn Clock>,
    profiles: Profiles,
    directories: Directories,
    rules: AttestationRules,
) -> Authority {
    let state = StateDir::new(directory.join("state"));
    found(&state, clock.now()).await;
    let keys = StoredKeys::new(state.clone(), None);
    open_with_directories(&state, clock, profiles, Arc::new(keys), directories, rules).await
}

/// Makes a new authority in a state directory.
pub async fn found(state: &StateDir, now: Timestamp) {
    let wanted = Init {
        trust_domain: "acme.test".parse().unwrap(),
        key_algorithm: KeyAlgorithm::P256,
        passphrase: None,
        token: None,
        public_url: PUBLIC_URL.to_owned(),
    };
    init(state, &wanted, now).await.unwrap();
}

/// Starts the authority of a state directory.
pub async fn open(state: &StateDir, clock: Arc<dyn Clock>, profiles: Profiles) -> Authority {
    let keys = StoredKeys::new(state.clone(), None);
    open_with(state, clock, profiles, Arc::new(keys)).await
}

/// The same with a keeper of keys of the test's own.
pub async fn open_with(
    state: &StateDir,
    clock: Arc<dyn Clock>,
    profiles: Profiles,
    ca_keys: Arc<dyn CaKeys>,
) -> Authority {
    let rules = AttestationRules::default();
    open_with_directories(
        state,
        clock,
        profiles,
        ca_keys,
        Directories::default(),
        rules,
    )
    .await
}

/// And with ACME directories of the test's own.
pub async fn open_with_directories(
    state: &StateDir,
    clock: Arc<dyn Clock>,
    profiles: Profiles,
    ca_keys: Arc<dyn CaKeys>,
    directories: Directories,
    attestation: AttestationRules,
) -> Authority {
    let parts = Parts {
        store: Arc::new(SqliteStore::open(&state.file("portcullis.db")).unwrap()),
        clock,
        ca_keys,
        public_url: PUBLIC_URL.to_owned(),
        profiles,
        list_schedule: ListSchedule::default(),
        ocsp_schedule: OcspSchedule::default(),
        doctor: DoctorSettings::default(),
        secrets: Secrets::from_seed(&[9; 32]),
        policy_context: PolicyContext {
            trust_domain: "acme.test".parse().unwrap(),
            local_admins: Vec::new(),
        },
        standing: Arc::new(Standing::closed()),
        directories,
        attestation,
    };
    Authority::start(parts, "").await.unwrap()
}
