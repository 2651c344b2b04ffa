//! What a request must be before anything in it is believed: its framing, and the one host that it asks for.
//!
//! RFC 9112 sections 3.2 and 6.3, RFC 9113 section 8.3.1, RFC 9110 section 7.4. hyper already refuses differing
//! Content-Length fields, Transfer-Encoding in HTTP/1.0 and folded lines, and ends a connection whose request had both
//! Content-Length and Transfer-Encoding; h2 refuses connection-specific fields and control characters.

use http::{HeaderMap, Method, Uri, Version, header, request::Parts};

use crate::domain::{denial::Denial, route::Host};

/// Checks how the request is framed.
///
/// # Errors
/// [`Denial`] with 400.
pub(super) fn check_framing(parts: &Parts) -> Result<(), Denial> {
    if parts.method == Method::CONNECT {
        return Err(Denial::invalid_request("CONNECT is not offered"));
    }
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        // Others would reach the upstream without the field that names them.
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Denial::invalid_request(
                "Transfer-Encoding is not \"chunked\", once",
            ));
        }
    }
    let mut lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next()
        && (lengths.next().is_some()
            || length.is_empty()
            || !length.as_bytes().iter().all(u8::is_ascii_digit))
    {
        return Err(Denial::invalid_request("Content-Length is not one number"));
    }
    Ok(())
}

/// The host that the request is for. It must be named once and be the one that the handshake asked for (RFC 9110 section
/// 7.4), where it asked for one: whoever was let in as a guest of one name is not let on to another.
///
/// # Errors
/// [`Denial`] with 400 or 421.
pub(super) fn host(parts: &Parts, server_name: Option<&str>) -> Result<Host, Denial> {
    let authority = authority(&parts.uri, &parts.headers, parts.version)?;
    let host: Host = authority.parse()?;
    if let Some(server_name) = server_name
        && !without_final_dot(server_name).eq_ignore_ascii_case(host.as_str())
    {
        return Err(Denial::misdirected_request(format_args!(
            "the handshake asked for {server_name:?}, the request for {host}"
        )));
    }
    Ok(host)
}

fn authority<'r>(
    uri: &'r Uri,
    headers: &'r HeaderMap,
    version: Version,
) -> Result<&'r str, Denial> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let named = match hosts.next() {
        None => None,
        Some(host) => Some(
            host.to_str()
                .map_err(|_| Denial::invalid_request("Host is not ASCII"))?,
        ),
    };
    if hosts.next().is_some() {
        return Err(Denial::invalid_request("Host is given twice"));
    }
    let target = uri.authority().map(http::uri::Authority::as_str);
    match (target, named) {
        (Some(target), Some(named)) if !target.eq_ignore_ascii_case(named) => Err(
            Denial::invalid_request("Host and the request's target name different authorities"),
        ),
        // RFC 9112 section 3.2: a request of HTTP/1.1 without Host is answered with 400, whatever its target is.
        (Some(_), None) if version == Version::HTTP_11 => {
            Err(Denial::invalid_request("Host is missing"))
        }
        (Some(target), _) => Ok(target),
        (None, Some(named)) => Ok(named),
        (None, None) => Err(Denial::invalid_request("Host is missing")),
    }
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

    /// Traefik CVE-2026-32305, -48491, -53622: SNI says one name, `Host` or `:authority` another.
    #[test]
    fn a_request_names_one_host_and_it_is_the_one_of_the_handshake() {
        type Case<'c> = (
            Version,
            &'c str,
            &'c [&'c str],
            Option<&'c str>,
            Result<&'c str, u16>,
        );
        let (h1, h10, h2) = (Version::HTTP_11, Version::HTTP_10, Version::HTTP_2);
        let api = Ok("api.example");
        let cases: &[Case<'_>] = &[
            (h1, "/", &["api.example"], None, api),
            (h1, "/", &["API.Example:8443"], Some("api.example"), api),
            (h1, "/", &["api.example."], Some("Api.Example"), api),
            (h1, "/", &["api.example"], Some("api.example."), api),
            (h2, "https://api.example/", &[], Some("api.example"), api),
            (h2, "https://api.example/", &["api.example"], None, api),
            (h10, "/", &["api.example"], None, api),
            (h1, "/", &["[::1]:443"], None, Ok("[::1]")),
            (h1, "/", &["admin.example"], Some("api.example"), Err(421)),
            (
                h2,
                "https://admin.example/",
                &[],
                Some("api.example"),
                Err(421),
            ),
            (h1, "/", &[], None, Err(400)),
            (h10, "/", &[], None, Err(400)),
            (h1, "http://api.example/", &[], None, Err(400)),
            (h1, "/", &["a", "a"], None, Err(400)),
            (h1, "http://a/", &["b"], None, Err(400)),
            (h2, "https://a/", &["b"], None, Err(400)),
            (h1, "/", &[""], None, Err(400)),
            (h1, "/", &["user@a"], None, Err(400)),
            (h1, "/", &["a/b"], None, Err(400)),
            (h1, "/", &["a,b"], None, Err(400)),
            (h1, "/", &["a..b"], None, Err(400)),
        ];
        for (version, target, hosts, server_name, expected) in cases {
            let fields: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            let parts = parts(*version, target, &fields);
            let found = host(&parts, *server_name);
            assert_eq!(
                found
                    .as_ref()
                    .map(Host::as_str)
                    .map_err(Denial::http_status),
                *expected,
                "{version:?} {target} {hosts:?} {server_name:?}"
            );
        }
    }

    #[test]
    fn a_body_is_framed_in_one_way() {
        let cases: &[(&[(&str, &str)], bool)] = &[
            (&[], true),
            (&[("transfer-encoding", "Chunked")], true),
            (&[("content-length", "12")], true),
            (&[("transfer-encoding", "gzip, chunked")], false),
            (
                &[
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ],
                false,
            ),
            (&[("content-length", "+1")], false),
            (&[("content-length", "1"), ("content-length", "1")], false),
        ];
        for (fields, good) in cases {
            let checked = check_framing(&parts(Version::HTTP_11, "/", fields));
            assert_eq!(checked.is_ok(), *good, "{fields:?}");
        }
    }
}
