//! API keys: the token's format, its checksum, and what is kept of it.

use std::time::Duration;

use portcullis::domain::{
    ApiKey, ApiKeyId, ApiKeyKind, ApiKeyToken, Pepper, ServerRoot, Timestamp,
    api_key::{ApiKeyFault, ApiKeyParseError, ApiKeyShapeError},
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn record(token: &ApiKeyToken, pepper: &Pepper) -> ApiKey {
    ApiKey {
        id: token.id(),
        kind: token.kind(),
        principal: "service:billing/etl".parse().unwrap(),
        name: "nightly".to_owned(),
        only: None,
        cidrs: Vec::new(),
        expires_at: None,
        bound_certificate: None,
        digest: pepper.digest(token),
        created_at: NOW,
        created_by: "user:ops/ada".parse().unwrap(),
        revoked_at: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_token_reads_as_the_key_that_it_was_made_from(randomness: [u8; 32], kind in 0_usize..4) {
        let kind = ApiKeyKind::ALL[kind];
        let token = ApiKeyToken::mint(kind, &randomness);
        let text = token.reveal();
        let read: ApiKeyToken = text.parse().unwrap();
        prop_assert_eq!((read.kind(), read.id()), (kind, token.id()));
        prop_assert_eq!(&*read.reveal(), &*text);
        let pepper = Pepper::new(&[7; 32]);
        prop_assert_eq!(pepper.digest(&read), pepper.digest(&token));
        prop_assert_eq!(token.id().to_string().parse::<ApiKeyId>().unwrap(), token.id());
    }
}

#[test]
fn the_format_is_the_documented_one() {
    let token = ApiKeyToken::mint(ApiKeyKind::Standard, &[0; 32]);
    let text = token.reveal();
    let parts: Vec<&str> = text.split('_').collect();
    assert_eq!(
        parts.iter().map(|p| p.len()).collect::<Vec<_>>(),
        [2, 2, 12, 49]
    );
    assert_eq!((parts[0], parts[1]), ("pc", "sk"));
    assert_eq!(parts[2], token.id().as_str());
    assert!(
        parts
            .iter()
            .all(|p| p.chars().all(|c| c.is_ascii_alphanumeric()))
    );
}

#[test]
fn every_change_of_one_character_is_caught_before_any_look_up() {
    let text = ApiKeyToken::mint(ApiKeyKind::Restricted, &[42; 32]).reveal();
    for at in 0..text.len() {
        for other in ('0'..='9')
            .chain('A'..='Z')
            .chain('a'..='z')
            .chain(['_', '-', ' ', 'é'])
        {
            let mut changed: Vec<char> = text.chars().collect();
            if changed[at] == other {
                continue;
            }
            changed[at] = other;
            let changed: String = changed.into_iter().collect();
            assert!(changed.parse::<ApiKeyToken>().is_err(), "{at} {other}");
        }
    }
    let swapped = format!("{}{}{}", &text[..25], &text[26..27], &text[25..26]) + &text[27..];
    let cases = [
        ("", ApiKeyParseError::Malformed),
        ("pc_sk", ApiKeyParseError::Malformed),
        (&text[..text.len() - 1], ApiKeyParseError::Malformed),
        (&format!("{}x", *text), ApiKeyParseError::Malformed),
        (&format!(" {}", *text), ApiKeyParseError::Malformed),
        (&text.to_uppercase(), ApiKeyParseError::Checksum),
        (&swapped, ApiKeyParseError::Checksum),
        (&text.replace("pc_rk", "pc_sk"), ApiKeyParseError::Checksum),
    ];
    for (bad, error) in cases {
        assert_eq!(bad.parse::<ApiKeyToken>().map(|_| ()), Err(error), "{bad}");
    }
}

/// Trap 40: what can be printed of a key, a digest, a pepper or a root does not hold the secret.
#[test]
fn nothing_that_prints_tells_the_secret() {
    let token = ApiKeyToken::mint(ApiKeyKind::Standard, &[9; 32]);
    let pepper = Pepper::new(&[7; 32]);
    let root = ServerRoot::new([7; 32]);
    let text = token.reveal();
    let secret = &text[19..62];
    let printed = format!(
        "{token:?} {:?} {pepper:?} {root:?}",
        record(&token, &pepper)
    );
    assert!(!printed.contains(secret) && !printed.contains(&secret[..8]));
    assert!(!printed.contains("7, 7") && !printed.contains("0707"));
    assert!(printed.contains(token.id().as_str()), "the id may be seen");
}

#[test]
fn a_key_is_good_with_its_own_secret_and_pepper_while_it_lives() {
    let pepper = Pepper::new(&[7; 32]);
    let token = ApiKeyToken::mint(ApiKeyKind::Standard, &[1; 32]);
    let key = record(&token, &pepper);
    assert_eq!(key.verify(&token, &pepper, NOW), Ok(()));

    let other = ApiKeyToken::mint(ApiKeyKind::Standard, &[2; 32]);
    let forged = ApiKey {
        id: other.id(),
        ..key.clone()
    };
    let renamed = ApiKey {
        id: other.id(),
        ..key.clone()
    };
    assert_eq!(
        renamed.verify(&token, &pepper, NOW),
        Err(ApiKeyFault::WrongSecret)
    );
    let other_kind = ApiKeyToken::mint(ApiKeyKind::Restricted, &[1; 32]);
    let later = NOW + Duration::from_secs(60);
    let expiring = ApiKey {
        expires_at: Some(later),
        ..key.clone()
    };
    let revoked = ApiKey {
        revoked_at: Some(NOW),
        ..key.clone()
    };
    assert_eq!(
        key.verify(&other, &pepper, NOW),
        Err(ApiKeyFault::WrongSecret)
    );
    assert_eq!(
        forged.verify(&other, &pepper, NOW),
        Err(ApiKeyFault::WrongSecret)
    );
    assert_eq!(
        key.verify(&other_kind, &pepper, NOW),
        Err(ApiKeyFault::WrongSecret)
    );
    assert_eq!(
        key.verify(&token, &Pepper::new(&[8; 32]), NOW),
        Err(ApiKeyFault::WrongSecret)
    );
    assert_eq!(expiring.verify(&token, &pepper, NOW), Ok(()));
    assert_eq!(
        expiring.verify(&token, &pepper, later),
        Err(ApiKeyFault::Expired(later))
    );
    assert_eq!(
        revoked.verify(&token, &pepper, NOW),
        Err(ApiKeyFault::Revoked(NOW))
    );

    let token = ApiKeyToken::mint(ApiKeyKind::Enrolment, &[1; 32]);
    let enrolment = record(&token, &pepper);
    assert_eq!(
        enrolment.verify(&token, &pepper, NOW),
        Err(ApiKeyFault::EnrolmentOnly)
    );
    assert_eq!(enrolment.check_standing(NOW), Ok(()));
}

#[test]
fn a_kind_keeps_its_promise() {
    let pepper = Pepper::new(&[7; 32]);
    let make = |kind, life: Option<u64>, only: Option<&[&str]>| {
        let key = record(&ApiKeyToken::mint(kind, &[1; 32]), &pepper);
        let only = only.map(|only| only.iter().map(|s| s.parse().unwrap()).collect());
        let expires_at = life.map(|seconds| NOW + Duration::from_secs(seconds));
        ApiKey {
            only,
            expires_at,
            ..key
        }
        .check_shape()
    };
    const DAY: u64 = 86_400;
    use ApiKeyKind::{Enrolment, Restricted, Standard, Temporary};
    for (kind, life, only, wanted) in [
        (Standard, None, None, Ok(())),
        (Standard, Some(0), None, Err(ApiKeyShapeError::ExpiryPast)),
        (Enrolment, Some(90 * DAY), None, Ok(())),
        (
            Restricted,
            None,
            None,
            Err(ApiKeyShapeError::RestrictedWithoutOnly),
        ),
        (
            Restricted,
            None,
            Some(&[][..]),
            Err(ApiKeyShapeError::RestrictedWithoutOnly),
        ),
        (Restricted, None, Some(&["a:b"][..]), Ok(())),
        (Temporary, Some(DAY), None, Ok(())),
        (
            Temporary,
            Some(DAY + 1),
            None,
            Err(ApiKeyShapeError::TemporaryTooLong),
        ),
        (
            Temporary,
            None,
            None,
            Err(ApiKeyShapeError::TemporaryTooLong),
        ),
    ] {
        assert_eq!(make(kind, life, only), wanted, "{kind} {life:?} {only:?}");
    }
}

#[test]
fn the_mac_key_of_an_account_binding_depends_on_root_and_id_alone() {
    let id = |n| ApiKeyToken::mint(ApiKeyKind::Enrolment, &[n; 32]).id();
    let key = |root, n| *ServerRoot::new([root; 32]).external_account_key(&id(n));
    assert_eq!(key(1, 1), key(1, 1));
    assert_ne!(key(1, 1), key(2, 1));
    assert_ne!(key(1, 1), key(1, 2));
    // A fixed value: changing the derivation would orphan every invitation that is out.
    assert_eq!(
        hex::encode(key(1, 1)),
        "455dc8fa61a6088e7087b5b81666172fc9f9f580590477eec137e17a868500cd"
    );
}
