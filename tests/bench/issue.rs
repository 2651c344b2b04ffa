//! `scripts/bench issue`: complete durable issuances a second, and what each costs, as ratios to a bare loop that checks
//! a CSR and signs a certificate, in the same run.
//!
//! Three rows: the bare loop on one core; the authority in this process (draft, lint, sign, verify, record durably);
//! complete ACME orders (newOrder, finalize, download) over TLS against a server process. Wall-clock rates depend on the
//! disk and on who else uses the machine; CPU each is the figure to compare.
#![allow(missing_docs)]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use instant_acme::{Account, ExternalAccountKey, Identifier, NewAccount, NewOrder, RetryPolicy};
use portcullis::{
    agent::{self, transport::Transport, trust::ServerTrust},
    app::{Init, StateDir, StoredKeys, init},
    authority::{
        Authority, DoctorSettings, Invite, ListSchedule, NewAccount as OpenAccount, OcspSchedule,
        Parts, Profiles, Secrets, Standing,
    },
    domain::{
        Clock, Timestamp, account::Thumbprint, audit::Actor, identifier::Identifier as Name,
        policy::PolicyContext,
    },
    store::sqlite::SqliteStore,
};
use portcullis_ca::{
    csr::CertificateRequest,
    key::KeyAlgorithm,
    pki_types::{CertificateDer, pem::PemObject},
};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

const WORKERS: usize = 16;
const BARE: usize = 20_000;
const IN_PROCESS: usize = 8_000;
const OVER_ACME: usize = 3_000;
const HOST: &str = "bench.example.internal";

struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
    fn now(&self) -> Timestamp {
        time::OffsetDateTime::now_utc().into()
    }
}

/// What a row says.
struct Measured {
    what: &'static str,
    count: usize,
    wall: Duration,
    cpu: Duration,
}

