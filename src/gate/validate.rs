//! What a request must be before anything in it is believed: its framing, and the one host that it asks for.
//!
//! RFC 9112 sections 3.2 and 6.3, RFC 9113 section 8.3.1, RFC 9110 section 7.4. hyper already refuses differing
//! Content-Length fields, Transfer-Encoding in HTTP/1.0 and folded lines, and ends a connection whose request had both
//! Content-Length and Transfer-Encoding; h2 refuses connection-specific fields and control characters.

use std::borrow::Cow;

use http::{HeaderMap, Method, Uri, Version, header, request::Parts};

/// Why a request is refused before its credentials are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invalid {
    /// 400, with what is wrong and what would be right.
    Request(&'static str),
    /// 421: the host is not the one that the TLS handshake asked for.
    Misdirected,
}

/// Checks how the request is framed.
///
/// # Errors
/// [`Invalid::Request`].
pub(super) fn check_framing(parts: &Parts) -> Result<(), Invalid> {
    if parts.method == Method::CONNECT {
        return Err(Invalid::Request("CONNECT is not offered here"));
    }
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        // Others would reach the upstream without the field that names them.
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Invalid::Request(
                "Transfer-Encoding may only be \"chunked\", once",
            ));
        }
    }
    let mut lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next()
        && (lengths.next().is_some()
            || length.is_empty()
            || !length.as_bytes().iter().all(u8::is_ascii_digit))
    {
        return Err(Invalid::Request(
            "Content-Length must be given once, as a number",
        ));
    }
    Ok(())
}

/// The host that the request is for: lower-case, without port and final dot. It must be named once and be the one that
/// the handshake asked for (RFC 9110 section 7.4), where it asked for one.
///
/// # Errors
/// [`Invalid`].
pub(super) fn host<'r>(
    parts: &'r Parts,
    server_name: Option<&str>,
) -> Result<Cow<'r, str>, Invalid> {
    let authority = authority(&parts.uri, &parts.headers, parts.version)?;
    let host = host_of(authority)?;
    if let Some(server_name) = server_name
        && !without_final_dot(server_name).eq_ignore_ascii_case(&host)
    {
        return Err(Invalid::Misdirected);
    }
    Ok(host)
}

fn authority<'r>(
    uri: &'r Uri,
    headers: &'r HeaderMap,
    version: Version,
) -> Result<&'r str, Invalid> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let named = match hosts.next() {
        None => None,
        Some(host) => Some(
            host.to_str()
                .map_err(|_| Invalid::Request("Host must be a name or an address"))?,
        ),
    };
    if hosts.next().is_some() {
        return Err(Invalid::Request("Host must be given once"));
    }
    let target = uri.authority().map(http::uri::Authority::as_str);
    match (target, named) {
        (Some(target), Some(named)) if !target.eq_ignore_ascii_case(named) => Err(
            Invalid::Request("Host and the request's target must name the same authority"),
        ),
        // RFC 9112 section 3.2: a request of HTTP/1.1 without Host is answered with 400, whatever its target is.
        (Some(_), None) if version == Version::HTTP_11 => {
            Err(Invalid::Request("Host must be given"))
        }
        (Some(target), _) => Ok(target),
        (None, Some(named)) => Ok(named),
        (None, None) => Err(Invalid::Request("Host must be given")),
    }
}

fn host_of(authority: &str) -> Result<Cow<'_, str>, Invalid> {
    const WRONG: Invalid =
        Invalid::Request("Host must be a name or an address, with or without a port");
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']').ok_or(WRONG)? + 1;
        authority.split_at(end)
    } else {
        authority.split_at(authority.find(':').unwrap_or(authority.len()))
    };
    let port_is_right = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()),
    };
    let name = without_final_dot(host);
    let name_is_right = if let Some(address) = host.strip_prefix('[') {
        address
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
    } else {
        !name.is_empty()
            && name.len() <= 253
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
            && !name.starts_with('.')
            && !name.ends_with('.')
            && !name.contains("..")
    };
    if !port_is_right || !name_is_right {
        return Err(WRONG);
    }
    Ok(if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    })
}

