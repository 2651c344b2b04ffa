//! A real `portcullis serve` in a directory of its own, for tests that talk to it as its users do.
#![allow(dead_code, reason = "each test takes what it needs")]

pub mod objects;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test gives up: generous, for busy machines.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The program under test.
pub const PORTCULLIS: &str = env!("CARGO_BIN_EXE_portcullis");
/// The agent under test.
pub const AGENT: &str = env!("CARGO_BIN_EXE_portcullis-agent");

/// A server that is not yet running.
pub struct Builder {
    config: String,
    policy: Option<String>,
    init: Vec<String>,
    init_environment: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    has_metrics: bool,
}

impl Builder {
    /// Adds to the configuration, whole sections: `[acme.validation]\nhttp_port = 5002`.
    pub fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// The first policy, in place of the sample.
    pub fn policy(mut self, toml: &str) -> Self {
        self.policy = Some(toml.to_owned());
        self
    }

    /// Arguments for `portcullis init`.
    pub fn init(mut self, arguments: &[&str]) -> Self {
        self.init.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// A variable for `portcullis init`.
    pub fn init_env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.init_environment.push((name.to_owned(), value.into()));
        self
    }

    /// A variable for the server's process.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Arguments for `portcullis serve`.
    pub fn serve(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Serves no metrics.
    pub fn without_metrics(mut self) -> Self {
        self.has_metrics = false;
        self
    }

    /// Makes an authority, starts it, and waits until it is ready.
    pub fn start(self) -> Server {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("state");
        let ports = free_ports();
        let [server, status, gate, metrics] = ports;
        let init = Command::new(PORTCULLIS)
            .arg("--dir")
            .arg(&state)
            .args(["init", "--public-url", &format!("http://{status}")])
            .args(&self.init)
            .envs(self.init_environment)
            .output()
            .expect("portcullis runs");
        assert!(init.status.success(), "{init:?}");
        let written = fs::read_to_string(state.join("portcullis.toml")).expect("a configuration");
        let kept: Vec<&str> = written
            .lines()
            .filter(|line| line.starts_with("trust_domain") || line.starts_with("public_url"))
            .collect();
        // What `init` wrote of the token: a section of its own.
        let token: String = written
            .lines()
            .skip_while(|line| *line != "[ca.token]")
            .take_while(|line| *line == "[ca.token]" || !line.starts_with('['))
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        let passphrase: String = written
            .lines()
            .filter(|line| line.starts_with("passphrase_"))
            .map(|line| format!("[ca]\n{line}\n"))
            .collect();
        let metrics = if self.has_metrics {
            metrics.to_string()
        } else {
            String::new()
        };
        // Sections that the test adds to go last, so that it may go on with one of these.
        let config = format!(
            "{}\n{passphrase}{token}[server]\nlisten = \"{server}\"\n[status]\nlisten = \"{status}\"\n[metrics]\nlisten = \"{metrics}\"\n[gate]\nlisten = \"{gate}\"\n{}",
            kept.join("\n"),
            self.config
        );
        fs::write(state.join("portcullis.toml"), config).expect("written");
        if let Some(policy) = &self.policy {
            fs::write(state.join("policy.toml"), policy).expect("written");
        }
        let mut server = Server {
            dir,
            state,
            ports,
            environment: self.environment,
            arguments: self.arguments,
            child: None,
        };
        server.restart();
        server
    }
}

fn free_ports() -> [SocketAddr; 4] {
    [(); 4].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())))
}

/// A port of 127.0.0.1 that nobody has, and that nobody is given by the system either: those begin at 32768, and a test
/// beside this one may take any of them for a connection before the server listens.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const PORTS: u32 = 20_000;
    loop {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        // Two runs at once begin at different places.
        let port = FIRST + (std::process::id() * 97 + turn) % PORTS;
        let port = u16::try_from(port).expect("below 32768");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running server. It ends with its owner.
pub struct Server {
    dir: TempDir,
    state: PathBuf,
    ports: [SocketAddr; 4],
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// A server as it is without configuration, on free ports.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A server with something of its own.
    pub fn builder() -> Builder {
        Builder {
            config: String::new(),
            policy: None,
            init: Vec::new(),
            init_environment: Vec::new(),
            environment: Vec::new(),
            arguments: Vec::new(),
            has_metrics: true,
        }
    }

    /// Starts it again, ending it first if it runs. The answer is how long it took to be ready.
    pub fn restart(&mut self) -> Duration {
        self.kill();
        let begun = Instant::now();
        let mut child = Command::new(PORTCULLIS)
            .arg("--dir")
            .arg(&self.state)
            .args(["serve", "--log", "info"])
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(
                fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(self.log_path())
                    .expect("a log"),
            )
            .spawn()
            .expect("portcullis runs");
        let stdout = child.stdout.take().expect("a pipe");
        let (ready, waiting) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if line.is_ok_and(|line| line.starts_with("  admin")) {
                    let _ = ready.send(());
                }
            }
        });
        self.child = Some(child);
        assert!(
            waiting.recv_timeout(DEADLINE).is_ok(),
            "the server is not ready:\n{}",
            self.log()
        );
        begun.elapsed()
    }

    /// Gives `portcullis serve` these arguments from its next start on.
    pub fn serve_with(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(ToString::to_string).collect();
    }

    /// Ends it at once (SIGKILL), as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let id = child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("kill runs").success());
        child.wait().expect("it ends")
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Runs `portcullis` with this server's directory.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        Command::new(PORTCULLIS)
            .arg("--dir")
            .arg(&self.state)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("portcullis runs")
    }

    /// The same with `--json`; what it prints, if it succeeds.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The same for a command that must end with this exit code.
    pub fn json_of_code(&self, arguments: &[&str], code: i32) -> Value {
        let output = self.cli(&[&["--json"], arguments].concat());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The ACME directory.
    pub fn directory_url(&self) -> String {
        format!("https://localhost:{}/acme/directory", self.ports[0].port())
    }

    /// Where lists are served.
    pub fn status_url(&self) -> String {
        format!("http://{}", self.ports[1])
    }

    /// Where metrics are served.
    pub fn metrics_address(&self) -> SocketAddr {
        self.ports[3]
    }

    /// Where the gate listens.
    pub fn gate_addr(&self) -> SocketAddr {
        self.ports[2]
    }

    /// Its state directory.
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// The root certificate.
    pub fn root_pem_path(&self) -> PathBuf {
        self.state.join("root.pem")
    }

    /// A directory that goes with it.
    pub fn scratch(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(&path).expect("a directory");
        path
    }

    /// Invites a principal; the answer is what `invite --json` prints.
    pub fn invite(&self, principal: &str, more: &[&str]) -> Value {
        self.json(&[&["invite", principal], more].concat())
    }

    /// Enrols a device with the real agent; the answer is the agent's state directory.
    pub fn enrol(&self, principal: &str) -> PathBuf {
        let token = self.invite(principal, &[])["token"]
            .as_str()
            .expect("a token")
            .to_owned();
        let state = self.dir.path().join(principal.replace([':', '/'], "_"));
        let output = Command::new(AGENT)
            .args(["enroll", "--state-dir"])
            .arg(&state)
            .env("PORTCULLIS_TOKEN", token)
            .output()
            .expect("portcullis-agent runs");
        assert!(output.status.success(), "{output:?}\n{}", self.log());
        state
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        }
    }
}

/// Waits until something is so, or fails.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < DEADLINE,
            "not within {DEADLINE:?}: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}
