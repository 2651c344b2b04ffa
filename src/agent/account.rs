//! The agent's ACME account, as `account.json` keeps it: the account key, where the account is, and what it orders.
//! It is written before the account is registered, so that a crash in between loses no account.

use std::{fmt, mem::take};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{identifier::Identifier, key::KeyType, token::InvitationToken};

/// An ACME account (RFC 8555 section 7.1.2) and the enrolment that hangs on it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredAccount {
    /// The URL of the server's ACME directory.
    pub directory: String,
    /// The account's URL, once the server has told it.
    pub url: Option<String>,
    /// The key identifier of the invitation that the account was bound to.
    pub key_id: String,
    /// What the account orders.
    pub identifiers: Vec<Identifier>,
    /// The profile that it asks for, where the server offers it.
    pub profile: Option<String>,
    /// The principal that was invited, where the invitation said it.
    pub principal: Option<String>,
    /// The type of the device keys.
    pub key_type: KeyType,
    /// The account key (P-256), PKCS#8 in DER: a secret.
    key: Zeroizing<Vec<u8>>,
}

impl StoredAccount {
    /// A new account for an invitation, with a key of its own, not yet registered.
    ///
    /// # Errors
    /// The cryptographic provider makes no key.
    pub fn new(
        token: &InvitationToken,
        directory: &str,
        key_type: KeyType,
    ) -> Result<Self, AccountError> {
        let (_, key) = instant_acme::Key::generate_pkcs8().map_err(|_| AccountError::Generate)?;
        Ok(Self {
            directory: directory.to_owned(),
            url: None,
            key_id: token.key_id().to_owned(),
            identifiers: token.identifiers().to_vec(),
            profile: token.profile().map(str::to_owned),
            principal: token.principal().map(str::to_owned),
            key_type,
            key: Zeroizing::new(key.secret_pkcs8_der().to_vec()),
        })
    }

    /// The account key, PKCS#8 in DER: a secret.
    #[must_use]
    pub fn key(&self) -> PrivatePkcs8KeyDer<'_> {
        PrivatePkcs8KeyDer::from(self.key.as_slice())
    }

    /// The principal as the operator writes it, as well as the agent can know it: `device:fra/sensor-42`.
    #[must_use]
    pub fn principal_hint(&self) -> String {
        let known = || self.principal.clone();
        known()
            .or_else(|| principal(&self.identifiers, self.profile.as_deref()))
            .unwrap_or_else(|| "KIND:PATH".to_owned())
    }

    /// Whom the account enrols, in words for people: the principal, or the names where it has none. It is the same for
    /// every invitation of a principal.
    #[must_use]
    pub fn identity(&self) -> String {
        identity(
            self.principal.as_deref(),
            &self.identifiers,
            self.profile.as_deref(),
        )
    }

    /// The account as the text of its file: a secret.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(&Document {
            directory: self.directory.clone(),
            url: self.url.clone(),
            key_id: self.key_id.clone(),
            identifiers: self.identifiers.clone(),
            profile: self.profile.clone(),
            principal: self.principal.clone(),
            key_type: self.key_type,
            key_pkcs8: BASE64_URL_SAFE_NO_PAD.encode(self.key.as_slice()),
        })
        .expect("strings and lists of strings always become JSON");
        json.push(b'\n');
        Zeroizing::new(json)
    }

    /// Reads the text of its file.
    ///
    /// # Errors
    /// It is damaged. The message repeats nothing of the file.
    pub fn from_json(json: &[u8]) -> Result<Self, AccountError> {
        let mut document: Document =
            serde_json::from_slice(json).map_err(|error| AccountError::Damaged {
                line: error.line(),
                column: error.column(),
            })?;
        let key = BASE64_URL_SAFE_NO_PAD
            .decode(document.key_pkcs8.as_str())
            .map_err(|_| AccountError::Key)?;
        Ok(Self {
            directory: take(&mut document.directory),
            url: take(&mut document.url),
            key_id: take(&mut document.key_id),
            identifiers: take(&mut document.identifiers),
            profile: take(&mut document.profile),
            principal: take(&mut document.principal),
            key_type: document.key_type,
            key: Zeroizing::new(key),
        })
    }
}

/// Whom an invitation is for; see [`StoredAccount::identity`].
#[must_use]
pub fn invited(token: &InvitationToken) -> String {
    identity(token.principal(), token.identifiers(), token.profile())
}

fn identity(known: Option<&str>, identifiers: &[Identifier], profile: Option<&str>) -> String {
    known
        .map(str::to_owned)
        .or_else(|| principal(identifiers, profile))
        .unwrap_or_else(|| {
            let mut names: Vec<_> = identifiers.iter().map(Identifier::value).collect();
            names.sort();
            names.join(", ")
        })
}

