//! The servers: how each is set up and started, and what it has used so far.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use portcullis_ca::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::RootCertStore;

use super::pki;

/// A server that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Portcullis,
    Pebble,
    Caddy,
    StepCa,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Portcullis, Self::Pebble, Self::Caddy, Self::StepCa];

    pub fn name(self) -> &'static str {
        match self {
            Self::Portcullis => "portcullis",
            Self::Pebble => "pebble",
            Self::Caddy => "caddy",
            Self::StepCa => "step-ca",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn program(self) -> String {
        match self {
            Self::Portcullis => env::var("PORTCULLIS")
                .unwrap_or_else(|_| env!("CARGO_BIN_EXE_portcullis").to_owned()),
            Self::StepCa => env::var("STEP_CA").unwrap_or_else(|_| "step-ca".to_owned()),
            Self::Pebble | Self::Caddy => self.name().to_owned(),
        }
    }

    pub fn is_installed(self) -> bool {
        Command::new(self.program())
            .arg("--help")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    }

    fn directory(self) -> &'static str {
        match self {
            Self::Portcullis => "https://localhost:8444/acme/directory",
            Self::Pebble => "https://localhost:14000/dir",
            Self::Caddy => "https://localhost:9443/acme/local/directory",
            Self::StepCa => "https://localhost:9443/acme/acme/directory",
        }
    }
}

/// Whether the load and the servers can have a core each.
pub fn has_two_cores() -> bool {
    let cores = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cores
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count()
        > 1
}

/// A command on the servers' core.
fn pinned(program: &str) -> Command {
    if !has_two_cores() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "1", program]);
    command
}

/// A server process of its own; it ends when this is dropped.
pub struct Running {
    child: Child,
    pub directory: String,
    root: String,
}

impl Running {
    /// Sets one up in a directory and waits until it listens.
    pub fn start(kind: Kind, dir: &Path) -> Self {
        let dir = dir.canonicalize().expect("a directory");
        if kind != Kind::Portcullis {
            pki::write(&dir);
        }
        let mut root = fs::read_to_string(dir.join("root.pem")).unwrap_or_default();
        let mut command = pinned(&kind.program());
        match kind {
            Kind::Portcullis => {
                root = set_up(&dir);
                let state = dir.join("state");
                command.arg("--dir").arg(state);
                command.args(["serve", "--log", "warn"]);
            }
            Kind::Pebble => {
                put(&dir, "pebble.json", PEBBLE);
                command
                    .args(["-config", "pebble.json", "-dnsserver", "127.0.0.1:53"])
                    // It is made to test clients: it waits, refuses nonces and reuses authorizations at random.
                    .env("PEBBLE_VA_NOSLEEP", "1")
                    .env("PEBBLE_WFE_NONCEREJECT", "0")
                    .env("PEBBLE_AUTHZREUSE", "0");
            }
            Kind::Caddy => {
                put(&dir, "Caddyfile", CADDY);
                command.args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"]);
            }
            Kind::StepCa => {
                put(&dir, "ca.json", STEP_CA);
                command.arg("ca.json");
            }
        }
        let log = fs::File::create(dir.join("log")).expect("a log");
        let child = command
            .current_dir(&dir)
            .env("HOME", &dir)
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let mut running = Self {
            child,
            directory: kind.directory().to_owned(),
            root,
        };
        let port = running.directory.split([':', '/']).nth(4);
        let port: u16 = port.and_then(|it| it.parse().ok()).expect("a port");
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = running.child.try_wait().expect("a process").is_some();
            if ended || begun.elapsed() > Duration::from_secs(30) {
                let log = fs::File::open(dir.join("log")).expect("a log");
                for line in BufReader::new(log).lines().map_while(Result::ok) {
                    eprintln!("  {line}");
                }
                panic!("{} did not start", kind.name());
            }
            thread::sleep(Duration::from_millis(20));
        }
        running
    }

    /// What its own certificate is verified with.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.root.as_bytes()).expect("a certificate");
        roots.add(root).expect("a root");
        roots
    }

    /// Tells what the process has used so far.
    pub fn meter(&self) -> impl Fn() -> Usage + Clone + 'static {
        let pid = self.child.id();
        move || Usage::of(pid)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has used.
pub struct Usage {
    /// User and system time, in ticks of 10 ms (proc(5): fields 14 and 15 of stat).
    pub cpu: Duration,
    /// Octets written to disk (proc(5): `write_bytes` of io).
    pub written: u64,
}

impl Usage {
    fn of(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("a number"))
            .sum();
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let written = io
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
        Self {
            cpu: Duration::from_millis(ticks * 10),
            written: written.unwrap_or_default(),
        }
    }
}

fn put(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).expect("written");
}

/// Founds an authority; the answer is its root.
fn set_up(dir: &Path) -> String {
    let state = dir.join("state");
    let made = Command::new(Kind::Portcullis.program())
        .arg("--dir")
        .arg(&state)
        .arg("init")
        .stdout(Stdio::null())
        .status()
        .expect("portcullis runs");
    assert!(made.success(), "init must succeed");
    put(&state, "portcullis.toml", PORTCULLIS);
    fs::read_to_string(state.join("root.pem")).expect("a root")
}

const PORTCULLIS: &str = r#"
[server]
listen = "127.0.0.1:8444"
[acme.limits]
requests_per_network = "off"
orders_per_account = "off"
[acme.validation]
allow_networks = ["127.0.0.1/32"]
[metrics]
listen = ""
"#;

const PEBBLE: &str = r#"{ "pebble": {
  "listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
  "certificate": "server.pem", "privateKey": "server.key", "httpPort": 80, "tlsPort": 443,
  "ocspResponderURL": "", "externalAccountBindingRequired": false } }
"#;

const CADDY: &str = r"{
  admin off
  auto_https disable_redirects
  skip_install_trust
  storage file_system caddy
}
https://localhost:9443 {
  bind 127.0.0.1
  tls server.pem server.key
  acme_server
}
";

const STEP_CA: &str = r#"{
  "root": "root.pem", "crt": "intermediate.pem", "key": "intermediate.key",
  "address": "127.0.0.1:9443", "dnsNames": ["localhost"],
  "db": { "type": "badgerv2", "dataSource": "db" },
  "authority": { "provisioners": [ { "type": "ACME", "name": "acme" } ] } }
"#;
