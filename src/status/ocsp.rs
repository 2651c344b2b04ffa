//! OCSP over plain HTTP: POST, and GET with the request in the path (RFC 6960 appendix A, RFC 5019 sections 5 and 6).
//!
//! The path of a GET is taken as it came. What normalises paths loses requests: base64 has `/`, and so `//`, in it, and
//! clients put a slash of their own before it (Let's Encrypt, 2017).

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use portcullis_ca::ocsp::ResponseStatus;

use super::http_date;
use crate::authority::{Authority, OcspAnswer, OcspAnswerKind};

/// The most octets that a request may have: sixteen CertIDs and a nonce fit in half of it.
const MAX_REQUEST: usize = 8 * 1024;

/// The base64 of RFC 4648 section 4, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The responder's routes.
pub(super) fn router() -> Router<Authority> {
    Router::new()
        .route("/ocsp", post(by_post))
        .route("/ocsp/", post(by_post))
        .route("/ocsp/{*request}", get(by_get))
}

async fn by_post(State(authority): State<Authority>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if !is_ocsp_request(&parts.headers) {
        return plain(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "an OCSP request is application/ocsp-request",
        );
    }
    let Ok(octets) = to_bytes(body, MAX_REQUEST).await else {
        return plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            "an OCSP request has at most 8 KiB",
        );
    };
    let answer = authority.answer_ocsp(&octets).await;
    // Caches don't keep answers to POST (RFC 9111 section 3); we say so all the same.
    respond(StatusCode::OK, answer.der.into(), uncached())
}

async fn by_get(State(authority): State<Authority>, uri: Uri) -> Response {
    let encoded = uri.path().strip_prefix("/ocsp/").unwrap_or_default();
    if encoded.len() > 2 * MAX_REQUEST {
        return plain(
            StatusCode::URI_TOO_LONG,
            "an OCSP request has at most 8 KiB",
        );
    }
    let Some(octets) = request_in_path(encoded) else {
        let status = ResponseStatus::MalformedRequest.to_der();
        return respond(StatusCode::BAD_REQUEST, status.into(), uncached());
    };
    let answer = authority.answer_ocsp(&octets).await;
    let headers = caching(&authority, &answer);
    respond(StatusCode::OK, answer.der.into(), headers)
}

/// The octets of a request that a path carries: the URL-encoding of the base64 encoding of its DER (RFC 6960 appendix
/// A.1). Some clients don't encode, some leave the padding out, some begin with slashes of their own (no DER request
/// does: it begins with `M`), and some have had their `+` made a space on the way.
fn request_in_path(encoded: &str) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let octet = match first {
            b'%' => {
                let [high, low, after @ ..] = after else {
                    return None;
                };
                rest = after;
                let mut octet = [0];
                hex::decode_to_slice([*high, *low], &mut octet).ok()?;
                octet[0]
            }
            octet => *octet,
        };
        text.push(if octet == b' ' { b'+' } else { octet });
    }
    let start = text.iter().take_while(|octet| **octet == b'/').count();
    BASE64.decode(&text[start..]).ok()
}

fn is_ocsp_request(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| {
            essence
                .trim()
                .eq_ignore_ascii_case("application/ocsp-request")
        })
}

/// The cache headers of RFC 5019 section 6.2, for an answer that is the same for everybody.
fn caching(authority: &Authority, answer: &OcspAnswer) -> HeaderMap {
    let OcspAnswerKind::ForAll {
        this_update,
        next_update,
    } = answer.kind
    else {
        return uncached();
    };
    let left = next_update.since(authority.now()).as_secs();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &answer.der);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (
            header::ETAG,
            format!("\"{}\"", hex::encode(&digest.as_ref()[..20])),
        ),
        (header::LAST_MODIFIED, http_date(this_update)),
        (header::EXPIRES, http_date(next_update)),
        // As for a list: a revocation must not wait in a cache until the answer's very end.
        (
            header::CACHE_CONTROL,
            format!(
                "max-age={}, public, no-transform, must-revalidate",
                (left / 2).min(300)
            ),
        ),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    headers
}

fn uncached() -> HeaderMap {
    HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))])
}

fn respond(status: StatusCode, der: Body, mut headers: HeaderMap) -> Response {
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/ocsp-response"),
    );
    (status, headers, der).into_response()
}

fn plain(status: StatusCode, why: &str) -> Response {
    (status, uncached(), format!("{why}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Let's Encrypt 2017: requests whose base64 had `//` in it, or a slash before it, were lost by a router that cleans
    /// paths. GlobalSign, EJBCA and others: padding and `+`.
    #[test]
    fn a_request_is_found_in_the_path_however_it_was_written() {
        // 0x30 …, so that the text begins with M and has `/`, `//`, `+` and padding in it.
        let octets = [0x30, 0x00, 0xff, 0xff, 0xff, 0xf8, 0xfb, 0xef, 0xbe, 0x01];
        let text = "MAD////4++++AQ==";
        assert_eq!(BASE64.encode(octets), text);
        for (encoded, found) in [
            (text, true),
            ("/MAD////4++++AQ==", true),
            ("//MAD////4++++AQ==", true),
            ("%2FMAD////4++++AQ==", true),
            ("MAD%2F%2f%2F/4%2B%2b++AQ%3D%3D", true),
            ("MAD////4++++AQ", true),
            ("MAD////4++++AQ=", true),
            ("MAD////4%20+%20+AQ==", true),
            ("MAD////4++++A", false),
            ("MAD////4++++AQ==%", false),
            ("MAD////4++++AQ==%2", false),
            ("MAD////4++++AQ==%zz", false),
            ("MAD____4----AQ==", false),
            ("M\u{e4}D", false),
            ("", true),
        ] {
            let wanted = found.then(|| if encoded.is_empty() { &[][..] } else { &octets });
            assert_eq!(request_in_path(encoded).as_deref(), wanted, "{encoded}");
        }
    }
}
