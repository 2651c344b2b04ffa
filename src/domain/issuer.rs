//! An issuer as the authority remembers it: a CA of ours, where its key is, and how far its life has come. Its key
//! itself is elsewhere.
//!
//! ```text
//! requested ─install─▶ prepared ─activate─▶ active ─▶ retiring ─retire─▶ retired
//! ```

use std::{fmt, str::FromStr};

use portcullis_ca::issuer_key_id::IssuerKeyId;
use serde::{Deserialize, Serialize};

use super::{
    Timestamp,
    text::{as_base64, as_text},
};

/// A CA of this authority. It is known by its key; its name is the operator's word for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerRecord {
    /// SHA-256 of its SubjectPublicKeyInfo.
    #[serde(with = "as_text")]
    pub id: IssuerKeyId,
    /// What operators call it; unique.
    pub name: IssuerName,
    /// What it signs.
    pub role: IssuerRole,
    /// How far its life has come.
    pub state: IssuerState,
    /// Since when.
    pub state_since: Timestamp,
    /// Its certificate, DER; empty while somebody else's signature is awaited.
    #[serde(with = "as_base64")]
    pub certificate: Vec<u8>,
    /// The certificates above it, the next one first, up to and with the trust anchor; empty for a root, and for what a
    /// root of ours signed.
    pub above: Vec<Der>,
    /// The issuer of ours that signed it; nothing for a root, and where somebody else signed.
    pub parent: Option<KeyId>,
    /// The same subject and key, signed by another root of ours: for who trusts only that one.
    pub cross: Vec<CrossCertificate>,
    /// Where its key is.
    pub key: KeyPlace,
    /// The profiles that it issues; empty: all that no other active issuer names.
    pub profiles: Vec<String>,
    /// Over how many lists its certificates are spread.
    pub list_shards: u32,
    /// When it was made or taken in.
    pub created_at: Timestamp,
}

impl IssuerRecord {
    /// Makes it issue.
    ///
    /// # Errors
    /// [`WrongIssuerState`] unless it is prepared, or was on its way out.
    pub fn activate(self, now: Timestamp) -> Result<Self, WrongIssuerState> {
        match self.state {
            IssuerState::Prepared | IssuerState::Retiring => {
                Ok(self.into(IssuerState::Active, now))
            }
            IssuerState::Requested | IssuerState::Active | IssuerState::Retired => {
                Err(self.wrong("activated"))
            }
        }
    }

    /// Makes it issue no more; what it issued stays good, and its lists go on.
    ///
    /// # Errors
    /// [`WrongIssuerState`] unless it is active.
    pub fn begin_retiring(self, now: Timestamp) -> Result<Self, WrongIssuerState> {
        match self.state {
            IssuerState::Active => Ok(self.into(IssuerState::Retiring, now)),
            IssuerState::Requested
            | IssuerState::Prepared
            | IssuerState::Retiring
            | IssuerState::Retired => Err(self.wrong("taken out of service")),
        }
    }

    /// Ends it: whatever it issued is refused from now on.
    ///
    /// # Errors
    /// [`WrongIssuerState`] when it still issues (it must be retiring first) or is retired already.
    pub fn retire(self, now: Timestamp) -> Result<Self, WrongIssuerState> {
        match self.state {
            IssuerState::Requested | IssuerState::Prepared | IssuerState::Retiring => {
                Ok(self.into(IssuerState::Retired, now))
            }
            IssuerState::Active | IssuerState::Retired => Err(self.wrong("retired")),
        }
    }

    /// Gives it the certificate that somebody else signed.
    ///
    /// # Errors
    /// [`WrongIssuerState`] unless it waits for one.
    pub fn install(
        self,
        certificate: Vec<u8>,
        above: Vec<Vec<u8>>,
        now: Timestamp,
    ) -> Result<Self, WrongIssuerState> {
        match self.state {
            IssuerState::Requested => Ok(Self {
                certificate,
                above: above.into_iter().map(Der).collect(),
                ..self.into(IssuerState::Prepared, now)
            }),
            IssuerState::Prepared
            | IssuerState::Active
            | IssuerState::Retiring
            | IssuerState::Retired => Err(self.wrong("given a certificate")),
        }
    }

    /// Whether it is a root of ours, which the trust bundle holds.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.role == IssuerRole::Root
    }

    fn into(self, state: IssuerState, now: Timestamp) -> Self {
        Self {
            state,
            state_since: now,
            ..self
        }
    }

    fn wrong(&self, what: &'static str) -> WrongIssuerState {
        WrongIssuerState {
            name: self.name.clone(),
            state: self.state,
            what,
        }
    }
}

/// An issuer's state does not allow what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {state} and can't be {what}{}", match state {
    IssuerState::Requested => "; it waits for its certificate: portcullis ca install",
    IssuerState::Prepared => "; it does not issue yet: portcullis ca activate",
    IssuerState::Active => "; it issues: another one must take its place first (portcullis ca rotate)",
    IssuerState::Retiring | IssuerState::Retired => "",
})]
pub struct WrongIssuerState {
    name: IssuerName,
    state: IssuerState,
    what: &'static str,
}

/// What an issuer signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerRole {
    /// A trust anchor: intermediates, and its own list.
    Root,
    /// Leaves, and its own lists.
    Intermediate,
}

impl fmt::Display for IssuerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Intermediate => "intermediate",
        })
    }
}

/// How far an issuer's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerState {
    /// Somebody else is to sign its certificate.
    Requested,
    /// Ready, and where it is a root already in the trust bundle; it issues nothing yet.
    Prepared,
    /// It issues.
    Active,
    /// It issues no more; what it issued is good, and its lists go on.
    Retiring,
    /// Over: what it issued is refused.
    Retired,
}