fn main() {
    let requests: Vec<Vec<u8>> = (0..2000).map(|_| request()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let bare = bare(&requests);
    let in_process = runtime.block_on(in_process(&requests));
    let over_acme = runtime.block_on(over_acme(&requests));
    println!();
    println!(
        "{:<44} {:>8} {:>10} {:>12} {:>10} {:>10}",
        "", "count", "each s", "CPU ms each", "rate ratio", "CPU ratio"
    );
    for row in [&bare, &in_process, &over_acme] {
        println!(
            "{:<44} {:>8} {:>10.0} {:>12.3} {:>10.3} {:>10.2}",
            row.what,
            row.count,
            row.rate(),
            row.cpu_each() * 1000.0,
            row.rate() / bare.rate(),
            row.cpu_each() / bare.cpu_each(),
        );
    }
    println!();
    println!(
        "One sync of a small write on this disk: {:.2} ms",
        sync_cost().as_secs_f64() * 1000.0
    );
}

impl Measured {
    fn rate(&self) -> f64 {
        self.count as f64 / self.wall.as_secs_f64()
    }

    fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() / self.count as f64
    }
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

/// What no server can go below: read the request, verify its signature, sign a certificate.
fn bare(requests: &[Vec<u8>]) -> Measured {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut ca = rcgen::CertificateParams::default();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::Issuer::new(ca, key);
    measure(
        "check a CSR and sign, bare, one core",
        BARE,
        std::process::id(),
        || {
            for index in 0..BARE {
                let der = &requests[index % requests.len()];
                let (_, request) = X509CertificationRequest::from_der(der).expect("a request");
                request.verify_signature().expect("its signature");
                let info = request.certification_request_info.subject_pki.raw;
                let key = rcgen::SubjectPublicKeyInfo::from_der(info).expect("a key");
                let mut leaf = rcgen::CertificateParams::new([HOST.to_owned()]).expect("a name");
                leaf.use_authority_key_identifier_extension = true;
                let certificate = leaf.signed_by(&key, &issuer).expect("signed");
                std::hint::black_box(certificate);
            }
        },
    )
}

async fn in_process(requests: &[Vec<u8>]) -> Measured {
    let dir = tempfile::tempdir().expect("a directory");
    let authority = authority(dir.path()).await;
    let invited = authority
        .invite(
            &Actor::Authority,
            Invite {
                identifiers: vec![Name::parse("dns", HOST).expect("a name")],
                uses: 1,
                life: Duration::from_secs(3600),
                ..Invite::of("service:bench/load".parse().expect("a principal"))
            },
        )
        .await
        .expect("invited");
    let account = authority
        .create_account(OpenAccount {
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
    let name = Name::parse("dns", HOST).expect("a name");
    let requests: Arc<[Vec<u8>]> = requests.into();
    measure_async(
        "order, issue and record durably, in process",
        IN_PROCESS,
        std::process::id(),
        async {
            each(IN_PROCESS, move |index| {
                let (authority, account, name, requests) = (
                    authority.clone(),
                    account.clone(),
                    name.clone(),
                    Arc::clone(&requests),
                );
                async move {
                    let order = authority
                        .new_order(portcullis::authority::NewOrder::of(&account.id, vec![name]))
                        .await
                        .expect("an order");
                    let request = CertificateRequest::from_der(&requests[index % requests.len()])
                        .expect("a request");
                    let order = authority
                        .finalize(&order.id, &account.id, request)
                        .await
                        .expect("issued");
                    std::hint::black_box(order);
                }
            })
            .await;
        },
    )
    .await
}

async fn over_acme(requests: &[Vec<u8>]) -> Measured {
    let server = Server::start();
    let mut accounts = Vec::new();
    for _ in 0..WORKERS {
        accounts.push(Arc::new(server.open_account().await));
    }
    let requests: Arc<[Vec<u8>]> = requests.into();
    let pid = server.child.id();
    measure_async(
        "complete ACME order over TLS, server's CPU",
        OVER_ACME,
        pid,
        async {
            each(OVER_ACME, move |index| {
                let (account, requests) = (
                    Arc::clone(&accounts[index % WORKERS]),
                    Arc::clone(&requests),
                );
                async move {
                    let names = [Identifier::Dns(HOST.to_owned())];
                    let mut order = account
                        .new_order(&NewOrder::new(&names))
                        .await
                        .expect("an order");
                    order
                        .finalize_csr(&requests[index % requests.len()])
                        .await
                        .expect("finalized");
                    let chain = order
                        .poll_certificate(
                            &RetryPolicy::new().initial_delay(Duration::from_millis(5)),
                        )
                        .await
                        .expect("a certificate");
                    std::hint::black_box(chain);
                }
            })
            .await;
        },
    )
    .await
}

/// Runs `count` turns on as many tasks as there are workers.
async fn each<F>(count: usize, turn: impl Fn(usize) -> F + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send,
{
    let (next, turn) = (Arc::new(AtomicUsize::new(0)), Arc::new(turn));
    let mut tasks = Vec::new();
    for _ in 0..WORKERS {
        let (next, turn) = (Arc::clone(&next), Arc::clone(&turn));
        tasks.push(tokio::spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    break;
                }
                turn(index).await;
            }
        }));
    }
    for task in tasks {
        task.await.expect("no turn fails");
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn measure(what: &'static str, count: usize, pid: u32, run: impl FnOnce()) -> Measured {
    let (begun, cpu) = (Instant::now(), cpu_of(pid));
    run();
    Measured {
        what,
        count,
        wall: begun.elapsed(),
        cpu: cpu_of(pid) - cpu,
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
async fn measure_async(
    what: &'static str,
    count: usize,
    pid: u32,
    run: impl Future<Output = ()>,
) -> Measured {
    let (begun, cpu) = (Instant::now(), cpu_of(pid));
    run.await;
    Measured {
        what,
        count,
        wall: begun.elapsed(),
        cpu: cpu_of(pid) - cpu,
    }
}

/// User and system time of a process, in ticks of 10 ms (proc(5): fields 14 and 15 of stat).
fn cpu_of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("a number"))
        .sum();
    Duration::from_millis(ticks * 10)
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn sync_cost() -> Duration {
    use std::io::Write as _;
    let mut file = tempfile::tempfile().expect("a file");
    let begun = Instant::now();
    for _ in 0..50 {
        file.write_all(&[0; 4096]).expect("written");
        file.sync_data().expect("synced");
    }
    begun.elapsed() / 50
}

async fn authority(dir: &Path) -> Authority {
    let state = StateDir::new(dir.join("state"));
    let public_url = "http://127.0.0.1:1";
    let wanted = Init {
        trust_domain: "bench.internal".parse().expect("a trust domain"),
        key_algorithm: KeyAlgorithm::P256,
        passphrase: None,
        token: None,
        public_url: public_url.to_owned(),
    };
    init(&state, &wanted, SystemClock.now())
        .await
        .expect("an authority");
    let parts = Parts {
        store: Arc::new(SqliteStore::open(&state.file("portcullis.db")).expect("a store")),
        clock: Arc::new(SystemClock),
        ca_keys: Arc::new(StoredKeys::new(state.clone(), None)),
        public_url: public_url.to_owned(),
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

/// A server process of its own.
struct Server {
    child: Child,
    dir: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let made = Self::portcullis(
            dir.path(),
            &["init", "--public-url", "http://127.0.0.1:18445"],
        )
        .status()
        .expect("portcullis runs");
        assert!(made.success());
        let config = "[server]\nlisten = \"127.0.0.1:18444\"\n[status]\nlisten = \"127.0.0.1:18445\"\n[gate]\nlisten = \"127.0.0.1:18443\"\n[metrics]\nlisten = \"\"\n[acme.limits]\norders_per_account = \"off\"\ncertificates_per_identifiers = \"off\"\n";
        fs::write(dir.path().join("state/portcullis.toml"), config).expect("written");
        let mut child = Self::portcullis(dir.path(), &["serve", "--log", "warn"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("portcullis runs");
        use std::io::BufRead as _;
        let stdout = child.stdout.take().expect("a pipe");
        let ready = std::io::BufReader::new(stdout)
            .lines()
            .any(|line| line.is_ok_and(|line| line.starts_with("  admin")));
        assert!(
            ready,
            "the server must start; are ports 18443 to 18445 free?"
        );
        Self { child, dir }
    }

    fn portcullis(dir: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .arg("--dir")
            .arg(dir.join("state"))
            .args(arguments)
            .stdout(Stdio::null());
        command
    }

    async fn open_account(&self) -> Account {
        let output = Self::portcullis(
            self.dir.path(),
            &["--json", "invite", "service:bench/load", "--dns", HOST],
        )
        .stdout(Stdio::piped())
        .output()
        .expect("portcullis runs");
        let invited: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let text = |name: &str| invited[name].as_str().expect("text").to_owned();
        let mac = URL_SAFE_NO_PAD.decode(text("mac_key")).expect("base64url");
        let root = fs::read(self.dir.path().join("state/root.pem")).expect("a root");
        let root = CertificateDer::from_pem_slice(&root).expect("a certificate");
        let mut pin = [0; 32];
        pin.copy_from_slice(digest::digest(&digest::SHA256, &root).as_ref());
        // The agent's own way to the server: one connection for each worker, without Nagle's delay.
        #[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
        let clock = agent::clock::Clock::new(time::OffsetDateTime::now_utc);
        let transport =
            Transport::new(Arc::new(ServerTrust::pinned(pin)), clock).expect("a client");
        let (account, _) = Account::builder_with_http(Box::new(transport))
            .create(
                &NewAccount {
                    contact: &[],
                    terms_of_service_agreed: true,
                    only_return_existing: false,
                },
                text("directory"),
                Some(&ExternalAccountKey::new(text("key_id"), &mac)),
            )
            .await
            .expect("an account");
        account
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
