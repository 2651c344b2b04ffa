//! The invitation token: one line that an operator hands to a device, and all that the device needs to enrol.
//!
//! `pcinv_` and then, in base64url without padding, a JSON object: the ACME `directory`, the external account binding
//! key `kid` and its `mac` key (RFC 8555 section 7.3.4), the `identifiers` to order, the certificate `profile`, the
//! `principal` that is invited, and `ca_sha256`, the SHA-256 of the root certificate's DER, by which the device knows the
//! server. `portcullis invite` makes it, the agent reads it. It is a secret: it has no `Display`, its `Debug` hides the MAC key, and no error
//! repeats any of it.

use std::{fmt, str::FromStr};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde::Serialize;
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use super::identifier::{Identifier, IdentifierError};

/// What every invitation token begins with.
pub const PREFIX: &str = "pcinv_";
/// The longest token that is read, in characters.
const LONGEST: usize = 16 * 1024;
/// The shortest MAC key that is accepted, in octets: RFC 2104 section 3 asks for the hash's own length, and half of
/// that is the least that ACME servers hand out.
const SHORTEST_MAC_KEY: usize = 16;

/// An invitation, as its token carries it.
#[derive(Clone, PartialEq, Eq)]
pub struct InvitationToken {
    directory: String,
    key_id: String,
    mac_key: Zeroizing<Vec<u8>>,
    identifiers: Vec<Identifier>,
    root_sha256: [u8; 32],
    profile: Option<String>,
    principal: Option<String>,
}

impl InvitationToken {
    /// Puts an invitation together.
    ///
    /// # Errors
    /// `directory` isn't an `https` URL, `key_id` is empty, `mac_key` is shorter than 16 octets, or there are no
    /// identifiers.
    pub fn new(
        directory: &str,
        key_id: &str,
        mac_key: &[u8],
        identifiers: Vec<Identifier>,
        root_sha256: [u8; 32],
        profile: Option<String>,
    ) -> Result<Self, TokenError> {
        check_directory(directory)?;
        if key_id.is_empty() {
            return Err(TokenError::Empty { member: "kid" });
        }
        if mac_key.len() < SHORTEST_MAC_KEY {
            return Err(TokenError::ShortMacKey(mac_key.len()));
        }
        if identifiers.is_empty() {
            return Err(TokenError::Empty {
                member: "identifiers",
            });
        }
        Ok(Self {
            directory: directory.to_owned(),
            key_id: key_id.to_owned(),
            mac_key: Zeroizing::new(mac_key.to_vec()),
            identifiers,
            root_sha256,
            profile,
            principal: None,
        })
    }

    /// The same, saying whom it invites: `device:fra/sensor-42`. The server knows it anyway; the device tells people.
    ///
    /// # Errors
    /// `principal` is empty, too long, or has other characters than visible ASCII.
    pub fn for_principal(mut self, principal: &str) -> Result<Self, TokenError> {
        // It is written like what a permanent identifier holds, and is as long at most.
        Identifier::new("permanent-identifier", principal)
            .map_err(|error| TokenError::Principal { error })?;
        self.principal = Some(principal.to_owned());
        Ok(self)
    }

    /// The token as its one line. Whoever has it can enrol: hand it over as you would a password.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<String> {
        #[derive(Serialize)]
        struct Line<'a> {
            directory: &'a str,
            kid: &'a str,
            mac: &'a str,
            identifiers: &'a [Identifier],
            ca_sha256: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            profile: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            principal: Option<&'a str>,
        }
        let mac = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(self.mac_key.as_slice()));
        let json = Zeroizing::new(
            serde_json::to_vec(&Line {
                directory: &self.directory,
                kid: &self.key_id,
                mac: &mac,
                identifiers: &self.identifiers,
                ca_sha256: hex::encode(self.root_sha256),
                profile: self.profile.as_deref(),
                principal: self.principal.as_deref(),
            })
            .expect("strings and lists of strings always become JSON"),
        );
        Zeroizing::new(format!(
            "{PREFIX}{}",
            BASE64_URL_SAFE_NO_PAD.encode(json.as_slice())
        ))
    }

    /// The URL of the ACME directory (RFC 8555 section 7.1.1).
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// The identifier of the external account binding's MAC key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The external account binding's MAC key. A secret.
    #[must_use]
    pub fn mac_key(&self) -> &[u8] {
        &self.mac_key
    }

    /// What to order a certificate for.
    #[must_use]
    pub fn identifiers(&self) -> &[Identifier] {
        &self.identifiers
    }

    /// The SHA-256 of the root certificate's DER.
    #[must_use]
    pub const fn root_sha256(&self) -> [u8; 32] {
        self.root_sha256
    }

    /// The certificate profile to ask for (draft-ietf-acme-profiles).
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The principal that is invited, as the operator writes it.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }
}