impl IssuerState {
    /// Whether it is there for verifiers: trusted if it is a root, with lists that go on.
    #[must_use]
    pub fn stands(self) -> bool {
        match self {
            Self::Prepared | Self::Active | Self::Retiring => true,
            Self::Requested | Self::Retired => false,
        }
    }
}

impl fmt::Display for IssuerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "requested",
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        })
    }
}

/// Where a CA key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyPlace {
    /// A file of the state directory.
    File(String),
    /// A token, by the key's label in it.
    Token(String),
    /// Not here: exported and removed, or never ours.
    Offline,
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => write!(f, "file {name}"),
            Self::Token(label) => write!(f, "token {label}"),
            Self::Offline => f.write_str("offline"),
        }
    }
}

/// A certificate for an issuer's subject and key that another root of ours signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossCertificate {
    /// Who signed it.
    #[serde(with = "as_text")]
    pub issuer: IssuerKeyId,
    /// The certificate, DER.
    #[serde(with = "as_base64")]
    pub der: Vec<u8>,
}

/// An issuer's id inside a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(#[serde(with = "as_text")] pub IssuerKeyId);

/// A certificate's DER inside a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Der(#[serde(with = "as_base64")] pub Vec<u8>);

/// What operators call an issuer: 1 to 40 lower-case letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IssuerName(String);

impl IssuerName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a successor: `intermediate`, then `intermediate-2`, and so on.
    #[must_use]
    pub fn successor(&self, taken: impl Fn(&Self) -> bool) -> Self {
        let (stem, number) = match self.0.rsplit_once('-') {
            Some((stem, digits)) if !stem.is_empty() => match digits.parse::<u32>() {
                Ok(number) => (stem, number),
                Err(_) => (self.0.as_str(), 1),
            },
            Some(_) | None => (self.0.as_str(), 1),
        };
        let stem: String = stem.chars().take(29).collect();
        (number.saturating_add(1)..)
            .map(|number| Self(format!("{stem}-{number}")))
            .find(|name| !taken(name))
            .unwrap_or_else(|| self.clone())
    }
}

impl FromStr for IssuerName {
    type Err = InvalidIssuerName;

    fn from_str(text: &str) -> Result<Self, InvalidIssuerName> {
        let good = (1..=40).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidIssuerName(text.chars().take(60).collect()))
        }
    }
}

impl TryFrom<String> for IssuerName {
    type Error = InvalidIssuerName;

    fn try_from(text: String) -> Result<Self, InvalidIssuerName> {
        text.parse()
    }
}

impl From<IssuerName> for String {
    fn from(name: IssuerName) -> Self {
        name.0
    }
}

impl fmt::Display for IssuerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is no issuer's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no issuer's name: 1 to 40 lower-case letters, digits and hyphens, such as intermediate-2"
)]
pub struct InvalidIssuerName(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(state: IssuerState) -> IssuerRecord {
        IssuerRecord {
            id: IssuerKeyId([1; 32]),
            name: "intermediate".parse().expect("a name"),
            role: IssuerRole::Intermediate,
            state,
            state_since: Timestamp::from_unix_seconds(1),
            certificate: Vec::new(),
            above: Vec::new(),
            parent: None,
            cross: Vec::new(),
            key: KeyPlace::Offline,
            profiles: Vec::new(),
            list_shards: 16,
            created_at: Timestamp::from_unix_seconds(1),
        }
    }

    #[test]
    fn an_issuer_goes_through_its_states_in_order() {
        use IssuerState::{Active, Prepared, Requested, Retired, Retiring};
        let now = Timestamp::from_unix_seconds(2);
        let to = |result: Result<IssuerRecord, WrongIssuerState>| result.ok().map(|it| it.state);
        // From, after activate, begin_retiring, retire, install.
        for (from, activated, retiring, retired, installed) in [
            (Requested, None, None, Some(Retired), Some(Prepared)),
            (Prepared, Some(Active), None, Some(Retired), None),
            (Active, None, Some(Retiring), None, None),
            (Retiring, Some(Active), None, Some(Retired), None),
            (Retired, None, None, None, None),
        ] {
            assert_eq!(
                (
                    to(issuer(from).activate(now)),
                    to(issuer(from).begin_retiring(now)),
                    to(issuer(from).retire(now)),
                    to(issuer(from).install(vec![1], Vec::new(), now)),
                ),
                (activated, retiring, retired, installed),
                "{from}"
            );
        }
    }

    #[test]
    fn a_successor_has_the_next_free_number() {
        let name = |text: &str| text.parse::<IssuerName>().expect("a name");
        for (from, taken, expected) in [
            ("root", vec![], "root-2"),
            ("root-2", vec![], "root-3"),
            ("root", vec!["root-2"], "root-3"),
            ("eu-west", vec![], "eu-west-2"),
        ] {
            let taken: Vec<_> = taken.into_iter().map(name).collect();
            assert_eq!(
                name(from).successor(|it| taken.contains(it)),
                name(expected),
                "{from}"
            );
        }
    }

    #[test]
    fn a_record_is_read_back_as_it_was() {
        let mut record = issuer(IssuerState::Prepared);
        record.certificate = vec![0x30, 0xff];
        record.above = vec![Der(vec![1, 2])];
        record.parent = Some(KeyId(IssuerKeyId([7; 32])));
        record.cross = vec![CrossCertificate {
            issuer: IssuerKeyId([8; 32]),
            der: vec![3],
        }];
        let text = serde_json::to_string(&record).expect("JSON");
        assert_eq!(
            serde_json::from_str::<IssuerRecord>(&text).ok(),
            Some(record)
        );
    }
}
