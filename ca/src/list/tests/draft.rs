//! Lists as nobody should make them, octet by octet.

use rcgen::SigningKey;

use crate::{
    chain::{
        Facts,
        tests::authority::{Authority, NOW, date},
    },
    der::{encode, tag},
};

/// ecdsa-with-SHA256.
const ALGORITHM: [u8; 12] = [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// A list to be, by default of version 2 with the number 0x0102, current.
pub(super) struct Draft<'a> {
    authority: &'a Authority,
    version: u8,
    this_update: i64,
    next_update: Option<i64>,
    entries: Vec<Vec<u8>>,
    extensions: Option<Vec<Vec<u8>>>,
}

impl<'a> Draft<'a> {
    pub(super) fn of(authority: &'a Authority) -> Self {
        Self {
            authority,
            version: 1,
            this_update: NOW - 100,
            next_update: Some(NOW + 100),
            entries: vec![],
            extensions: Some(vec![extension_of(20, false, &[2, 2, 1, 2])]),
        }
    }

    pub(super) fn version(mut self, version: u8) -> Self {
        self.version = version;
        self
    }

    pub(super) fn next_update(mut self, next_update: Option<i64>) -> Self {
        self.next_update = next_update;
        self
    }

    pub(super) fn times(mut self, this_update: i64, next_update: i64) -> Self {
        self.this_update = this_update;
        self.next_update = Some(next_update);
        self
    }

    pub(super) fn no_extensions(mut self) -> Self {
        self.extensions = None;
        self
    }

    pub(super) fn no_number(mut self) -> Self {
        self.extensions = Some(vec![]);
        self
    }

    /// An extension whose value is a SEQUENCE of `parts`.
    pub(super) fn extension(mut self, id: u8, critical: bool, parts: &[&[u8]]) -> Self {
        self.extensions
            .get_or_insert_default()
            .push(extension(id, critical, parts));
        self
    }

    pub(super) fn entry(self, serial: &str, reason: Option<u8>) -> Self {
        let reason = reason.map_or_else(Vec::new, |code| extension_of(21, false, &[10, 1, code]));
        self.entry_with(serial, &reason)
    }

    pub(super) fn entry_with(mut self, serial: &str, extension: &[u8]) -> Self {
        let serial = hex::decode(serial).expect("hexadecimal");
        let extensions = if extension.is_empty() {
            vec![]
        } else {
            encode(tag::SEQUENCE, &[extension])
        };
        self.entries.push(encode(
            tag::SEQUENCE,
            &[&encode(2, &[&serial]), &time(NOW - 500), &extensions],
        ));
        self
    }

    pub(super) fn sign(&self) -> Vec<u8> {
        let facts = Facts::read(&self.authority.der).expect("readable");
        let next_update = self.next_update.map_or_else(Vec::new, time);
        let entries = match &self.entries[..] {
            [] => vec![],
            entries => encode(tag::SEQUENCE, &[&entries.concat()]),
        };
        let extensions = self
            .extensions
            .as_ref()
            .map_or_else(Vec::new, |extensions| {
                encode(0xa0, &[&encode(tag::SEQUENCE, &[&extensions.concat()])])
            });
        let signed = encode(
            tag::SEQUENCE,
            &[
                &[2, 1, self.version],
                &ALGORITHM,
                facts.subject(),
                &time(self.this_update),
                &next_update,
                &entries,
                &extensions,
            ],
        );
        let signature = self.authority.key.sign(&signed).expect("signed");
        let signature = encode(tag::BIT_STRING, &[&[0], &signature]);
        encode(tag::SEQUENCE, &[&signed, &ALGORITHM, &signature])
    }
}

/// An extension below id-ce whose value is a SEQUENCE of `parts`.
pub(super) fn extension(id: u8, critical: bool, parts: &[&[u8]]) -> Vec<u8> {
    extension_of(id, critical, &encode(tag::SEQUENCE, parts))
}

fn extension_of(id: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    encode(
        tag::SEQUENCE,
        &[&[6, 3, 0x55, 0x1d, id], critical, &encode(4, &[value])],
    )
}

/// The distributionPoint of an IssuingDistributionPoint.
pub(super) fn point(uri: &str) -> Vec<u8> {
    let name = encode(tag::URI_NAME, &[uri.as_bytes()]);
    encode(0xa0, &[&encode(0xa0, &[&name])])
}

/// A flag of an IssuingDistributionPoint, TRUE.
pub(super) fn boolean(field: u8) -> Vec<u8> {
    encode(0x80 | field, &[&[0xff]])
}

fn time(seconds: i64) -> Vec<u8> {
    let time = date(seconds);
    let text = format!(
        "{:02}{:02}{:02}{:02}{:02}{:02}Z",
        time.year() % 100,
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    encode(0x17, &[text.as_bytes()])
}

pub(super) fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    octets
        .chunks(3)
        .flat_map(|chunk| {
            let group = [
                chunk[0],
                *chunk.get(1).unwrap_or(&0),
                *chunk.get(2).unwrap_or(&0),
            ];
            let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            (0..4).map(move |digit| {
                if digit > chunk.len() {
                    '='
                } else {
                    char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63])
                }
            })
        })
        .collect()
}
