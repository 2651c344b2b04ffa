//! Signed requests: a flattened JSON Web Signature (RFC 7515 section 7.2.2) under the rules of RFC 8555 section 6.2.
//!
//! `Jws::parse` checks the form; `Jws::verify` gives the payload, which nothing else does. Whether `url`, `nonce` and
//! account are right is for `signed_request` to see.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{json, jwk::Jwk, problem::Problem, signature_algorithm::SignatureAlgorithm};

/// The largest request body in bytes. A CSR with 100 names and an RSA-4096 key is 10 KiB in base64url.
pub const MAX_BODY_BYTES: usize = 128 * 1024;

/// A request as it came, in form but not yet verified.
#[derive(Debug)]
pub struct Jws {
    /// The algorithm that it says it is signed with.
    pub algorithm: SignatureAlgorithm,
    /// The key, or the URL of the account that has it.
    pub key: KeyReference,
    /// The anti-replay nonce. It is absent only in what stands within another request.
    pub nonce: Option<String>,
    /// The URL that the request is for.
    pub url: String,
    signing_input: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// `jwk` or `kid`: exactly one of them stands in a request (RFC 8555 section 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyReference {
    /// The key itself: newAccount, and revokeCert by the certificate's key.
    Jwk(Jwk),
    /// The URL of the account.
    KeyId(String),
}

/// The payload of a request whose signature verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// Whether it is empty: a POST-as-GET (RFC 8555 section 6.3).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its octets, as of a JWS within (RFC 8555 section 7.3.5).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Refuses a payload where none belongs.
    ///
    /// # Errors
    /// `malformed`.
    pub fn expect_empty(&self) -> Result<(), Problem> {
        if self.is_empty() {
            return Ok(());
        }
        Err(Problem::malformed(
            "this resource is read with POST-as-GET: the payload must be the empty string, not \"{}\" or anything else (RFC 8555 section 6.3)",
        ))
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// `malformed` when it is empty or not of this form.
    pub fn object<T: serde::de::DeserializeOwned>(&self) -> Result<T, Problem> {
        if self.is_empty() {
            return Err(Problem::malformed(
                "the payload is empty; a JSON object is expected here",
            ));
        }
        json::object(&self.0, "payload")
    }
}

/// The three parts of RFC 7515 section 7.2.2, and those that must not be there.
#[derive(Deserialize)]
pub(super) struct Flattened {
    pub(super) protected: String,
    pub(super) payload: String,
    pub(super) signature: String,
    #[serde(default, deserialize_with = "is_there")]
    header: bool,
    #[serde(default, deserialize_with = "is_there")]
    signatures: bool,
}

/// A protected header as read. Members that are not named here are ignored, unless `crit` says otherwise.
#[derive(Deserialize)]
pub(super) struct ProtectedHeader {
    pub(super) alg: String,
    pub(super) url: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) kid: Option<String>,
    pub(super) jwk: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
    #[serde(default, deserialize_with = "is_there")]
    b64: bool,
}

/// A member whose being there is the fault, be it null.
fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|IgnoredAny| true)
}

impl Flattened {
    /// Reads a JWS and its protected header.
    ///
    /// # Errors
    /// `malformed`.
    pub(super) fn parse(body: &[u8], what: &str) -> Result<(Self, ProtectedHeader), Problem> {
        let flattened: Self = json::object(body, what)?;
        if flattened.signatures {
            return Err(Problem::malformed(format!(
                "the {what} has \"signatures\"; use the flattened form with one \"signature\" (RFC 8555 section 6.2)"
            )));
        }
        if flattened.header {
            return Err(Problem::malformed(format!(
                "the {what} has an unprotected \"header\"; put everything into \"protected\" (RFC 8555 section 6.2)"
            )));
        }
        let header: ProtectedHeader = json::object(
            &decode(&flattened.protected, "protected")?,
            "protected header",
        )?;
        if header.b64 {
            return Err(Problem::malformed(
                "\"b64\" is in the protected header; the payload must be base64url, so leave it out (RFC 8555 section 6.2)",
            ));
        }
        if header.crit {
            return Err(Problem::malformed(
                "\"crit\" is in the protected header; no extension is understood here, so leave it out (RFC 7515 section 4.1.11)",
            ));
        }
        Ok((flattened, header))
    }

    /// What the signature is made over.
    pub(super) fn signing_input(&self) -> Vec<u8> {
        format!("{}.{}", self.protected, self.payload).into_bytes()
    }
}

