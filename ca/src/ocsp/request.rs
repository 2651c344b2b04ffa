//! Requests (RFC 6960 section 4.1), which anybody may send: read strictly, and bounded.

use super::{CertId, Nonce, OID_NONCE, tag};
use crate::der::reader::Reader;

/// What a client asks. Its signature, if it has one, and its name are not looked at: everybody is answered (RFC 5019
/// section 2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which certificates, at least one and at most [`Self::MAX_CERT_IDS`].
    pub cert_ids: Vec<CertId>,
    /// What the answer must echo.
    pub nonce: Option<Nonce>,
}

impl Request {
    /// How many certificates may be asked about at once. Most clients ask about one; RFC 5019 section 2.1.1 allows no
    /// more.
    pub const MAX_CERT_IDS: usize = 16;

    /// Reads a DER OCSPRequest.
    ///
    /// # Errors
    /// [`RequestError`]; to all of them the answer is `malformedRequest`.
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        let mut outer = Reader::new(der);
        let mut request = outer
            .within(tag::SEQUENCE)
            .ok_or(RequestError::Malformed("it is no OCSPRequest"))?;
        outer
            .end()
            .ok_or(RequestError::Malformed("data follows the request"))?;
        let mut fields = request
            .within(tag::SEQUENCE)
            .ok_or(RequestError::Malformed("it has no TBSRequest"))?;
        let malformed = |what| move || RequestError::Malformed(what);
        request
            .optional(tag::EXPLICIT_0)
            .filter(|_| request.is_empty())
            .ok_or_else(malformed("what follows the TBSRequest is no signature"))?;

        let version = fields
            .optional(tag::EXPLICIT_0)
            .ok_or_else(malformed("the version"))?;
        if version.is_some_and(|version| version.contents != [tag::INTEGER, 1, 0]) {
            return Err(RequestError::Malformed("it is of another version than 1"));
        }
        fields
            .optional(tag::EXPLICIT_1)
            .ok_or_else(malformed("the requestor's name"))?;
        let cert_ids = requests(&mut fields)?;
        let extensions = fields
            .optional(tag::EXPLICIT_2)
            .filter(|_| fields.is_empty())
            .ok_or_else(malformed("what follows the list of requests"))?;
        let mut nonce = None;
        if let Some(extensions) = extensions {
            each_extension(extensions.contents, |extension| {
                if extension.oid != OID_NONCE {
                    return extension.not_understood();
                }
                if nonce.is_some() {
                    return Err(RequestError::Malformed("two nonces"));
                }
                let mut value = Reader::new(extension.value);
                let octets = value
                    .expect(tag::OCTET_STRING)
                    .filter(|_| value.is_empty())
                    .ok_or(RequestError::Malformed("the nonce is no OCTET STRING"))?
                    .contents;
                // RFC 9654 section 2.1: such a request MUST be answered with malformedRequest.
                nonce = Some(Nonce::new(octets).ok_or(RequestError::NonceLength(octets.len()))?);
                Ok(())
            })?;
        }
        Ok(Self { cert_ids, nonce })
    }
}

fn requests(fields: &mut Reader<'_>) -> Result<Vec<CertId>, RequestError> {
    let mut list = fields
        .within(tag::SEQUENCE)
        .ok_or(RequestError::Malformed("it has no list of requests"))?;
    let mut cert_ids = Vec::new();
    while !list.is_empty() {
        if cert_ids.len() == Request::MAX_CERT_IDS {
            return Err(RequestError::TooManyCertIds);
        }
        let mut request = list
            .within(tag::SEQUENCE)
            .ok_or(RequestError::Malformed("a Request"))?;
        let id = CertId::read(&mut request).ok_or(RequestError::Malformed("a CertID"))?;
        let extensions = request
            .optional(tag::EXPLICIT_0)
            .filter(|_| request.is_empty())
            .ok_or(RequestError::Malformed("what follows a CertID"))?;
        if let Some(extensions) = extensions {
            each_extension(extensions.contents, |extension| extension.not_understood())?;
        }
        cert_ids.push(id);
    }
    if cert_ids.is_empty() {
        return Err(RequestError::Malformed("it asks about no certificate"));
    }
    Ok(cert_ids)
}

struct Extension<'a> {
    oid: &'a [u8],
    critical: bool,
    value: &'a [u8],
}

impl Extension<'_> {
    /// RFC 6960 section 4.4: what is not known is ignored, unless it is critical.
    fn not_understood(&self) -> Result<(), RequestError> {
        if self.critical {
            return Err(RequestError::CriticalExtension(hex::encode(self.oid)));
        }
        Ok(())
    }
}

/// Hands out every extension of DER Extensions (RFC 5280 section 4.1), of which there must be one.
fn each_extension(
    octets: &[u8],
    mut take: impl FnMut(Extension<'_>) -> Result<(), RequestError>,
) -> Result<(), RequestError> {
    let malformed = || RequestError::Malformed("the extensions");
    let mut outer = Reader::new(octets);
    let mut list = outer.within(tag::SEQUENCE).ok_or_else(malformed)?;
    outer.end().ok_or_else(malformed)?;
    if list.is_empty() {
        return Err(malformed());
    }
    while !list.is_empty() {
        let mut extension = list.within(tag::SEQUENCE).ok_or_else(malformed)?;
        let oid = extension
            .expect(tag::OBJECT_IDENTIFIER)
            .filter(|oid| !oid.contents.is_empty())
            .ok_or_else(malformed)?
            .contents;
        let critical = match extension.optional(tag::BOOLEAN).ok_or_else(malformed)? {
            None => false,
            Some(boolean) => match boolean.contents {
                // FALSE is the default, which DER leaves out; some clients write it.
                [0] => false,
                [0xff] => true,
                _ => return Err(malformed()),
            },
        };
        let value = extension
            .expect(tag::OCTET_STRING)
            .filter(|_| extension.is_empty())
            .ok_or_else(malformed)?
            .contents;
        take(Extension {
            oid,
            critical,
            value,
        })?;
    }
    Ok(())
}

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is no DER OCSPRequest.
    #[error("the OCSP request is malformed: {0}")]
    Malformed(&'static str),
    /// RFC 9654 section 2.1.
    #[error("a nonce has 1 to 128 octets, this one has {0}")]
    NonceLength(usize),
    /// More than [`Request::MAX_CERT_IDS`].
    #[error("at most 16 certificates may be asked about at once")]
    TooManyCertIds,
    /// RFC 6960 section 4.4.
    #[error("the request has a critical extension that is not known here: {0}")]
    CriticalExtension(String),
}
