//! `scripts/bench revoke`: what a million revoked certificates cost, in CPU and memory of one process: publishing every
//! list at the default number of shards, publishing one, looking a serial up at the gate, answering OCSP; and how long
//! whoever issues waits while very many are revoked at once.
//!
//! Certificates are put into the database directly, and their rows are smaller than real ones: lists are read from an
//! index, so that it makes no difference. CPU is that of the whole process, in ticks of 10 ms; memory is what the kernel
//! counts as resident (VmRSS, VmHWM).
#![allow(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis::{
    app::{Init, StateDir, StoredKeys, init},
    authority::{
        Authority, DoctorSettings, Issuer, ListSchedule, OcspSchedule, Parts, Profiles, Secrets,
        Standing,
    },
    domain::{Clock, Timestamp, audit::Actor, policy::PolicyContext},
    store::{RevocationQuery, sqlite::SqliteStore},
};
use portcullis_ca::{
    key::KeyAlgorithm,
    ocsp::{CertId, HashAlgorithm},
    revocation::{RevocationIndex, RevocationReason},
    serial::Serial,
};
use rusqlite::{Connection, params};

const REVOKED: usize = 1_000_000;
const GOOD: usize = 50_000;
const LOOKED_UP: usize = 2_000_000;
const ASKED: usize = 5_000;
const PUBLIC_URL: &str = "http://127.0.0.1:1";

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        time::OffsetDateTime::now_utc().into()
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let state = StateDir::new(dir.path().join("state"));
    runtime.block_on(make(&state));
    let issuer = {
        let authority = runtime.block_on(open(&state));
        Arc::clone(
            authority
                .issuers()
                .named("intermediate")
                .expect("an issuer"),
        )
    };
    let serials = fill(&state.file("portcullis.db"), &issuer);
    println!(
        "{REVOKED} revoked certificates on {} lists; rows and goals:\n",
        issuer.shards()
    );
    index(&serials);
    runtime.block_on(async {
        let before = resident();
        let begun = Instant::now();
        let authority = open(&state).await;
        row(
            "start, with the gate's standing",
            &format!(
                "{:.2} s, {} MiB more",
                begun.elapsed().as_secs_f64(),
                (resident() - before) >> 20
            ),
            "under 3 s",
        );
        publish(&authority).await;
        answer(&authority, &issuer, &serials).await;
        revoke(&authority).await;
    });
}

fn row(what: &str, measured: &str, goal: &str) {
    println!("{what:<52} {measured:<44} {goal}");
}

/// Looking a serial up, as the gate does on each connection.
fn index(serials: &[Serial]) {
    let before = resident();
    let index: RevocationIndex = serials
        .iter()
        .map(|serial| (*serial, RevocationReason::Unspecified))
        .collect();
    let octets = resident().saturating_sub(before);
    let good = Serial::random().expect("randomness");
    let begun = Instant::now();
    let mut found = 0;
    for turn in 0..LOOKED_UP {
        // Serials all over the index, so that no cache holds what is needed.
        let serial = &serials[turn.wrapping_mul(7_368_787) % serials.len()];
        found += usize::from(index.contains(serial)) + usize::from(index.contains(&good));
    }
    let each = begun.elapsed() / u32::try_from(2 * LOOKED_UP).expect("few");
    assert_eq!(found, LOOKED_UP);
    row(
        "the gate's index",
        &format!("{} MiB", octets >> 20),
        "under 64 MiB",
    );
    row("a look-up in it", &format!("{each:?}"), "under 1 µs");
}

async fn publish(authority: &Authority) {
    let what = |lists: usize| format!("publish {lists} lists");
    for turn in ["first", "again, with the lists before to compare with"] {
        forget_peak();
        let (begun, cpu) = (Instant::now(), cpu());
        let lists = authority
            .publish_lists(&Actor::Authority)
            .await
            .expect("lists");
        let octets: usize = lists.iter().map(|list| list.der.len()).sum();
        row(
            &format!("{}, {turn}", what(lists.len())),
            &format!(
                "{:.2} s CPU, {:.2} s, {} MiB at most ({} of them)",
                (self::cpu() - cpu).as_secs_f64(),
                begun.elapsed().as_secs_f64(),
                peak() >> 20,
                octets >> 20,
            ),
            "under 2 s CPU, 200 MiB",
        );
    }
    let query = RevocationQuery {
        profile: Some("server".to_owned()),
        ..RevocationQuery::default()
    };
    let mut costs = Vec::new();
    for _ in 0..10 {
        let one = authority
            .revocable(&query, RevocationReason::Unspecified, 1)
            .await
            .expect("read");
        authority
            .revoke_certificates(
                &Actor::Authority,
                &one.serials,
                RevocationReason::Superseded,
            )
            .await
            .expect("revoked");
        let (begun, cpu) = (Instant::now(), cpu());
        let round = authority.publish_due_lists().await.expect("asked");
        assert_eq!(round.published, 1);
        costs.push((begun.elapsed(), self::cpu() - cpu));
    }
    let cpu: Duration = costs.iter().map(|(_, cpu)| *cpu).sum();
    let mut wall: Vec<Duration> = costs.iter().map(|(wall, _)| *wall).collect();
    wall.sort_unstable();
    row(
        "publish the one list that lacks a revocation",
        &format!("{:.0?} CPU on average, {:.0?} median", cpu / 10, wall[5]),
        "under 100 ms",
    );
}

