//! The headers that say who is calling: taken out of what comes from outside, set from what was verified.
//!
//! An upstream believes these headers, so none may pass from a client in any spelling: case, underscores for hyphens,
//! duplicates, trailers, or named in `Connection:` so that a later hop drops ours (Traefik CVE-2024-45410, OpenShift
//! CVE-2026-46579). The rule is one list of names and prefixes over the name with underscores read as hyphens.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The verified principal: `device:fra/line-2/sensor-42`.
pub static PRINCIPAL: HeaderName = HeaderName::from_static("portcullis-principal");
/// The scope that the request was permitted with.
pub static SCOPE: HeaderName = HeaderName::from_static("portcullis-scope");
/// The client's certificate (RFC 9440 section 2.2).
pub static CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
/// The id under which the access log has the request.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Names that only the gate may set, or that would let a client tell an upstream another caller, path or method than
/// the gate decided on.
const RESERVED: &[&str] = &[
    "client-cert",
    "client-cert-chain",
    "forwarded",
    "remote-user",
    "true-client-ip",
    "x-authenticated-user",
    "x-client-cert",
    "x-client-certificate",
    "x-client-dn",
    "x-client-ip",
    "x-client-verify",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-principal",
    "x-real-ip",
    "x-remote-user",
    "x-request-id",
    "x-rewrite-url",
    "x-spiffe-id",
    "x-webauth-user",
];

/// The same, for whole families.
const RESERVED_PREFIXES: &[&str] = &[
    "portcullis-",
    "ssl-client-",
    "tls-client-",
    "x-amzn-mtls-",
    "x-arr-",
    "x-auth-request-",
    "x-client-cert-",
    "x-forwarded-",
    "x-portcullis-",
    "x-ssl-",
    "x-tls-",
];

/// Whether a field concerns one hop only (RFC 9110 section 7.6.1); `expect` and `trailer` concern ours as well.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "expect"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Takes out of a request's headers everything that must not reach an upstream: fields of one hop, those that
/// `Connection` names, and every reserved name in every spelling.
pub(super) fn strip_request(headers: &mut HeaderMap) {
    let mut doomed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name.as_str()) || is_reserved(name.as_str()))
        .cloned()
        .collect();
    for value in headers.get_all(header::CONNECTION) {
        doomed.extend(named_in_connection(value));
    }
    for name in &doomed {
        headers.remove(name);
    }
}

/// Takes the fields of one hop out of an answer.
pub(super) fn strip_response(headers: &mut HeaderMap) {
    let mut doomed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name.as_str()) && *name != header::TRAILER)
        .cloned()
        .collect();
    for value in headers.get_all(header::CONNECTION) {
        doomed.extend(named_in_connection(value));
    }
    for name in &doomed {
        headers.remove(name);
    }
}

/// Takes out every spelling of a credential's field that the gate has read.
pub(super) fn strip_consumed(headers: &mut HeaderMap, consumed: &HeaderName) {
    headers.remove(consumed);
    let others: Vec<HeaderName> = headers
        .keys()
        .filter(|name| same_name(name.as_str(), consumed.as_str()))
        .cloned()
        .collect();
    for name in &others {
        headers.remove(name);
    }
}

/// What a `Connection` field names, but for the fields that make the request what it is: a client can't take those out.
fn named_in_connection(value: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    value
        .to_str()
        .unwrap_or_default()
        .split(',')
        .filter_map(|option| HeaderName::from_bytes(option.trim().as_bytes()).ok())
        .filter(|name| {
            ![
                header::HOST,
                header::CONTENT_LENGTH,
                header::CONTENT_TYPE,
                header::CONTENT_ENCODING,
                header::AUTHORIZATION,
            ]
            .contains(name)
        })
}

/// Whether only the gate may set a field of this name. Names come lower-case from `http`.
fn is_reserved(name: &str) -> bool {
    // Most fields of a request begin with another letter; this is the path of every request.
    if !matches!(
        name.as_bytes().first(),
        Some(b'c' | b'f' | b'p' | b'r' | b's' | b't' | b'x')
    ) {
        return false;
    }
    RESERVED.iter().any(|reserved| same_name(name, reserved))
        || RESERVED_PREFIXES.iter().any(|prefix| {
            name.get(..prefix.len())
                .is_some_and(|start| same_name(start, prefix))
        })
}

/// Whether two lower-case names are the same to an upstream that reads underscores as hyphens (CGI, RFC 3875 section
/// 4.1.18, and everything built on it).
fn same_name(name: &str, other: &str) -> bool {
    let plain = |octet: u8| if octet == b'_' { b'-' } else { octet };
    name.len() == other.len()
        && name
            .bytes()
            .zip(other.bytes())
            .all(|(a, b)| plain(a) == plain(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            );
        }
        map
    }

    fn names(map: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = map.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Traefik CVE-2024-45410, OpenShift CVE-2026-46579: spellings that an upstream takes for the real one.
    #[test]
    fn no_identity_header_passes_in_any_spelling() {
        let mut map = headers(&[
            ("Portcullis-Principal", "device:evil"),
            ("portcullis_principal", "device:evil"),
            ("PORTCULLIS-Anything", "x"),
            ("X-Portcullis-Scope", "x"),
            ("Client-Cert", ":AA==:"),
            ("Client_Cert", ":AA==:"),
            ("client-cert", ":AA==:"),
            ("Client-Cert-Chain", ":AA==:"),
            ("X-Forwarded-Client-Cert", "Hash=1"),
            ("X_Forwarded_Client_Cert", "Hash=1"),
            ("X-SSL-Client-S-DN", "CN=evil"),
            ("SSL_CLIENT_VERIFY", "SUCCESS"),
            ("X-Forwarded-For", "1.2.3.4"),
            ("Forwarded", "for=1.2.3.4"),
            ("X-Real-IP", "1.2.3.4"),
            ("X-Original-URL", "/admin"),
            ("X-HTTP-Method-Override", "DELETE"),
            ("X-Request-Id", "chosen"),
            ("Remote_User", "root"),
            ("Accept", "*/*"),
            ("X-Custom", "stays"),
            ("Content-Type", "text/plain"),
        ]);
        strip_request(&mut map);
        assert_eq!(names(&map), ["accept", "content-type", "x-custom"]);
    }

    #[test]
    fn fields_of_one_hop_and_what_connection_names_stay_on_that_hop() {
        let mut map = headers(&[
            ("Connection", "close, X-Hop"),
            (
                "Connection",
                "Client-Cert, Content-Type, Host, Content-Length",
            ),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
            ("TE", "trailers"),
            ("Trailer", "Client-Cert"),
            ("Transfer-Encoding", "chunked"),
            ("Expect", "100-continue"),
            ("Proxy-Authorization", "Basic eA=="),
            ("Host", "api.example"),
            ("Content-Type", "text/plain"),
            ("Content-Length", "3"),
        ]);
        strip_request(&mut map);
        assert_eq!(names(&map), ["content-length", "content-type", "host"]);
    }

    #[test]
    fn a_consumed_credential_goes_in_every_spelling() {
        let mut map = headers(&[("X-API-Key", "a"), ("X_Api_Key", "b"), ("X-Api", "c")]);
        strip_consumed(&mut map, &X_API_KEY);
        assert_eq!(names(&map), ["x-api"]);
    }
}
