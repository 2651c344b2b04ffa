//! What we never sign as an answer. The octets are read by another parser than the one that wrote them, and compared
//! with what was meant.

use x509_parser::{
    asn1_rs::{Any, Class, FromDer as _, Tag},
    extensions::X509Extension,
    time::ASN1Time,
};

use super::{CertStatus, Responder, ResponseDraft, SingleResponse};
use crate::lint::Findings;

/// Reads a ResponseData and compares it with its draft.
pub(super) fn response(
    findings: &mut Findings,
    to_be_signed: &[u8],
    draft: &ResponseDraft,
    responder: &Responder,
) {
    let Some(parsed) = Parsed::read(to_be_signed) else {
        findings.require(false, "RFC 6960 4.2.1: it is a ResponseData", || {
            "it can't be parsed".to_owned()
        });
        return;
    };
    findings.require(
        !parsed.has_version,
        "RFC 6960 4.2.1: version 1, which DER leaves out",
        || "a version is written".to_owned(),
    );
    findings.require(
        parsed.key_hash == Some(responder.key_hash()),
        "RFC 6960 4.2.1: responderID is the SHA-1 of the responder's key",
        || format!("{:?}", parsed.key_hash.map(hex::encode)),
    );
    findings.require(
        parsed.produced_at == Some(draft.produced_at),
        "RFC 6960 4.2.1: producedAt is a GeneralizedTime, the moment that was meant",
        || format!("{:?}", parsed.produced_at),
    );
    findings.require(
        (responder.not_before()..=responder.not_after()).contains(&draft.produced_at),
        "RFC 6960 4.2.2.2: the responder's certificate is valid when the answer is signed",
        || draft.produced_at.to_string(),
    );
    findings.require(
        !draft.responses.is_empty() && parsed.responses.len() == draft.responses.len(),
        "RFC 6960 4.2.1: every CertID of the request is answered, once",
        || format!("{} of {}", parsed.responses.len(), draft.responses.len()),
    );
    for (parsed, wanted) in parsed.responses.iter().zip(&draft.responses) {
        single(findings, parsed, wanted, draft, responder);
    }
    let nonce = draft.nonce.as_ref().map(super::Nonce::octets);
    let echoed = match &parsed.extensions[..] {
        [] => nonce.is_none(),
        [one] => {
            one.oid == "1.3.6.1.5.5.7.48.1.2"
                && !one.critical
                && nonce.is_some()
                && octet_string(&one.value) == nonce
        }
        _ => false,
    };
    findings.require(
        echoed,
        "RFC 9654 2.1: the nonce of the request is echoed, and no other extension is there",
        || format!("{:?}", parsed.extensions),
    );
}

fn single(
    findings: &mut Findings,
    parsed: &ParsedSingle<'_>,
    wanted: &SingleResponse,
    draft: &ResponseDraft,
    responder: &Responder,
) {
    findings.require(
        parsed.cert_id == wanted.cert_id.to_der(),
        "RFC 6960 4.2.1: certID is the request's, to the byte",
        || hex::encode(parsed.cert_id),
    );
    findings.require(
        responder.answers_for(&wanted.cert_id),
        "RFC 6960 4.2.2.2: a responder answers for its own issuer only",
        || hex::encode(wanted.cert_id.to_der()),
    );
    let status = match wanted.status {
        CertStatus::Good => ParsedStatus::Good,
        CertStatus::Unknown => ParsedStatus::Unknown,
        CertStatus::Revoked { at, reason } => ParsedStatus::Revoked {
            at,
            reason: Some(reason.code()).filter(|code| *code != 0),
        },
    };
    findings.require(
        parsed.status == Some(status),
        "RFC 6960 4.2.1, RFC 5280 5.3.1: the status is the store's; no reason is written when it is unspecified",
        || format!("{:?}", parsed.status),
    );
    findings.require(
        wanted.cert_id.serial().is_some() || wanted.status == CertStatus::Unknown,
        "RFC 6960 2.2: what can't be a certificate of ours is unknown",
        || format!("{:?}", wanted.status),
    );
    findings.require(
        parsed.this_update == Some(wanted.this_update)
            && parsed.next_update == Some(wanted.next_update)
            && wanted.this_update <= draft.produced_at
            && draft.produced_at < wanted.next_update,
        "RFC 6960 4.2.2.1, RFC 5019 2.2.4: thisUpdate, producedAt, then nextUpdate",
        || {
            format!(
                "{:?}, {}, {:?}",
                parsed.this_update, draft.produced_at, parsed.next_update
            )
        },
    );
    findings.require(
        wanted.next_update <= responder.not_after(),
        "RFC 6960 4.2.2.2: the responder's certificate outlasts the answer",
        || format!("{} after {}", wanted.next_update, responder.not_after()),
    );
    findings.require(
        !parsed.has_extensions,
        "RFC 5019 2.2.1: a SingleResponse has no extensions",
        || "there are some".to_owned(),
    );
}

/// A ResponseData as the other parser sees it.
struct Parsed<'a> {
    has_version: bool,
    key_hash: Option<&'a [u8]>,
    produced_at: Option<i64>,
    responses: Vec<ParsedSingle<'a>>,
    extensions: Vec<ParsedExtension>,
}

