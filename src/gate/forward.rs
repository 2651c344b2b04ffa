//! Forwarding: a permitted request on its way to its upstream, over HTTP/1.1 connections that are kept.
//!
//! Nothing is sent without a [`Permit`], and only the decision makes one.

use std::{error::Error, time::Duration};

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;

use super::{
    admit::PeerCertificate,
    api_key,
    body::RequestBody,
    config::UpstreamSettings,
    connection::Connection,
    identity_headers::{
        CLIENT_CERT, PRINCIPAL, REQUEST_ID, SCOPE, X_FORWARDED_FOR, X_FORWARDED_HOST,
        X_FORWARDED_PROTO, strip_request, strip_response,
    },
};
use crate::domain::{permit::Permit, request_path::NormalisedPath, route::AuthMethod};

/// One thread's connections to the upstreams.
pub(super) struct Upstreams {
    client: Client<HttpConnector, RequestBody>,
    head_timeout: Duration,
}

/// Why an upstream gave no answer. What follows is for the log, not for the caller.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamFailure {
    /// No connection could be made.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The connection broke, or what came is no answer to what was sent.
    #[error("no proper answer: {0}")]
    Broken(String),
    /// The answer's head did not come in time.
    #[error("no answer in time")]
    TimedOut,
}

impl Upstreams {
    pub(super) fn new(settings: &UpstreamSettings) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(settings.connect_timeout));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.idle_timeout)
            .pool_max_idle_per_host(settings.idle_connections)
            .build(connector);
        Self {
            client,
            head_timeout: settings.head_timeout,
        }
    }

    /// Sends a permitted request and gives the head of the answer, its body still to come.
    ///
    /// # Errors
    /// [`UpstreamFailure`].
    pub(super) async fn forward(
        &self,
        permit: &Permit,
        request: Inbound<'_>,
    ) -> Result<Response<Incoming>, UpstreamFailure> {
        let request = request.outbound(permit)?;
        let mut response = match timeout(self.head_timeout, self.client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_connect() => {
                return Err(UpstreamFailure::Unreachable(with_causes(&error)));
            }
            Ok(Err(error)) => return Err(UpstreamFailure::Broken(with_causes(&error))),
            Err(_) => return Err(UpstreamFailure::TimedOut),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // `Upgrade` is never passed on, so nobody asked for it (Pingora CVE-2025-4366).
            let words = "it switched protocols without being asked";
            return Err(UpstreamFailure::Broken(words.to_owned()));
        }
        strip_response(response.headers_mut());
        Ok(response)
    }
}

/// A request as it came, and what the gate knows about it.
pub(super) struct Inbound<'r> {
    pub(super) parts: Parts,
    pub(super) body: Incoming,
    pub(super) path: &'r NormalisedPath,
    pub(super) connection: &'r Connection,
    pub(super) request_id: &'r HeaderValue,
}

impl Inbound<'_> {
    /// The request as its upstream gets it: without what it must not see, and with what the gate knows.
    fn outbound(self, permit: &Permit) -> Result<Request<RequestBody>, UpstreamFailure> {
        let Self {
            mut parts,
            body,
            path,
            connection,
            request_id,
        } = self;
        let host = match parts.headers.get(header::HOST) {
            Some(host) => Some(host.clone()),
            None => parts
                .uri
                .authority()
                .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()),
        };
        let over_http2 = parts.version == Version::HTTP_2;
        parts.uri = upstream_uri(permit, &parts.uri, path)?;
        parts.version = Version::HTTP_11;
        parts.extensions.clear();

        let headers = &mut parts.headers;
        strip_request(headers);
        if permit.route().accepts(AuthMethod::ApiKey) {
            api_key::strip(headers);
        }
        if over_http2 {
            join_cookies(headers)?;
        }
        let mut principal = None;
        if let PeerCertificate::Proven(proven) = connection.certificate() {
            headers.insert(&CLIENT_CERT, proven.client_cert.clone());
            principal = (proven.credential.principal == *permit.principal())
                .then(|| proven.principal.clone());
        }
        let principal = match principal {
            Some(principal) => principal,
            None => printable(permit.principal().to_string())?,
        };
        headers.insert(&PRINCIPAL, principal);
        headers.insert(&SCOPE, printable(permit.scope().to_string())?);
        headers.insert(&REQUEST_ID, request_id.clone());
        headers.insert(&X_FORWARDED_FOR, connection.forwarded_for().clone());
        headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        headers.insert(header::FORWARDED, connection.forwarded().clone());
        // RFC 9110 section 7.6.3: a gateway towards HTTP must say so.
        let via = if over_http2 {
            "2 portcullis"
        } else {
            "1.1 portcullis"
        };
        headers.append(header::VIA, HeaderValue::from_static(via));
        if let Some(host) = host {
            headers.insert(&X_FORWARDED_HOST, host.clone());
            headers.insert(header::HOST, host);
        }
        Ok(Request::from_parts(parts, RequestBody(body)))
    }
}

/// HTTP/2 may cut `Cookie` into fields, HTTP/1.1 has one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) -> Result<(), UpstreamFailure> {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return Ok(());
    }
    let crumbs: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let joined = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
        .map_err(|error| UpstreamFailure::Broken(error.to_string()))?;
    headers.insert(header::COOKIE, joined);
    Ok(())
}

/// The upstream's authority, the path as it was matched, and the query as it came.
fn upstream_uri(permit: &Permit, uri: &Uri, path: &NormalisedPath) -> Result<Uri, UpstreamFailure> {
    let broken = |error: http::Error| UpstreamFailure::Broken(error.to_string());
    let authority = Authority::try_from(permit.route().upstream.authority())
        .map_err(|error| broken(error.into()))?;
    let path_and_query = match uri.path_and_query() {
        Some(same) if same.path() == path.as_str() => same.clone(),
        Some(_) | None => {
            let text = match uri.query() {
                Some(query) => format!("{path}?{query}"),
                None => path.to_string(),
            };
            PathAndQuery::try_from(text).map_err(|error| broken(error.into()))?
        }
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    parts.path_and_query = Some(path_and_query);
    Uri::from_parts(parts).map_err(|error| broken(error.into()))
}

fn printable(text: String) -> Result<HeaderValue, UpstreamFailure> {
    // Principals and scopes are printable ASCII by their grammar.
    HeaderValue::try_from(text).map_err(|error| UpstreamFailure::Broken(error.to_string()))
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
