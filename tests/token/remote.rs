//! The token behind another process: SoftHSM2 run by `p11-kit server`, the server on p11-kit's client module. The process
//! is killed, stopped and started, and the server goes on.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::softhsm::{LABEL, SoftHsm, first_of};
use crate::{
    peers::program::program,
    support::{AGENT, Server, eventually},
};

/// `p11-kit server` and what it started.
struct Remote {
    socket: PathBuf,
    folder: PathBuf,
    child: Option<Child>,
}

impl Remote {
    fn start(hsm: &SoftHsm) -> Option<Self> {
        let folder = hsm.path().join("run");
        fs::create_dir_all(&folder).unwrap();
        let mut remote = Self {
            socket: folder.join("socket"),
            folder,
            child: None,
        };
        remote.restart(hsm)?;
        Some(remote)
    }

    fn restart(&mut self, hsm: &SoftHsm) -> Option<()> {
        let _ = fs::remove_file(&self.socket);
        let mut child = program("p11-kit")?
            .args(["server", "--foreground", "--name"])
            .arg(&self.socket)
            .arg("--provider")
            .arg(SoftHsm::module())
            .arg(format!("pkcs11:token={}", LABEL.replace(' ', "%20")))
            .envs(hsm.environment())
            .env("XDG_RUNTIME_DIR", &self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It tells its address when it listens.
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert!(line.contains("P11_KIT_SERVER_ADDRESS"), "{line}");
        self.child = Some(child);
        Some(())
    }

    fn environment(&self) -> Vec<(String, String)> {
        let address = format!("unix:path={}", self.socket.display());
        vec![("P11_KIT_SERVER_ADDRESS".to_owned(), address)]
    }

    fn signal(&self, signal: &str) {
        let parent = self.child.as_ref().unwrap().id();
        // It has a process for each connection, and the module runs in there.
        let mut ids = children(parent);
        ids.push(parent.to_string());
        assert!(!ids.is_empty());
        let sent = Command::new("kill").arg(signal).args(&ids).status();
        assert!(sent.unwrap().success());
    }

    fn kill(&mut self) {
        self.signal("-KILL");
        let _ = self.child.take().unwrap().wait();
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

fn children(parent: u32) -> Vec<String> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn client() -> PathBuf {
    first_of(&[
        "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
        "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
        "/usr/lib64/pkcs11/p11-kit-client.so",
        "/usr/lib/pkcs11/p11-kit-client.so",
    ])
}

/// The root's key is in a file: its list goes out, and then the token is needed.
fn publish(server: &Server) -> Result<(), String> {
    let output = server.cli(&["crl", "publish"]);
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A request through the gate with a device's certificate: its status, from a fresh connection.
fn call(server: &Server, device: &Path) -> String {
    let mut curl = program("curl").expect("curl");
    let output = curl
        .args(["--silent", "--output", "/dev/null", "--write-out"])
        .args(["%{http_code}", "--cacert"])
        .arg(server.root_pem_path())
        .arg("--cert")
        .arg(device.join("current/cert.pem"))
        .arg("--key")
        .arg(device.join("current/key.pem"))
        .arg(format!(
            "https://localhost:{}/v1/devices/fra/sensor-42/config",
            server.gate_addr().port()
        ))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn when_the_process_behind_the_module_dies_the_rest_goes_on_and_it_recovers_without_a_restart() {
    let Some(hsm) = SoftHsm::new() else { return };
    let Some(mut remote) = Remote::start(&hsm) else {
        return;
    };
    let server = hsm.server(&client(), &remote.environment()).start();
    let pid = server.pid();
    let device = server.enrol("device:fra/sensor-42");
    publish(&server).expect("the token is there");
    // No upstream runs: a gateway's answer means that the gate let the request through.
    let through = call(&server, &device);
    assert!(through.starts_with("50"), "{through}");

    remote.kill();
    let error = publish(&server).expect_err("the token is gone");
    for words in [
        "the signing key could not sign",
        LABEL,
        "is not there",
        "it in",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    // A device that enrols now is told to come back, and does.
    let token = server.invite("device:fra/sensor-43", &[])["token"].clone();
    let state = server.scratch("devices").join("a");
    let enrolling = Command::new(AGENT)
        .args(["enroll", "--state-dir"])
        .arg(&state)
        .env("PORTCULLIS_TOKEN", token.as_str().unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let failures = |server: &Server| {
        server
            .log()
            .matches("a signature could not be made")
            .count()
    };
    let before = failures(&server);
    eventually("the device is refused", || failures(&server) > before);
    // What needs no signature goes on: the gate, the lists in memory, a revocation.
    assert_eq!(call(&server, &device), through);
    for url in lists_of(&device) {
        let mut curl = program("curl").expect("curl");
        let got = curl.args(["-sS", "--fail", "-o", "/dev/null"]).arg(&url);
        assert!(got.status().unwrap().success(), "{url}");
    }
    assert!(
        server.log().contains("the token was lost"),
        "{}",
        server.log()
    );

    remote.restart(&hsm).unwrap();
    publish(&server).expect("it recovers at once");
    let enrolled = enrolling.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&enrolled.stderr).into_owned();
    assert!(enrolled.status.success(), "{said}\n{}", server.log());
    assert!(state.join("current/cert.pem").exists());
    // It never heard what the matter was, if it heard anything: a busy server is asked again without a word.
    assert!(!said.contains(LABEL) && !said.contains("token"), "{said}");
    assert!(!said.contains(LABEL), "{said}");
    assert_eq!(server.pid(), pid);
}

#[test]
fn a_revocation_holds_while_the_token_is_away_and_its_list_follows_when_it_is_back() {
    let Some(hsm) = SoftHsm::new() else { return };
    let Some(mut remote) = Remote::start(&hsm) else {
        return;
    };
    let server = hsm.server(&client(), &remote.environment()).start();
    let device = server.enrol("device:fra/sensor-42");
    let Some(serial) = crate::peers::openssl::serial(&device.join("current/cert.pem")) else {
        return;
    };
    remote.kill();
    server.json(&["cert", "revoke", &serial]);
    assert_eq!(call(&server, &device), "000");
    remote.restart(&hsm).unwrap();
    // Nobody asks for it: the server sees for itself that a list is due.
    eventually("the list names the revoked certificate", || {
        lists_of(&device).iter().any(|url| {
            let mut curl = program("curl").expect("curl");
            let der = curl.args(["-sS", "--fail"]).arg(url).output().unwrap();
            let file = server.scratch("lists").join("list.crl");
            fs::write(&file, der.stdout).unwrap();
            let mut openssl = program("openssl").expect("openssl");
            let text = openssl
                .args(["crl", "-inform", "DER", "-noout", "-text", "-in"])
                .arg(&file)
                .output()
                .unwrap();
            String::from_utf8_lossy(&text.stdout)
                .to_lowercase()
                .contains(&serial)
        })
    });
}

#[test]
fn a_token_that_hangs_costs_its_callers_the_timeout_and_nobody_else_anything() {
    let Some(hsm) = SoftHsm::new() else { return };
    let Some(remote) = Remote::start(&hsm) else {
        return;
    };
    let mut server = hsm.server(&client(), &remote.environment()).start();
    shorten_timeout(&mut server);
    let device = server.enrol("device:fra/sensor-42");
    remote.signal("-STOP");
    let error = publish(&server).expect_err("the token hangs");
    assert!(
        error.contains("did not answer within 1 s (ca.token.timeout)"),
        "{error}"
    );
    assert!(call(&server, &device).starts_with("50"));
    remote.signal("-CONT");
    eventually("it recovers", || publish(&server).is_ok());
}

fn shorten_timeout(server: &mut Server) {
    let path = server.state_dir().join("portcullis.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("[ca.token]\n", "[ca.token]\ntimeout = \"1s\"\n");
    assert!(text.contains("timeout"));
    fs::write(&path, text).unwrap();
    server.restart();
}

/// Where the first certificate of a device's chain says that its list is.
fn lists_of(device: &Path) -> Vec<String> {
    let chain = device.join("current/cert.pem");
    let said =
        crate::peers::openssl::extension(&chain, "crlDistributionPoints").unwrap_or_default();
    said.split_whitespace()
        .filter_map(|word| word.strip_prefix("URI:").map(str::to_owned))
        .collect()
}
