//! The subject (RFC 5280 section 4.1.2.6).

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::{Examined, Findings};
use crate::profile::{Subject, SubjectAttributes, SubjectRule};

const COUNTRY: &str = "2.5.4.6";
const ORGANIZATION: &str = "2.5.4.10";
const ORGANIZATIONAL_UNIT: &str = "2.5.4.11";
const COMMON_NAME: &str = "2.5.4.3";
const PRINTABLE_STRING: u32 = 0x13;
const UTF8_STRING: u32 = 0x0c;

pub(super) fn check(findings: &mut Findings, it: &Examined<'_>) {
    let subject = &it.parsed.subject;
    let is_ca = it.draft.profile.kind.is_ca();
    findings.require(
        !is_ca || subject.iter().next().is_some(),
        "RFC 5280 4.1.2.6: a CA has a subject",
        || "it is empty".to_owned(),
    );
    findings.require(
        it.issuer
            .is_none_or(|issuer| !is_ca || issuer.subject() != subject.as_raw()),
        "PKITS 4.5.5: a new CA key gets a new name",
        || subject.to_string(),
    );
    let meant = match &it.draft.subject {
        Subject::Raw(meant) => {
            findings.require(
                subject.as_raw() == meant,
                "RFC 5280 4.1.2.6: the subject is the one that was meant, to the byte",
                || subject.to_string(),
            );
            return;
        }
        Subject::Empty => SubjectAttributes::default(),
        Subject::CommonName(name) => SubjectAttributes {
            common_name: Some(name.clone()),
            ..SubjectAttributes::default()
        },
        Subject::Attributes(attributes) => attributes.clone(),
    };
    let wanted: Vec<(&str, String)> = [
        (COUNTRY, meant.country),
        (ORGANIZATION, meant.organization),
        (ORGANIZATIONAL_UNIT, meant.organizational_unit),
        (COMMON_NAME, meant.common_name),
    ]
    .into_iter()
    .filter_map(|(oid, text)| Some((oid, text?)))
    .collect();
    let found = attributes(subject);
    findings.require(
        found
            .iter()
            .map(|it| (it.oid.as_str(), it.text.as_str()))
            .eq(wanted.iter().map(|(oid, text)| (*oid, text.as_str()))),
        "RFC 5280 4.1.2.6: the subject is the one that was meant, attribute for attribute",
        || subject.to_string(),
    );
    findings.require(
        found
            .iter()
            .all(|it| it.alone && it.tag == if it.oid == COUNTRY { PRINTABLE_STRING } else { UTF8_STRING }),
        "RFC 5280 4.1.2.4: attributes stand alone, a country as PrintableString, text as UTF8String",
        || subject.to_string(),
    );
    findings.require(
        found.iter().all(|it| {
            let characters = it.text.chars().count();
            let fits = if it.oid == COUNTRY {
                characters == 2
            } else {
                (1..=SubjectRule::MAX_CHARACTERS).contains(&characters)
            };
            fits && !it.text.chars().any(char::is_control)
        }),
        "RFC 5280 A.1: a country has 2 characters, other attributes have 1 to 64, none a control",
        || subject.to_string(),
    );
}

struct Attribute {
    oid: String,
    tag: u32,
    text: String,
    /// The only one of its RelativeDistinguishedName.
    alone: bool,
}

fn attributes(name: &X509Name<'_>) -> Vec<Attribute> {
    let read = |attribute: &AttributeTypeAndValue<'_>, alone| Attribute {
        oid: attribute.attr_type().to_id_string(),
        tag: attribute.attr_value().tag().0,
        text: attribute.as_str().unwrap_or_default().to_owned(),
        alone,
    };
    name.iter_rdn()
        .flat_map(|rdn| {
            let alone = rdn.iter().count() == 1;
            rdn.iter().map(move |attribute| read(attribute, alone))
        })
        .collect()
}
