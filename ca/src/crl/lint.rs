//! What we never sign as a list. The very octets are read by another reader than wrote them, strictly, and compared with
//! what was meant. Each rule carries its source.

use time::{Date, Month, PrimitiveDateTime, Time};

use super::{ListDraft, ListScope, RevokedEntry};
use crate::{
    certificate::IssuerCertificate,
    der::{reader::Reader, tag},
    lint::{Finding, Findings},
    revocation::RevocationReason,
    serial::Serial,
};

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

const AUTHORITY_KEY_IDENTIFIER: [u8; 3] = [0x55, 0x1d, 35];
const NUMBER: [u8; 3] = [0x55, 0x1d, 20];
const ISSUING_DISTRIBUTION_POINT: [u8; 3] = [0x55, 0x1d, 28];
const REASON: [u8; 3] = [0x55, 0x1d, 21];

/// So many faulty entries are told of, of a million that may have the same fault.
const MOST_FINDINGS: usize = 20;

/// Reads a TBSCertList and compares it with its draft. No finding means that it may be signed.
pub(super) fn list(octets: &[u8], draft: &ListDraft, issuer: &IssuerCertificate) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    if read(&mut findings, octets, draft, issuer).is_none() {
        findings.require(false, "RFC 5280 5.1: it is a TBSCertList in DER", || {
            "it can't be read".to_owned()
        });
    }
    findings.0
}

fn read(
    findings: &mut Findings,
    octets: &[u8],
    draft: &ListDraft,
    issuer: &IssuerCertificate,
) -> Option<()> {
    let mut outer = Reader::new(octets);
    let mut fields = outer.within(tag::SEQUENCE)?;
    outer.end()?;
    let version = fields.optional(INTEGER)?;
    findings.require(
        version.is_some_and(|version| version.contents == [1]),
        "RFC 5280 5.1.2.1: version 2",
        || format!("{version:?}"),
    );
    let algorithm = fields.expect(tag::SEQUENCE)?.encoded;
    findings.require(
        algorithm
            == issuer
                .public_key()
                .algorithm()
                .signature_algorithm_identifier(),
        "RFC 5280 5.1.2.2: the signature's algorithm is that of the issuer's key",
        || hex::encode(algorithm),
    );
    let name = fields.expect(tag::SEQUENCE)?.encoded;
    findings.require(
        name == issuer.subject,
        "RFC 5280 5.1.2.3: the issuer is the issuer's subject, to the byte",
        || hex::encode(name),
    );
    let this_update = read_time(fields.element()?.encoded);
    findings.require(
        this_update == Some(draft.this_update),
        "RFC 5280 5.1.2.4: thisUpdate is the moment of making it, as UTCTime to 2049 and GeneralizedTime after",
        || format!("{this_update:?}"),
    );
    // A list without nextUpdate goes on with the next field, which is no time.
    let mut ahead = fields;
    let next_update = ahead.element().and_then(|element| {
        let is_time = [UTC_TIME, GENERALIZED_TIME].contains(&element.tag);
        is_time.then(|| read_time(element.encoded))
    });
    if next_update.is_some() {
        fields = ahead;
    }
    findings.require(
        next_update == Some(Some(draft.next_update)) && draft.this_update < draft.next_update,
        "RFC 5280 5.1.2.5: nextUpdate is there, as was meant, and after thisUpdate",
        || format!("{next_update:?}"),
    );
    let revoked = fields.optional(tag::SEQUENCE)?;
    findings.require(
        revoked.is_none_or(|revoked| !revoked.contents.is_empty()),
        "RFC 5280 5.1.2.6: revokedCertificates is absent when nothing is revoked",
        || "it is empty".to_owned(),
    );
    let entries = revoked.map_or(&[][..], |revoked| revoked.contents);
    read_entries(findings, entries, &draft.entries)?;
    let mut extensions = fields.within(0xa0)?.within(tag::SEQUENCE)?;
    fields.end()?;
    read_extensions(findings, &mut extensions, draft, issuer)
}

