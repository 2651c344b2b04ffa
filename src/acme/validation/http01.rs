//! http-01 (RFC 8555 section 8.3): fetch a file from the name and compare it with the key authorization. Redirects are
//! held to the same rules as the first request; their number, the size of the answer and the time are bounded.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;
use url::{Host, Url};

use super::{
    Validator,
    dialer::Dialed,
    failure::{connection, forbidden, incorrect, tls, unfit},
};
use crate::domain::{
    challenge::{ChallengeKind, ValidationFailure},
    identifier::Identifier,
};

/// How many redirects are followed.
pub const MAX_REDIRECTS: usize = 10;

/// The largest answer in bytes; a key authorization has 66 to 130.
pub const MAX_ANSWER_BYTES: usize = 1024;

/// The largest head of an answer in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The most fields in the head of an answer.
const MAX_HEAD_FIELDS: usize = 100;

impl Validator {
    /// Fetches the key authorization from where the identifier points.
    pub(super) async fn http01(
        &self,
        identifier: &Identifier,
        token: &str,
        key_authorization: &str,
    ) -> Result<(), ValidationFailure> {
        let host = match identifier {
            Identifier::Dns(name) if !name.is_wildcard() => name.to_string(),
            Identifier::Ip(IpAddr::V4(address)) => address.to_string(),
            Identifier::Ip(IpAddr::V6(address)) => format!("[{address}]"),
            Identifier::Dns(_)
            | Identifier::PermanentIdentifier(_)
            | Identifier::HardwareModule(_) => {
                return Err(unfit(ChallengeKind::Http01, identifier));
            }
        };
        let url = format!(
            "http://{host}:{}/.well-known/acme-challenge/{token}",
            self.http_port
        );
        let url = Url::parse(&url).map_err(|error| forbidden(format!("{url}: {error}")))?;
        self.fetch_and_compare(url, key_authorization).await
    }

    async fn fetch_and_compare(
        &self,
        mut url: Url,
        key_authorization: &str,
    ) -> Result<(), ValidationFailure> {
        for _ in 0..=MAX_REDIRECTS {
            match self.fetch(&url).await? {
                Answer::Redirect(location) => url = self.follow(&url, &location)?,
                // RFC 8555 section 8.3: white space at the end of the file is ignored.
                Answer::Body { body, .. }
                    if body.trim_ascii_end() == key_authorization.as_bytes() =>
                {
                    return Ok(());
                }
                Answer::Body { body, at } => {
                    return Err(incorrect(format!(
                        "{at} answered with {} bytes that are not the key authorization; serve the token, a dot, and the thumbprint of the account's key",
                        body.len()
                    )));
                }
            }
        }
        Err(incorrect(format!(
            "more than {MAX_REDIRECTS} redirects, the last to {url}; serve the file itself"
        )))
    }

    /// Where a redirect leads, if it may be followed.
    fn follow(&self, from: &Url, location: &str) -> Result<Url, ValidationFailure> {
        let to = from.join(location).map_err(|error| {
            incorrect(format!(
                "{from} redirects to {location:?}, which is no URL: {error}"
            ))
        })?;
        if !matches!(to.scheme(), "http" | "https") {
            return Err(forbidden(format!(
                "{from} redirects to {to}; only http and https are followed"
            )));
        }
        if !to.username().is_empty() || to.password().is_some() {
            return Err(forbidden(format!(
                "{from} redirects to a URL with a user name, which is not followed"
            )));
        }
        match to.port_or_known_default() {
            Some(port) if [80, 443, self.http_port].contains(&port) => Ok(to),
            port => Err(forbidden(format!(
                "{from} redirects to port {}; only 80, 443 and {} are followed",
                port.unwrap_or_default(),
                self.http_port
            ))),
        }
    }

    async fn fetch(&self, url: &Url) -> Result<Answer, ValidationFailure> {
        let no_host = || forbidden(format!("{url} has no host"));
        let (host, name): (Host<&str>, ServerName<'static>) =
            match url.host().ok_or_else(no_host)? {
                Host::Domain(name) => (
                    Host::Domain(name),
                    ServerName::try_from(name.to_owned())
                        .map_err(|_| forbidden(format!("{url}: the host is no name of DNS")))?,
                ),
                Host::Ipv4(address) => (Host::Ipv4(address), IpAddr::V4(address).into()),
                Host::Ipv6(address) => (Host::Ipv6(address), IpAddr::V6(address).into()),
            };
        let port = url.port_or_known_default().unwrap_or(self.http_port);
        let Dialed { stream, address } = self.dialer.dial(&host, port).await?;
        let at = format!("{url} (at {address})");
        if url.scheme() == "http" {
            return exchange(url, &at, stream).await;
        }
        let stream = self
            .redirect_tls
            .connect(name, stream)
            .await
            .map_err(|error| tls(format!("{at}: the TLS handshake failed: {error}")))?;
        exchange(url, &at, stream).await
    }
}

/// What came back.
enum Answer {
    Body { body: Bytes, at: String },
    Redirect(String),
}

async fn exchange(
    url: &Url,
    at: &str,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Answer, ValidationFailure> {
    let broken = |error: hyper::Error| connection(format!("{at}: the exchange broke off: {error}"));
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEAD_FIELDS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let _driver = AbortOnDropHandle::new(tokio::spawn(driver));
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let request = Request::get(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header(header::HOST, host)
        .header(header::USER_AGENT, "portcullis (ACME http-01 validation)")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| forbidden(format!("{url}: {error}")))?;
    let response = sender.send_request(request).await.map_err(broken)?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => {
            let location = response
                .headers()
                .get(header::LOCATION)
                .and_then(|value| value.to_str().ok())
                .ok_or_else(|| {
                    incorrect(format!(
                        "{at} redirects without a usable Location; serve the file itself"
                    ))
                })?;
            return Ok(Answer::Redirect(location.to_owned()));
        }
        status => {
            return Err(incorrect(format!(
                "{at} answered {status}; 200 and the key authorization are expected"
            )));
        }
    }
    let too_much = || {
        incorrect(format!(
            "{at} answered with more than {MAX_ANSWER_BYTES} bytes; serve the key authorization alone"
        ))
    };
    // What says that it is too long needn't be read.
    if response.body().size_hint().lower() > MAX_ANSWER_BYTES as u64 {
        return Err(too_much());
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                too_much()
            } else {
                connection(format!("{at}: the answer broke off"))
            }
        })?;
    Ok(Answer::Body {
        body: body.to_bytes(),
        at: at.to_owned(),
    })
}
