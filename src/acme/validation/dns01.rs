//! dns-01 (RFC 8555 section 8.4) and dns-account-01 (draft-ietf-acme-dns-account-label): a TXT record with the digest of
//! the key authorization. The two differ in the record's name only: the account's own label lets several accounts prove
//! one name at a time, and a CNAME hand over one account's proofs alone.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    Validator,
    failure::{incorrect, unfit},
};
use crate::domain::{
    challenge::{ChallengeKind, ValidationFailure},
    identifier::Identifier,
};

/// How many of the records that were found are shown to whoever has to find the fault.
const SHOWN_RECORDS: usize = 3;

/// How much of each.
const SHOWN_CHARACTERS: usize = 64;

impl Validator {
    pub(super) async fn dns01(
        &self,
        identifier: &Identifier,
        key_authorization: &str,
    ) -> Result<(), ValidationFailure> {
        let base = base_name(ChallengeKind::Dns01, identifier)?;
        self.look_for_digest(&format!("_acme-challenge.{base}"), key_authorization)
            .await
    }

    pub(super) async fn dns_account01(
        &self,
        identifier: &Identifier,
        account_url: &str,
        key_authorization: &str,
    ) -> Result<(), ValidationFailure> {
        let base = base_name(ChallengeKind::DnsAccount01, identifier)?;
        let label = account_label(account_url);
        self.look_for_digest(
            &format!("{label}._acme-challenge.{base}"),
            key_authorization,
        )
        .await
    }

    async fn look_for_digest(
        &self,
        record: &str,
        key_authorization: &str,
    ) -> Result<(), ValidationFailure> {
        let expected = expected_text(key_authorization);
        let found = self.resolver.texts(record).await.map_err(|failure| {
            let detail = format!("{}. The record must hold {expected}", failure.detail);
            ValidationFailure { detail, ..failure }
        })?;
        if found.iter().any(|text| text == expected.as_bytes()) {
            return Ok(());
        }
        Err(incorrect(mismatch(
            record,
            &expected,
            key_authorization,
            &found,
        )))
    }
}

/// The name that the record stands below; of a wildcard, what follows `*.` (RFC 8555 section 8.4).
fn base_name(kind: ChallengeKind, identifier: &Identifier) -> Result<&str, ValidationFailure> {
    match identifier {
        Identifier::Dns(name) => Ok(name.as_str().strip_prefix("*.").unwrap_or(name.as_str())),
        // RFC 8738 section 7.
        Identifier::Ip(_) | Identifier::PermanentIdentifier(_) | Identifier::HardwareModule(_) => {
            Err(unfit(kind, identifier))
        }
    }
}

/// What the record holds: SHA-256 of the key authorization, in base64url.
fn expected_text(key_authorization: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, key_authorization.as_bytes()))
}

/// The account's label: an underscore, and the first ten octets of SHA-256 of the account's URL in lower-case base32,
/// which fills sixteen characters exactly.
fn account_label(account_url: &str) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest = digest(&SHA256, account_url.as_bytes());
    let bits = digest.as_ref()[..10]
        .iter()
        .fold(0_u128, |bits, octet| (bits << 8) | u128::from(*octet));
    let characters = (0..16)
        .rev()
        .map(|place| usize::try_from((bits >> (5 * place)) & 31).expect("it is below 32"))
        .map(|value| char::from(ALPHABET[value]));
    std::iter::once('_').chain(characters).collect()
}

fn mismatch(record: &str, expected: &str, key_authorization: &str, found: &[Vec<u8>]) -> String {
    let shown: Vec<String> = found
        .iter()
        .take(SHOWN_RECORDS)
        .map(|text| {
            let text = String::from_utf8_lossy(text);
            format!(
                "{:?}",
                text.chars().take(SHOWN_CHARACTERS).collect::<String>()
            )
        })
        .collect();
    let hint = if found.iter().any(|it| it == key_authorization.as_bytes()) {
        "; that is the key authorization itself, and its SHA-256 in base64url is wanted"
    } else if found.iter().any(|it| {
        it.trim_ascii() == expected.as_bytes() || it == format!("\"{expected}\"").as_bytes()
    }) {
        "; take the quotes or blanks away from around it"
    } else {
        "; a record of an earlier attempt may still be there or in a cache"
    };
    let count = match found.len() {
        1 => "1 TXT record".to_owned(),
        count => format!("{count} TXT records"),
    };
    format!(
        "{record} has {count}, none of which holds {expected}: {}{}{hint}",
        shown.join(", "),
        if found.len() > SHOWN_RECORDS {
            ", …"
        } else {
            ""
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // draft-ietf-acme-dns-account-label, the example in its section 3.2.
    #[test]
    fn the_label_of_an_account_is_the_drafts() {
        assert_eq!(
            account_label("https://example.com/acme/acct/ExampleAccount"),
            "_ujmmovf2vn55tgye"
        );
    }

    #[test]
    fn a_mismatch_shows_what_was_found_and_what_was_expected() {
        let expected = expected_text("token.thumbprint");
        for (found, part) in [
            (
                vec!["old"],
                "r.example has 1 TXT record, none of which holds",
            ),
            (vec!["old"], ": \"old\"; a record of an earlier attempt"),
            (vec!["a", "b", "c", "d"], "4 TXT records"),
            (vec!["a", "b", "c", "d"], "\"a\", \"b\", \"c\", …"),
            (
                vec!["token.thumbprint"],
                "that is the key authorization itself",
            ),
            (
                vec![&*format!("\"{expected}\"")],
                "take the quotes or blanks away",
            ),
            (vec!["a\nb\u{7}"], "\"a\\nb\\u{7}\""),
        ] {
            let texts: Vec<Vec<u8>> = found.iter().map(|it| it.as_bytes().to_vec()).collect();
            let detail = mismatch("r.example", &expected, "token.thumbprint", &texts);
            assert!(detail.contains(part), "{detail}");
            assert!(detail.contains(&expected), "{detail}");
        }
    }
}
