//! Enrolling, and every way in which it is refused.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use portcullis::agent::{
    clock::Clock,
    enroll::{EnrollOptions, enroll},
    error::AgentError,
    key::KeyType,
    state::StateDirectory,
    trust::TrustError,
};
use time::OffsetDateTime;

use super::{
    other_side::{Against, OtherSide},
    pebble::{DEADLINE, agent, free_port, text},
};

const YEAR: u32 = 365 * 24 * 3600;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

against_pebble_and_chaos! {
    a_device_enrols_with_a_token_alone_and_its_key_stays_private
    an_account_that_was_registered_but_not_stored_is_found_again
    a_failed_enrolment_leaves_the_earlier_one_as_it_was_and_a_good_one_replaces_it
    whoever_is_not_the_server_of_the_invitation_gets_nothing_and_the_device_says_why
    a_token_comes_from_a_file_or_the_environment_too
    a_device_whose_clock_is_wrong_says_so
}

fn a_device_enrols_with_a_token_alone_and_its_key_stays_private(against: Against) {
    let other = OtherSide::start(against, YEAR);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    let token = other.token(1).encode();

    let account = other.register(&state, 1);
    let directory = StateDirectory::open(&state).unwrap();
    assert!(directory.account().unwrap().is_none());

    // The second try goes on with the same account, though a binding is good for one account.
    other.vouch(&account);
    let enrolled = agent(&state, &["enroll", &token]);
    assert_eq!(enrolled.status.code(), Some(0), "{}", text(&enrolled));
    assert_eq!(directory.account().unwrap(), Some(account));
    assert!(directory.pending_account().unwrap().is_none());
    assert_eq!(
        directory.roots().unwrap().unwrap()[0].sha256(),
        other.pin(),
        "the root that the server sent is kept"
    );
    let installed = directory.installed().unwrap().unwrap().credentials;
    assert!(
        installed
            .certificate
            .names()
            .contains(&OtherSide::name().to_owned())
    );
    assert!(!installed.issuers.is_empty());

    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&directory.key_path()), 0o600);
    assert_eq!(mode(&state.join("account.json")), 0o600);

    // Once more is harmless, and works without the server.
    let before = fs::read(directory.certificate_path()).unwrap();
    drop(other);
    let again = agent(&state, &["enroll", &token]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again));
    assert_eq!(fs::read(directory.certificate_path()).unwrap(), before);
    let status = agent(&state, &["status", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(shown["condition"], "fresh");
    let names = shown["names"].as_array().unwrap();
    assert!(names.contains(&OtherSide::name().into()), "{shown}");
}

fn an_account_that_was_registered_but_not_stored_is_found_again(against: Against) {
    let other = OtherSide::start(against, YEAR);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    let token = other.token(1).encode();
    let registered = other.register(&state, 1);
    let directory = StateDirectory::open(&state).unwrap();

    // As if the power had gone between the server's answer and the second write.
    let mut forgotten = registered.clone();
    forgotten.url = None;
    let lock = directory.lock().unwrap();
    directory.set_pending_account(&forgotten, &lock).unwrap();
    drop(lock);
    agent(&state, &["enroll", &token]);
    let found = match directory.account().unwrap() {
        Some(account) => Some(account),
        None => directory.pending_account().unwrap(),
    };
    assert_eq!(found, Some(registered));
}

fn a_failed_enrolment_leaves_the_earlier_one_as_it_was_and_a_good_one_replaces_it(
    against: Against,
) {
    let other = OtherSide::start(against, YEAR);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    other.enrol(&state, 1);
    let directory = StateDirectory::open(&state).unwrap();
    let account = directory.account().unwrap();
    let certificate = fs::read(directory.certificate_path()).unwrap();

    let wrong = other.changed(2, None, Some([9; 32]), other.pin()).encode();
    assert_eq!(agent(&state, &["enroll", &wrong]).status.code(), Some(4));
    assert_eq!(directory.account().unwrap(), account);
    assert_eq!(fs::read(directory.certificate_path()).unwrap(), certificate);

    other.enrol(&state, 2);
    let account = directory.account().unwrap().unwrap();
    assert_eq!(account.key_id, other.token(2).key_id());
    assert_ne!(fs::read(directory.certificate_path()).unwrap(), certificate);
}

fn whoever_is_not_the_server_of_the_invitation_gets_nothing_and_the_device_says_why(
    against: Against,
) {
    let server = OtherSide::start(against, YEAR);
    let other = OtherSide::start(against, YEAR);
    let parent = tempfile::tempdir().unwrap();
    let good = server.token(1).encode();
    let other_pin = server.changed(1, None, None, other.pin()).encode();
    let other_key = server
        .changed(1, None, Some([9; 32]), server.pin())
        .encode();
    let unknown_key = server
        .changed(1, Some("inv-7"), Some([7; 32]), server.pin())
        .encode();
    let root = server.root_file();
    let (root, other_root) = (root.to_str().unwrap(), other.root_file());
    let other_root = other_root.to_str().unwrap();
    let wrong_name = server.wrong_name_url();
    let nobody = format!("https://localhost:{}/dir", free_port());
    let not_acme = server
        .directory_url()
        .replace(server.directory_path(), "/elsewhere");
    let cases: &[(&[&str], i32, &[&str])] = &[
        (
            &[&other_pin],
            5,
            &["did not show the pinned root", &hex::encode(other.pin())],
        ),
        (
            &[&other_pin, "--ca", other_root],
            5,
            &["not issued by the authority"],
        ),
        (
            &[&good, "--ca", other_root],
            5,
            &["but the invitation names", &hex::encode(server.pin())],
        ),
        (&[&good, "--ca", "/nowhere"], 2, &["--ca /nowhere"]),
        (
            &[&good, "--server", &wrong_name],
            5,
            &["not for \"127.0.0.2\"", "localhost"],
        ),
        (
            &[&good, "--server", "http://localhost/dir"],
            2,
            &["must be an https URL"],
        ),
        (
            &[&good, "--server", &nobody, "--wait", "0"],
            3,
            &["can't reach", "refused"],
        ),
        (
            &[&good, "--server", &not_acme],
            1,
            &["/elsewhere", "check the directory's URL"],
        ),
        (
            &[&other_key, "--ca", root],
            4,
            &["refuses to register", "portcullis invite"],
        ),
        (
            &[&unknown_key],
            4,
            &["refuses to register", "portcullis invite"],
        ),
        (&["pcinv_damaged"], 2, &["token"]),
        (&["pc_sk_123"], 2, &["no invitation token", "API key"]),
    ];
    for (index, (arguments, code, parts)) in cases.iter().enumerate() {
        let state = parent.path().join(format!("state-{index}"));
        let output = agent(&state, &[&["enroll"], *arguments].concat());
        let said = text(&output);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {said}");
        for part in *parts {
            assert!(said.contains(part), "{arguments:?}: {said}");
        }
        assert!(
            !said.contains(good.as_str()),
            "the token is repeated: {said}"
        );
        assert!(!state.join("account.json").exists());
    }
}

fn a_token_comes_from_a_file_or_the_environment_too(against: Against) {
    let other = OtherSide::start(against, YEAR);
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("token");
    let token = other.token(1).encode();
    fs::write(&file, format!("{}\n", token.as_str())).unwrap();
    let by_file = agent(
        &parent.path().join("a"),
        &["enroll", "--token-file", file.to_str().unwrap()],
    );
    let by_variable = super::pebble::command(&parent.path().join("b"), &["enroll"])
        .env("PORTCULLIS_TOKEN", token.as_str())
        .output()
        .unwrap();
    for output in [by_file, by_variable] {
        assert!(other.has_taken(&output), "{}", text(&output));
    }
    let none = agent(&parent.path().join("c"), &["enroll"]);
    assert_eq!(none.status.code(), Some(2), "{}", text(&none));
}

fn a_device_whose_clock_is_wrong_says_so(against: Against) {
    let other = OtherSide::start(against, YEAR);
    let parent = tempfile::tempdir().unwrap();
    // rcgen's certificates are valid from 1975 to 4096.
    let cases = [
        (OffsetDateTime::UNIX_EPOCH, "slow"),
        (
            OffsetDateTime::UNIX_EPOCH + time::Duration::days(800_000),
            "valid until",
        ),
    ];
    for (now, part) in cases {
        let options = EnrollOptions {
            token: other.token(1),
            server: None,
            ca: None,
            state_dir: parent.path().join("state"),
            key_type: KeyType::P256,
            wait: DEADLINE,
            replace: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let error = runtime
            .block_on(enroll(&options, &Clock::new(move || now)))
            .unwrap_err();
        assert!(
            matches!(
                error,
                AgentError::Untrusted(TrustError::NotYetValid { .. } | TrustError::Expired { .. })
            ),
            "{error:?}"
        );
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(error.code(), 5);
    }
}
