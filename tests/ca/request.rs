//! An intermediate of ours below somebody else's root: the request goes out, the certificate comes back.

use std::{fs, process::Command};

use crate::support::Server;

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .output()
        .expect("openssl runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

#[test]
fn a_request_is_signed_by_an_openssl_root_installed_and_issues() {
    let server = Server::start();
    let files = server.scratch("files");
    let file = |name: &str| files.join(name).display().to_string();
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-384",
        "-nodes",
        "-days",
        "400",
        "-subj",
        "/C=DE/O=Somebody/CN=Their Root",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout",
        &file("root.key"),
        "-out",
        &file("root.pem"),
    ]);
    let requested = server.json(&["ca", "request", "partner"]);
    assert_eq!(requested["state"], "requested");
    fs::write(
        file("request.pem"),
        requested["request"].as_str().expect("PEM"),
    )
    .expect("written");
    openssl(&["req", "-in", &file("request.pem"), "-verify", "-noout"]);
    fs::write(
        file("extensions"),
        "basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
    )
    .expect("written");
    let sign = |request: &str, out: &str| {
        openssl(&[
            "x509",
            "-req",
            "-in",
            &file(request),
            "-CA",
            &file("root.pem"),
            "-CAkey",
            &file("root.key"),
            "-CAcreateserial",
            "-days",
            "300",
            "-sha384",
            "-extfile",
            &file("extensions"),
            "-out",
            &file(out),
        ]);
        let chain = [out, "root.pem"].map(|name| fs::read_to_string(file(name)).expect("a file"));
        fs::write(file("chain.pem"), chain.concat()).expect("written");
    };
    // Somebody signed another request: it is not installed.
    openssl(&[
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=Another",
        "-keyout",
        &file("other.key"),
        "-out",
        &file("other.csr"),
    ]);
    sign("other.csr", "other.pem");
    let wrong = server.cli(&[
        "ca",
        "install",
        "partner",
        "--certificate",
        &file("chain.pem"),
    ]);
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("another key"),
        "{wrong:?}"
    );
    // It can be asked for again, and is the same key's.
    let again = server.json(&["ca", "show", "partner"]);
    fs::write(file("request.pem"), again["request"].as_str().expect("PEM")).expect("written");
    sign("request.pem", "partner.pem");
    let installed = server.json(&[
        "ca",
        "install",
        "partner",
        "--certificate",
        &file("chain.pem"),
    ]);
    assert_eq!(installed[0]["state"], "prepared");
    server.json(&["ca", "activate", "partner", "--instead-of", "intermediate"]);
    let device = server.enrol("device:fra/sensor-42");
    openssl(&[
        "verify",
        "-x509_strict",
        "-purpose",
        "sslclient",
        "-no-CApath",
        "-CAfile",
        &file("root.pem"),
        "-untrusted",
        &file("partner.pem"),
        &device.join("current/cert.pem").display().to_string(),
    ]);
}
