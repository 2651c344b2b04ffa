//! Everything that can go wrong, said so that whoever reads it knows whose turn it is, and what the process's exit
//! code makes of it.

use std::process::ExitCode;

use instant_acme::Problem;

use super::{
    account::{AccountError, StoredAccount},
    hook::HookError,
    key::KeyError,
    state::StateError,
    token::TokenError,
    transport::TransportError,
    trust::TrustError,
    trust_bundle::BundleError,
};

/// Why the agent couldn't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The invitation token can't be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// What was given on the command line doesn't go together, or a file that it names can't be read.
    #[error("{0}")]
    Usage(String),
    /// The state directory can't be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Whoever answers isn't the server that the device trusts.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// There is no answer.
    #[error("{0}; this is tried again later")]
    Unreachable(TransportError),
    /// The server can't do it now.
    #[error("while it was to {step}, the server answered: {problem}; this is tried again later")]
    Unavailable {
        /// What the agent asked for.
        step: Step,
        /// The server's words.
        problem: String,
    },
    /// The server won't do it, now or later.
    #[error("the server refuses to {step}: {problem}. {remedy}")]
    Refused {
        /// What the agent asked for.
        step: Step,
        /// The server's words.
        problem: String,
        /// What the operator must do.
        remedy: String,
    },
    /// The server wants proof that the agent can't give.
    #[error(
        "the server wants a challenge ({offered}) for {identifier}, and this agent does none: invite the device for \
         this identifier, so that the invitation vouches for it"
    )]
    Challenge {
        /// The identifier.
        identifier: String,
        /// The challenges that the server offers.
        offered: String,
    },
    /// The server doesn't keep to RFC 8555, or isn't an ACME server.
    #[error("while it was to {step}, the server answered what no ACME server should: {detail}")]
    Protocol {
        /// What the agent asked for.
        step: Step,
        /// What is wrong.
        detail: String,
    },
    /// The device's key failed.
    #[error("the device's key: {0}")]
    Key(#[from] KeyError),
    /// The account key failed.
    #[error("the ACME account: {0}")]
    Account(#[from] AccountError),
    /// The hook failed; the new certificate is in place.
    #[error("{0}; the new certificate is in place all the same")]
    Hook(#[from] HookError),
    /// What the server says is to be trusted can't be.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The operating system refused something.
    #[error("{what}: {error}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it answered.
        error: std::io::Error,
    },
}

/// What the agent asks the server for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The directory (RFC 8555 section 7.1.1).
    Directory,
    /// A new account, bound to the invitation (sections 7.3, 7.3.4).
    Register,
    /// A new order (section 7.4).
    Order,
    /// The certificate for the order (section 7.4).
    Finalize,
    /// The certificate itself (section 7.4.2).
    Download,
    /// The trust bundle, which is ours.
    TrustBundle,
    /// When the certificate is to be renewed (RFC 9773).
    RenewalInfo,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Directory => "show its ACME directory",
            Self::Register => "register this device with the invitation",
            Self::Order => "take this device's order",
            Self::Finalize => "issue the certificate",
            Self::Download => "hand out the certificate",
            Self::TrustBundle => "hand out its trust bundle",
            Self::RenewalInfo => "say when to renew the certificate",
        })
    }
}

