//! What statements' certificates say in extensions and names that no other certificate has.

use super::{AttestationError, AttestationFormat, DeviceIdentity};
use crate::{
    chain::{Facts, Fault},
    der::reader::Reader,
    oid::Oid,
};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const UTF8_STRING: u8 = 0x0c;
/// `[0] EXPLICIT`, and the otherName of a GeneralName.
const CONTEXT_0: u8 = 0xa0;
/// The directoryName of a GeneralName.
const DIRECTORY_NAME: u8 = 0xa4;

/// The extended key usages, each as the contents of its object identifier; nothing where the extension is missing.
pub(super) fn purposes<'a>(facts: &Facts<'a>) -> Result<Option<Vec<&'a [u8]>>, Fault> {
    let Some(value) = extension(facts, &[0x55, 0x1d, 37]) else {
        return Ok(None);
    };
    let read = || {
        let mut outer = Reader::new(value);
        let mut list = outer.within(SEQUENCE)?;
        outer.end()?;
        let mut all = Vec::new();
        while !list.is_empty() {
            all.push(list.expect(OBJECT_IDENTIFIER)?.contents);
        }
        Some(all)
    };
    read()
        .map(Some)
        .ok_or_else(|| Fault::Malformed("the extension extKeyUsage".to_owned()))
}

/// The contents of an extension's OCTET STRING, by the contents of its object identifier. An extension that stands there
/// twice counts as none: nobody could say which one is meant.
pub(super) fn extension<'a>(facts: &Facts<'a>, oid: &[u8]) -> Option<&'a [u8]> {
    let mut found = facts
        .certificate
        .tbs_certificate
        .extensions()
        .iter()
        .filter(|extension| extension.oid.as_bytes() == oid);
    match (found.next(), found.next()) {
        (Some(extension), None) => Some(extension.value),
        (None | Some(_), _) => None,
    }
}

/// What a subjectAltName says of a device.
#[derive(Debug, Default)]
pub(super) struct DeviceNames<'a> {
    /// permanentIdentifier (RFC 4043) and hardwareModuleName (RFC 4108).
    pub(super) identities: Vec<DeviceIdentity>,
    /// The attributes of its directory names: the contents of the object identifier, and the value's.
    pub(super) attributes: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> DeviceNames<'a> {
    /// Reads the certificate's subjectAltName, if it has one.
    pub(super) fn of(
        facts: &Facts<'a>,
        format: AttestationFormat,
    ) -> Result<Self, AttestationError> {
        let Some(value) = facts.subject_alternative_name else {
            return Ok(Self::default());
        };
        let malformed =
            || AttestationError::not_of_format(format, "its subjectAltName can't be read");
        let mut names = Self::default();
        let mut outer = Reader::new(value);
        let mut list = outer.within(SEQUENCE).ok_or_else(malformed)?;
        outer.end().ok_or_else(malformed)?;
        while !list.is_empty() {
            let name = list.element().ok_or_else(malformed)?;
            if name.tag == CONTEXT_0 {
                names.other_name(name.contents, malformed)?;
            } else if name.tag == DIRECTORY_NAME {
                names
                    .attributes
                    .extend(attributes(name.contents).ok_or_else(malformed)?);
            }
        }
        names.identities.sort();
        names.identities.dedup();
        Ok(names)
    }

    fn other_name(
        &mut self,
        contents: &[u8],
        malformed: impl Fn() -> AttestationError,
    ) -> Result<(), AttestationError> {
        /// id-on-permanentIdentifier, 1.3.6.1.5.5.7.8.3.
        const PERMANENT_IDENTIFIER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 8, 3];
        /// id-on-hardwareModuleName, 1.3.6.1.5.5.7.8.4.
        const HARDWARE_MODULE_NAME: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 8, 4];
        let mut reader = Reader::new(contents);
        let kind = reader
            .expect(OBJECT_IDENTIFIER)
            .ok_or_else(&malformed)?
            .contents;
        let mut value = reader.within(CONTEXT_0).ok_or_else(&malformed)?;
        reader.end().ok_or_else(&malformed)?;
        if kind != PERMANENT_IDENTIFIER && kind != HARDWARE_MODULE_NAME {
            return Ok(());
        }
        let mut inner = value.within(SEQUENCE).ok_or_else(&malformed)?;
        value.end().ok_or_else(&malformed)?;
        let identity = if kind == PERMANENT_IDENTIFIER {
            let identifier = inner.optional(UTF8_STRING).ok_or_else(&malformed)?;
            let assigner = inner.optional(OBJECT_IDENTIFIER).ok_or_else(&malformed)?;
            inner.end().ok_or_else(&malformed)?;
            // RFC 4043 section 2: without a value it is the subject's serialNumber. The draft wants the value.
            let Some(identifier) = identifier else {
                return Ok(());
            };
            let assigner = assigner
                .map(|oid| Oid::from_der_contents(oid.contents).ok_or_else(&malformed))
                .transpose()?;
            DeviceIdentity::permanent(identifier.contents, assigner)?
        } else {
            let kind = inner
                .expect(OBJECT_IDENTIFIER)
                .and_then(|oid| Oid::from_der_contents(oid.contents))
                .ok_or_else(&malformed)?;
            let serial = inner.expect(OCTET_STRING).ok_or_else(&malformed)?.contents;
            inner.end().ok_or_else(&malformed)?;
            DeviceIdentity::hardware_module(serial, kind)?
        };
        self.identities.push(identity);
        Ok(())
    }

    /// The one value of an attribute, as text of ASCII's printable characters; nothing when there is none, or several.
    pub(super) fn attribute(&self, oid: &[u8]) -> Option<&'a str> {
        one_attribute(&self.attributes, oid)
    }
}

/// The attributes of the subject.
pub(super) fn subject_attributes<'a>(facts: &Facts<'a>) -> Option<Vec<(&'a [u8], &'a [u8])>> {
    attributes(facts.subject())
}

/// The one value of an attribute; nothing when there is none, or several, or one that is not printable ASCII.
pub(super) fn one_attribute<'a>(all: &[(&'a [u8], &'a [u8])], oid: &[u8]) -> Option<&'a str> {
    let mut found = all.iter().filter(|(known, _)| *known == oid);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => std::str::from_utf8(value)
            .ok()
            .filter(|text| text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())),
        (None | Some(_), _) => None,
    }
}

/// The attributes of a Name (RFC 5280 section 4.1.2.4), in the order in which they stand there.
fn attributes(name: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut outer = Reader::new(name);
    let mut sets = outer.within(SEQUENCE)?;
    outer.end()?;
    let mut all = Vec::new();
    while !sets.is_empty() {
        let mut set = sets.within(SET)?;
        while !set.is_empty() {
            let mut attribute = set.within(SEQUENCE)?;
            let kind = attribute.expect(OBJECT_IDENTIFIER)?.contents;
            let value = attribute.element()?.contents;
            attribute.end()?;
            all.push((kind, value));
        }
    }
    Some(all)
}