fn read_entries(findings: &mut Findings, octets: &[u8], wanted: &[RevokedEntry]) -> Option<()> {
    let mut entries = Reader::new(octets);
    let mut wanted = wanted.iter();
    let (mut count, mut last) = (0_usize, None);
    while !entries.is_empty() {
        let mut entry = entries.within(tag::SEQUENCE)?;
        let serial = entry.expect(INTEGER)?.contents;
        let date = entry.element()?.encoded;
        let extensions = entry.optional(tag::SEQUENCE)?;
        entry.end()?;
        count += 1;
        if findings.0.len() > MOST_FINDINGS {
            continue;
        }
        let known = wanted.next();
        findings.require(
            is_positive(serial)
                && known.is_some_and(|known| Serial::from_der_integer(serial) == Ok(known.serial)),
            "RFC 5280 5.1.2.6: each serial is the one that was recorded, as a positive integer",
            || hex::encode(serial),
        );
        let Some(known) = known else { continue };
        findings.require(
            last.is_none_or(|last| last < known.serial),
            "RFC 5280 5.1.2.6: serials ascend, so that each stands once",
            || known.serial.to_string(),
        );
        last = Some(known.serial);
        findings.require(
            read_time(date) == Some(known.revoked_at),
            "RFC 5280 5.1.2.6: each revocation date is the one that was recorded, written as thisUpdate is",
            || format!("{:?} of {}", read_time(date), known.serial),
        );
        let (reason, others) = match extensions {
            None => (None, false),
            Some(extensions) => read_entry_extensions(extensions.contents)?,
        };
        // A missing reason code means `unspecified`.
        findings.require(
            reason.unwrap_or(0) == known.reason.code()
                && reason != Some(RevocationReason::Unspecified.code()),
            "RFC 5280 5.3.1: the reason is the one that was recorded, and absent when unspecified",
            || format!("{reason:?} for {}", known.serial),
        );
        findings.require(
            !others,
            "RFC 5280 5.3: an entry has no other extension than the reason, which is not critical",
            || known.serial.to_string(),
        );
    }
    let missing = wanted.len();
    findings.require(
        missing == 0,
        "RFC 5280 5.1.2.6: every revoked certificate is on the list",
        || format!("{missing} of {} are missing", missing + count),
    );
    Some(())
}

/// The reason code, and whether there is any other extension, or a critical one.
fn read_entry_extensions(octets: &[u8]) -> Option<(Option<u8>, bool)> {
    let mut extensions = Reader::new(octets);
    let (mut reason, mut others) = (None, extensions.is_empty());
    while !extensions.is_empty() {
        let (oid, critical, value) = read_extension(&mut extensions)?;
        if oid != REASON || reason.is_some() {
            others = true;
            continue;
        }
        others |= critical;
        let mut value = Reader::new(value);
        let [code] = *value.expect(ENUMERATED)?.contents else {
            return None;
        };
        value.end()?;
        reason = Some(code);
    }
    Some((reason, others))
}

/// An Extension: its identifier, whether it is critical, its value. FALSE is the default and not written.
fn read_extension<'a>(extensions: &mut Reader<'a>) -> Option<(&'a [u8], bool, &'a [u8])> {
    let mut fields = extensions.within(tag::SEQUENCE)?;
    let oid = fields.expect(tag::OBJECT_IDENTIFIER)?.contents;
    let critical = fields.optional(BOOLEAN)?;
    if critical.is_some_and(|critical| critical.contents != [0xff]) {
        return None;
    }
    let value = fields.expect(OCTET_STRING)?.contents;
    fields.end()?;
    Some((oid, critical.is_some(), value))
}

