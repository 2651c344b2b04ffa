//! npm's acme-client: the one that others build theirs on. It changes the account's key between two certificates.

use std::{fs, io::Write as _, path::Path, process::Stdio};

use serde_json::{Value, json};

use super::{
    program::program,
    site::{Binding, Obtained, Site},
};

/// Issues two certificates with a change of key between them, and revokes the second. None where Node.js or the package
/// isn't there.
fn lives(
    site: &Site,
    names: &[&str],
    challenge: &str,
    binding: Option<&Binding>,
) -> Option<[Obtained; 2]> {
    // A program of its own name, which `scripts/test` makes: Node.js with the package.
    let mut client = program("node-acme-client")?;
    client.env("NODE_EXTRA_CA_CERTS", site.server.root_pem_path());
    client.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/acme_client.cjs"));
    let wanted = json!({
        "directory": site.server.directory_url(),
        "names": names,
        "challenge": challenge,
        "binding": binding.map_or_else(
            || json!({}),
            |binding| json!({"kid": binding.kid, "hmacKey": binding.mac_key}),
        ),
        "http_port": site.http_port,
        "tls_port": site.tls_port,
        "records": site.dns.records(),
    });
    let mut child = client
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(wanted.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let got: Value = serde_json::from_slice(&output.stdout).unwrap();
    Some(["first", "second"].map(|which| {
        let folder = site.server.scratch(which);
        let obtained = Obtained {
            chain: folder.join("chain.pem"),
            key: folder.join("key.pem"),
        };
        fs::write(&obtained.chain, got[which]["chain"].as_str().unwrap()).unwrap();
        fs::write(&obtained.key, got[which]["key"].as_str().unwrap()).unwrap();
        obtained
    }))
}

#[test]
fn it_issues_renews_and_revokes_by_every_challenge_that_it_knows_and_changes_its_key() {
    for challenge in ["http-01", "tls-alpn-01", "dns-01"] {
        let site = Site::start();
        let Some([first, second]) = lives(&site, &["www.fleet.test"], challenge, None) else {
            return;
        };
        site.server_certificate(&first, &["DNS:www.fleet.test"]);
        let serial = super::openssl::serial(&second.chain).expect("openssl");
        site.is_revoked(&serial, "keyCompromise");
    }
}

#[test]
fn it_issues_renews_and_revokes_with_a_binding() {
    let site = Site::with("[acme]\nexternal_account = \"required\"");
    let binding = site.invite("service:billing/etl", "etl.fleet.test");
    let Some([first, second]) = lives(&site, &["etl.fleet.test"], "http-01", Some(&binding)) else {
        return;
    };
    let shown = site.shown(&super::openssl::serial(&first.chain).expect("openssl"));
    assert_eq!(shown["principal"], "service:billing/etl", "{shown}");
    let serial = super::openssl::serial(&second.chain).expect("openssl");
    site.is_revoked(&serial, "keyCompromise");
}
