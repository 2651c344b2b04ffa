//! An authority with a clock that tests move, and certificates in its store.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use portcullis::{
    app::StateDir,
    authority::{Authority, CurrentList, Issuer, Profiles, Unseen},
    domain::{
        Clock, Principal, Timestamp,
        audit::{Actor, AuditDraft},
        certificate::CertificateRecord,
    },
};
use portcullis_ca::{
    list::serials_on, profile::ProfileKind, revocation::RevocationReason, serial::Serial,
};

use crate::acme::authority;

pub struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.load(Ordering::SeqCst))
    }
}

impl TestClock {
    pub fn read(&self) -> Timestamp {
        self.now()
    }
}

pub struct Stage {
    pub dir: tempfile::TempDir,
    pub clock: Arc<TestClock>,
    pub authority: Authority,
}

pub const HOUR: Duration = Duration::from_secs(3600);

impl Stage {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(TestClock(AtomicI64::new(1_800_000_000_000)));
        let authority = authority::start(dir.path(), clock.clone()).await;
        Self {
            dir,
            clock,
            authority,
        }
    }

    /// Another authority on the same directory: a restart, or a second node.
    pub async fn again(&self) -> Authority {
        authority::open(&self.state(), self.clock.clone(), Profiles::default()).await
    }

    pub fn state(&self) -> StateDir {
        StateDir::new(self.dir.path().join("state"))
    }

    pub fn database(&self) -> PathBuf {
        self.state().file("portcullis.db")
    }

    /// Does what nobody should: changes the database past the authority.
    pub fn tamper(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.database()).expect("the database");
        connection.execute_batch(sql).expect("done");
    }

    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).expect("not so long");
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub fn issuer(&self, name: &str) -> Arc<Issuer> {
        Arc::clone(self.authority.issuers().named(name).expect("an issuer"))
    }

    /// Puts certificates of the intermediate into the store, good for so long, one for each of the shards.
    pub async fn certificates(&self, shards: &[u32], life: Duration) -> Vec<Serial> {
        let now = self.clock.now();
        let issuer = self.issuer("intermediate");
        let mut serials = Vec::new();
        let mut recorded = Vec::new();
        for shard in shards {
            let serial = loop {
                let serial = Serial::random().expect("randomness");
                if serial.shard(issuer.shards()) == *shard {
                    break serial;
                }
            };
            serials.push(serial);
            let record = CertificateRecord {
                serial,
                issuer: issuer.id(),
                list_shard: *shard,
                profile: ProfileKind::Device.into(),
                principal: Some(
                    format!("device:shard/{shard}")
                        .parse()
                        .expect("a principal"),
                ),
                names: Vec::new(),
                not_before: now,
                not_after: now + life,
                // A key of its own.
                key_fingerprint: key_of(serial),
                der: vec![0x30, 0],
                enrolment: None,
                account: None,
                order: None,
                issued_at: now,
                revocation: None,
            };
            let audit = AuditDraft {
                at: now,
                actor: Actor::Authority,
                action: "certificate.issue",
                subject: serial.to_string(),
                detail: serde_json::json!({}),
            };
            recorded.push(self.authority.store().record_certificate(record, audit));
        }
        for outcome in futures_util::future::join_all(recorded).await {
            outcome.expect("recorded");
        }
        serials
    }

    pub async fn revoke(&self, serials: &[Serial]) {
        self.authority
            .revoke_certificates(&Actor::Authority, serials, RevocationReason::Superseded)
            .await
            .expect("revoked");
    }

    /// Revokes a certificate of an issuer that the store never saw.
    pub async fn revoke_unseen(&self, issuer: &str) -> Serial {
        let serial = Serial::random().expect("randomness");
        let wanted = Unseen::Serial {
            issuer: issuer.to_owned(),
            serial,
        };
        self.authority
            .revoke_unseen(&Actor::Authority, wanted, RevocationReason::Superseded)
            .await
            .expect("revoked");
        serial
    }

    /// Publishes what is due: how many lists, and how many could not be.
    pub async fn publish_due(&self) -> (usize, usize) {
        let round = self.authority.publish_due_lists().await.expect("asked");
        (round.published, round.failed)
    }

    pub fn list(&self, issuer: &str, shard: u32) -> CurrentList {
        let id = self.issuer(issuer).id();
        let lists = self.authority.lists();
        let found = lists
            .iter()
            .find(|list| (list.issuer, list.shard) == (id, shard));
        found.expect("a list").clone()
    }

    pub fn on_list(&self, shard: u32) -> Vec<Serial> {
        serials_on(&self.list("intermediate", shard).der).expect("a list of ours")
    }
}

fn key_of(serial: Serial) -> [u8; 32] {
    let mut key = [7; 32];
    let octets = serial.significant_octets();
    key[..octets.len()].copy_from_slice(octets);
    key
}

pub fn principal(text: &str) -> Principal {
    text.parse().expect("a principal")
}
