//! The octets of a CertificateList (RFC 5280 section 5.1), read without copying: a list may have a million entries.

use rustls_pki_types::UnixTime;
use x509_parser::{asn1_rs::Oid, prelude::FromDer, time::ASN1Time};

use super::{ListError, ListNumber};
use crate::{
    chain::unix_time,
    crl::ListScope,
    der,
    revocation::{RevocationIndex, RevocationReason},
    serial::Serial,
};

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const ENUMERATED: u8 = 0x0a;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;

/// What a list says, but for its entries. Nothing was verified yet.
pub(super) struct Header<'a> {
    whole: &'a [u8],
    pub(super) signed: &'a [u8],
    /// The contents of the signature's AlgorithmIdentifier.
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
    /// The issuer's Name, in DER.
    pub(super) issuer: &'a [u8],
    pub(super) this_update: UnixTime,
    pub(super) next_update: UnixTime,
    revoked: &'a [u8],
    pub(super) number: ListNumber,
    pub(super) authority_key_identifier: Option<&'a [u8]>,
    pub(super) only: Option<ListScope>,
    pub(super) distribution_points: Option<Vec<String>>,
}

/// What follows, of the whole list.
struct Cursor<'a> {
    whole: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn within(&self, contents: &'a [u8]) -> Self {
        Self {
            whole: self.whole,
            rest: contents,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next value's whole encoding and its contents.
    fn any(&mut self, tags: &[u8], field: &'static str) -> Result<(&'a [u8], &'a [u8]), ListError> {
        match der::split(self.rest) {
            Some((value, contents, rest)) if tags.contains(&value[0]) => {
                self.rest = rest;
                Ok((value, contents))
            }
            Some(_) | None => Err(self.malformed(field)),
        }
    }

    fn next(&mut self, tag: u8, field: &'static str) -> Result<&'a [u8], ListError> {
        self.any(&[tag], field).map(|(_, contents)| contents)
    }

    /// Goes into the next value.
    fn enter(&mut self, tag: u8, field: &'static str) -> Result<Self, ListError> {
        let contents = self.next(tag, field)?;
        Ok(self.within(contents))
    }

    fn end(&self, field: &'static str) -> Result<(), ListError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.malformed(field))
        }
    }

    fn malformed(&self, field: &'static str) -> ListError {
        ListError::Malformed {
            field,
            offset: self
                .rest
                .as_ptr()
                .addr()
                .saturating_sub(self.whole.as_ptr().addr()),
        }
    }

    fn time(&mut self, field: &'static str) -> Result<UnixTime, ListError> {
        let fault = self.malformed(field);
        let (value, _) = self.any(&[UTC_TIME, GENERALIZED_TIME], field)?;
        match ASN1Time::from_der(value) {
            Ok(([], time)) => Ok(unix_time(&time)),
            Ok(_) | Err(_) => Err(fault),
        }
    }

    /// An Extension: its identifier, whether it is critical, its value.
    fn extension(&mut self) -> Result<(&'a [u8], bool, Cursor<'a>), ListError> {
        let mut extension = self.enter(SEQUENCE, "extension")?;
        let oid = extension.next(OBJECT_IDENTIFIER, "extension's identifier")?;
        let critical = if extension.peek() == Some(BOOLEAN) {
            extension.next(BOOLEAN, "extension's criticality")? != [0]
        } else {
            false
        };
        let value = extension.next(OCTET_STRING, "extension's value")?;
        extension.end("extension")?;
        Ok((oid, critical, self.within(value)))
    }
}

impl<'a> Header<'a> {
    pub(super) fn read(whole: &'a [u8]) -> Result<Self, ListError> {
        let mut outer = Cursor { whole, rest: whole };
        let mut list = outer.enter(SEQUENCE, "outermost SEQUENCE")?;
        outer.end("end")?;
        let (signed, contents) = list.any(&[SEQUENCE], "tbsCertList")?;
        let algorithm = list.next(SEQUENCE, "signatureAlgorithm")?;
        let fault = list.malformed("signatureValue");
        let signature = match list.next(BIT_STRING, "signatureValue")? {
            [0, signature @ ..] => signature,
            _ => return Err(fault),
        };
        list.end("end")?;

        let mut fields = list.within(contents);
        if fields.peek() != Some(INTEGER) || fields.next(INTEGER, "version")? != [1] {
            return Err(ListError::NotVersion2);
        }
        let fault = fields.malformed("signature, which must be the signatureAlgorithm,");
        if fields.next(SEQUENCE, "signature")? != algorithm {
            return Err(fault);
        }
        let (issuer, _) = fields.any(&[SEQUENCE], "issuer")?;
        let this_update = fields.time("thisUpdate")?;
        if !matches!(fields.peek(), Some(UTC_TIME | GENERALIZED_TIME)) {
            return Err(ListError::NoNextUpdate);
        }
        let next_update = fields.time("nextUpdate")?;
        if next_update <= this_update {
            return Err(ListError::NextUpdateBeforeThisUpdate);
        }
        let revoked = if fields.peek() == Some(SEQUENCE) {
            fields.next(SEQUENCE, "revokedCertificates")?
        } else {
            &[]
        };
        let mut header = Self {
            whole,
            signed,
            algorithm,
            signature,
            issuer,
            this_update,
            next_update,
            revoked,
            number: ListNumber::from(0),
            authority_key_identifier: None,
            only: None,
            distribution_points: None,
        };
        // [0] EXPLICIT Extensions; a list without any has no number.
        if fields.rest.is_empty() {
            return Err(ListError::NoNumber);
        }
        let mut tagged = fields.enter(0xa0, "crlExtensions")?;
        fields.end("tbsCertList")?;
        let extensions = tagged.enter(SEQUENCE, "crlExtensions")?;
        tagged.end("crlExtensions")?;
        header.read_extensions(extensions)?;
        Ok(header)
    }

    fn read_extensions(&mut self, mut extensions: Cursor<'a>) -> Result<(), ListError> {
        let mut number = None;
        let mut seen: Vec<&[u8]> = Vec::new();
        while !extensions.rest.is_empty() {
            let fault = extensions.malformed("extension, which stands there twice,");
            let (oid, critical, mut value) = extensions.extension()?;
            if seen.contains(&oid) {
                return Err(fault);
            }
            seen.push(oid);
            match oid {
                // cRLNumber
                [0x55, 0x1d, 20] => {
                    number = ListNumber::from_der_integer(value.next(INTEGER, "number")?);
                    value.end("number")?;
                }
                // deltaCRLIndicator
                [0x55, 0x1d, 27] => return Err(ListError::Delta),
                // issuingDistributionPoint
                [0x55, 0x1d, 28] => self.read_distribution_point(value)?,
                // authorityKeyIdentifier
                [0x55, 0x1d, 35] => {
                    let mut fields = value.enter(SEQUENCE, "authorityKeyIdentifier")?;
                    if fields.peek() == Some(0x80) {
                        self.authority_key_identifier =
                            Some(fields.next(0x80, "authorityKeyIdentifier")?);
                    }
                }
                _ if critical => return Err(ListError::UnknownCriticalExtension(dotted(oid))),
                _ => {}
            }
        }
        self.number = number.ok_or(ListError::NoNumber)?;
        Ok(())
    }

    /// RFC 5280 section 5.2.5.
    fn read_distribution_point(&mut self, mut value: Cursor<'a>) -> Result<(), ListError> {
        const FIELD: &str = "issuingDistributionPoint";
        let mut fields = value.enter(SEQUENCE, FIELD)?;
        value.end(FIELD)?;
        while let Some(tag) = fields.peek() {
            let fault = fields.malformed(FIELD);
            let mut contents = fields.enter(tag, FIELD)?;
            match (tag, contents.rest) {
                (0xa0, _) => {
                    if contents.peek() != Some(0xa0) {
                        return Err(ListError::Scope("a name relative to the issuer"));
                    }
                    let mut names = contents.enter(0xa0, FIELD)?;
                    let mut uris = Vec::new();
                    while let Some(tag) = names.peek() {
                        let fault = names.malformed(FIELD);
                        let name = names.next(tag, FIELD)?;
                        if tag == der::tag::URI_NAME {
                            uris.push(String::from_utf8(name.to_vec()).map_err(|_| fault)?);
                        }
                    }
                    self.distribution_points = Some(uris);
                }
                (0x81..=0x85, [0]) => {} // FALSE, which DER would leave out
                (0x81 | 0x82, [0xff]) if self.only.is_some() => {
                    return Err(ListError::Scope("for CAs only and for users only"));
                }
                (0x81, [0xff]) => self.only = Some(ListScope::Leaves),
                (0x82, [0xff]) => self.only = Some(ListScope::Authorities),
                (0x83, _) => return Err(ListError::Scope("for some reasons only")),
                (0x84, [0xff]) => return Err(ListError::Indirect),
                (0x85, [0xff]) => return Err(ListError::Scope("for attribute certificates only")),
                _ => return Err(fault),
            }
        }
        Ok(())
    }

    /// The revoked certificates.
    pub(super) fn entries(&self) -> Result<RevocationIndex, ListError> {
        Ok(self.listed()?.into_iter().collect())
    }

    /// The revoked certificates in the order in which they stand.
    pub(super) fn listed(&self) -> Result<Vec<(Serial, RevocationReason)>, ListError> {
        let mut entries = Cursor {
            whole: self.whole,
            rest: self.revoked,
        };
        // An entry without extensions is 33 octets long with a serial of 128 bits; too small a guess only costs time.
        let mut read = Vec::with_capacity(self.revoked.len() / 33);
        while !entries.rest.is_empty() {
            let entry = entries.enter(SEQUENCE, "revokedCertificates")?;
            read.push(read_entry(entry, read.len() + 1)?);
        }
        Ok(read)
    }
}

fn read_entry(
    mut entry: Cursor<'_>,
    number: usize,
) -> Result<(Serial, RevocationReason), ListError> {
    let serial = entry.next(INTEGER, "userCertificate")?;
    let serial = Serial::from_der_integer(serial).map_err(|error| ListError::Serial {
        entry: number,
        error,
    })?;
    entry.any(&[UTC_TIME, GENERALIZED_TIME], "revocationDate")?;
    let mut reason = RevocationReason::Unspecified;
    if !entry.rest.is_empty() {
        let mut extensions = entry.enter(SEQUENCE, "crlEntryExtensions")?;
        entry.end("revokedCertificates")?;
        while !extensions.rest.is_empty() {
            let (oid, critical, mut value) = extensions.extension()?;
            match oid {
                // cRLReasons
                [0x55, 0x1d, 21] => {
                    let fault = value.malformed("reason");
                    let [code] = *value.next(ENUMERATED, "reason")? else {
                        return Err(fault);
                    };
                    reason = RevocationReason::from_code(code).ok_or(ListError::Reason {
                        entry: number,
                        code,
                    })?;
                }
                // certificateIssuer: only an indirect list has it.
                [0x55, 0x1d, 29] => return Err(ListError::Indirect),
                _ if critical => {
                    return Err(ListError::UnknownCriticalEntryExtension {
                        entry: number,
                        oid: dotted(oid),
                    });
                }
                _ => {}
            }
        }
    }
    Ok((serial, reason))
}

fn dotted(oid: &[u8]) -> String {
    Oid::new(oid.into()).to_id_string()
}
