//! Rotation under load: issuing never fails, old and new leaves pass the gate throughout, and a retired issuer's leaves
//! are refused.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::Value;

use crate::{
    durability::load::{Client, Load},
    revocation::{DEVICE, Upstream, curl, server, status},
    support::{AGENT, Server, eventually},
};

/// Devices that call through the gate without pause.
struct Calls {
    thread: thread::JoinHandle<()>,
    stopping: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    refused: Arc<Mutex<Vec<String>>>,
}

impl Calls {
    fn start(server: &Server, device: &Path) -> Self {
        let (stopping, done, refused) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let mut call = curl(server, device, &[], "config");
        let thread = {
            let (stopping, done, refused) = (
                Arc::clone(&stopping),
                Arc::clone(&done),
                Arc::clone(&refused),
            );
            thread::spawn(move || {
                while !stopping.load(Ordering::SeqCst) {
                    let output = call.output().expect("curl runs");
                    if status(&output) != "200" {
                        refused.lock().unwrap().push(format!("{output:?}"));
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        Self {
            thread,
            stopping,
            done,
            refused,
        }
    }

    fn more(&self) {
        let before = self.done.load(Ordering::SeqCst);
        eventually("some calls more", || {
            self.done.load(Ordering::SeqCst) >= before + 3
        });
    }

    fn stop(self) -> Vec<String> {
        self.stopping.store(true, Ordering::SeqCst);
        self.thread.join().expect("no panic");
        self.refused.lock().unwrap().clone()
    }
}

fn load(server: &Server, root: &Path) -> Load {
    let clients: Vec<Client> = (0..4)
        .map(|index| {
            let name = format!("load-{index}.example.internal");
            let invited = server.invite(&format!("service:load/{index}"), &["--dns", &name]);
            let text = |field: &str| invited[field].as_str().expect("text").to_owned();
            Client {
                kid: text("key_id"),
                mac_key: BASE64_URL_SAFE_NO_PAD
                    .decode(text("mac_key"))
                    .expect("base64url"),
                name,
            }
        })
        .collect();
    Load::start(&server.directory_url(), root, &clients)
}

fn more(load: &Load) {
    let before = load.count();
    eventually("some certificates more", || load.count() >= before + 8);
}

fn renew(device: &Path) {
    let output = std::process::Command::new(AGENT)
        .args(["run", "--once", "--renew-now", "--state-dir"])
        .arg(device)
        .output()
        .expect("portcullis-agent runs");
    assert!(output.status.success(), "{output:?}");
}

fn states(server: &Server) -> Vec<(String, String)> {
    let issuers = server.json(&["ca", "list"]);
    let text = |issuer: &Value, field: &str| issuer[field].as_str().unwrap_or_default().to_owned();
    issuers
        .as_array()
        .expect("a list")
        .iter()
        .map(|issuer| (text(issuer, "name"), text(issuer, "state")))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(name, state)| ((*name).to_owned(), (*state).to_owned()))
        .collect()
}

fn call(server: &Server, device: &Path) -> String {
    status(
        &curl(server, device, &[], "config")
            .output()
            .expect("curl runs"),
    )
}

/// A copy of the root as it is now, for clients that never hear of another one.
fn only_this_root(server: &Server) -> std::path::PathBuf {
    let copy = server.scratch("trust").join("root.pem");
    fs::copy(server.root_pem_path(), &copy).expect("copied");
    copy
}

#[test]
fn an_intermediate_is_rotated_under_load_and_its_leaves_end_when_it_is_retired() {
    let upstream = Upstream::start();
    let server = server(&upstream, "");
    let device = server.enrol(DEVICE);
    let load = load(&server, &only_this_root(&server));
    let calls = Calls::start(&server, &device);
    more(&load);
    calls.more();
    server.json(&["ca", "rotate", "intermediate"]);
    more(&load);
    calls.more();
    assert_eq!(
        states(&server),
        pairs(&[
            ("root", "active"),
            ("intermediate", "retiring"),
            ("intermediate-2", "active")
        ])
    );
    assert_eq!(load.last_failure(), "", "issuing never fails");
    load.stop();
    assert_eq!(
        calls.stop(),
        Vec::<String>::new(),
        "old leaves pass throughout"
    );

    // A leaf of the successor beside the old one.
    let young = server.scratch("young").join("state");
    copy_device(&device, &young);
    renew(&young);
    assert_eq!(
        (call(&server, &device), call(&server, &young)),
        ("200".into(), "200".into())
    );
    server.json(&["ca", "retire", "intermediate", "--yes"]);
    assert_ne!(
        call(&server, &device),
        "200",
        "its leaves are refused at once"
    );
    assert_eq!(call(&server, &young), "200");
    // For verifiers elsewhere: the root's list names the intermediate.
    let shown = server.json(&[
        "cert",
        "list",
        "--profile",
        "intermediate",
        "--status",
        "revoked",
    ]);
    assert!(
        shown.to_string().contains("cessationOfOperation"),
        "{shown}"
    );
}

#[test]
fn a_root_is_rotated_under_load_and_its_leaves_end_when_it_is_retired() {
    let upstream = Upstream::start();
    let server = server(&upstream, "");
    let device = server.enrol(DEVICE);
    // These clients trust the old root and nothing else, to the end.
    let old_root = only_this_root(&server);
    let load = load(&server, &old_root);
    let calls = Calls::start(&server, &device);
    more(&load);
    server.json(&["ca", "rotate", "root"]);
    more(&load);
    calls.more();
    assert_eq!(
        states(&server),
        pairs(&[
            ("root", "active"),
            ("intermediate", "active"),
            ("root-2", "prepared"),
            ("intermediate-2", "prepared")
        ])
    );
    // Nobody has fetched the bundle with the new root yet.
    let early = server.cli(&["ca", "activate", "root-2"]);
    let said = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(
        !early.status.success() && said.contains("--force"),
        "{said}"
    );
    server.json(&["ca", "activate", "root-2", "--force"]);
    more(&load);
    calls.more();
    assert_eq!(
        states(&server),
        pairs(&[
            ("root", "retiring"),
            ("intermediate", "retiring"),
            ("root-2", "active"),
            ("intermediate-2", "active")
        ])
    );
    assert_eq!(load.last_failure(), "", "issuing never fails");
    load.stop();
    assert_eq!(
        calls.stop(),
        Vec::<String>::new(),
        "old leaves pass throughout"
    );
    let young = server.scratch("young").join("state");
    copy_device(&device, &young);
    renew(&young);
    assert_eq!(
        (call(&server, &device), call(&server, &young)),
        ("200".into(), "200".into())
    );

    // New by old and old by new: either root alone leads to the leaves of both.
    verify_with_either_root(&server, &device, &young);

    server.json(&["ca", "retire", "root", "--yes"]);
    assert_ne!(
        call(&server, &device),
        "200",
        "its leaves are refused at once"
    );
    let new_root = server.scratch("trust").join("new.pem");
    fs::write(
        &new_root,
        server.json(&["ca", "bundle"])["pem"].as_str().expect("PEM"),
    )
    .expect("written");
    fs::copy(&new_root, young.join("root.pem")).expect("copied");
    eventually("the fronts show a chain to the new root alone", || {
        call(&server, &young) == "200"
    });
    assert_eq!(
        fs::read_to_string(server.root_pem_path()).expect("a file"),
        fs::read_to_string(&new_root).expect("a file")
    );
}

/// `openssl verify`, with one root trusted and all cross certificates at hand.
fn verify_with_either_root(server: &Server, old: &Path, young: &Path) {
    let trust = server.scratch("verify");
    let mut between = String::new();
    for name in ["root", "root-2", "intermediate", "intermediate-2"] {
        let pem = server.json(&["ca", "show", name])["pem"]
            .as_str()
            .expect("PEM")
            .to_owned();
        // The first is its own; a root's cross certificates follow it.
        let own: String = pem
            .split_inclusive("-----END CERTIFICATE-----\n")
            .take(1)
            .collect();
        fs::write(trust.join(name), &own).expect("written");
        if name.starts_with("intermediate") {
            between.push_str(&own);
        } else {
            between.push_str(&pem[own.len()..]);
        }
    }
    fs::write(trust.join("between"), between).expect("written");
    for leaf in [old, young] {
        for root in ["root", "root-2"] {
            let output = std::process::Command::new("openssl")
                .args([
                    "verify",
                    "-x509_strict",
                    "-purpose",
                    "sslclient",
                    "-no-CApath",
                    "-CAfile",
                ])
                .arg(trust.join(root))
                .arg("-untrusted")
                .arg(trust.join("between"))
                .arg(leaf.join("current/cert.pem"))
                .output()
                .expect("openssl runs");
            assert!(
                output.status.success(),
                "{} by {root}: {output:?}",
                leaf.display()
            );
        }
    }
}

/// The same device a second time, so that one leaf stays as it is while the other is renewed.
fn copy_device(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .expect("cp runs");
    assert!(copied.success());
}

/// Its last lists end some day: nobody needs them, and a load balancer must not take the server for ill.
#[test]
fn the_lists_of_a_retired_issuer_end_without_an_alarm() {
    let mut server = Server::start();
    server.json(&["ca", "rotate", "intermediate"]);
    server.json(&["ca", "retire", "intermediate", "--yes"]);
    server.kill();
    server.serve_with(&["--test-clock-ahead", "259200"]);
    server.restart();
    let answer = std::process::Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}"])
        .arg(format!("{}/health", server.status_url()))
        .output()
        .expect("curl runs");
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "200");
}

/// A CA that goes on issuing under a revoked certificate would make leaves that nobody accepts.
#[test]
fn the_certificate_of_a_ca_in_service_is_not_revoked_beside_its_retirement() {
    let server = Server::start();
    let listed = server.json(&["cert", "list", "--profile", "intermediate"]);
    let text = listed.to_string();
    let serial = text
        .split("\"serial\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a serial");
    let refused = server.cli(&["cert", "revoke", serial, "--reason", "keyCompromise"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("portcullis ca retire intermediate"),
        "{said}"
    );
    server.enrol("device:fra/sensor-42");
    server.json(&["ca", "rotate", "intermediate"]);
    let careless = server.cli(&["ca", "retire", "intermediate"]);
    let said = String::from_utf8_lossy(&careless.stderr).into_owned();
    assert!(
        said.contains("are still good") && said.contains("--yes"),
        "{said}"
    );
    server.json(&["ca", "retire", "intermediate", "--yes"]);
    let again = server.json(&["cert", "revoke", serial, "--reason", "keyCompromise"]);
    assert_eq!(again["already_revoked"][0], serial);
}
