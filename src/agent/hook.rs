//! The command that is run when there is a new certificate or another trust bundle, so that the programs that use them
//! read them again.

use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::process::Command;

use super::{deployment::Changes, state::StateDirectory};

/// How long a hook that was told to end may take to do so.
const GRACE: Duration = Duration::from_secs(2);

/// A shell command and how long it may take.
#[derive(Clone, Debug)]
pub struct Hook {
    /// What `/bin/sh -c` is given.
    pub command: String,
    /// When it is ended, with all that it started.
    pub timeout: Duration,
}

impl Hook {
    /// Runs the command with the files in its environment, as `PORTCULLIS_CERT`, `PORTCULLIS_KEY`, `PORTCULLIS_CHAIN` and
    /// `PORTCULLIS_ROOT`, and what is new in `PORTCULLIS_CHANGED`.
    ///
    /// # Errors
    /// It can't be started, fails, or takes too long.
    pub async fn run(&self, state: &StateDirectory, changes: Changes) -> Result<(), HookError> {
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(&self.command)
            .env("PORTCULLIS_CERT", state.certificate_path())
            .env("PORTCULLIS_KEY", state.key_path())
            .env("PORTCULLIS_CHAIN", state.chain_path())
            .env("PORTCULLIS_ROOT", state.root_path())
            .env("PORTCULLIS_CHANGED", changes.words())
            .env_remove("PORTCULLIS_TOKEN")
            .stdin(Stdio::null())
            // A group of its own, so that what it starts can be ended with it.
            .process_group(0)
            .spawn()
            .map_err(HookError::Start)?;
        let group = child.id();
        if let Ok(status) = tokio::time::timeout(self.timeout, child.wait()).await {
            let status = status.map_err(HookError::Start)?;
            return if status.success() {
                Ok(())
            } else {
                Err(HookError::Failed(status))
            };
        }
        for signal in ["TERM", "KILL"] {
            signal_group(group, signal).await;
            if tokio::time::timeout(GRACE, child.wait()).await.is_ok() {
                break;
            }
        }
        // What the shell started may have outlived it.
        signal_group(group, "KILL").await;
        Err(HookError::TimedOut(self.timeout))
    }
}

/// The shell sends the signal, because there is no safe function in the standard library that does.
async fn signal_group(group: Option<u32>, signal: &str) {
    let Some(group) = group else { return };
    let sent = Command::new("/bin/sh")
        .arg("-c")
        .arg(format!("kill -s {signal} -- -{group}"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    if let Err(error) = sent {
        tracing::warn!(%error, "can't end the hook");
    }
}

/// Why the hook didn't do its work.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It can't be started.
    #[error("the hook can't be started: {0}")]
    Start(std::io::Error),
    /// It says that it failed.
    #[error("the hook failed: {0}")]
    Failed(ExitStatus),
    /// It was ended.
    #[error("the hook was ended because it took more than {} seconds", .0.as_secs())]
    TimedOut(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    async fn run(command: &str, timeout: Duration) -> (tempfile::TempDir, Result<(), String>) {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDirectory::create(&parent.path().join("state")).unwrap();
        let hook = Hook {
            command: command.replace("HERE", parent.path().to_str().unwrap()),
            timeout,
        };
        let outcome = hook.run(&state, Changes::Both).await;
        let outcome = outcome.map_err(|error| error.to_string());
        (parent, outcome)
    }

    #[tokio::test]
    async fn the_hook_is_told_what_is_new_and_where_certificate_key_chain_and_roots_are() {
        let (parent, outcome) = run(
            "printf '%s\\n' \"$PORTCULLIS_CERT\" \"$PORTCULLIS_KEY\" \"$PORTCULLIS_CHAIN\" \"$PORTCULLIS_ROOT\" \
             \"$PORTCULLIS_CHANGED\" >HERE/out",
            Duration::from_secs(10),
        )
        .await;
        assert_eq!(outcome, Ok(()));
        let state = parent.path().join("state");
        let expected = format!(
            "{0}/current/cert.pem\n{0}/current/key.pem\n{0}/current/chain.pem\n{0}/root.pem\ncertificate trust\n",
            state.to_str().unwrap()
        );
        assert_eq!(
            fs::read_to_string(parent.path().join("out")).unwrap(),
            expected
        );
    }

    #[tokio::test]
    async fn a_hook_that_fails_says_how() {
        let (_parent, outcome) = run("exit 3", Duration::from_secs(10)).await;
        assert_eq!(outcome, Err("the hook failed: exit status: 3".into()));
    }

    #[tokio::test]
    async fn a_hook_that_hangs_is_ended_with_all_that_it_started() {
        let hooks = [
            // The shell ignores TERM; what it started would outlive it.
            "trap '' TERM; sleep 60 & echo $! >HERE/child; echo $$ >HERE/shell; wait; sleep 60",
            // The shell ends at TERM; what it started ignores it.
            "(trap '' TERM; exec sleep 60) & echo $! >HERE/child; echo $$ >HERE/shell; wait",
        ];
        for hook in hooks {
            let (parent, outcome) = run(hook, Duration::from_millis(300)).await;
            assert_eq!(
                outcome,
                Err("the hook was ended because it took more than 0 seconds".into())
            );
            for name in ["child", "shell"] {
                let id = fs::read_to_string(parent.path().join(name)).unwrap();
                let status = format!("/proc/{}/status", id.trim());
                let ended = async {
                    while fs::read_to_string(&status).is_ok_and(|text| !text.contains("State:\tZ"))
                    {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                };
                tokio::time::timeout(Duration::from_secs(10), ended)
                    .await
                    .unwrap_or_else(|_| panic!("{name} still runs after {hook}"));
            }
        }
    }
}