/// An ACME directory is fetched over TLS only (RFC 8555 section 6.1).
///
/// # Errors
/// `directory` isn't an `https` URL with a host.
pub(super) fn check_directory(directory: &str) -> Result<(), TokenError> {
    let url = url::Url::parse(directory).map_err(|error| TokenError::Directory {
        why: error.to_string(),
    })?;
    let why = if url.scheme() != "https" {
        "its scheme is not https"
    } else if url.host_str().is_none_or(str::is_empty) {
        "it names no host"
    } else if !url.username().is_empty() || url.password().is_some() {
        "it carries a user name or password"
    } else {
        return Ok(());
    };
    Err(TokenError::Directory {
        why: why.to_owned(),
    })
}

impl FromStr for InvitationToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            return Err(TokenError::Prefix {
                looks_like_api_key: text.starts_with("pc_"),
            });
        };
        if text.len() > LONGEST {
            return Err(TokenError::TooLong(text.len()));
        }
        let json =
            Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(encoded).map_err(
                |error| match error {
                    base64::DecodeError::InvalidByte(offset, _) => {
                        TokenError::Character(PREFIX.len() + offset)
                    }
                    base64::DecodeError::InvalidLength(_)
                    | base64::DecodeError::InvalidLastSymbol(..)
                    | base64::DecodeError::InvalidPadding => TokenError::CutShort,
                },
            )?);
        let mut document: Value = serde_json::from_slice(&json).map_err(|error| {
            if error.is_eof() {
                TokenError::CutShort
            } else {
                TokenError::NotJson
            }
        })?;
        let token = read(&document);
        if let Some(Value::String(mac)) = document.get_mut("mac") {
            mac.zeroize();
        }
        token
    }
}

/// Reads each member by hand, because the messages of a derived reader repeat the values that they complain about.
fn read(document: &Value) -> Result<InvitationToken, TokenError> {
    let text = |member: &'static str| match document.get(member) {
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err(TokenError::NotText { member }),
        None => Err(TokenError::Missing { member }),
    };
    let mac_key = Zeroizing::new(
        BASE64_URL_SAFE_NO_PAD
            .decode(text("mac")?)
            .map_err(|_| TokenError::MacKey)?,
    );
    let mut root_sha256 = [0; 32];
    hex::decode_to_slice(text("ca_sha256")?, &mut root_sha256)
        .map_err(|_| TokenError::RootSha256)?;
    let optional = |member: &'static str| match document.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => text(member).map(Some),
    };
    let profile = optional("profile")?.map(str::to_owned);
    let principal = optional("principal")?;
    let identifiers = match document.get("identifiers") {
        Some(Value::Array(entries)) => entries
            .iter()
            .enumerate()
            .map(|(index, entry)| read_identifier(index, entry))
            .collect::<Result<_, _>>()?,
        Some(_) | None => {
            return Err(TokenError::Missing {
                member: "identifiers",
            });
        }
    };
    let token = InvitationToken::new(
        text("directory")?,
        text("kid")?,
        &mac_key,
        identifiers,
        root_sha256,
        profile,
    )?;
    match principal {
        Some(principal) => token.for_principal(principal),
        None => Ok(token),
    }
}

fn read_identifier(index: usize, entry: &Value) -> Result<Identifier, TokenError> {
    let member = |name| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    Identifier::new(member("type"), member("value"))
        .map_err(|error| TokenError::Identifier { index, error })
}

impl fmt::Debug for InvitationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvitationToken")
            .field("directory", &self.directory)
            .field("key_id", &self.key_id)
            .field("mac_key", &"[secret]")
            .field("identifiers", &self.identifiers)
            .field("root_sha256", &hex::encode(self.root_sha256))
            .field("profile", &self.profile)
            .field("principal", &self.principal)
            .finish()
    }
}

