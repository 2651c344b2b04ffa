//! The rules of the linter, and what breaks each of them and nothing else.

use super::*;
use crate::lint::extensions::{
    AUTHORITY_INFO_ACCESS, AUTHORITY_KEY_IDENTIFIER, BASIC_CONSTRAINTS, DISTRIBUTION_POINTS,
    EXTENDED_KEY_USAGE, KEY_USAGE, NO_REV_AVAIL, OCSP_NO_CHECK, SUBJECT_ALTERNATIVE_NAME,
    SUBJECT_KEY_IDENTIFIER,
};
use ProfileKind::{Device, Intermediate, OcspResponder, Root, Server};

const NULL: &[u8] = &[5, 0];

/// Rule, and what breaks it and nothing else.
pub(super) fn table() -> Vec<(&'static str, Stage)> {
    let device = || Stage::new(Device);
    let server = || Stage::new(Server);
    let intermediate = || Stage::new(Intermediate);
    let responder = || Stage::new(OcspResponder);
    let common_name = |tag: u8, text: &[u8]| {
        let value = der::encode(tag, &[text]);
        let attribute = der::encode(tag::SEQUENCE, &[&[6, 3, 0x55, 4, 3], &value]);
        der::encode(tag::SEQUENCE, &[&der::encode(0x31, &[&attribute])])
    };
    vec![
        (
            "RFC 5280 4.1: it is a TBSCertificate",
            Stage {
                octets: Some(vec![0x30, 0]),
                ..device()
            },
        ),
        (
            "RFC 5280 4.1.2.1: version 3",
            device().element(0, &[0xa0, 3, 2, 1, 1]),
        ),
        (
            "RFC 5280 4.1.2.2: the serial is positive, of at most 20 octets",
            device().element(
                1,
                &der::encode(tag::INTEGER, &[device().meant.serial.significant_octets()]),
            ),
        ),
        (
            "the serial is the one that was drawn",
            device().written(|draft| draft.serial = Serial::random().expect("randomness")),
        ),
        // Let's Encrypt 2023 and EJBCA 2019: too little entropy.
        (
            "the serial has 128 random bits",
            device().both(|draft| draft.serial = "0102030405060708".parse().expect("a serial")),
        ),
        (
            "RFC 5280 4.1.2.3: the signature algorithm is the issuer's key's, with its parameters",
            device().element(2, KeyAlgorithm::P384.signature_algorithm_identifier()),
        ),
        (
            "RFC 5280 4.1.2.4: the issuer is the issuer's subject, to the byte, and not empty",
            device().element(3, &common_name(0x0c, b"another")),
        ),
        (
            "RFC 5280 4.1.2.7: the key is the one whose possession was proved, to the byte",
            device().element(
                6,
                key(KeyAlgorithm::P384, 0)
                    .public_key()
                    .subject_public_key_info(),
            ),
        ),
        (
            "the key is of a kind that the profile certifies",
            device().profile(|profile| profile.keys = vec![KeyAlgorithm::Ed25519]),
        ),
        (
            "a certificate is not about its issuer's key",
            device().both(|draft| {
                draft.public_key = key(KeyAlgorithm::P256, 1).public_key().clone();
            }),
        ),
        (
            "RFC 5280 4.1.2.8: there are no unique identifiers",
            device().elements(|all| all.insert(7, vec![0x81, 2, 0, 1])),
        ),
        (
            "RFC 5280 4.1.2.5: the validity is the one that was meant",
            device().written(|draft| draft.not_after -= 1),
        ),
        (
            "RFC 5280 4.1.2.5: the validity is not empty",
            device().both(|draft| draft.not_after = draft.not_before - 1),
        ),
        // Let's Encrypt 2021: one second too long.
        (
            "RFC 5280 4.1.2.5: both ends count, and the profile's lifetime is not exceeded",
            device().both(|draft| draft.not_after = draft.not_before + 86_400),
        ),
        (
            "notAfter does not lie beyond the issuer's",
            device()
                .profile(|profile| profile.lifetime *= 2000)
                .both(|draft| draft.not_after += 1500 * 86_400),
        ),
        (
            "RFC 5280 4.1.2.5: UTCTime to 2049, GeneralizedTime after",
            device().elements(|all| {
                let mut times = elements(&all[4]);
                let later = [b"20", &times[1][2..]].concat();
                times[1] = der::encode(0x18, &[&later]);
                all[4] = der::encode(tag::SEQUENCE, &[&times.concat()]);
            }),
        ),
        (
            "RFC 5280 4.1.2.6: a CA has a subject",
            intermediate().both(|draft| draft.subject = Subject::Empty),
        ),
        // PKITS 4.5.5: lists and chains would pick the wrong one.
        (
            "PKITS 4.5.5: a new CA key gets a new name",
            intermediate().both(|draft| {
                draft.subject = Subject::Raw(issuer(Root, |_| {}).subject().to_vec());
            }),
        ),
        (
            "RFC 5280 4.1.2.6: the subject is the one that was meant, to the byte",
            intermediate()
                .both(|draft| draft.subject = Subject::Raw(common_name(0x14, b"their CA")))
                .element(5, &common_name(0x0c, b"their CA")),
        ),
        (
            "RFC 5280 4.1.2.6: the subject is the one that was meant, attribute for attribute",
            device().written(|draft| draft.subject = Subject::CommonName("another".to_owned())),
        ),
        (
            "RFC 5280 4.1.2.4: attributes stand alone, a country as PrintableString, text as UTF8String",
            device().element(5, &common_name(0x13, b"Test device")),
        ),
        (
            "RFC 5280 A.1: a country has 2 characters, other attributes have 1 to 64, none a control",
            device().both(|draft| draft.subject = Subject::CommonName("x".repeat(65))),
        ),
        (
            "RFC 5280 4.2: an extension stands once",
            device().extensions(|all| all.push(all[0].clone())),
        ),
        // An unknown extension of a CSR, copied.
        (
            "RFC 5280 4.2: there is no extension that was not meant",
            device().extensions(|all| all.push(extension(&[0x2b, 6, 1], false, NULL))),
        ),
        (
            "RFC 5280 4.2: an extension is critical where it must be, and only there",
            device().extension(
                KEY_USAGE,
                Some(extension(KEY_USAGE, false, &[3, 2, 7, 0x80])),
            ),
        ),
        (
            "an extension of the profile has the profile's value, and is none that we write",
            device()
                .profile(|profile| profile.extensions = vec![extra(1)])
                .written_profile(|profile| profile.extensions = vec![extra(2)]),
        ),
        (
            "every extension of the profile is there",
            device()
                .profile(|profile| profile.extensions = vec![extra(1)])
                .written_profile(|profile| profile.extensions.clear()),
        ),
        (
            "RFC 5280 4.2.1.9: basicConstraints are there",
            device().extension(BASIC_CONSTRAINTS, None),
        ),
        (
            "RFC 5280 4.2.1.3: key usage is there",
            device().extension(KEY_USAGE, None),
        ),
        (
            "RFC 5280 4.2.1.2: the subject key identifier is there",
            device().extension(SUBJECT_KEY_IDENTIFIER, None),
        ),
        (
            "RFC 5280 4.2.1.1: the authority key identifier is there, but for what signs itself",
            device().extension(AUTHORITY_KEY_IDENTIFIER, None),
        ),
        (
            "RFC 5280 4.2.1.12: a leaf says what it is for, a CA does not restrict what it issues",
            device().extension(EXTENDED_KEY_USAGE, None),
        ),
        // UCM #264, openbao #60: without clientAuth in it, nobody accepts the client certificates below.
        (
            "RFC 5280 4.2.1.12: a leaf says what it is for, a CA does not restrict what it issues",
            intermediate()
                .profile(|it| it.extended_key_usages = vec![ExtendedKeyUsage::ServerAuth]),
        ),
        (
            "RFC 5280 4.2.1.6: a leaf has subject alternative names, a CA and a responder have none",
            server().both(|draft| draft.names.clear()),
        ),
        (
            "RFC 5280 4.2.1.10: name constraints are there where the profile has some, in CAs only",
            intermediate()
                .profile(|profile| profile.name_constraints = constraints("example"))
                .written_profile(|profile| profile.name_constraints = NameConstraints::default()),
        ),
        (
            "RFC 5280 4.2.1.13: what can be looked up names its list, and nothing else does",
            device().both(|draft| draft.revocation_list = None),
        ),
        (
            "RFC 5280 4.2.1.13: what can be looked up names its list, and nothing else does",
            responder().both(|draft| draft.revocation_list = Some("http://x/0.crl".to_owned())),
        ),
        (
            "RFC 5280 4.2.2.1: the authority's information is there where it was meant",
            device().extension(AUTHORITY_INFO_ACCESS, None),
        ),
        (
            "RFC 9608 4: noRevAvail is there below the profile's threshold only, and never in a CA",
            device().extensions(|all| all.push(extension(NO_REV_AVAIL, false, NULL))),
        ),
        (
            "RFC 6960 4.2.2.2.1: an OCSP responder, and nothing else, says nocheck",
            device().extensions(|all| all.push(extension(OCSP_NO_CHECK, false, NULL))),
        ),
        (
            "RFC 5280 3.2: a root signs itself, and nothing else does",
            Stage::new(Root)
                .below(issuer(Root, |_| {}))
                .both(|draft| draft.subject = Subject::CommonName("Another root".to_owned())),
        ),
        // CA:TRUE of a CSR, copied.
        (
            "RFC 5280 4.2.1.9: basicConstraints are the profile's",
            device()
                .extension(
                    BASIC_CONSTRAINTS,
                    Some(extension(BASIC_CONSTRAINTS, true, &[0x30, 3, 1, 1, 0xff])),
                )
                .below(issuer(Root, |_| {}))
                .element(3, issuer(Root, |_| {}).subject())
                .aki_of_root(),
        ),
        (
            "RFC 5280 4.2.1.9: basicConstraints are the profile's",
            intermediate().written_profile(|profile| profile.path_length = Some(1)),
        ),
        (
            "RFC 5280 4.2.1.9: the issuer's path length has room for a CA",
            intermediate().below(issuer(Intermediate, |_| {})),
        ),
        (
            "RFC 5280 4.2.1.10: the name constraints are the profile's",
            intermediate()
                .profile(|profile| profile.name_constraints = constraints("example"))
                .written_profile(|profile| profile.name_constraints = constraints("example.net")),
        ),
        (
            "RFC 5280 4.2.1.2, RFC 7093 2: the subject key identifier is the key's",
            device().written(|draft| draft.key_identifier = Some(vec![1; 20])),
        ),
        (
            "RFC 5280 4.2.1.1: the authority key identifier is the issuer's, and nothing else",
            device().extension(
                AUTHORITY_KEY_IDENTIFIER,
                Some(extension(
                    AUTHORITY_KEY_IDENTIFIER,
                    false,
                    &[0x30, 4, 0x80, 2, 1, 1],
                )),
            ),
        ),
        // keyCertSign of a CSR, copied, is caught twice; another usage once.
        (
            "RFC 5280 4.2.1.3, RFC 8813 3, RFC 9295 3, RFC 9881 5: key usage is the profile's that the key can have",
            device().extension(
                KEY_USAGE,
                Some(extension(KEY_USAGE, true, &[3, 2, 5, 0xa0])),
            ),
        ),
        (
            "RFC 5280 4.2.1.3: CAs, and nothing else, sign certificates and lists",
            device().profile(|profile| profile.key_usages.push(KeyUsage::KeyCertSign)),
        ),
        (
            "RFC 5280 4.2.1.12: the extended key usages are the profile's",
            device().written_profile(|profile| {
                profile
                    .extended_key_usages
                    .push(ExtendedKeyUsage::ServerAuth);
            }),
        ),
        (
            "RFC 5280 4.2.1.12: a certificate is good for what its kind is for",
            device().profile(|it| it.extended_key_usages = vec![ExtendedKeyUsage::ServerAuth]),
        ),
        // UCM #264, openbao #60 again: an intermediate of somebody else's.
        (
            "RFC 5280 4.2.1.12: the issuer's extended key usages allow what the certificate is for",
            device().issuer(|it| it.purposes = Some(vec![ExtendedKeyUsage::ServerAuth])),
        ),
        (
            "RFC 6960 4.2.2.2: only a responder may sign answers, and nothing is good for everything",
            device().profile(|it| it.extended_key_usages.push(ExtendedKeyUsage::OcspSigning)),
        ),
        (
            "RFC 5280 4.2.1.6: names are of kinds that we issue, and well-formed",
            device().extension(
                SUBJECT_ALTERNATIVE_NAME,
                Some(extension(
                    SUBJECT_ALTERNATIVE_NAME,
                    false,
                    &der::encode(
                        tag::SEQUENCE,
                        &[
                            &der::encode(tag::URI_NAME, &[DEVICE.as_bytes()]),
                            &der::encode(0x81, &[b"a@b.example"]),
                        ],
                    ),
                )),
            ),
        ),
        // OpenBao GHSA-g892-p242-8g86, step-ca: a name of the CSR that nobody authorized.
        (
            "the certificate's names are exactly those that were authorized",
            device().written(|draft| draft.names.push(dns("b.example"))),
        ),
        (
            "a name stands once",
            server().both(|draft| draft.names.push(dns("a.example"))),
        ),
        (
            "the profile's lists allow the names",
            server()
                .profile(|it| it.names.deny_dns = vec!["a.example".parse().expect("a pattern")]),
        ),
        (
            "RFC 5280 4.2.1.10: the names are within the issuer's constraints",
            server().below(issuer(Intermediate, |it| {
                it.name_constraints = constraints("net")
            })),
        ),
        (
            "RFC 5280 4.2.1.10: no URI below constraints on URIs, which verifiers refuse",
            device().issuer(|issuer| issuer.constraints.uris = true),
        ),
        (
            "RFC 5280 4.2.1.10: no subject below constraints on directory names, which verifiers refuse",
            device().issuer(|issuer| issuer.constraints.directory_names = true),
        ),
        (
            "SPIFFE X.509-SVID 2: what proves a principal has exactly one URI, a SPIFFE ID; nothing else has one",
            device().both(|draft| {
                draft
                    .names
                    .push(GeneralName::Uri("spiffe://x/2".to_owned()))
            }),
        ),
        // OpenBao GHSA-59w7-v8rr-pr4p: a pattern's letter within an identity.
        (
            "SPIFFE X.509-SVID 2: what proves a principal has exactly one URI, a SPIFFE ID; nothing else has one",
            device().both(|draft| draft.names = vec![GeneralName::Uri("spiffe://x/*".to_owned())]),
        ),
        (
            "RFC 5280 4.2.1.13: one distribution point with one URI, for all reasons, of the issuer's own",
            {
                let uri = der::encode(tag::URI_NAME, &[b"http://127.0.0.1/crl/1/0.crl"]);
                let names = der::encode(0xa0, &[&der::encode(0xa0, &[&uri, &uri])]);
                let point = der::encode(tag::SEQUENCE, &[&names]);
                let points = der::encode(tag::SEQUENCE, &[&point]);
                device().extension(
                    DISTRIBUTION_POINTS,
                    Some(extension(DISTRIBUTION_POINTS, false, &points)),
                )
            },
        ),
        (
            "RFC 5280 4.2.1.13: the list is where was meant, by http",
            device().both(|draft| draft.revocation_list = Some("ldap://x/0.crl".to_owned())),
        ),
        (
            "RFC 5280 4.2.2.1: the authority's information is where was meant, by http",
            device().both(|draft| draft.ocsp = Some("https://127.0.0.1/ocsp".to_owned())),
        ),
        (
            "RFC 9608 4: beside noRevAvail stands no OCSP responder",
            device()
                .profile(|profile| profile.no_revocation_below = Some(profile.lifetime * 2))
                .both(|draft| draft.revocation_list = None),
        ),
        (
            "RFC 6960 4.2.2.2.1: what says nocheck names no responder for itself",
            responder().both(|draft| draft.ocsp = Some("http://127.0.0.1/ocsp".to_owned())),
        ),
        (
            "RFC 9608 2: the value of noRevAvail is NULL",
            device()
                .profile(|profile| profile.no_revocation_below = Some(profile.lifetime * 2))
                .both(|draft| (draft.revocation_list, draft.ocsp) = (None, None))
                .extension(
                    NO_REV_AVAIL,
                    Some(extension(NO_REV_AVAIL, false, &[0x30, 0])),
                ),
        ),
        (
            "RFC 6960 4.2.2.2.1: the value of nocheck is NULL",
            responder().extension(
                OCSP_NO_CHECK,
                Some(extension(OCSP_NO_CHECK, false, &[0x30, 0])),
            ),
        ),
    ]
}
