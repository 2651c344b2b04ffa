//! Renewing: by itself, on demand, with the server away, and after it has refused.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use portcullis::agent::state::StateDirectory;

use super::{
    other_side::{Against, OtherSide},
    pebble::{agent, command, eventually, text},
};

const YEAR: u32 = 365 * 24 * 3600;

/// `portcullis-agent run` in the background.
pub struct Running {
    process: Child,
    log: PathBuf,
}

impl Running {
    pub fn start(state: &Path, arguments: &[&str]) -> Self {
        let running = Self::begin(state, arguments);
        // It says so once it has looked at its state; by then it listens for signals.
        running.says("certificate");
        running
    }

    /// The same, without waiting for anything.
    pub fn begin(state: &Path, arguments: &[&str]) -> Self {
        let log = state.with_extension("log");
        let process = command(state, &[&["run"], arguments].concat())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { process, log }
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    fn log(&self) -> String {
        let mut text = String::new();
        File::open(&self.log)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    pub fn says(&self, part: &str) {
        eventually(part, || self.log().contains(part));
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("/bin/sh")
            .args(["-c", &format!("kill -s {name} {}", self.process.id())])
            .status()
            .unwrap();
        assert!(sent.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serial(state: &Path) -> String {
    let installed = StateDirectory::open(state).unwrap().installed().unwrap();
    installed
        .unwrap()
        .credentials
        .certificate
        .serial()
        .to_owned()
}

against_pebble_and_chaos! {
    a_certificate_is_renewed_before_it_expires_and_the_hook_sees_each_one
    every_renewal_makes_a_new_key_unless_it_is_to_be_kept
    a_hang_up_renews_and_a_server_that_was_away_is_found_again
    an_account_that_the_server_no_longer_takes_is_reported_and_kept_asking_for
    a_hook_that_fails_or_hangs_stops_nothing
    a_device_that_is_not_enrolled_or_whose_key_is_open_to_others_says_so
}

fn a_certificate_is_renewed_before_it_expires_and_the_hook_sees_each_one(against: Against) {
    // A renewal is due after four seconds.
    let other = OtherSide::start(against, 6);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    let seen = parent.path().join("seen");
    other.enrol(&state, 1);
    let first = serial(&state);
    let hook = format!(
        "openssl x509 -noout -serial -in \"$PORTCULLIS_CERT\" >>{}",
        seen.display()
    );
    let mut running = Running::start(&state, &["--hook", &hook]);
    let seen = || fs::read_to_string(&seen).unwrap_or_default().to_lowercase();
    eventually(
        "the hook ran for the first certificate, which enroll fetched",
        || seen().contains(first.trim_start_matches("00")),
    );
    eventually("it was renewed", || serial(&state) != first);
    let second = serial(&state);
    eventually("the hook ran for the second certificate", || {
        seen().contains(second.trim_start_matches("00"))
    });
    running.signal("TERM");
    let status = running.process.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", running.log());
}

fn every_renewal_makes_a_new_key_unless_it_is_to_be_kept(against: Against) {
    let other = OtherSide::start(against, YEAR);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    other.enrol(&state, 1);
    let key = || fs::read_to_string(state.join("current/key.pem")).unwrap();
    let enrolled = (serial(&state), key());

    let not_due = agent(&state, &["run", "--once"]);
    assert_eq!(not_due.status.code(), Some(0), "{}", text(&not_due));
    assert_eq!((serial(&state), key()), enrolled);

    let renewed = agent(&state, &["run", "--once", "--renew-now"]);
    assert_eq!(renewed.status.code(), Some(0), "{}", text(&renewed));
    let second = (serial(&state), key());
    assert!(second.0 != enrolled.0 && second.1 != enrolled.1);

    let kept = agent(&state, &["run", "--once", "--renew-now", "--reuse-key"]);
    assert_eq!(kept.status.code(), Some(0), "{}", text(&kept));
    assert!(serial(&state) != second.0 && key() == second.1);
}

fn a_hang_up_renews_and_a_server_that_was_away_is_found_again(against: Against) {
    let other = OtherSide::start(against, YEAR);
    let way = other.way();
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    other.enrol_by(&state, 1, &way.directory_url());
    let running = Running::start(&state, &[]);
    let first = serial(&state);
    running.signal("HUP");
    eventually("it was renewed", || serial(&state) != first);

    let second = serial(&state);
    way.set_open(false);
    running.signal("HUP");
    running.says("tried again later");
    assert_eq!(serial(&state), second);
    // The first wait is at most five seconds; nobody tells it that the server is back.
    way.set_open(true);
    eventually("it was renewed again", || serial(&state) != second);
}

fn an_account_that_the_server_no_longer_takes_is_reported_and_kept_asking_for(against: Against) {
    let mut other = OtherSide::start(against, YEAR);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    other.enrol(&state, 1);
    let first = serial(&state);
    let mut running = Running::start(&state, &[]);
    other.forget_accounts();
    running.signal("HUP");
    running.says("portcullis invite");
    running.says("portcullis-agent enroll");
    assert!(running.is_running(), "it gave up");
    assert_eq!(serial(&state), first, "what it has stays in place");

    // The one that runs may be at work in the same directory just then (6).
    let mut once = agent(&state, &["run", "--once", "--renew-now"]);
    eventually("the directory is free", || {
        if once.status.code() == Some(6) {
            once = agent(&state, &["run", "--once", "--renew-now"]);
        }
        once.status.code() != Some(6)
    });
    assert_eq!(once.status.code(), Some(4), "{}", text(&once));

    // Invited again, it goes on without being told.
    other.enrol(&state, 2);
    let second = serial(&state);
    running.signal("HUP");
    eventually("it was renewed with the new enrolment", || {
        serial(&state) != second
    });
}

fn a_hook_that_fails_or_hangs_stops_nothing(against: Against) {
    let other = OtherSide::start(against, YEAR);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    other.enrol(&state, 1);
    let first = serial(&state);
    let mut running = Running::start(&state, &["--hook", "sleep 60", "--hook-timeout", "1"]);
    running.says("the hook was ended");
    running.signal("HUP");
    eventually("it was renewed", || serial(&state) != first);
    assert!(running.is_running());
    // The one that runs may be at work in the same directory just then (6).
    let mut failed = agent(&state, &["run", "--once", "--hook", "exit 7"]);
    eventually("the directory is free", || {
        if failed.status.code() == Some(6) {
            failed = agent(&state, &["run", "--once", "--hook", "exit 7"]);
        }
        failed.status.code() != Some(6)
    });
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed));
    assert!(text(&failed).contains("exit status: 7"));
}

fn a_device_that_is_not_enrolled_or_whose_key_is_open_to_others_says_so(against: Against) {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    for arguments in [["run"].as_slice(), &["run", "--once"], &["status"]] {
        let output = agent(&state, arguments);
        assert_eq!(output.status.code(), Some(6), "{}", text(&output));
        assert!(text(&output).contains("portcullis-agent enroll"));
    }
    let other = OtherSide::start(against, YEAR);
    other.enrol(&state, 1);
    fs::set_permissions(
        state.join("current/key.pem"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    for arguments in [["run"].as_slice(), &["run", "--once"], &["status"]] {
        let output = agent(&state, arguments);
        assert_eq!(output.status.code(), Some(6), "{}", text(&output));
        assert!(text(&output).contains("chmod 0600"));
    }
}

#[test]
fn the_agent_is_small() {
    let other = OtherSide::start(Against::Pebble, YEAR);
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    other.enrol(&state, 1);
    let first = serial(&state);
    let running = Running::start(&state, &[]);
    running.signal("HUP");
    eventually("it was renewed", || serial(&state) != first);
    let status = fs::read_to_string(format!("/proc/{}/status", running.process.id())).unwrap();
    let anonymous: u32 = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    assert!(anonymous <= 12 * 1024, "{status}");
}