struct ParsedSingle<'a> {
    cert_id: &'a [u8],
    status: Option<ParsedStatus>,
    this_update: Option<i64>,
    next_update: Option<i64>,
    has_extensions: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParsedStatus {
    Good,
    Revoked { at: i64, reason: Option<u8> },
    Unknown,
}

#[derive(Debug)]
struct ParsedExtension {
    oid: String,
    critical: bool,
    value: Vec<u8>,
}

impl<'a> Parsed<'a> {
    fn read(octets: &'a [u8]) -> Option<Self> {
        let mut fields = within(octets, universal(Tag::Sequence))?
            .into_iter()
            .peekable();
        let has_version = fields.next_if(|field| field.is(context(0))).is_some();
        let responder_id = fields.next()?;
        let key_hash = (responder_id.is(context(2)))
            .then(|| octet_string(responder_id.any.data))
            .flatten();
        let produced_at = fields.next()?.generalized_time();
        let responses = fields
            .next()
            .filter(|field| field.is(universal(Tag::Sequence)))?;
        let responses = elements(responses.any.data)?
            .iter()
            .map(ParsedSingle::read)
            .collect::<Option<Vec<_>>>()?;
        let extensions = match fields.next() {
            None => Vec::new(),
            Some(field) if field.is(context(1)) => {
                within(field.any.data, universal(Tag::Sequence))?
                    .iter()
                    .map(ParsedExtension::read)
                    .collect::<Option<Vec<_>>>()?
            }
            Some(_) => return None,
        };
        fields.next().is_none().then_some(Self {
            has_version,
            key_hash,
            produced_at,
            responses,
            extensions,
        })
    }
}

impl<'a> ParsedSingle<'a> {
    fn read(element: &Element<'a>) -> Option<Self> {
        let mut fields = element
            .is(universal(Tag::Sequence))
            .then_some(())
            .and_then(|()| elements(element.any.data))?
            .into_iter()
            .peekable();
        let cert_id = fields.next()?.encoded;
        let status = ParsedStatus::read(&fields.next()?);
        let this_update = fields.next()?.generalized_time();
        let next_update = fields
            .next_if(|field| field.is(context(0)))
            .and_then(|field| elements(field.any.data)?.first()?.generalized_time());
        Some(Self {
            cert_id,
            status,
            this_update,
            next_update,
            has_extensions: fields.next().is_some(),
        })
    }
}

impl ParsedStatus {
    fn read(element: &Element<'_>) -> Option<Self> {
        if element.is(context(0)) {
            return element.any.data.is_empty().then_some(Self::Good);
        }
        if element.is(context(2)) {
            return element.any.data.is_empty().then_some(Self::Unknown);
        }
        if !element.is(context(1)) {
            return None;
        }
        let fields = elements(element.any.data)?;
        let (at, reason) = match &fields[..] {
            [at] => (at, None),
            [at, reason] if reason.is(context(0)) => {
                let (rest, code) = Any::from_der(reason.any.data).ok()?;
                let enumerated = code.tag() == Tag::Enumerated && rest.is_empty();
                match code.data {
                    [code] if enumerated => (at, Some(*code)),
                    _ => return None,
                }
            }
            _ => return None,
        };
        let at = at.generalized_time()?;
        Some(Self::Revoked { at, reason })
    }
}

impl ParsedExtension {
    fn read(element: &Element<'_>) -> Option<Self> {
        let (rest, extension) = X509Extension::from_der(element.encoded).ok()?;
        rest.is_empty().then(|| Self {
            oid: extension.oid.to_id_string(),
            critical: extension.critical,
            value: extension.value.to_vec(),
        })
    }
}

/// An element, with all its octets.
struct Element<'a> {
    any: Any<'a>,
    encoded: &'a [u8],
}

type Kind = (Class, Tag);

fn universal(tag: Tag) -> Kind {
    (Class::Universal, tag)
}

fn context(number: u32) -> Kind {
    (Class::ContextSpecific, Tag(number))
}

impl Element<'_> {
    fn is(&self, kind: Kind) -> bool {
        (self.any.class(), self.any.tag()) == kind
    }

    /// `YYYYMMDDHHMMSSZ`, and nothing else (RFC 5280 section 4.1.2.5.2).
    fn generalized_time(&self) -> Option<i64> {
        let written = self.is(universal(Tag::GeneralizedTime))
            && self.any.data.len() == 15
            && self.any.data.ends_with(b"Z");
        let (_, time) = ASN1Time::from_der(self.encoded).ok()?;
        written.then(|| time.timestamp())
    }
}

fn elements(mut octets: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    while !octets.is_empty() {
        let (rest, any) = Any::from_der(octets).ok()?;
        let encoded = &octets[..octets.len() - rest.len()];
        elements.push(Element { any, encoded });
        octets = rest;
    }
    Some(elements)
}

/// The elements in the only element of `octets`, which must be of a kind.
fn within(octets: &[u8], kind: Kind) -> Option<Vec<Element<'_>>> {
    match &elements(octets)?[..] {
        [only] if only.is(kind) => elements(only.any.data),
        _ => None,
    }
}

/// What is in the only element of `octets`, which must be an OCTET STRING.
fn octet_string(octets: &[u8]) -> Option<&[u8]> {
    match &elements(octets)?[..] {
        [only] if only.is(universal(Tag::OctetString)) => Some(only.any.data),
        _ => None,
    }
}
