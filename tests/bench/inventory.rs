//! `scripts/bench inventory [SMALL] [LARGE] [DIR]`: what issuing and looking up cost with many certificates in the store,
//! as ratios to few: by default 10,000,000 against 10,000. It takes some 15 GB below DIR (default `target/tmp`) meanwhile.
//!
//! Both stores are filled first, with random keys and serials in the order in which certificates come, so that their
//! indexes are as full as those of a store that grew. Then they are measured in turn, three times each; the medians count.
//! The page cache of the system is warm where it is large enough: it is said how large the files are.
#![allow(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use portcullis::{
    app::{Init, StateDir, StoredKeys, init},
    authority::{
        Authority, DoctorSettings, Invite, ListSchedule, NewAccount, NewOrder, OcspSchedule, Parts,
        Profiles, Secrets, Standing,
    },
    domain::{
        Clock, Timestamp,
        account::Thumbprint,
        audit::{Actor, AuditDraft},
        certificate::{CertificateRecord, CertificateStatus},
        identifier::Identifier,
        policy::PolicyContext,
    },
    store::{
        Certificates, Commands, Inventory, InventoryCursor, InventoryQuery, sqlite::SqliteStore,
    },
};
use portcullis_ca::{csr::CertificateRequest, issuer_key_id::IssuerKeyId, serial::Serial};
use rusqlite::{Connection, params};

/// How many write at once.
const WRITERS: usize = 64;
const RECORDED: usize = 10_000;
const ISSUED: usize = 2_000;
const ISSUERS: usize = 16;
const LOOK_UPS: usize = 500;
const ROUNDS: usize = 3;
/// So many certificates has each device had.
const EACH: u64 = 10;
/// One is issued every so many milliseconds.
const APART: i64 = 1000;
const HOST: &str = "bench.example.internal";

struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
    fn now(&self) -> Timestamp {
        time::OffsetDateTime::now_utc().into()
    }
}

fn main() {
    // What cargo adds is no argument of ours.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let number = |index: usize, default: u64| {
        arguments.get(index).map_or(default, |text| {
            text.replace('_', "")
                .parse()
                .expect("a number of certificates")
        })
    };
    let sizes = [number(0, 10_000), number(1, 10_000_000)];
    let dir = arguments
        .get(2)
        .map_or_else(|| PathBuf::from("target/tmp"), PathBuf::from);
    fs::create_dir_all(&dir).expect("a directory");
    // It goes with its contents when this ends, however it ends.
    let dir = tempfile::tempdir_in(dir).expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let requests: Arc<[Vec<u8>]> = (0..500).map(|_| request()).collect();
    let bench: Vec<Bench> = sizes
        .into_iter()
        .map(|size| runtime.block_on(Bench::new(&dir.path().join(size.to_string()), size)))
        .collect();
    let mut measured: Vec<[Vec<f64>; 2]> = vec![[Vec::new(), Vec::new()]; ROWS.len()];
    for round in 0..ROUNDS {
        for (which, bench) in bench.iter().enumerate() {
            let row = runtime.block_on(bench.measure(round, &requests));
            for (all, value) in measured.iter_mut().zip(row) {
                all[which].push(value);
            }
        }
    }
    println!();
    println!(
        "{:<58} {:>12} {:>12} {:>7}",
        "", sizes[0], sizes[1], "ratio"
    );
    for (what, [few, many]) in ROWS.iter().zip(&mut measured) {
        let (few, many) = (median(few), median(many));
        println!("{what:<58} {few:>12.1} {many:>12.1} {:>7.2}", many / few);
    }
    println!("\nThe goal is a ratio of at most 1.5.");
}

const ROWS: [&str; 10] = [
    "issue by order, in process, 16 at once: us each",
    "the same: CPU us each",
    "record durably, 64 at once: us each",
    "the same: CPU us each",
    "the same: p50 of one, us",
    "cert list --principal: p50 us",
    "cert list --expiring-before: p50 us",
    "cert list --serial: p50 us",
    "the record of a serial alone: p50 us",
    "cert list --name: p50 us",
];

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A generator that is quick (xorshift64*); what it makes must only be spread.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    fn octets<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        for chunk in octets.chunks_mut(8) {
            let value = self.next().to_be_bytes();
            chunk.copy_from_slice(&value[..chunk.len()]);
        }
        octets
    }
}

/// A store with so many certificates, and an authority on it.
struct Bench {
    size: u64,
    begun: Timestamp,
    store: Arc<SqliteStore>,
    authority: Authority,
    account: portcullis::domain::account::Account,
}