/// The principal of an invitation that doesn't say it, as well as it can be guessed.
fn principal(identifiers: &[Identifier], profile: Option<&str>) -> Option<String> {
    let path = identifiers.iter().find_map(|identifier| match identifier {
        Identifier::PermanentIdentifier(path) => Some(path),
        Identifier::Dns(_) | Identifier::Ip(_) => None,
    })?;
    let kind = match profile {
        Some(kind @ ("device" | "service" | "user")) => kind,
        Some(_) | None => "device",
    };
    Some(format!("{kind}:{path}"))
}

impl fmt::Debug for StoredAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredAccount")
            .field("directory", &self.directory)
            .field("url", &self.url)
            .field("key_id", &self.key_id)
            .field("identifiers", &self.identifiers)
            .field("profile", &self.profile)
            .field("principal", &self.principal)
            .field("key_type", &self.key_type)
            .field("key", &"[secret]")
            .finish()
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    directory: String,
    url: Option<String>,
    key_id: String,
    identifiers: Vec<Identifier>,
    profile: Option<String>,
    #[serde(default)]
    principal: Option<String>,
    key_type: KeyType,
    key_pkcs8: String,
}

impl Drop for Document {
    fn drop(&mut self) {
        self.key_pkcs8.zeroize();
    }
}

/// What is wrong with a stored account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// No account key could be made.
    #[error("the cryptographic library could not make an account key")]
    Generate,
    /// The file isn't what this program wrote.
    #[error(
        "it is damaged at line {line}, column {column}: restore it, or enrol again with a new invitation"
    )]
    Damaged {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// The account key in it can't be used.
    #[error("its account key is damaged: restore it, or enrol again with a new invitation")]
    Key,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(identifiers: Vec<Identifier>, profile: Option<&str>) -> StoredAccount {
        let token = InvitationToken::new(
            "https://ca.example/acme/directory",
            "inv-1",
            &[7; 32],
            identifiers,
            [1; 32],
            profile.map(str::to_owned),
        )
        .unwrap();
        StoredAccount::new(&token, token.directory(), KeyType::P384).unwrap()
    }

    #[test]
    fn an_account_is_read_back_as_it_was_written_and_keeps_its_key_to_itself() {
        let mut stored = account(vec![Identifier::Dns("a.example".into())], None);
        stored.url = Some("https://ca.example/acme/account/1".into());
        let json = stored.to_json();
        assert_eq!(StoredAccount::from_json(&json), Ok(stored.clone()));
        let secret = BASE64_URL_SAFE_NO_PAD.encode(stored.key().secret_pkcs8_der());
        assert!(String::from_utf8_lossy(&json).contains(&secret));
        assert!(!format!("{stored:?}").contains(&secret));
    }

    #[test]
    fn a_damaged_account_says_where_and_never_what() {
        assert_eq!(
            StoredAccount::from_json(b"{\n  \"key_pkcs8\": secret"),
            Err(AccountError::Damaged {
                line: 2,
                column: 16
            })
        );
    }

    #[test]
    fn every_invitation_of_a_principal_is_for_the_same_identity() {
        let path = |path: &str| Identifier::PermanentIdentifier(path.into());
        let dns = |name: &str| Identifier::Dns(name.into());
        let cases = [
            (vec![path("a")], Some("device"), "device:a"),
            (
                vec![dns("a.example"), path("a")],
                Some("device"),
                "device:a",
            ),
            (vec![path("a")], Some("service"), "service:a"),
            (vec![path("b")], Some("device"), "device:b"),
            (
                vec![dns("b.example"), dns("a.example")],
                None,
                "a.example, b.example",
            ),
        ];
        for (identifiers, profile, expected) in cases {
            assert_eq!(account(identifiers, profile).identity(), expected);
        }
        let mut named = account(vec![path("a")], Some("of-our-own"));
        named.principal = Some("service:a".into());
        assert_eq!(named.identity(), "service:a");
        assert_eq!(named.principal_hint(), "service:a");
    }

    #[test]
    fn the_operator_is_told_the_principal_that_the_invitation_named() {
        let device = Identifier::PermanentIdentifier("fra/sensor-42".into());
        let cases = [
            (vec![device.clone()], Some("device"), "device:fra/sensor-42"),
            (
                vec![device.clone()],
                Some("service"),
                "service:fra/sensor-42",
            ),
            (vec![device], None, "device:fra/sensor-42"),
            (vec![Identifier::Dns("a.example".into())], None, "KIND:PATH"),
        ];
        for (identifiers, profile, expected) in cases {
            assert_eq!(account(identifiers, profile).principal_hint(), expected);
        }
    }
}