async fn answer(authority: &Authority, issuer: &Issuer, serials: &[Serial]) {
    authority.renew_due_responders().await.expect("a responder");
    let requests: Vec<Vec<u8>> = serials
        .iter()
        .step_by(serials.len() / ASKED)
        .map(|serial| {
            request(&CertId::new(
                HashAlgorithm::Sha1,
                &issuer.certificate,
                *serial,
            ))
        })
        .collect();
    let cpu = cpu();
    for request in &requests {
        let answer = authority.answer_ocsp(request).await;
        assert!(answer.der.len() > 200, "{answer:?}");
    }
    row(
        "an OCSP answer",
        &format!(
            "{:.0?} CPU",
            (self::cpu() - cpu) / u32::try_from(requests.len()).expect("few")
        ),
        "under 1 ms",
    );
}

/// OCSPRequest with one CertID (RFC 6960 section 4.1.1).
fn request(id: &CertId) -> Vec<u8> {
    (0..4).fold(id.to_der().to_vec(), |inner, _| {
        let length = u8::try_from(inner.len()).expect("short");
        assert!(length < 0x80);
        [&[0x30, length], &inner[..]].concat()
    })
}

/// Very many at once: others wait for one step, not for all.
async fn revoke(authority: &Authority) {
    let query = RevocationQuery {
        profile: Some("server".to_owned()),
        ..RevocationQuery::default()
    };
    let (begun, cpu) = (Instant::now(), cpu());
    let bulk = {
        let authority = authority.clone();
        tokio::spawn(async move {
            authority
                .revoke_matching(
                    &Actor::Authority,
                    &query,
                    RevocationReason::CessationOfOperation,
                )
                .await
                .expect("revoked")
        })
    };
    let mut longest = Duration::ZERO;
    while !bulk.is_finished() {
        let asked = Instant::now();
        // A small write, such as every issuance waits for.
        authority
            .store()
            .record_bundle_holder("bench".to_owned(), [0; 32], authority.now())
            .await
            .expect("written");
        longest = longest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let revoked = bulk.await.expect("no panic");
    row(
        &format!("revoke {} by a query", revoked.serials.len()),
        &format!(
            "{:.2} s, {:.2} s CPU; a write beside it waits {:.0?} at most",
            begun.elapsed().as_secs_f64(),
            (self::cpu() - cpu).as_secs_f64(),
            longest
        ),
        "",
    );
}

async fn make(state: &StateDir) {
    let wanted = Init {
        trust_domain: "bench.internal".parse().expect("a trust domain"),
        key_algorithm: KeyAlgorithm::P256,
        passphrase: None,
        token: None,
        public_url: PUBLIC_URL.to_owned(),
    };
    init(state, &wanted, SystemClock.now())
        .await
        .expect("an authority");
}

async fn open(state: &StateDir) -> Authority {
    let parts = Parts {
        store: Arc::new(SqliteStore::open(&state.file("portcullis.db")).expect("a store")),
        clock: Arc::new(SystemClock),
        ca_keys: Arc::new(StoredKeys::new(state.clone(), None)),
        public_url: PUBLIC_URL.to_owned(),
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

/// Puts certificates into the database. The answer is the serials of the revoked ones.
fn fill(database: &Path, issuer: &Issuer) -> Vec<Serial> {
    let mut connection = Connection::open(database).expect("the database");
    let now = SystemClock.now();
    let end = now + Duration::from_secs(30 * 86_400);
    let transaction = connection.transaction().expect("a transaction");
    let mut serials = Vec::with_capacity(REVOKED);
    {
        let mut insert = transaction
            .prepare(
                "INSERT INTO certificates (serial, issuer, list_shard, profile, names, not_before, not_after,
                     key_fingerprint, der, issued_at, revoked_at, revocation_reason, revocation_epoch)
                 VALUES (?, ?, ?, ?, '[]', ?, ?, ?, x'3000', ?, ?, ?, ?)",
            )
            .expect("prepared");
        for index in 0..REVOKED + GOOD {
            let serial = Serial::random().expect("randomness");
            let is_revoked = index < REVOKED;
            let mut key = [0; 32];
            key[..8].copy_from_slice(&index.to_be_bytes());
            insert
                .execute(params![
                    serial.significant_octets(),
                    issuer.id().0,
                    serial.shard(issuer.shards()),
                    if is_revoked { "device" } else { "server" },
                    now.unix_millis(),
                    end.unix_millis(),
                    key,
                    now.unix_millis(),
                    is_revoked.then(|| now.unix_millis()),
                    is_revoked.then_some(index % 6),
                    is_revoked.then_some(1),
                ])
                .expect("inserted");
            if is_revoked {
                serials.push(serial);
            }
        }
    }
    transaction.commit().expect("committed");
    serials
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

/// Octets that are resident now.
fn resident() -> usize {
    status("VmRSS:")
}

/// The most octets that were resident since it was forgotten.
fn peak() -> usize {
    status("VmHWM:")
}

fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").expect("one's own process");
}

fn status(field: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("a process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .expect("a field");
    let kib: usize = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number");
    kib << 10
}