impl AgentError {
    /// Turns what the ACME library or the server says into what it means for `account`.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's errors may grow; what is left are answers that can't be read"
    )]
    pub fn from_acme(step: Step, error: instant_acme::Error, account: &StoredAccount) -> Self {
        match error {
            instant_acme::Error::Api(problem) => Self::from_problem(step, &problem, account),
            instant_acme::Error::Timeout(_) => Self::Unavailable {
                step,
                problem: "it is still at work".to_owned(),
            },
            instant_acme::Error::Other(other) => match other.downcast::<TransportError>() {
                Ok(transport) => match *transport {
                    TransportError::Busy(_) => Self::Unavailable {
                        step,
                        problem: transport.to_string(),
                    },
                    _ => Self::from(*transport),
                },
                Err(other) => Self::Protocol {
                    step,
                    detail: other.to_string(),
                },
            },
            other => Self::Protocol {
                step,
                detail: other.to_string(),
            },
        }
    }

    /// Sorts a problem document (RFC 8555 section 6.7) into what may go away and what will not.
    #[must_use]
    pub fn from_problem(step: Step, problem: &Problem, account: &StoredAccount) -> Self {
        let full = problem.r#type.as_deref().unwrap_or("about:blank");
        let kind = full
            .strip_prefix("urn:ietf:params:acme:error:")
            .unwrap_or(full);
        let mut words = problem.detail.clone().unwrap_or_default();
        for part in &problem.subproblems {
            words = format!("{words}; {part}");
        }
        let words = format!("{words} ({kind})").trim_start().to_owned();
        let later = matches!(
            kind,
            "rateLimited" | "serverInternal" | "badNonce" | "orderNotReady"
        ) || (kind == "userActionRequired" && step != Step::Register)
            // An operator approves, or the owner of this device agrees to something; then the same request works.
            || problem
            .status
            .is_some_and(|status| status == 429 || status >= 500);
        if later {
            return Self::Unavailable {
                step,
                problem: words,
            };
        }
        let principal = account.principal_hint();
        let again = format!(
            "Ask for a new invitation (`portcullis invite {principal}`) and run `portcullis-agent enroll TOKEN` with it"
        );
        let remedy = match (step, kind) {
            (Step::Register, _) => {
                format!(
                    "The invitation may have been used already, have expired or been withdrawn. {again}"
                )
            }
            (_, "accountDoesNotExist") => {
                format!("The server no longer knows this device's account. {again}")
            }
            (_, "unauthorized") => {
                format!(
                    "This device's enrolment has ended, as when its certificate was revoked. {again}"
                )
            }
            (_, _) => {
                format!("If the server is right, this device needs another invitation. {again}")
            }
        };
        Self::Refused {
            step,
            problem: words,
            remedy,
        }
    }

    /// Whether only an operator can mend it, so that asking again soon is no use.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Challenge { .. } => true,
            Self::Token(_)
            | Self::Usage(_)
            | Self::State(_)
            | Self::Untrusted(_)
            | Self::Unreachable(_)
            | Self::Unavailable { .. }
            | Self::Protocol { .. }
            | Self::Key(_)
            | Self::Account(_)
            | Self::Hook(_)
            | Self::Bundle(_)
            | Self::System { .. } => false,
        }
    }

    /// Whether it may go away by itself within a minute.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Unavailable { .. })
    }

    /// The process's exit code, as `--help` lists them.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Protocol { .. }
            | Self::Key(_)
            | Self::Account(_)
            | Self::Hook(_)
            | Self::Bundle(_)
            | Self::System { .. } => 1,
            Self::Token(_) | Self::Usage(_) => 2,
            Self::Unreachable(_) | Self::Unavailable { .. } => 3,
            Self::Refused { .. } | Self::Challenge { .. } => 4,
            Self::Untrusted(_) => 5,
            Self::State(_) => 6,
        }
    }
}

impl From<TransportError> for AgentError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Untrusted(error) => Self::Untrusted(error),
            TransportError::NotAcme { status, .. } if !status.is_server_error() => Self::Protocol {
                step: Step::Directory,
                detail: error.to_string(),
            },
            TransportError::Tls(_)
            | TransportError::Busy(_)
            | TransportError::Unreachable { .. }
            | TransportError::Slow { .. }
            | TransportError::Answer { .. }
            | TransportError::NotAcme { .. } => Self::Unreachable(error),
        }
    }
}

impl From<&AgentError> for ExitCode {
    fn from(error: &AgentError) -> Self {
        Self::from(error.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{identifier::Identifier, key::KeyType, token::InvitationToken};

    #[test]
    fn a_problem_is_told_as_what_passes_or_as_what_the_operator_must_do() {
        let token = InvitationToken::new(
            "https://ca.example/directory",
            "inv-1",
            &[7; 32],
            vec![Identifier::PermanentIdentifier("fra/sensor-42".into())],
            [1; 32],
            Some("device".into()),
        )
        .unwrap();
        let account = StoredAccount::new(&token, token.directory(), KeyType::P256).unwrap();
        let cases = [
            (Step::Order, "unauthorized", 403, 4, "enrolment has ended"),
            (
                Step::Order,
                "userActionRequired",
                403,
                3,
                "tried again later",
            ),
            (
                Step::Order,
                "accountDoesNotExist",
                400,
                4,
                "no longer knows",
            ),
            (Step::Register, "malformed", 400, 4, "used already"),
            (
                Step::Register,
                "externalAccountRequired",
                403,
                4,
                "used already",
            ),
            (
                Step::Order,
                "rejectedIdentifier",
                400,
                4,
                "invite device:fra/sensor-42",
            ),
            (Step::Finalize, "badCSR", 400, 4, "If the server is right"),
            (Step::Order, "rateLimited", 429, 3, "tried again later"),
            (
                Step::Finalize,
                "serverInternal",
                500,
                3,
                "tried again later",
            ),
            (Step::Order, "unauthorized", 503, 3, "tried again later"),
        ];
        for (step, kind, status, code, part) in cases {
            let problem: Problem = serde_json::from_value(serde_json::json!({
                "type": format!("urn:ietf:params:acme:error:{kind}"),
                "detail": "the reason",
                "status": status,
            }))
            .unwrap();
            let error = AgentError::from_problem(step, &problem, &account);
            assert_eq!(error.code(), code, "{error}");
            assert_eq!(error.is_final(), code == 4, "{error}");
            let text = error.to_string();
            assert!(
                text.contains(part) && text.contains("the reason") && text.contains(kind),
                "{text}"
            );
        }
    }
}
