//! A revocation as its users see it: a real server, a real agent, real clients.

mod by_command;
mod lists;
mod many;
mod stage;

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
};

use crate::support::{AGENT, PORTCULLIS, Server, eventually};

pub const DEVICE: &str = "device:fra/sensor-42";

/// The demo's upstream: it echoes what it hears, and with `?watch` goes on for ever.
pub struct Upstream(Child, SocketAddr);

impl Upstream {
    pub fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port");
        let child = Command::new(PORTCULLIS)
            .args(["demo", "--upstream", &address.to_string()])
            .spawn()
            .expect("portcullis runs");
        eventually("the upstream answers", || {
            std::net::TcpStream::connect(address).is_ok()
        });
        Self(child, address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn server(upstream: &Upstream, config: &str) -> Server {
    let policy = portcullis::app::SAMPLE_POLICY.replace("127.0.0.1:9000", &upstream.1.to_string());
    Server::builder().policy(&policy).config(config).start()
}

pub fn curl(server: &Server, device: &Path, more: &[&str], path: &str) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["-sS", "--max-time", "60", "-N"])
        .arg("--cacert")
        .arg(device.join("root.pem"))
        .arg("--cert")
        .arg(device.join("current/cert.pem"))
        .arg("--key")
        .arg(device.join("current/key.pem"))
        .args(["-w", "%{http_code}"])
        .args(more)
        .arg(format!(
            "https://localhost:{}/v1/devices/fra/sensor-42/{path}",
            server.gate_addr().port()
        ));
    command
}

pub fn status(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    text.get(text.len().saturating_sub(3)..)
        .unwrap_or_default()
        .to_owned()
}

/// A curl in the middle of an answer that never ends by itself.
struct Listening(Child, Box<dyn BufRead + Send>);

impl Listening {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("curl runs");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        assert!(line.contains("device:fra/sensor-42"), "{line}");
        Self(child, Box::new(lines))
    }

    /// Waits until curl has ended, and tells whether it took that for an error.
    fn broken_off(mut self) -> bool {
        let mut rest = String::new();
        let _ = self.1.read_to_string(&mut rest);
        !self.0.wait().expect("it ends").success()
    }
}

#[test]
fn a_revoked_device_loses_its_streams_its_connections_and_its_enrolment() {
    let upstream = Upstream::start();
    let server = server(&upstream, "");
    let device = server.enrol(DEVICE);
    let other = server.enrol("device:fra/sensor-43");
    assert_eq!(
        status(
            &curl(&server, &device, &[], "config")
                .output()
                .expect("curl runs")
        ),
        "200"
    );

    let streams = ["--http1.1", "--http2"]
        .map(|version| Listening::start(curl(&server, &device, &[version], "config?watch")));
    let revoked = server.json(&["cert", "revoke", DEVICE, "--reason", "privilegeWithdrawn"]);
    assert_eq!(revoked["serials"].as_array().map(Vec::len), Some(1));
    assert_eq!(revoked["enrolments_ended"], 1);

    // No request begun after `cert revoke` returned gets a 2xx: curl makes a new connection each time.
    for turn in 0..20 {
        let version = if turn % 2 == 0 {
            "--http1.1"
        } else {
            "--http2"
        };
        let tls = if turn % 4 < 2 {
            "--tlsv1.3"
        } else {
            "--tls-max"
        };
        let more: &[&str] = if tls == "--tls-max" {
            &[version, tls, "1.2"]
        } else {
            &[version, tls]
        };
        let output = curl(&server, &device, more, "config")
            .output()
            .expect("curl runs");
        assert!(
            !output.status.success() || status(&output) == "401",
            "{output:?}"
        );
        assert!(!status(&output).starts_with('2'), "{output:?}");
    }
    for stream in streams {
        assert!(
            stream.broken_off(),
            "a stream of a revoked device must not end as if all were well"
        );
    }

    let renewal = Command::new(AGENT)
        .args(["run", "--once", "--renew-now", "--state-dir"])
        .arg(&device)
        .output()
        .expect("portcullis-agent runs");
    assert_eq!(renewal.status.code(), Some(4), "{renewal:?}");
    let certificates = server.json(&["cert", "list", "--principal", DEVICE]);
    assert_eq!(certificates.as_array().map(Vec::len), Some(1));
    assert_eq!(certificates[0]["revocation_reason"], "privilegeWithdrawn");

    // Another device was not touched, and this one is let in again once it is invited again.
    let neighbour = Command::new("curl")
        .args(["-sS", "-w", "%{http_code}", "--cacert"])
        .arg(other.join("root.pem"))
        .arg("--cert")
        .arg(other.join("current/cert.pem"))
        .arg("--key")
        .arg(other.join("current/key.pem"))
        .arg(format!(
            "https://localhost:{}/v1/devices/fra/sensor-43/config",
            server.gate_addr().port()
        ))
        .output()
        .expect("curl runs");
    assert_eq!(status(&neighbour), "200", "{neighbour:?}");
    std::fs::remove_dir_all(&device).expect("removed");
    let device = server.enrol(DEVICE);
    assert_eq!(
        status(
            &curl(&server, &device, &[], "config")
                .output()
                .expect("curl runs")
        ),
        "200"
    );
}

