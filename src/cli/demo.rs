//! `portcullis demo`: the whole story, with real processes on loopback: authority and gate, a small upstream, an agent,
//! and curl. Every line after a `$` is run by a shell just as it stands.

use std::{
    fmt::{Display, Write as _},
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    path::{self, Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use super::{Failure, Outcome, block_on};
use crate::{
    app::{SAMPLE_POLICY, SystemClock},
    domain::{Clock, Timestamp},
};

mod upstream;

/// How the demo is to run.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Leave everything running until Ctrl-C, to play with
    #[arg(long)]
    keep: bool,
    /// Put the intermediate's key into a token: the PKCS#11 module, a shared library
    #[arg(long, value_name = "FILE", requires = "token_label")]
    token_module: Option<PathBuf>,
    /// Which token, by its label
    #[arg(long, value_name = "LABEL", requires = "token_module")]
    token_label: Option<String>,
    /// The PIN of the token is the first line of this file
    #[arg(long, value_name = "FILE", requires = "token_module")]
    pin_file: Option<PathBuf>,
    /// Be the demo's upstream
    #[arg(long, hide = true, value_name = "ADDRESS")]
    upstream: Option<SocketAddr>,
}

/// How long anything may take before the demo gives up.
const DEADLINE: Duration = Duration::from_secs(30);
/// What the story is about.
const DEVICE: &str = "device:fra/sensor-42";

pub(super) fn run(args: &DemoArgs) -> Outcome {
    if let Some(address) = args.upstream {
        return block_on(upstream::serve(address))?
            .map(|()| ExitCode::SUCCESS)
            .map_err(Failure::new);
    }
    let begun = SystemClock::default().now();
    let mut stage = Stage::set_up()?;
    let told = token(args).and_then(|token| story(&mut stage, &token));
    if told.is_err() {
        eprintln!("{}", stage.server_log());
    }
    told?;
    let took = SystemClock::default().now().since(begun);
    println!();
    println!("That was all of it, in {:.1} seconds.", took.as_secs_f64());
    if args.keep {
        stage.keep()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What `init` is told of the token, each path a full one, for the demo plays elsewhere.
fn token(args: &DemoArgs) -> Result<String, Failure> {
    let mut told = String::new();
    let mut tell = |option: &str, value: &dyn Display| {
        // A String takes everything.
        let _ = write!(told, " {option} '{value}'");
    };
    for (option, file) in [
        ("--token-module", &args.token_module),
        ("--pin-file", &args.pin_file),
    ] {
        if let Some(file) = file {
            let file = path::absolute(file).map_err(Failure::new)?;
            tell(option, &file.display());
        }
    }
    if let Some(label) = &args.token_label {
        tell("--token-label", label);
    }
    Ok(told)
}

fn story(stage: &mut Stage, token: &str) -> Result<(), Failure> {
    let gate = stage.gate.port();
    let own = format!("https://localhost:{gate}/v1/devices/fra/sensor-42");
    let other = format!("https://localhost:{gate}/v1/devices/fra/sensor-1");
    let certificate = "curl -sS --cacert device/root.pem --cert device/current/cert.pem --key device/current/key.pem";
    let key = "curl -sS --cacert device/root.pem -H @key.header";
    let show = "-w '\\n(HTTP/%{http_version}, %{http_code})\\n'";

    stage
        .say("An authority: root, intermediate, configuration and policy, with no question asked.");
    let init = format!(
        "portcullis init --public-url http://{}{token}",
        stage.status
    );
    stage.shell(&init, "Made an authority")?;
    stage.configure()?;
    stage.say("It runs: ACME, revocation lists and the gate. Behind the gate stands a small API.");
    stage.start_server()?;
    stage.start_upstream()?;

    stage.say("The operator invites a device.");
    let invite = format!("portcullis invite {DEVICE} --token-file token");
    stage.shell(&invite, "may enrol once")?;
    stage.say("The device makes its own key, and enrols.");
    let enroll = "portcullis-agent enroll --token-file token --state-dir device";
    stage.shell(enroll, "This device is enrolled")?;

    stage.say("It calls the API through the gate with its certificate. The API hears who it is.");
    let report = format!("{show} -d '{{\"t\":21.5}}' {own}/telemetry");
    stage.shell(
        &format!("{certificate} {report}"),
        "\"principal\":\"device:fra/sensor-42\"",
    )?;
    stage.say("It may read its own configuration, and nobody else's.");
    stage.shell(&format!("{certificate} {show} {own}/config"), ", 200)")?;
    stage.shell(&format!("{certificate} {show} {other}/config"), ", 403)")?;

    stage.say(
        "An API key of the same principal has the same permissions: nobody edits a policy twice.",
    );
    let mint =
        format!("(printf 'Authorization: Bearer '; portcullis key create {DEVICE}) > key.header");
    stage.shell(&mint, "It is shown once")?;
    stage.shell(
        &format!("{key} {report}"),
        "\"principal\":\"device:fra/sensor-42\"",
    )?;
    stage.shell(&format!("{key} {show} {other}/config"), ", 403)")?;

    stage.say("The certificate is good for a day; the agent renews it by itself. Now, so that you see it:");
    let renew = "portcullis-agent run --once --renew-now --state-dir device";
    stage.shell(
        &format!("{renew} --hook 'echo the hook runs for $PORTCULLIS_CERT'"),
        "",
    )?;
    stage.shell(
        &format!("portcullis cert list --principal {DEVICE} --json | grep -c serial"),
        "2",
    )?;

    stage.say("The device holds a connection open and listens. Then it is revoked.");
    revocation(stage, &format!("{certificate} -N '{own}/config?watch'"))?;
    stage.say("A new connection is refused in the handshake,");
    stage.shell(&format!("{certificate} {own}/config"), "alert")?;
    stage.say("the agent can't come back without another invitation,");
    stage.shell(renew, "must invite it again")?;
    stage.say("and the key goes too.");
    stage.shell(
        "portcullis key revoke $(portcullis key list | awk 'NR == 2 { print $1 }')",
        "Revoked key",
    )?;
    stage.shell(&format!("{key} {show} {own}/config"), ", 401)")?;
    stage.say("Everything was written down, each entry with the hash of the one before.");
    stage.shell("portcullis audit | cut -c 1-100", "certificate.revoke")
}

/// Revokes the device while a curl listens, and tells how long the connection lived on.
fn revocation(stage: &mut Stage, listen: &str) -> Result<(), Failure> {
    println!("$ {listen} &");
    let mut listener = stage
        .command(&format!("exec {listen}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Failure::new)?;
    let mut lines = BufReader::new(
        listener
            .stdout
            .take()
            .ok_or_else(|| Failure::new("no pipe"))?,
    );
    let mut line = String::new();
    lines.read_line(&mut line).map_err(Failure::new)?;
    print!("  {line}");
    if !line.contains("principal") {
        return Err(Failure::new(
            "the demo went wrong: nothing came over the connection",
        ));
    }
    let closed = thread::spawn(move || {
        let mut rest = String::new();
        // Until the gate closes it; an end in mid-stream is an end all the same.
        let _ = lines.read_to_string(&mut rest);
        SystemClock::default().now()
    });
    let begun = SystemClock::default().now();
    let revoke = format!("portcullis cert revoke {DEVICE} --reason keyCompromise");
    stage.shell(&revoke, "Revoked")?;
    let revoked = SystemClock::default().now();
    let closed = join(closed)?;
    let mut said = String::new();
    if let Some(mut stderr) = listener.stderr.take() {
        let _ = stderr.read_to_string(&mut said);
    }
    let status = listener.wait().map_err(Failure::new)?;
    println!("  The listening curl ended: {} ({status})", said.trim());
    println!(
        "  {} ms after `cert revoke` was typed, and {} ms after it returned, the connection was gone.",
        closed.since(begun).as_millis(),
        closed.since(revoked).as_millis()
    );
    Ok(())
}

fn join(thread: thread::JoinHandle<Timestamp>) -> Result<Timestamp, Failure> {
    let begun = SystemClock::default().now();
    while !thread.is_finished() {
        if SystemClock::default().now().since(begun) > DEADLINE {
            return Err(Failure::new("the revoked connection is still open"));
        }
        SystemClock::pause(Duration::from_millis(1));
    }
    thread
        .join()
        .map_err(|_| Failure::new("a thread of the demo failed"))
}

/// Where the story plays: a directory, three ports, and the processes that run. All of it goes away with it.
struct Stage {
    dir: PathBuf,
    path: String,
    server: SocketAddr,
    status: SocketAddr,
    gate: SocketAddr,
    upstream: SocketAddr,
    children: Vec<Child>,
    step: usize,
}

impl Stage {
    fn set_up() -> Result<Self, Failure> {
        let here = std::env::current_exe().map_err(Failure::new)?;
        let programs = here.parent().unwrap_or(Path::new("."));
        if !programs.join("portcullis-agent").exists() {
            return Err(Failure::new(format!(
                "{} lacks portcullis-agent; build both: cargo build --bins",
                programs.display()
            )));
        }
        let found = Command::new("curl").arg("--version").output();
        if !found.is_ok_and(|output| output.status.success()) {
            return Err(Failure::new(
                "the demo calls the API with curl, which isn't installed: apt-get install curl",
            ));
        }
        let dir = std::env::temp_dir().join(format!("portcullis-demo-{}", std::process::id()));
        fs::create_dir(&dir)
            .map_err(|error| Failure::new(format!("{}: {error}", dir.display())))?;
        let path = std::env::var("PATH").unwrap_or_default();
        let [server, status, gate, upstream] = free_addresses()?;
        println!("The demo plays in {}", dir.display());
        Ok(Self {
            path: format!("{}:{path}", programs.display()),
            dir,
            server,
            status,
            gate,
            upstream,
            children: Vec::new(),
            step: 0,
        })
    }

    fn say(&mut self, what: &str) {
        self.step += 1;
        println!();
        println!("{}. {what}", self.step);
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(&self.dir)
            .env("PATH", &self.path)
            .env_remove("PORTCULLIS_DIR")
            .stdin(Stdio::null());
        command
    }

    /// Runs a line, shows what came back, and ends the story when that isn't what it tells of.
    fn shell(&self, line: &str, expected: &str) -> Result<(), Failure> {
        println!("$ {line}");
        let output = self.command(line).output().map_err(Failure::new)?;
        for stream in [&output.stdout, &output.stderr] {
            for line in String::from_utf8_lossy(stream).lines() {
                println!("  {line}");
            }
        }
        io::stdout().flush().map_err(Failure::new)?;
        let said = [output.stdout, output.stderr].concat();
        if String::from_utf8_lossy(&said).contains(expected) {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the demo went wrong: {expected:?} should have come back ({})",
            output.status
        )))
    }

    /// Ports of its own, so that the demo disturbs nobody, and its upstream into the sample policy.
    fn configure(&self) -> Result<(), Failure> {
        let state = self.dir.join("portcullis");
        let file = state.join("portcullis.toml");
        let mut text = fs::read_to_string(&file).map_err(Failure::new)?;
        for (default, address) in [
            ("8444", self.server),
            ("8445", self.status),
            ("8443", self.gate),
        ] {
            text = text.replace(
                &format!("# listen = \"127.0.0.1:{default}\""),
                &format!("listen = \"{address}\""),
            );
        }
        // Nobody measures a demo.
        text = text.replace("# listen = \"127.0.0.1:8446\"", "listen = \"\"");
        fs::write(&file, text).map_err(Failure::new)?;
        let policy = SAMPLE_POLICY.replace("127.0.0.1:9000", &self.upstream.to_string());
        fs::write(state.join("policy.toml"), policy).map_err(Failure::new)
    }

    fn start_server(&mut self) -> Result<(), Failure> {
        println!("$ portcullis serve &");
        let log = fs::File::create(self.dir.join("serve.log")).map_err(Failure::new)?;
        let mut child = self
            .command("exec portcullis serve")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(Failure::new)?;
        let stdout = child.stdout.take();
        self.children.push(child);
        let mut lines = BufReader::new(stdout.ok_or_else(|| Failure::new("no pipe"))?);
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).map_err(Failure::new)? == 0 {
                return Err(Failure::new("the server did not start"));
            }
            print!("  {line}");
            if line.starts_with("  admin") {
                return Ok(());
            }
        }
    }

    fn start_upstream(&mut self) -> Result<(), Failure> {
        let child = self
            .command(&format!(
                "exec portcullis demo --upstream {}",
                self.upstream
            ))
            .spawn()
            .map_err(Failure::new)?;
        self.children.push(child);
        let begun = SystemClock::default().now();
        while std::net::TcpStream::connect(self.upstream).is_err() {
            if SystemClock::default().now().since(begun) > DEADLINE {
                return Err(Failure::new("the upstream did not start"));
            }
            SystemClock::pause(Duration::from_millis(5));
        }
        Ok(())
    }

    fn server_log(&self) -> String {
        fs::read_to_string(self.dir.join("serve.log")).unwrap_or_default()
    }

    fn keep(&self) -> Result<(), Failure> {
        println!();
        println!("It goes on running. In another terminal:");
        println!("  cd {}", self.dir.display());
        println!("  export PATH={}", self.path);
        println!("  portcullis invite device:ber/door-1 --token-file token2");
        println!("Ctrl-C ends it and removes the directory.");
        block_on(tokio::signal::ctrl_c())?.map_err(Failure::new)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn free_addresses() -> Result<[SocketAddr; 4], Failure> {
    let mut listeners = Vec::new();
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); 4];
    for address in &mut addresses {
        // Held until all are found, so that they differ.
        let listener = TcpListener::bind(*address).map_err(Failure::new)?;
        *address = listener.local_addr().map_err(Failure::new)?;
        listeners.push(listener);
    }
    Ok(addresses)
}
