//! What went wrong the last time, kept in `failures.json` until it has gone well, so that `status` tells of it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    durable,
    error::AgentError,
    moment::rfc3339,
    state::{PUBLIC, StateDirectory, StateError, StateLock, read_if_there},
};

/// What is tried again and again, and failed the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// Renewing the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Failure>,
    /// Fetching the trust bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Failure>,
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When it was, in RFC 3339.
    pub at: String,
    /// Whether only an operator can mend it.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// What was said.
    pub error: String,
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempted {
    /// Renewing the certificate.
    Renewal,
    /// Fetching the trust bundle.
    Trust,
}

impl Failure {
    /// That something failed at `at`.
    #[must_use]
    pub fn new(at: OffsetDateTime, error: &AgentError) -> Self {
        Self {
            at: rfc3339(at),
            is_final: error.is_final(),
            error: error.to_string(),
        }
    }
}

impl Failures {
    const fn of(&mut self, attempted: Attempted) -> &mut Option<Failure> {
        match attempted {
            Attempted::Renewal => &mut self.renewal,
            Attempted::Trust => &mut self.trust,
        }
    }
}

impl StateDirectory {
    /// What failed the last time.
    ///
    /// # Errors
    /// The file is damaged or can't be read.
    pub fn failures(&self) -> Result<Failures, StateError> {
        let path = self.path().join("failures.json");
        let Some(json) = read_if_there(&path)? else {
            return Ok(Failures::default());
        };
        serde_json::from_slice(&json).map_err(|error| StateError::Damaged {
            path,
            line: error.line(),
            column: error.column(),
        })
    }

    /// Remembers how it went. What is in the file already is not written again.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn set_failure(
        &self,
        attempted: Attempted,
        failure: Option<Failure>,
        _lock: &StateLock,
    ) -> Result<(), StateError> {
        // A damaged file is no reason to forget what is known now.
        let before = self.failures().ok();
        let mut now = before.clone().unwrap_or_default();
        *now.of(attempted) = failure;
        if before.as_ref() == Some(&now) {
            return Ok(());
        }
        let path = self.path().join("failures.json");
        let mut json =
            serde_json::to_vec_pretty(&now).expect("strings and booleans always become JSON");
        json.push(b'\n');
        durable::write(&path, &json, PUBLIC).map_err(StateError::writing(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::error::Step;
    use time::macros::datetime;

    #[test]
    fn each_failure_is_kept_until_that_very_thing_has_gone_well() {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDirectory::create(&parent.path().join("state")).unwrap();
        let lock = state.lock().unwrap();
        let path = state.path().join("failures.json");
        state.set_failure(Attempted::Renewal, None, &lock).unwrap();
        assert!(!path.exists(), "nothing went wrong, and nothing is written");

        let error = AgentError::Refused {
            step: Step::Order,
            problem: "no".into(),
            remedy: "Ask.".into(),
        };
        let failure = Failure::new(datetime!(2027-01-01 00:00 UTC), &error);
        assert_eq!(
            failure,
            Failure {
                at: "2027-01-01T00:00:00Z".into(),
                is_final: true,
                error: "the server refuses to take this device's order: no. Ask.".into(),
            }
        );
        for attempted in [Attempted::Renewal, Attempted::Trust] {
            let set = state.set_failure(attempted, Some(failure.clone()), &lock);
            set.unwrap();
        }
        state.set_failure(Attempted::Trust, None, &lock).unwrap();
        let expected = Failures {
            renewal: Some(failure),
            trust: None,
        };
        assert_eq!(state.failures().unwrap(), expected);
        state.set_failure(Attempted::Renewal, None, &lock).unwrap();
        assert_eq!(state.failures().unwrap(), Failures::default());

        std::fs::write(&path, "{\n  7").unwrap();
        assert!(matches!(
            state.failures(),
            Err(StateError::Damaged { line: 2, .. })
        ));
        state.set_failure(Attempted::Trust, None, &lock).unwrap();
        assert_eq!(state.failures().unwrap(), Failures::default());
    }
}