impl Jws {
    /// Reads a request's body.
    ///
    /// # Errors
    /// `malformed` when it is not a flattened JWS with exactly one of `jwk` and `kid`, and an `url`;
    /// `badSignatureAlgorithm`, `badPublicKey` when these are not accepted.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        Self::parse_part(body, "request")
    }

    /// Reads a JWS by what it is called in errors.
    ///
    /// # Errors
    /// Those of [`Self::parse`].
    pub(super) fn parse_part(body: &[u8], what: &str) -> Result<Self, Problem> {
        let (flattened, header) = Flattened::parse(body, what)?;
        let algorithm = SignatureAlgorithm::from_name(&header.alg)?;
        let key = match (header.jwk, header.kid) {
            (Some(jwk), None) => KeyReference::Jwk(Jwk::from_json(jwk.get().as_bytes())?),
            (None, Some(kid)) => KeyReference::KeyId(kid),
            (Some(_), Some(_)) => {
                return Err(Problem::malformed(
                    "the protected header has both \"jwk\" and \"kid\"; give \"jwk\" for newAccount (or to revoke by the certificate's key) and \"kid\" otherwise",
                ));
            }
            (None, None) => {
                return Err(Problem::malformed(
                    "the protected header has neither \"jwk\" nor \"kid\"; give \"jwk\" for newAccount (or to revoke by the certificate's key) and \"kid\" otherwise",
                ));
            }
        };
        let url = header.url.ok_or_else(|| {
            Problem::malformed(
                "the protected header has no \"url\"; give the URL that the request is sent to",
            )
        })?;
        Self::of(&flattened, algorithm, key, header.nonce, url)
    }

    fn of(
        flattened: &Flattened,
        algorithm: SignatureAlgorithm,
        key: KeyReference,
        nonce: Option<String>,
        url: String,
    ) -> Result<Self, Problem> {
        Ok(Self {
            algorithm,
            key,
            nonce,
            url,
            signing_input: flattened.signing_input(),
            payload: decode(&flattened.payload, "payload")?,
            signature: decode(&flattened.signature, "signature")?,
        })
    }

    /// Checks the signature and gives the payload.
    ///
    /// # Errors
    /// `badSignatureAlgorithm` when the key doesn't sign with this algorithm, `unauthorized` when the signature is wrong.
    pub fn verify(self, key: &Jwk) -> Result<Payload, Problem> {
        key.verify(self.algorithm, &self.signing_input, &self.signature)?;
        Ok(Payload(self.payload))
    }
}

/// Decodes base64url without padding, and with nothing after it (RFC 8555 section 6.1).
///
/// # Errors
/// `malformed`, naming the member and the offset.
pub(super) fn decode(text: &str, member: &str) -> Result<Vec<u8>, Problem> {
    URL_SAFE_NO_PAD.decode(text).map_err(|error| {
        Problem::malformed(format!(
            "{member:?} is not base64url without padding (RFC 8555 section 6.1): {error}"
        ))
    })
}