fn read_extensions(
    findings: &mut Findings,
    extensions: &mut Reader<'_>,
    draft: &ListDraft,
    issuer: &IssuerCertificate,
) -> Option<()> {
    let mut seen = Vec::new();
    while !extensions.is_empty() {
        let (oid, critical, value) = read_extension(extensions)?;
        seen.push((oid, critical));
        let mut value = Reader::new(value);
        if oid == AUTHORITY_KEY_IDENTIFIER {
            let mut fields = value.within(tag::SEQUENCE)?;
            let identifier = fields.expect(0x80)?.contents;
            findings.require(
                identifier == issuer.key_identifier && fields.is_empty(),
                "RFC 5280 5.2.1: the authority key identifier is the issuer's key identifier alone",
                || hex::encode(identifier),
            );
        } else if oid == NUMBER {
            let number = value.expect(INTEGER)?.contents;
            findings.require(
                is_positive(number)
                    && number.len() <= 20
                    && Serial::from_der_integer(number)
                        == Serial::from_der_integer(&draft.number.to_be_bytes()),
                "RFC 5280 5.2.3: the number is the one that was reserved, positive, of at most 20 octets",
                || hex::encode(number),
            );
        } else if oid == ISSUING_DISTRIBUTION_POINT {
            read_distribution_point(findings, value.within(tag::SEQUENCE)?, draft)?;
        } else {
            continue;
        }
        value.end()?;
    }
    findings.require(
        seen == [
            (&AUTHORITY_KEY_IDENTIFIER[..], false),
            (&NUMBER, false),
            (&ISSUING_DISTRIBUTION_POINT, true),
        ],
        "RFC 5280 5.2: authority key identifier, number, the critical issuing distribution point, and nothing else",
        || {
            let shown = seen
                .iter()
                .map(|(oid, critical)| format!("{} {critical}", hex::encode(oid)));
            shown.collect::<Vec<_>>().join(", ")
        },
    );
    Some(())
}

/// RFC 5280 section 5.2.5.
fn read_distribution_point(
    findings: &mut Findings,
    mut fields: Reader<'_>,
    draft: &ListDraft,
) -> Option<()> {
    let mut uris = Vec::new();
    if let Some(point) = fields.optional(0xa0)? {
        let mut names = Reader::new(point.contents).within(0xa0)?;
        while !names.is_empty() {
            uris.push(names.expect(tag::URI_NAME)?.contents);
        }
    }
    findings.require(
        uris == [draft.distribution_point.as_bytes()]
            && draft.distribution_point.starts_with("http://"),
        "RFC 5280 5.2.5: the distribution point is the one http URI that the certificates name",
        || draft.distribution_point.clone(),
    );
    let mut flags = Vec::new();
    while !fields.is_empty() {
        let flag = fields.element()?;
        flags.push((flag.tag, flag.contents));
    }
    let only = match draft.scope {
        ListScope::Leaves => 0x81,
        ListScope::Authorities => 0x82,
    };
    findings.require(
        flags == [(only, &[0xff][..])],
        "RFC 5280 5.2.5: its scope is user certificates alone, or CA certificates alone; all reasons, not indirect",
        || format!("{flags:02x?}"),
    );
    Some(())
}

/// Whether the contents of an INTEGER are those of a positive number, in the shortest form.
fn is_positive(contents: &[u8]) -> bool {
    match contents {
        [0, second, ..] => second & 0x80 != 0,
        [first, ..] => (1..0x80).contains(first),
        [] => false,
    }
}

/// A Time by the rule of RFC 5280 section 5.1.2.4, in seconds since the epoch: UTCTime to 2049, GeneralizedTime from 2050
/// on, in UTC with seconds and without fractions.
fn read_time(encoded: &[u8]) -> Option<i64> {
    let (year, rest) = match encoded {
        [UTC_TIME, 13, rest @ ..] => {
            let year = digits(rest.get(..2)?)?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                rest.get(2..)?,
            )
        }
        [GENERALIZED_TIME, 15, rest @ ..] => {
            let year = digits(rest.get(..4)?)?;
            (Some(year).filter(|year| *year >= 2050)?, rest.get(4..)?)
        }
        _ => return None,
    };
    let [part @ .., b'Z'] = rest else { return None };
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| {
        let two = part.get(at..at + 2)?;
        u8::try_from(digits(two)?).ok()
    });
    let date =
        Date::from_calendar_date(i32::from(year), Month::try_from(month?).ok()?, day?).ok()?;
    let time = Time::from_hms(hour?, minute?, second?).ok()?;
    Some(
        PrimitiveDateTime::new(date, time)
            .assume_utc()
            .unix_timestamp(),
    )
}

fn digits(octets: &[u8]) -> Option<u16> {
    octets.iter().try_fold(0_u16, |number, octet| {
        let digit = octet.is_ascii_digit().then(|| u16::from(octet - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