impl Bench {
    async fn new(dir: &Path, size: u64) -> Self {
        let state = StateDir::new(dir.join("state"));
        let wanted = Init {
            trust_domain: "bench.internal".parse().expect("a trust domain"),
            key_algorithm: portcullis_ca::key::KeyAlgorithm::P256,
            passphrase: None,
            token: None,
            public_url: "http://127.0.0.1:1".to_owned(),
        };
        init(&state, &wanted, SystemClock.now())
            .await
            .expect("an authority");
        let path = state.file("portcullis.db");
        let begun = SystemClock
            .now()
            .earlier_by(Duration::from_millis(size * APART as u64));
        let took = timed(|| fill(&path, size, begun));
        let bytes = fs::metadata(&path).expect("a file").len();
        println!(
            "{size} certificates: filled in {:.0} s, {:.2} GB, {} octets each",
            took.as_secs_f64(),
            bytes as f64 / 1e9,
            bytes / size
        );
        warm(&path);
        let begun_to_open = instant();
        let store = Arc::new(SqliteStore::open(&path).expect("a store"));
        let authority = authority(&state, Arc::clone(&store)).await;
        println!(
            "{size} certificates: opened in {:.0} ms",
            micros(begun_to_open.elapsed()) / 1000.0
        );
        let invited = authority
            .invite(
                &Actor::Authority,
                Invite {
                    identifiers: vec![Identifier::parse("dns", HOST).expect("a name")],
                    uses: 1,
                    life: Duration::from_secs(3600),
                    ..Invite::of("service:bench/load".parse().expect("a principal"))
                },
            )
            .await
            .expect("invited");
        let account = authority
            .create_account(NewAccount {
                directory: portcullis::domain::DirectoryName::default(),
                thumbprint: Thumbprint([7; 32]),
                jwk: serde_json::Value::Null,
                contacts: Vec::new(),
                terms_of_service: None,
                external_account_binding: None,
                binding: Some(invited.invitation.id),
                from: None,
            })
            .await
            .expect("an account");
        Self {
            size,
            begun,
            store,
            authority,
            account,
        }
    }

    async fn measure(&self, round: usize, requests: &Arc<[Vec<u8>]>) -> [f64; 10] {
        let mut random = Random(0x9e37_79b9 + round as u64 * 7919 + self.size);
        let (issue, issue_cpu) = self.issue(requests).await;
        let (record, record_cpu, record_p50) = self.record(&mut random).await;
        let serials = self.some_serials(&mut random).await;
        let now = SystemClock.now();
        let all = || InventoryQuery::all(now, 100);
        let devices = self.size / EACH;
        let mut times: [Vec<f64>; 5] = Default::default();
        for serial in serials.iter().cycle().take(LOOK_UPS) {
            let mut by_principal = all();
            by_principal.principal = Some(principal(random.below(devices)));
            times[0].push(self.page(by_principal, 0).await);

            // Anywhere among those that expire: the first page is the one that everybody has in memory.
            let mut by_expiry = all();
            let span = self.size * APART as u64;
            by_expiry.status = Some(CertificateStatus::Valid);
            by_expiry.now = self.begun;
            by_expiry.expiring_before = Some(now + Duration::from_secs(400 * 86_400));
            by_expiry.after = Some(InventoryCursor {
                moment: self.begun + Duration::from_millis(random.below(span / 10 * 9)),
                serial: *serial,
            });
            times[1].push(self.page(by_expiry, 100).await);

            let mut by_serial = all();
            by_serial.serial = Some(serial.to_string().parse().expect("a prefix"));
            times[2].push(self.page(by_serial, 1).await);

            let begun = instant();
            let found = self.store.certificate(*serial).await.expect("read");
            times[3].push(micros(begun.elapsed()));
            assert!(found.is_some());

            let mut by_name = all();
            by_name.name = Some(name(random.below(devices)));
            times[4].push(self.page(by_name, 0).await);
        }
        let [by_principal, by_expiry, by_serial, record_of, by_name] =
            times.map(|mut it| median(&mut it));
        [
            issue,
            issue_cpu,
            record,
            record_cpu,
            record_p50,
            by_principal,
            by_expiry,
            by_serial,
            record_of,
            by_name,
        ]
    }

    async fn page(&self, query: InventoryQuery, at_least: usize) -> f64 {
        let begun = instant();
        let page = self.store.inventory(query).await.expect("read");
        let took = micros(begun.elapsed());
        assert!(
            page.certificates.len() >= at_least,
            "{} found",
            page.certificates.len()
        );
        took
    }