#[test]
fn a_running_agent_stays_out_after_its_device_was_revoked() {
    let upstream = Upstream::start();
    let server = server(
        &upstream,
        "[profiles.device]\nlifetime = \"12s\"\nbackdate = \"1s\"",
    );
    let device = server.enrol(DEVICE);
    let log = server.scratch("agent").join("log");
    let mut agent = Command::new(AGENT)
        .args(["run", "--state-dir"])
        .arg(&device)
        .stdin(Stdio::null())
        .stderr(std::fs::File::create(&log).expect("a log"))
        .spawn()
        .expect("portcullis-agent runs");
    let count = || {
        server
            .json(&["cert", "list", "--principal", DEVICE])
            .as_array()
            .map_or(0, Vec::len)
    };
    eventually("the agent has renewed by itself", || count() >= 2);
    server.json(&["cert", "revoke", DEVICE]);
    let so_far = count();
    eventually("the agent was told that its enrolment has ended", || {
        std::fs::read_to_string(&log).is_ok_and(|log| log.contains("invite"))
    });
    assert_eq!(count(), so_far);
    agent.kill().expect("it runs");
    agent.wait().expect("it ends");
}

#[test]
fn an_invitation_for_several_uses_lets_no_revoked_device_back_in() {
    let upstream = Upstream::start();
    let server = server(&upstream, "");
    let token = server.invite(DEVICE, &["--uses", "5"])["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let enroll = |name: &str| {
        Command::new(AGENT)
            .args(["enroll", "--wait", "0", "--state-dir"])
            .arg(server.scratch("agents").join(name))
            .env("PORTCULLIS_TOKEN", &token)
            .output()
            .expect("portcullis-agent runs")
    };
    assert!(enroll("first").status.success());
    assert!(enroll("second").status.success());
    let revoked = server.json(&["cert", "revoke", DEVICE]);
    assert_eq!(revoked["enrolments_ended"], 2);
    assert_eq!(revoked["serials"].as_array().map(Vec::len), Some(2));
    let third = enroll("third");
    assert_eq!(third.status.code(), Some(4), "{third:?}");
}

#[test]
fn a_superseded_certificate_leaves_the_enrolment_as_it_is() {
    let upstream = Upstream::start();
    let server = server(&upstream, "");
    let device = server.enrol(DEVICE);
    let revoked = server.json(&["cert", "revoke", DEVICE, "--reason", "superseded"]);
    assert_eq!(revoked["enrolments_ended"], 0);
    let renewal = Command::new(AGENT)
        .args(["run", "--once", "--renew-now", "--state-dir"])
        .arg(&device)
        .output()
        .expect("portcullis-agent runs");
    assert!(renewal.status.success(), "{renewal:?}");
    assert_eq!(
        status(
            &curl(&server, &device, &[], "config")
                .output()
                .expect("curl runs")
        ),
        "200"
    );
}

#[test]
fn a_revocation_is_on_the_list_and_survives_a_restart() {
    let upstream = Upstream::start();
    let mut server = server(&upstream, "");
    let device = server.enrol(DEVICE);
    let serial = server.json(&["cert", "list", "--principal", DEVICE])[0]["serial"]
        .as_str()
        .expect("a serial")
        .to_owned();
    let key = server.json(&["key", "create", DEVICE]);
    server.json(&["cert", "revoke", &serial, "--reason", "keyCompromise"]);
    server.json(&["key", "revoke", key["id"].as_str().expect("an id")]);
    let text = |server: &Server| {
        let shown = server.json(&["cert", "show", &serial]);
        let pem = server.scratch("list").join("leaf.pem");
        std::fs::write(&pem, shown["pem"].as_str().expect("PEM")).expect("written");
        let point = Command::new("openssl")
            .args(["x509", "-noout", "-ext", "crlDistributionPoints", "-in"])
            .arg(&pem)
            .output()
            .expect("openssl runs");
        let point = String::from_utf8_lossy(&point.stdout).into_owned();
        let url = point.split("URI:").nth(1).expect("a URI").trim().to_owned();
        let list = Command::new("sh")
            .args([
                "-c",
                &format!("curl -sS {url} | openssl crl -inform DER -noout -text"),
            ])
            .output()
            .expect("sh runs");
        String::from_utf8_lossy(&list.stdout).to_lowercase()
    };
    eventually("the list names it", || text(&server).contains(&serial));
    assert!(text(&server).contains("key compromise"));

    server.restart();
    let output = curl(&server, &device, &[], "config")
        .output()
        .expect("curl runs");
    assert!(!status(&output).starts_with('2'), "{output:?}");
    let token = key["token"].as_str().expect("a token");
    let output = Command::new("curl")
        .args([
            "-sS",
            "-w",
            "%{http_code}",
            "-H",
            &format!("X-API-Key: {token}"),
            "--cacert",
        ])
        .arg(server.root_pem_path())
        .arg(format!(
            "https://localhost:{}/v1/devices/fra/sensor-42/config",
            server.gate_addr().port()
        ))
        .output()
        .expect("curl runs");
    assert_eq!(status(&output), "401", "{output:?}");
    assert!(text(&server).contains(&serial));
    // Nothing was said twice, and the log holds no secret.
    thread::sleep(std::time::Duration::from_millis(50));
    assert!(!server.log().contains(token));
}

/// An invitation that nobody has used yet would let the device back in.
#[test]
fn revoking_a_principal_takes_back_its_other_invitations() {
    let server = Server::start();
    let spare = server.invite(DEVICE, &[])["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    server.enrol(DEVICE);
    server.json(&["cert", "revoke", DEVICE, "--reason", "privilegeWithdrawn"]);
    let again = Command::new(AGENT)
        .args(["enroll", "--state-dir"])
        .arg(server.scratch("again").join("state"))
        .env("PORTCULLIS_TOKEN", spare)
        .output()
        .expect("portcullis-agent runs");
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        !again.status.success() && said.contains("withdrawn"),
        "{said}"
    );
    server.enrol(DEVICE.replace("42", "43").as_str());
}
