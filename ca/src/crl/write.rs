//! A TBSCertList's octets (RFC 5280 section 5.1). Entries go straight into the buffer, some 40 octets each.

use time::OffsetDateTime;

use super::{ListDraft, ListScope, RevokedEntry};
use crate::{
    certificate::IssuerCertificate,
    der::{encode, tag},
    revocation::RevocationReason,
    serial::Serial,
};

/// The octets that are to be signed.
pub(super) fn to_be_signed(
    draft: &ListDraft,
    issuer: &IssuerCertificate,
) -> Result<Vec<u8>, String> {
    let algorithm = issuer.public_key().algorithm();
    let mut before = vec![0x02, 0x01, 0x01];
    before.extend_from_slice(algorithm.signature_algorithm_identifier());
    // To the byte as the issuer's certificate has it.
    before.extend_from_slice(&issuer.subject);
    before.extend_from_slice(Time::at(draft.this_update)?.encoded());
    before.extend_from_slice(Time::at(draft.next_update)?.encoded());
    let mut entries = Vec::new();
    if !draft.entries.is_empty() {
        entries.reserve_exact(draft.entries.len() * MOST_OF_AN_ENTRY);
        for entry in &draft.entries {
            write_entry(&mut entries, entry)?;
        }
        // An empty SEQUENCE must not be written: the field is absent then (RFC 5280 section 5.1.2.6).
        let mut header = encode_header(tag::SEQUENCE, entries.len());
        before.append(&mut header);
    }
    let extensions = extensions(draft, &issuer.key_identifier);
    Ok(encode(tag::SEQUENCE, &[&before, &entries, &extensions]))
}

/// An entry with a serial of 20 octets, GeneralizedTime and a reason has this many octets.
const MOST_OF_AN_ENTRY: usize = 2 + 23 + 17 + 14;

fn write_entry(out: &mut Vec<u8>, entry: &RevokedEntry) -> Result<(), String> {
    let time = Time::at(entry.revoked_at)?;
    let octets = entry.serial.significant_octets();
    let sign = usize::from(octets.first().is_some_and(|first| first & 0x80 != 0));
    // It should be absent rather than say unspecified (RFC 5280 section 5.3.1).
    let reason: &[u8] = if entry.reason == RevocationReason::Unspecified {
        &[]
    } else {
        &reason_extension(entry.reason)
    };
    let serial = sign + octets.len();
    let length = 2 + serial + time.encoded().len() + reason.len();
    // The serial has at most 21 octets with its sign, so that all lengths fit into one octet.
    debug_assert!(length < 0x80 && octets.len() <= Serial::WIDTH);
    out.extend_from_slice(&[tag::SEQUENCE, length as u8, 0x02, serial as u8]);
    out.extend_from_slice(&[0][..sign]);
    out.extend_from_slice(octets);
    out.extend_from_slice(time.encoded());
    out.extend_from_slice(reason);
    Ok(())
}

/// crlEntryExtensions with the reason code alone (RFC 5280 section 5.3.1).
fn reason_extension(reason: RevocationReason) -> [u8; 14] {
    [
        0x30,
        12,
        0x30,
        10,
        0x06,
        3,
        0x55,
        0x1d,
        0x15,
        0x04,
        3,
        0x0a,
        1,
        reason.code(),
    ]
}

/// Authority key identifier, number, and the critical issuing distribution point (RFC 5280 section 5.2).
fn extensions(draft: &ListDraft, key_identifier: &[u8]) -> Vec<u8> {
    let authority_key_identifier = encode(tag::SEQUENCE, &[&encode(0x80, &[key_identifier])]);
    let octets = draft.number.to_be_bytes();
    let zeros = octets
        .iter()
        .take_while(|octet| **octet == 0)
        .count()
        .min(7);
    let sign = usize::from(octets[zeros] & 0x80 != 0);
    let number = encode(0x02, &[&[0][..sign], &octets[zeros..]]);
    let uri = encode(tag::URI_NAME, &[draft.distribution_point.as_bytes()]);
    let point = encode(0xa0, &[&encode(0xa0, &[&uri])]);
    let only: [u8; 3] = match draft.scope {
        ListScope::Leaves => [0x81, 1, 0xff],
        ListScope::Authorities => [0x82, 1, 0xff],
    };
    let distribution_point = encode(tag::SEQUENCE, &[&point, &only]);
    let extensions = [
        extension(0x23, false, &authority_key_identifier),
        extension(0x14, false, &number),
        extension(0x1c, true, &distribution_point),
    ];
    encode(0xa0, &[&encode(tag::SEQUENCE, &[&extensions.concat()])])
}

/// An extension below id-ce, 2.5.29.
fn extension(id: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[0x01, 1, 0xff] } else { &[] };
    let oid = [tag::OBJECT_IDENTIFIER, 3, 0x55, 0x1d, id];
    encode(tag::SEQUENCE, &[&oid, critical, &encode(0x04, &[value])])
}

/// Tag and length.
fn encode_header(tag: u8, length: usize) -> Vec<u8> {
    let octets = length.to_be_bytes();
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    if length < 0x80 {
        vec![tag, length as u8]
    } else {
        let mut header = vec![tag, 0x80 | (octets.len() - zeros) as u8];
        header.extend_from_slice(&octets[zeros..]);
        header
    }
}

/// A Time: UTCTime to 2049, GeneralizedTime from 2050 on (RFC 5280 section 5.1.2.4).
pub(super) struct Time {
    octets: [u8; 17],
    length: usize,
}

impl Time {
    pub(super) fn at(seconds: i64) -> Result<Self, String> {
        let time = OffsetDateTime::from_unix_timestamp(seconds)
            .ok()
            .filter(|time| (1950..=9999).contains(&time.year()))
            .ok_or_else(|| format!("{seconds} s is no time of a list"))?;
        let year = time.year().unsigned_abs();
        let mut octets = [0; 17];
        let (start, length) = if year < 2050 {
            (2, 13)
        } else {
            octets[2..4].copy_from_slice(&two_digits(year / 100));
            (4, 15)
        };
        octets[0] = if year < 2050 { 0x17 } else { 0x18 };
        octets[1] = length;
        let parts = [
            year % 100,
            u32::from(u8::from(time.month())),
            u32::from(time.day()),
            u32::from(time.hour()),
            u32::from(time.minute()),
            u32::from(time.second()),
        ];
        for (at, part) in (start..).step_by(2).zip(parts) {
            octets[at..at + 2].copy_from_slice(&two_digits(part));
        }
        let end = usize::from(length) + 2;
        octets[end - 1] = b'Z';
        Ok(Self {
            octets,
            length: end,
        })
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

fn two_digits(number: u32) -> [u8; 2] {
    [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}