    /// Serials that are there, from everywhere.
    async fn some_serials(&self, random: &mut Random) -> Vec<Serial> {
        let mut serials = Vec::new();
        let span = self.size * APART as u64;
        while serials.len() < 500 {
            let mut query = InventoryQuery::all(SystemClock.now(), 1);
            query.after = Some(InventoryCursor {
                moment: self.begun + Duration::from_millis(random.below(span) + 1),
                serial: Serial::from_der_integer(&[1]).expect("a serial"),
            });
            let page = self.store.inventory(query).await.expect("read");
            serials.extend(page.certificates.first().map(|it| it.serial));
        }
        serials
    }

    /// The whole way of a certificate but for the network: order, finalize, record.
    async fn issue(&self, requests: &Arc<[Vec<u8>]>) -> (f64, f64) {
        let name = Identifier::parse("dns", HOST).expect("a name");
        let (authority, account) = (self.authority.clone(), self.account.clone());
        let requests = Arc::clone(requests);
        let (wall, cpu) = measured(each(ISSUERS, ISSUED, move |index| {
            let (authority, account) = (authority.clone(), account.clone());
            let (name, requests) = (name.clone(), Arc::clone(&requests));
            async move {
                let order = authority
                    .new_order(NewOrder::of(&account.id, vec![name]))
                    .await
                    .expect("an order");
                let request = CertificateRequest::from_der(&requests[index % requests.len()])
                    .expect("a request");
                authority
                    .finalize(&order.id, &account.id, request)
                    .await
                    .expect("issued");
            }
        }))
        .await;
        (micros(wall) / ISSUED as f64, micros(cpu) / ISSUED as f64)
    }

    /// The store's share of it alone.
    async fn record(&self, random: &mut Random) -> (f64, f64, f64) {
        let now = SystemClock.now();
        let devices = self.size / EACH;
        let records: Arc<[CertificateRecord]> = (0..RECORDED)
            .map(|_| record(random, now, devices))
            .collect();
        let times = Arc::new(parking_lot::Mutex::new(Vec::with_capacity(RECORDED)));
        let (store, all) = (Arc::clone(&self.store), Arc::clone(&times));
        let (wall, cpu) = measured(each(WRITERS, RECORDED, move |index| {
            let (store, record) = (Arc::clone(&store), records[index].clone());
            let all = Arc::clone(&all);
            async move {
                let audit = AuditDraft {
                    at: record.issued_at,
                    actor: Actor::Authority,
                    action: "certificate.issue",
                    subject: record.serial.to_string(),
                    detail: serde_json::json!({ "names": record.names }),
                };
                let begun = instant();
                store
                    .record_certificate(record, audit)
                    .await
                    .expect("recorded");
                all.lock().push(micros(begun.elapsed()));
            }
        }))
        .await;
        let p50 = median(&mut times.lock());
        let count = RECORDED as f64;
        (micros(wall) / count, micros(cpu) / count, p50)
    }
}

fn principal(device: u64) -> portcullis::domain::Principal {
    format!("device:plant/{device:08}")
        .parse()
        .expect("a principal")
}

fn name(device: u64) -> String {
    format!("dns:device-{device:08}.plant.example.internal")
}

fn record(random: &mut Random, issued_at: Timestamp, devices: u64) -> CertificateRecord {
    let device = random.below(devices.max(1));
    let not_after = issued_at + Duration::from_secs(86_400 + random.below(30 * 86_400));
    CertificateRecord {
        serial: Serial::from_der_integer(&random.octets::<16>()).expect("a serial"),
        issuer: IssuerKeyId([7; 32]),
        list_shard: (random.below(16)) as u32,
        profile: "device".parse().expect("a profile"),
        principal: Some(principal(device)),
        names: vec![
            name(device),
            format!("uri:spiffe://bench.internal/device/plant/{device:08}"),
        ],
        not_before: issued_at,
        not_after,
        key_fingerprint: random.octets(),
        // As long as one of ours with a P-256 key, two names and both pointers.
        der: random.octets::<640>().to_vec(),
        enrolment: Some(portcullis::domain::id::EnrolmentId::from_text(format!(
            "enrolment-{device:012}"
        ))),
        account: Some(portcullis::domain::id::AccountId::from_text(format!(
            "account-{device:014}"
        ))),
        order: Some(portcullis::domain::id::OrderId::from_random(
            random.octets(),
        )),
        issued_at,
        revocation: None,
    }
}

