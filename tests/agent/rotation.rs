//! A device lives through the replacement of the authority's root, with the real server: and one that was away.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use portcullis::agent::state::StateDirectory;
use serde_json::Value;

use super::{
    other_side::Trouble,
    pebble::{agent, text},
};
use crate::support::{Server, eventually};

/// The common names of the roots in `root.pem`, and of the CA that issued the certificate.
fn trusted_and_issuer(state: &Path) -> (Vec<String>, String) {
    let state = StateDirectory::open(state).unwrap();
    let common_name = |subject: &str| {
        let at = subject.find("CN=").expect("a common name") + 3;
        subject[at..].split(',').next().unwrap().to_owned()
    };
    let roots = state.roots().unwrap().unwrap();
    let issuer = state.installed().unwrap().unwrap().credentials.issuers;
    (
        roots.iter().map(|it| common_name(it.subject())).collect(),
        common_name(issuer[0].subject()),
    )
}

fn common_name(server: &Server, issuer: &str) -> String {
    let subject = server.json(&["ca", "show", issuer])["subject"]
        .as_str()
        .expect("a subject")
        .to_owned();
    let at = subject.find("CN=").expect("a common name") + 3;
    subject[at..].split(',').next().unwrap().to_owned()
}

fn missing(server: &Server) -> Vec<String> {
    let readiness = server.json(&["ca", "readiness"]);
    let first = readiness["first_missing"].as_array().expect("a list");
    assert_eq!(readiness["missing"].as_u64(), Some(first.len() as u64));
    let names = first.iter().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

fn token(server: &Server, principal: &str) -> String {
    let invited = server.invite(principal, &[]);
    invited["token"].as_str().expect("a token").to_owned()
}

fn succeeds(state: &Path, arguments: &[&str]) -> Output {
    let output = agent(state, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    output
}

with_and_without_chaos! {
    a_device_follows_the_root_and_one_that_was_away_all_the_time_says_what_to_do
}

fn a_device_follows_the_root_and_one_that_was_away_all_the_time_says_what_to_do(trouble: Trouble) {
    let server = trouble.server();
    let here = server.enrol("device:fra/here");
    let idle = server.enrol("device:fra/idle");
    let away = server.enrol("device:fra/away");
    let invited_early = token(&server, "device:fra/early");
    let invited_too_early = token(&server, "device:fra/too-early");
    assert_eq!(missing(&server), Vec::<String>::new());
    let [old, below_old] = ["root", "intermediate"].map(|name| common_name(&server, name));
    assert_eq!(
        trusted_and_issuer(&here),
        (vec![old.clone()], below_old.clone())
    );

    server.json(&["ca", "rotate", "root"]);
    let [new, below_new] = ["root-2", "intermediate-2"].map(|name| common_name(&server, name));
    let all = ["device:fra/away", "device:fra/here", "device:fra/idle"];
    assert_eq!(missing(&server), all);
    let seen = here.with_extension("seen");
    let hook = format!("echo $PORTCULLIS_CHANGED >>{}", seen.display());
    succeeds(&here, &["run", "--once", "--hook", &hook]);
    succeeds(&idle, &["run", "--once"]);
    let both = vec![old, new.clone()];
    assert_eq!(trusted_and_issuer(&here), (both, below_old.clone()));
    assert_eq!(missing(&server), ["device:fra/away"]);

    // Two of three are not enough by default.
    let early = server.cli(&["ca", "activate", "root-2"]);
    assert!(!early.status.success(), "{early:?}");
    server.json(&["ca", "activate", "root-2", "--threshold", "60"]);
    succeeds(&here, &["run", "--once", "--renew-now", "--hook", &hook]);
    assert_eq!(trusted_and_issuer(&here).1, below_new);
    // The root that an invitation pins may be the old one or the new one.
    let state = |name: &str| -> PathBuf { server.scratch("devices").join(name) };
    succeeds(&state("early"), &["enroll", &invited_early]);
    succeeds(
        &state("late"),
        &["enroll", &token(&server, "device:fra/late")],
    );
    for name in ["early", "late"] {
        let (roots, issuer) = trusted_and_issuer(&state(name));
        assert_eq!((roots.len(), issuer), (2, below_new.clone()), "{name}");
    }

    server.json(&["ca", "retire", "root", "--yes"]);
    eventually("the device hears that the old root is gone", || {
        succeeds(&here, &["run", "--once", "--hook", &hook]);
        trusted_and_issuer(&here) == (vec![new.clone()], below_new.clone())
    });
    succeeds(&here, &["run", "--once", "--renew-now", "--hook", &hook]);
    assert_eq!(
        fs::read_to_string(&seen).unwrap(),
        "certificate trust\ncertificate\ntrust\ncertificate\n"
    );
    // Its certificate was of the old root, which nobody trusts now.
    assert_eq!(trusted_and_issuer(&idle).1, below_old);
    succeeds(&idle, &["run", "--once"]);
    assert_eq!(trusted_and_issuer(&idle), (vec![new.clone()], below_new));

    // A copy asks each time, so that the device itself misses what the server still shows.
    let asking = state("asking");
    eventually("the server no longer shows a way to the old root", || {
        let _ = fs::remove_dir_all(&asking);
        let copied = Command::new("cp").arg("-a").args([&away, &asking]).status();
        assert!(copied.unwrap().success());
        agent(&asking, &["run", "--once"]).status.code() == Some(5)
    });
    let refused = agent(&away, &["run", "--once"]);
    assert_eq!(refused.status.code(), Some(5), "{}", text(&refused));
    let status = agent(&away, &["status"]);
    assert_eq!(status.status.code(), Some(1), "{}", text(&status));
    for part in [
        "trust bundle",
        "root was replaced",
        "portcullis invite",
        "portcullis-agent enroll",
    ] {
        assert!(text(&status).contains(part), "{}", text(&status));
    }
    let refused = agent(&state("too-early"), &["enroll", &invited_too_early]);
    assert_eq!(refused.status.code(), Some(5), "{}", text(&refused));
    assert!(
        text(&refused).contains("its root was replaced since the invitation was made"),
        "{}",
        text(&refused)
    );
    // What it says to do works.
    succeeds(&away, &["enroll", &token(&server, "device:fra/away")]);
    succeeds(&away, &["status"]);
    assert_eq!(trusted_and_issuer(&away).0, [new]);
}