/// Why a text is no invitation token. No message repeats a part of the token that could be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It doesn't begin with `pcinv_`.
    #[error(
        "this is no invitation token: one begins with \"{PREFIX}\"{}",
        if *looks_like_api_key { "; this looks like an API key" } else { "" }
    )]
    Prefix {
        /// Whether it begins as our API keys do.
        looks_like_api_key: bool,
    },
    /// It is longer than any token that is made.
    #[error("the token has {0} characters; none has more than {LONGEST}")]
    TooLong(usize),
    /// It ends too early, as when the end of the line was not copied.
    #[error("the token is cut short: copy the whole line that `portcullis invite` printed")]
    CutShort,
    /// It has a character that base64url doesn't have.
    #[error(
        "the token has a character at offset {0} that base64url does not use: copy the whole line again"
    )]
    Character(usize),
    /// What it encodes isn't a JSON object.
    #[error(
        "the token does not decode to JSON: copy the whole line that `portcullis invite` printed"
    )]
    NotJson,
    /// A member is missing.
    #[error("the token has no {member:?}")]
    Missing {
        /// The member's name.
        member: &'static str,
    },
    /// A member is there but isn't text.
    #[error("the token's {member:?} is not text")]
    NotText {
        /// The member's name.
        member: &'static str,
    },
    /// A member is there but empty.
    #[error("the token's {member:?} is empty")]
    Empty {
        /// The member's name.
        member: &'static str,
    },
    /// The MAC key isn't base64url.
    #[error("the token's \"mac\" is not base64url without padding")]
    MacKey,
    /// The MAC key is too short to be one.
    #[error("the token's \"mac\" has {0} octets; at least {SHORTEST_MAC_KEY} are needed")]
    ShortMacKey(usize),
    /// The root certificate's digest is malformed.
    #[error("the token's \"ca_sha256\" is not 64 hexadecimal digits")]
    RootSha256,
    /// The directory's URL can't be used.
    #[error(
        "the ACME directory must be an https URL, for example https://ca.example/acme/directory, but {why}"
    )]
    Directory {
        /// What is wrong with it.
        why: String,
    },
    /// The principal is malformed.
    #[error("the token's \"principal\" can't be one: {error}")]
    Principal {
        /// What is wrong with it.
        error: IdentifierError,
    },
    /// One of the identifiers is malformed.
    #[error("the token's identifier number {index} can't be ordered: {error}")]
    Identifier {
        /// Which one, from 0.
        index: usize,
        /// What is wrong with it.
        error: IdentifierError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> InvitationToken {
        InvitationToken::new(
            "https://ca.example/acme/directory",
            "inv-1",
            b"0123456789abcdef0123456789abcdef",
            vec![Identifier::PermanentIdentifier("fra/sensor-42".into())],
            [0xab; 32],
            Some("device".into()),
        )
        .unwrap()
    }

    fn encode(json: &str) -> String {
        format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(json))
    }

    #[test]
    fn a_token_is_read_back_as_it_was_written() {
        let line = token().encode();
        assert!(!line.contains(char::is_whitespace));
        assert_eq!(line.parse(), Ok(token()));
        assert_eq!(format!("  {}\r\n", line.as_str()).parse(), Ok(token()));
        let named = token().for_principal("device:fra/sensor-42").unwrap();
        assert_eq!(named.encode().parse(), Ok(named));
    }

    #[test]
    fn members_of_a_later_version_are_passed_over() {
        let mut document: Value = serde_json::from_slice(
            &BASE64_URL_SAFE_NO_PAD
                .decode(token().encode().strip_prefix(PREFIX).unwrap())
                .unwrap(),
        )
        .unwrap();
        document["later"] = Value::Bool(true);
        assert_eq!(encode(&document.to_string()).parse(), Ok(token()));
    }

    #[test]
    fn a_malformed_token_says_what_is_wrong_and_never_what_is_secret() {
        let mac = BASE64_URL_SAFE_NO_PAD.encode(b"0123456789abcdef0123456789abcdef");
        let good = format!(
            r#"{{"directory":"https://ca.example/d","kid":"k","mac":"{mac}","identifiers":[{{"type":"dns","value":"a.example"}}],"ca_sha256":"{}"}}"#,
            "ab".repeat(32)
        );
        assert!(encode(&good).parse::<InvitationToken>().is_ok());
        let whole = encode(&good);
        let cases = [
            (
                "pc_sk_abcdefghijkl".to_owned(),
                TokenError::Prefix {
                    looks_like_api_key: true,
                },
            ),
            (
                String::new(),
                TokenError::Prefix {
                    looks_like_api_key: false,
                },
            ),
            (whole[..whole.len() - 1].to_owned(), TokenError::CutShort),
            (whole[..whole.len() - 4].to_owned(), TokenError::CutShort),
            (format!("{PREFIX}ab cd"), TokenError::Character(8)),
            (encode("pcinv"), TokenError::NotJson),
            (
                encode(&good.replace("\"kid\"", "\"key\"")),
                TokenError::Missing { member: "kid" },
            ),
            (
                encode(&good.replace(&format!("\"{mac}\""), "7")),
                TokenError::NotText { member: "mac" },
            ),
            (encode(&good.replace(&mac, "s3cret!!")), TokenError::MacKey),
            (
                encode(&good.replace(&mac, "c2VjcmV0")),
                TokenError::ShortMacKey(6),
            ),
            (encode(&good.replace("abab", "")), TokenError::RootSha256),
            (
                encode(&good.replace("https://", "http://")),
                TokenError::Directory {
                    why: "its scheme is not https".into(),
                },
            ),
            (
                encode(&good.replace("{\"directory", r#"{"principal":"a\u001bb","directory"#)),
                TokenError::Principal {
                    error: IdentifierError::Character(1),
                },
            ),
            (
                encode(&good.replace("\"dns\"", "\"email\"")),
                TokenError::Identifier {
                    index: 0,
                    error: IdentifierError::Type("email".into()),
                },
            ),
        ];
        for (line, expected) in cases {
            let error = line.parse::<InvitationToken>().unwrap_err();
            assert_eq!(error, expected, "{line}");
            for secret in [mac.as_str(), "s3cret", "c2VjcmV0"] {
                assert!(!format!("{error} {error:?}").contains(secret), "{error}");
            }
        }
    }

    // Invariant 9: a secret is never in a log; what is logged by mistake is logged with Debug.
    #[test]
    fn the_mac_key_is_not_in_the_debug_output() {
        let shown = format!("{:?} {:#?}", token(), token());
        assert!(shown.contains("[secret]"));
        assert!(!shown.contains("0123456789abcdef") && !shown.contains("48, 49, 50"));
    }
}