/// Fills a store past its writer: nothing is synced, and much is kept in memory. Every row goes in as it would come, so
/// that every index splits as it would.
fn fill(path: &Path, size: u64, begun: Timestamp) {
    let mut db = Connection::open(path).expect("the database");
    db.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))
        .expect("no log");
    db.execute_batch(
        "PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -2000000;",
    )
    .expect("quick");
    let mut random = Random(42);
    let mut number = 0;
    while number < size {
        let batch = db.transaction().expect("a transaction");
        {
            let mut certificate = batch
                .prepare_cached(
                    "INSERT INTO certificates (serial, issuer, list_shard, profile, principal, names, not_before,
                         not_after, key_fingerprint, der, enrolment, account, \"order\", issued_at)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .expect("a statement");
            let mut names = batch
                .prepare_cached(
                    "INSERT INTO certificate_names (name, issued_at, serial) VALUES (?, ?, ?)",
                )
                .expect("a statement");
            for _ in 0..100_000.min(size - number) {
                let issued_at = begun + Duration::from_millis(number * APART as u64);
                let it = record(&mut random, issued_at, size / EACH);
                let serial = it.serial.significant_octets();
                certificate
                    .execute(params![
                        serial,
                        it.issuer.0,
                        it.list_shard,
                        it.profile.to_string(),
                        it.principal.as_ref().map(ToString::to_string),
                        serde_json::to_string(&it.names).expect("JSON"),
                        it.not_before.unix_millis(),
                        it.not_after.unix_millis(),
                        it.key_fingerprint,
                        it.der,
                        it.enrolment.as_ref().map(|id| id.as_str()),
                        it.account.as_ref().map(|id| id.as_str()),
                        it.order.as_ref().map(|id| id.as_str()),
                        it.issued_at.unix_millis(),
                    ])
                    .expect("inserted");
                names
                    .execute(params![it.names[0], it.issued_at.unix_millis(), serial])
                    .expect("inserted");
                number += 1;
            }
        }
        batch.commit().expect("committed");
        if number % 1_000_000 == 0 {
            eprintln!("  {number} of {size}");
        }
    }
}

/// Has the system write the file out, and read it once, so that as much of it as fits is in memory.
fn warm(path: &Path) {
    let mut file = fs::File::open(path).expect("a file");
    file.sync_all().expect("synced");
    std::io::copy(&mut file, &mut std::io::sink()).expect("read");
}

async fn authority(state: &StateDir, store: Arc<SqliteStore>) -> Authority {
    let parts = Parts {
        store,
        clock: Arc::new(SystemClock),
        ca_keys: Arc::new(StoredKeys::new(state.clone(), None)),
        public_url: "http://127.0.0.1:1".to_owned(),
        profiles: Profiles::default(),
        list_schedule: ListSchedule::default(),
        ocsp_schedule: OcspSchedule::default(),
        doctor: DoctorSettings::default(),
        secrets: Secrets::from_seed(&state.seed().expect("a seed")),
        policy_context: PolicyContext {
            trust_domain: "bench.internal".parse().expect("a trust domain"),
            local_admins: Vec::new(),
        },
        standing: Arc::new(Standing::closed()),
        directories: portcullis::domain::Directories::default(),
        attestation: portcullis::domain::attestation::AttestationRules::default(),
    };
    Authority::start(parts, "").await.expect("an authority")
}

fn request() -> Vec<u8> {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new([HOST.to_owned()]).expect("a name");
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .serialize_request(&key)
        .expect("a request")
        .der()
        .to_vec()
}

/// Runs `count` turns on so many tasks.
async fn each<F>(tasks: usize, count: usize, turn: impl Fn(usize) -> F + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send,
{
    let (next, turn) = (Arc::new(AtomicUsize::new(0)), Arc::new(turn));
    let mut all = Vec::new();
    for _ in 0..tasks {
        let (next, turn) = (Arc::clone(&next), Arc::clone(&turn));
        all.push(tokio::spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    break;
                }
                turn(index).await;
            }
        }));
    }
    for task in all {
        task.await.expect("no turn fails");
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn instant() -> Instant {
    Instant::now()
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn timed(run: impl FnOnce()) -> Duration {
    let begun = instant();
    run();
    begun.elapsed()
}

async fn measured(run: impl Future<Output = ()>) -> (Duration, Duration) {
    let (begun, cpu) = (instant(), cpu());
    run.await;
    (begun.elapsed(), self::cpu() - cpu)
}

/// User and system time of this process, in ticks of 10 ms (proc(5): fields 14 and 15 of stat).
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("a process");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("a number"))
        .sum();
    Duration::from_millis(ticks * 10)
}
