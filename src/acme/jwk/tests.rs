//! Keys that are read and refused, and signatures that are theirs or not.

use super::*;

/// The key of RFC 7638 section 3.1.
const RFC_7638: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;

/// The key of RFC 8037 appendix A.2, and the signature of its appendix A.4.
const RFC_8037: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","unknown":{"a":[1]}}"#;

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    for (key, thumbprint) in [
        (RFC_7638, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (RFC_8037, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    ] {
        assert_eq!(
            Jwk::from_json(key.as_bytes())
                .unwrap()
                .thumbprint()
                .to_base64url(),
            thumbprint
        );
    }
}

#[test]
fn the_signature_of_rfc_8037_verifies_and_a_changed_one_does_not() {
    let key = Jwk::from_json(RFC_8037.as_bytes()).unwrap();
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let mut signature = URL_SAFE_NO_PAD.decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg").unwrap();
    assert_eq!(
        key.verify(SignatureAlgorithm::EdDsa, message, &signature),
        Ok(())
    );
    signature[3] ^= 1;
    assert_eq!(
        key.verify(SignatureAlgorithm::EdDsa, message, &signature)
            .unwrap_err()
            .kind,
        ProblemType::Unauthorized
    );
    assert_eq!(
        key.verify(SignatureAlgorithm::Es256, message, &signature)
            .unwrap_err()
            .algorithms,
        ["EdDSA"]
    );
}

#[test]
fn keys_that_are_refused() {
    let zeros = |length: usize| URL_SAFE_NO_PAD.encode(vec![0; length]);
    let rsa = |bits: usize, e: &str| {
        let mut n = vec![0xff; bits / 8];
        n[0] = 0x80;
        format!(
            r#"{{"kty":"RSA","n":"{}","e":"{e}"}}"#,
            URL_SAFE_NO_PAD.encode(n)
        )
    };
    assert!(Jwk::from_json(rsa(2048, "AQAB").as_bytes()).is_ok());
    let table = [
        (
            r#"{"kty":"oct","k":"AAAA"}"#.to_owned(),
            ProblemType::BadPublicKey,
        ),
        (r#"{"kty":"oct"}"#.to_owned(), ProblemType::BadPublicKey),
        (
            r#"{"kty":"EC","crv":"secp256k1","x":"","y":""}"#.to_owned(),
            ProblemType::BadPublicKey,
        ),
        (
            r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#.to_owned(),
            ProblemType::BadPublicKey,
        ),
        (
            r#"{"kty":"EC","crv":"P-256","x":"AAAA=","y":"AAAA"}"#.to_owned(),
            ProblemType::Malformed,
        ),
        (
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{}"}}"#, zeros(32)),
            ProblemType::Malformed,
        ),
        (
            format!(r#"{{"kty":"OKP","crv":"X25519","x":"{}"}}"#, zeros(32)),
            ProblemType::BadPublicKey,
        ),
        (
            format!(
                r#"{{"kty":"OKP","crv":"Ed25519","x":"{0}","d":"{0}"}}"#,
                zeros(32)
            ),
            ProblemType::BadPublicKey,
        ),
        (rsa(1024, "AQAB"), ProblemType::BadPublicKey),
        (rsa(8192, "AQAB"), ProblemType::BadPublicKey),
        (rsa(2048, "Aw"), ProblemType::BadPublicKey),
        (rsa(2048, "AQAA"), ProblemType::BadPublicKey),
        (r#"{"n":"AQAB"}"#.to_owned(), ProblemType::Malformed),
        (
            r#"{"kty":"RSA","kty":"EC"}"#.to_owned(),
            ProblemType::Malformed,
        ),
        ("[]".to_owned(), ProblemType::Malformed),
    ];
    for (json, kind) in table {
        assert_eq!(
            Jwk::from_json(json.as_bytes()).unwrap_err().kind,
            kind,
            "{json}"
        );
    }
}

#[test]
fn a_point_that_is_not_on_the_curve_is_refused_and_verifies_nothing() {
    for (name, curve, length) in [
        ("P-256", Curve::P256, 32),
        ("P-384", Curve::P384, 48),
        ("P-521", Curve::P521, 66),
    ] {
        let coordinate = URL_SAFE_NO_PAD.encode(vec![1; length]);
        let json =
            format!(r#"{{"kty":"EC","crv":"{name}","x":"{coordinate}","y":"{coordinate}"}}"#);
        let problem = Jwk::from_json(json.as_bytes()).unwrap_err();
        assert_eq!(problem.kind, ProblemType::BadPublicKey, "{problem}");
        assert!(problem.detail.contains("no point of"), "{problem}");
        let key = Jwk::Ec {
            curve,
            point: [vec![4], vec![1; 2 * length]].concat(),
        };
        assert_eq!(
            key.verify(key.algorithm(), b"message", &vec![1; 2 * length])
                .unwrap_err()
                .kind,
            ProblemType::Unauthorized
        );
    }
}

/// RFC 7518 section 3.4: `r || s`, each as long as the coordinates, and from 1 to below the order.
#[test]
fn an_ecdsa_signature_has_one_form_and_numbers_in_range() {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{
            ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING,
            ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
            ECDSA_P521_SHA512_ASN1_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
            KeyPair as _,
        },
    };
    // The orders of the three groups (SEC 2).
    const ORDERS: [&str; 3] = [
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    ];
    let curves = [
        (
            Curve::P256,
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &ECDSA_P256_SHA256_ASN1_SIGNING,
        ),
        (
            Curve::P384,
            &ECDSA_P384_SHA384_FIXED_SIGNING,
            &ECDSA_P384_SHA384_ASN1_SIGNING,
        ),
        (
            Curve::P521,
            &ECDSA_P521_SHA512_FIXED_SIGNING,
            &ECDSA_P521_SHA512_ASN1_SIGNING,
        ),
    ];
    for ((curve, fixed, asn1), order) in curves.into_iter().zip(ORDERS) {
        let random = SystemRandom::new();
        let private = EcdsaKeyPair::generate(fixed).unwrap();
        let pkcs8 = private.to_pkcs8v1().unwrap();
        let der = EcdsaKeyPair::from_pkcs8(asn1, pkcs8.as_ref()).unwrap();
        let key = Jwk::Ec {
            curve,
            point: private.public_key().as_ref().to_vec(),
        };
        let good = private.sign(&random, b"message").unwrap().as_ref().to_vec();
        let verdict = |signature: &[u8]| {
            key.verify(key.algorithm(), b"message", signature)
                .map_err(|problem| problem.kind)
        };
        assert_eq!(verdict(&good), Ok(()));
        let (r, s) = good.split_at(good.len() / 2);
        let zero = vec![0; r.len()];
        let order = hex::decode(order).unwrap();
        let padded = |number: &[u8]| [&[0], number].concat();
        for bad in [
            Vec::new(),
            der.sign(&random, b"message").unwrap().as_ref().to_vec(),
            [zero.as_slice(), zero.as_slice()].concat(),
            [r, zero.as_slice()].concat(),
            [zero.as_slice(), s].concat(),
            [order.as_slice(), s].concat(),
            [r, order.as_slice()].concat(),
            [s, r].concat(),
            [padded(r), padded(s)].concat(),
            padded(&good),
            [good.as_slice(), &[0]].concat(),
            good[1..].to_vec(),
            good[..good.len() - 1].to_vec(),
            r.to_vec(),
        ] {
            assert_eq!(
                verdict(&bad),
                Err(ProblemType::Unauthorized),
                "{curve:?} {}",
                hex::encode(&bad)
            );
        }
    }
}

/// Under the point of order one, R = that point and S = 0 is a signature of every message.
#[test]
fn an_ed25519_key_that_anybody_could_sign_for_is_refused() {
    let one = [&[1][..], &[0; 31]].concat();
    let anybodys = [&one[..], &[0; 32]].concat();
    let key = Jwk::Ed25519 { x: one.clone() };
    for message in ["one", "another"] {
        assert_eq!(
            key.verify(SignatureAlgorithm::EdDsa, message.as_bytes(), &anybodys),
            Ok(()),
            "which is why it is refused when it is read"
        );
    }
    let minus_one = [&[0xec][..], &[0xff; 30], &[0x7f]].concat();
    let unreduced = [&[0xee][..], &[0xff; 30], &[0x7f]].concat();
    let of_order_8 =
        hex::decode("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a").unwrap();
    for mut x in [one, vec![0; 32], minus_one, unreduced, of_order_8] {
        for _ in 0..2 {
            let json = format!(
                r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#,
                URL_SAFE_NO_PAD.encode(&x)
            );
            let problem = Jwk::from_json(json.as_bytes()).unwrap_err();
            assert_eq!(problem.kind, ProblemType::BadPublicKey, "{json}");
            x[31] ^= 0x80;
        }
    }
}

#[test]
fn a_key_that_says_that_it_is_for_something_else_is_refused() {
    let with = |member: &str| {
        Jwk::from_json(
            RFC_8037
                .replacen('{', &format!("{{{member},"), 1)
                .as_bytes(),
        )
    };
    for member in [
        r#""alg":"EdDSA""#,
        r#""use":"sig""#,
        r#""key_ops":["verify"]"#,
        r#""key_ops":["sign","verify"]"#,
        r#""use":null"#,
    ] {
        assert!(with(member).is_ok(), "{member}");
    }
    for member in [
        r#""alg":"ES256""#,
        r#""alg":"none""#,
        r#""use":"enc""#,
        r#""use":"""#,
        r#""key_ops":[]"#,
        r#""key_ops":["encrypt","sign"]"#,
    ] {
        let problem = with(member).unwrap_err();
        assert_eq!(problem.kind, ProblemType::BadPublicKey, "{member}");
    }
    for member in [r#""use":1"#, r#""key_ops":"verify""#, r#""alg":["EdDSA"]"#] {
        let problem = with(member).unwrap_err();
        assert_eq!(problem.kind, ProblemType::Malformed, "{member}");
    }
}