#[cfg(test)]
mod wycheproof;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::problem::ProblemType;

    const KEY: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn body(protected: &str) -> String {
        format!(
            r#"{{"protected":"{}","payload":"","signature":"AAAA"}}"#,
            URL_SAFE_NO_PAD.encode(protected)
        )
    }

    #[test]
    fn a_request_is_read_and_unknown_members_are_ignored() {
        let jws = Jws::parse(
            body(&format!(
                r#"{{"alg":"EdDSA","nonce":"n","url":"https://ca/x","jwk":{KEY},"typ":"JOSE"}}"#
            ))
            .as_bytes(),
        )
        .unwrap();
        assert_eq!(
            (
                jws.algorithm,
                jws.key.clone(),
                jws.nonce.as_deref(),
                jws.url.as_str()
            ),
            (
                SignatureAlgorithm::EdDsa,
                KeyReference::Jwk(Jwk::from_json(KEY.as_bytes()).unwrap()),
                Some("n"),
                "https://ca/x"
            )
        );
    }

    #[test]
    fn what_is_malformed_is_refused_with_its_type_and_place() {
        use ProblemType::{BadPublicKey, BadSignatureAlgorithm, Malformed};
        let ok = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"k","url":"u"}"#);
        let table = [
            ("", Malformed, "no JSON object"),
            ("[]", Malformed, "no JSON object"),
            ("{", Malformed, "line 1 column 1"),
            ("{}", Malformed, "missing field `protected`"),
            (
                r#"{"protected":"","payload":"","signature":""}"#,
                Malformed,
                "protected header",
            ),
            (
                r#"{"protected":1,"payload":"","signature":""}"#,
                Malformed,
                "invalid type",
            ),
            (
                &format!(r#"{{"protected":"{ok}","payload":"","signature":""}} x"#),
                Malformed,
                "trailing",
            ),
            (
                &format!(r#"{{"protected":"{ok}","payload":"","signature":"","header":{{}}}}"#),
                Malformed,
                "unprotected",
            ),
            (
                &format!(r#"{{"protected":"{ok}","payload":"","signature":"","signatures":[]}}"#),
                Malformed,
                "\"signatures\"",
            ),
            (
                &format!(r#"{{"protected":"{ok}","payload":"e30=","signature":""}}"#),
                Malformed,
                "\"payload\"",
            ),
            (
                &format!(r#"{{"protected":"{ok}","payload":"e31","signature":""}}"#),
                Malformed,
                "\"payload\"",
            ),
            (
                &format!(r#"{{"protected":"{ok}","payload":"e30","signature":"A+/A"}}"#),
                Malformed,
                "\"signature\"",
            ),
            (
                &format!(
                    r#"{{"protected":"{ok}","protected":"{ok}","payload":"","signature":""}}"#
                ),
                Malformed,
                "duplicate field",
            ),
            (
                &body(r#"{"kid":"k","url":"u"}"#),
                Malformed,
                "missing field `alg`",
            ),
            (
                &body(r#"{"alg":"none","kid":"k","url":"u"}"#),
                BadSignatureAlgorithm,
                "\"none\"",
            ),
            (
                &body(r#"{"alg":"HS256","kid":"k","url":"u"}"#),
                BadSignatureAlgorithm,
                "\"HS256\"",
            ),
            (
                &body(r#"{"alg":"RS1","kid":"k","url":"u"}"#),
                BadSignatureAlgorithm,
                "\"RS1\"",
            ),
            (&body(r#"{"alg":"ES256","url":"u"}"#), Malformed, "neither"),
            (
                &body(&format!(
                    r#"{{"alg":"EdDSA","url":"u","kid":"k","jwk":{KEY}}}"#
                )),
                Malformed,
                "both",
            ),
            (
                &body(r#"{"alg":"ES256","kid":"k"}"#),
                Malformed,
                "no \"url\"",
            ),
            (
                &body(r#"{"alg":"ES256","kid":"k","url":"u","crit":["exp"]}"#),
                Malformed,
                "\"crit\"",
            ),
            (
                &body(r#"{"alg":"ES256","kid":"k","url":"u","crit":null}"#),
                Malformed,
                "\"crit\"",
            ),
            (
                &body(r#"{"alg":"ES256","kid":"k","url":"u","b64":null}"#),
                Malformed,
                "\"b64\"",
            ),
            (
                &format!(r#"{{"protected":"{ok}","payload":"","signature":"","header":null}}"#),
                Malformed,
                "unprotected",
            ),
            (
                &body(r#"{"alg":"ES256","alg":"none","kid":"k","url":"u"}"#),
                Malformed,
                "duplicate field",
            ),
            (
                &body(&format!(
                    r#"{{"alg":"EdDSA","url":"u","jwk":{}}}"#,
                    KEY.replacen('{', r#"{"x":"","#, 1)
                )),
                Malformed,
                "duplicate field",
            ),
            (
                &format!(r#"{{"protected":"{ok}=","payload":"","signature":""}}"#),
                Malformed,
                "\"protected\"",
            ),
            (
                &format!(r#"{{"protected":" {ok}","payload":"","signature":""}}"#),
                Malformed,
                "\"protected\"",
            ),
            (
                &format!(r#"{{"protected":"{ok}","payload":"e3\n0","signature":""}}"#),
                Malformed,
                "\"payload\"",
            ),
            (
                &body(r#"{"alg":"ES256","kid":"k","url":"u","b64":false}"#),
                Malformed,
                "\"b64\"",
            ),
            (
                &body(r#"{"alg":"ES256","url":"u","jwk":{"kty":"oct"}}"#),
                BadPublicKey,
                "\"oct\"",
            ),
        ];
        for (body, kind, part) in table {
            let problem = Jws::parse(body.as_bytes()).unwrap_err();
            assert_eq!(problem.kind, kind, "{body}: {problem}");
            assert!(problem.detail.contains(part), "{body}: {problem}");
            assert_eq!(
                problem.algorithms.is_empty(),
                kind != BadSignatureAlgorithm,
                "{body}"
            );
        }
    }
}