fn without_final_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(version: Version, target: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().version(version).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn a_request_names_one_host_and_it_is_the_one_of_the_handshake() {
        const BAD: fn(&'static str) -> Result<String, Invalid> = |m| Err(Invalid::Request(m));
        let differ = "Host and the request's target must name the same authority";
        let wrong = "Host must be a name or an address, with or without a port";
        let (h1, h10, h2) = (Version::HTTP_11, Version::HTTP_10, Version::HTTP_2);
        let api = || Ok("api.example".to_owned());
        type Case<'c> = (
            Version,
            &'c str,
            &'c [(&'c str, &'c str)],
            Option<&'c str>,
            Result<String, Invalid>,
        );
        let cases: &[Case<'_>] = &[
            (h1, "/", &[("host", "api.example")], None, api()),
            (h1, "/", &[("host", "API.Example:8443")], Some("api.example"), api()),
            (h1, "/", &[("host", "api.example.")], Some("Api.Example"), api()),
            (h2, "https://api.example/", &[], Some("api.example"), api()),
            (h2, "https://api.example/", &[("host", "api.example")], None, api()),
            (h10, "/", &[("host", "api.example")], None, api()),
            (h1, "/", &[("host", "[::1]:443")], None, Ok("[::1]".to_owned())),
            (h1, "/", &[("host", "admin.example")], Some("api.example"), Err(Invalid::Misdirected)),
            (h2, "https://admin.example/", &[], Some("api.example"), Err(Invalid::Misdirected)),
            (h1, "/", &[], None, BAD("Host must be given")),
            (h10, "/", &[], None, BAD("Host must be given")),
            (h1, "http://api.example/", &[], None, BAD("Host must be given")),
            (h1, "/", &[("host", "a"), ("host", "a")], None, BAD("Host must be given once")),
            (h1, "http://a/", &[("host", "b")], None, BAD(differ)),
            (h2, "https://a/", &[("host", "b")], None, BAD(differ)),
            (h1, "/", &[("host", "")], None, BAD(wrong)),
            (h1, "/", &[("host", "a b")], None, BAD(wrong)),
            (h1, "/", &[("host", "user@a")], None, BAD(wrong)),
            (h1, "/", &[("host", "a/b")], None, BAD(wrong)),
            (h1, "/", &[("host", "a,b")], None, BAD(wrong)),
            (h1, "/", &[("host", "a:b")], None, BAD(wrong)),
            (h1, "/", &[("host", "a..b")], None, BAD(wrong)),
            (h1, "/", &[("host", "[::1")], None, BAD(wrong)),
        ];
        for (version, target, fields, server_name, expected) in cases {
            let parts = parts(*version, target, fields);
            assert_eq!(
                &host(&parts, *server_name).map(Cow::into_owned),
                expected,
                "{version:?} {target} {fields:?} {server_name:?}"
            );
        }
    }

    #[test]
    fn a_body_is_framed_in_one_way() {
        let te = Err(Invalid::Request("Transfer-Encoding may only be \"chunked\", once"));
        let cl = Err(Invalid::Request("Content-Length must be given once, as a number"));
        let cases: &[(&[(&str, &str)], Result<(), Invalid>)] = &[
            (&[], Ok(())),
            (&[("transfer-encoding", "Chunked")], Ok(())),
            (&[("content-length", "12")], Ok(())),
            (&[("transfer-encoding", "gzip, chunked")], te),
            (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], te),
            (&[("transfer-encoding", "\tchunked")], te),
            (&[("content-length", "+1")], cl),
            (&[("content-length", "1"), ("content-length", "1")], cl),
        ];
        for (fields, expected) in cases {
            assert_eq!(
                check_framing(&parts(Version::HTTP_11, "/", fields)),
                *expected,
                "{fields:?}"
            );
        }
    }
}
