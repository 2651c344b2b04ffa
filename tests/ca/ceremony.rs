//! The root's key goes offline after the ceremony, and comes back for a list and for a new intermediate.

use std::fs;

use crate::support::Server;

fn phrase(server: &Server) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = server.scratch("safe").join("phrase");
    fs::write(&path, "correct horse battery staple\n").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    path.display().to_string()
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_root_key_goes_offline_and_the_authority_works_on() {
    let mut server = Server::start();
    let safe = server.scratch("safe");
    let file = |name: &str| safe.join(name).display().to_string();
    let phrase = phrase(&server);
    let seal = ["--passphrase-file", phrase.as_str()];
    let key = file("root.key");
    let unsealed = server.cli(&["ca", "root", "export", "--to", &key]);
    assert!(said(&unsealed).contains("only sealed"), "{unsealed:?}");
    let exported = server.json(&[&["ca", "root", "export", "--to", &key][..], &seal[..]].concat());
    assert_eq!(exported["key"], "offline");
    assert!(!server.state_dir().join("keys/root.key").exists());
    assert!(
        fs::read_to_string(&key)
            .expect("a key")
            .contains("ENCRYPTED PRIVATE KEY")
    );
    let again = server.cli(
        &[
            &["ca", "root", "export", "--to", &file("again.key")][..],
            &seal[..],
        ]
        .concat(),
    );
    assert!(said(&again).contains("offline"), "{again:?}");

    // The list outlasts the next ceremony.
    let root = server.json(&["ca", "show", "root"])["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let list = |server: &Server| {
        let lists = server.json(&["crl", "list"]);
        let of_root = lists
            .as_array()
            .expect("a list")
            .iter()
            .find(|list| list["issuer"] == root.as_str())
            .cloned();
        of_root.expect("the root's list")
    };
    let long = list(&server);
    let until = long["next_update"].as_str().expect("a time");
    assert!(until > "2027", "400 days: {until}");

    // It works on, and starts again.
    server.enrol("device:fra/sensor-42");
    server.restart();
    server.enrol("device:fra/sensor-43");
    let rotate = server.cli(&["ca", "rotate", "intermediate"]);
    assert!(said(&rotate).contains("offline"), "{rotate:?}");

    // A list: in one go, and in three.
    let pems = server.json(&["ca", "show", "root"])["pem"]
        .as_str()
        .expect("PEM")
        .to_owned();
    fs::write(file("root.pem"), pems).expect("written");
    let made = server.json(&[&["ca", "root", "crl", "--key", &key][..], &seal[..]].concat());
    assert_eq!(
        made["number"].as_u64(),
        long["number"].as_u64().map(|number| number + 1)
    );
    let (draft, signed) = (file("draft.json"), file("root.crl"));
    assert!(
        server
            .cli(&["ca", "root", "crl", "--draft", &draft])
            .status
            .success()
    );
    let arguments = [
        "ca",
        "root",
        "sign-crl",
        &draft,
        "--certificate",
        &file("root.pem"),
        "--key",
        &key,
        "--to",
        &signed,
    ];
    let output = server.cli(&[&arguments[..], &seal[..]].concat());
    assert!(output.status.success(), "{output:?}");
    let published = server.json(&["ca", "root", "crl", "--publish", &signed]);
    assert_eq!(
        published["number"].as_u64(),
        made["number"].as_u64().map(|number| number + 1)
    );
    // Twice the same is refused: its number has been used.
    let twice = server.cli(&["ca", "root", "crl", "--publish", &signed]);
    assert!(said(&twice).contains("draft it again"), "{twice:?}");
    // What was revoked meanwhile must be on it.
    assert!(
        server
            .cli(&["ca", "root", "crl", "--draft", &draft])
            .status
            .success()
    );

    // A new intermediate, signed where the key is.
    let requested = server.json(&["ca", "request", "intermediate-2"]);
    fs::write(
        file("request.pem"),
        requested["request"].as_str().expect("PEM"),
    )
    .expect("written");
    let arguments = [
        "ca",
        "sign",
        &file("request.pem"),
        "--certificate",
        &file("root.pem"),
        "--key",
        &key,
    ];
    let certified = server.cli(&[&arguments[..], &seal[..]].concat());
    assert!(certified.status.success(), "{certified:?}");
    fs::write(file("intermediate-2.pem"), certified.stdout).expect("written");
    let installed = server.json(&[
        "ca",
        "install",
        "intermediate-2",
        "--certificate",
        &file("intermediate-2.pem"),
    ]);
    assert_eq!(installed[0]["parent"], "root");
    server.json(&[
        "ca",
        "activate",
        "intermediate-2",
        "--instead-of",
        "intermediate",
    ]);
    server.enrol("device:fra/sensor-44");
    let retired = server.json(&["ca", "retire", "intermediate", "--yes"]);
    assert_eq!(retired[0]["state"], "retired");
    // The draft from before does not know that.
    let output = server.cli(
        &[
            &[
                "ca",
                "root",
                "sign-crl",
                &draft,
                "--certificate",
                &file("root.pem"),
                "--key",
                &key,
                "--to",
                &file("old.crl"),
            ][..],
            &seal[..],
        ]
        .concat(),
    );
    assert!(output.status.success(), "{output:?}");
    let stale = server.cli(&["ca", "root", "crl", "--publish", &file("old.crl")]);
    assert!(said(&stale).contains("draft it again"), "{stale:?}");
    let made = server.json(&[&["ca", "root", "crl", "--key", &key][..], &seal[..]].concat());
    assert!(made["number"].as_u64() > published["number"].as_u64());
}

/// The server may die between writing down that the key is gone and removing it.
#[test]
fn a_key_that_stayed_behind_is_told_of_at_the_next_start() {
    let mut server = Server::start();
    let phrase = phrase(&server);
    let here = server.state_dir().join("keys/root.key");
    let key = fs::read(&here).expect("a key");
    let to = server
        .scratch("safe")
        .join("root.key")
        .display()
        .to_string();
    server.json(&[
        "ca",
        "root",
        "export",
        "--to",
        &to,
        "--passphrase-file",
        &phrase,
    ]);
    server.restart();
    assert!(!server.log().contains("stray-key"), "{}", server.log());
    fs::write(&here, key).expect("written");
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&here, fs::Permissions::from_mode(0o600)).expect("set");
    }
    server.restart();
    let log = server.log();
    assert!(
        log.contains("stray-key") && log.contains("keys/root.key"),
        "{log}"
    );
}
