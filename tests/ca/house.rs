//! An authority in a directory of its own, whose keys can be held up and can fail, and which can be started again.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use futures_util::future::BoxFuture;
use portcullis::{
    app::{Init, StateDir, StoredKeys, init},
    authority::{
        Authority, AuthorityError, CaKeyError, CaKeys, DoctorSettings, KeyHome, ListSchedule,
        OcspSchedule, Parts, Profiles, Secrets, Standing,
        ca::{Activate, RotateIssuer},
    },
    domain::{
        Clock, Timestamp,
        audit::Actor,
        issuer::{IssuerRecord, IssuerState, KeyPlace},
        policy::PolicyContext,
    },
    store::sqlite::SqliteStore,
};
use portcullis_ca::key::{KeyAlgorithm, PublicKey, Signer, SigningKey};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

pub const ACTOR: Actor = Actor::Authority;

pub struct TestClock(pub AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// Key files, whose keeper can be held up and can fail.
pub struct Keys {
    pub files: StoredKeys,
    /// How many exports may go on; each tells that it has begun.
    pub exports: Semaphore,
    pub exporting: Semaphore,
    pub can_not_open: AtomicBool,
}

impl CaKeys for Keys {
    fn open<'a>(
        &'a self,
        place: &'a KeyPlace,
        public_key: Option<&'a PublicKey>,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn Signer>>, CaKeyError>> {
        if self.can_not_open.load(Ordering::SeqCst) {
            let failed = CaKeyError::Failed("too many open files".to_owned());
            return Box::pin(async { Err(failed) });
        }
        self.files.open(place, public_key)
    }

    fn generate(
        &self,
        algorithm: KeyAlgorithm,
        home: KeyHome,
    ) -> BoxFuture<'_, Result<(Arc<dyn Signer>, KeyPlace), CaKeyError>> {
        self.files.generate(algorithm, home)
    }

    fn keep(
        &self,
        key: SigningKey,
    ) -> BoxFuture<'_, Result<(Arc<dyn Signer>, KeyPlace), CaKeyError>> {
        self.files.keep(key)
    }

    fn export<'a>(
        &'a self,
        place: &'a KeyPlace,
        passphrase: &'a [u8],
    ) -> BoxFuture<'a, Result<Zeroizing<String>, CaKeyError>> {
        Box::pin(async move {
            self.exporting.add_permits(1);
            self.exports.acquire().await.expect("open").forget();
            self.files.export(place, passphrase).await
        })
    }

    fn is_open_on_disk(&self, place: &KeyPlace) -> bool {
        self.files.is_open_on_disk(place)
    }

    fn remove<'a>(&'a self, place: &'a KeyPlace) -> BoxFuture<'a, Result<(), CaKeyError>> {
        self.files.remove(place)
    }
}

pub struct House {
    pub directory: tempfile::TempDir,
    pub clock: Arc<TestClock>,
    pub keys: Arc<Keys>,
    pub authority: Authority,
}

impl House {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(TestClock(AtomicI64::new(1_800_000_000)));
        let wanted = Init {
            trust_domain: "home.test".parse().expect("a trust domain"),
            key_algorithm: KeyAlgorithm::P256,
            passphrase: None,
            token: None,
            public_url: "http://127.0.0.1:8080".to_owned(),
        };
        init(&state(directory.path()), &wanted, clock.now())
            .await
            .expect("made");
        let (keys, authority) = open(directory.path(), &clock).await;
        Self {
            directory,
            clock,
            keys,
            authority,
        }
    }

    /// As after a crash.
    pub async fn restart(&mut self) {
        (self.keys, self.authority) = open(self.directory.path(), &self.clock).await;
    }

    pub fn state_of(&self, name: &str) -> IssuerState {
        let issuers = self.authority.issuers();
        issuers.named(name).expect("an issuer").state()
    }

    pub async fn rotate(&self, name: &str) {
        let rotate = RotateIssuer {
            name: name.to_owned(),
            algorithm: None,
            home: None,
        };
        self.authority
            .rotate_issuer(&ACTOR, rotate)
            .await
            .expect("rotated");
    }

    pub async fn activate(&self, name: &str) -> Result<Vec<IssuerRecord>, AuthorityError> {
        let activate = Activate {
            name: name.to_owned(),
            instead_of: None,
            threshold: 0.0,
            force: true,
        };
        self.authority.activate_issuer(&ACTOR, &activate).await
    }
}

fn state(directory: &Path) -> StateDir {
    StateDir::new(directory.join("state"))
}

async fn open(directory: &Path, clock: &Arc<TestClock>) -> (Arc<Keys>, Authority) {
    let state = state(directory);
    let keys = Arc::new(Keys {
        files: StoredKeys::new(state.clone(), None),
        exports: Semaphore::new(0),
        exporting: Semaphore::new(0),
        can_not_open: AtomicBool::new(false),
    });
    let parts = Parts {
        store: Arc::new(SqliteStore::open(&state.file("portcullis.db")).expect("a store")),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        ca_keys: Arc::clone(&keys) as Arc<dyn CaKeys>,
        public_url: "http://127.0.0.1:8080".to_owned(),
        profiles: Profiles::default(),
        list_schedule: ListSchedule::default(),
        ocsp_schedule: OcspSchedule::default(),
        doctor: DoctorSettings::default(),
        secrets: Secrets::from_seed(&[9; 32]),
        policy_context: PolicyContext {
            trust_domain: "home.test".parse().expect("a trust domain"),
            local_admins: Vec::new(),
        },
        standing: Arc::new(Standing::closed()),
        directories: portcullis::domain::Directories::default(),
        attestation: portcullis::domain::attestation::AttestationRules::default(),
    };
    let authority = Authority::start(parts, "").await.expect("it starts");
    authority.publish_due_lists().await.expect("published");
    (keys, authority)
}
