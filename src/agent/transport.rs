//! HTTP over TLS to the one server that the agent trusts, with every wait and every size bounded.

use std::{error::Error as StdError, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use parking_lot::Mutex;
use rustls::{ClientConfig, client::Resumption};
use time::{
    OffsetDateTime, PrimitiveDateTime, format_description::BorrowedFormatItem,
    macros::format_description,
};

use super::{
    clock::Clock,
    random::random,
    renewal::jittered,
    trust::{ServerTrust, TrustError},
};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How often a server that is busy is asked again, and for how long it may ask for patience each time. Whoever needs more is
/// left alone until the next attempt.
const BUSY_ATTEMPTS: u32 = 10;
const BUSY_PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read: a chain of ten large certificates is a quarter of it.
const LARGEST_ANSWER: usize = 256 * 1024;
const AGENT: &str = concat!("portcullis-agent/", env!("CARGO_PKG_VERSION"));

/// A client of the server. Cheap to clone; all clones share connections.
#[derive(Clone)]
pub struct Transport {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    trust: Arc<ServerTrust>,
    retry_after: Arc<Mutex<Option<Duration>>>,
    clock: Clock,
}

impl Transport {
    /// A client that trusts as `trust` says, at the time that `clock` says.
    ///
    /// # Errors
    /// The cryptographic provider can't do TLS 1.2 or 1.3.
    pub fn new(trust: Arc<ServerTrust>, clock: Clock) -> Result<Self, TransportError> {
        let mut tls =
            ClientConfig::builder_with_details(trust.provider().clone(), Arc::new(clock.clone()))
                .with_safe_default_protocol_versions()
                .map_err(|error| TransportError::Tls(error.to_string()))?
                .dangerous()
                .with_custom_certificate_verifier(trust.clone())
                .with_no_client_auth();
        // A connection every few hours gains nothing from tickets, and every handshake is then verified in full.
        tls.resumption = Resumption::disabled();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // Requests are small and each waits for its answer: Nagle's delay would be all that one waits for.
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_WITHIN));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(15))
            .pool_max_idle_per_host(1)
            .build(connector);
        Ok(Self {
            client,
            trust,
            retry_after: Arc::default(),
            clock,
        })
    }

    /// What the client trusts.
    #[must_use]
    pub fn trust(&self) -> &ServerTrust {
        &self.trust
    }

    /// How long the last answer asked to wait (RFC 9110 section 10.2.3).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        *self.retry_after.lock()
    }

    /// Sends a request and reads the whole answer. A server that is busy and says for how short a time is asked again
    /// with the very same request: it has carried out nothing, or refuses the nonce that it has seen.
    ///
    /// # Errors
    /// The server can't be reached, isn't trusted, takes too long or sends too much, or answers with an error that
    /// isn't an ACME problem document.
    pub async fn send(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Result<Response<Bytes>, TransportError> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await.map(Collected::to_bytes);
        let mut attempt = 1;
        loop {
            let body = BodyWrapper::from(body.to_vec());
            let answer = self
                .send_once(Request::from_parts(head.clone(), body))
                .await?;
            let busy = matches!(
                answer.status(),
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
            );
            match self.retry_after() {
                Some(wait) if busy && attempt < BUSY_ATTEMPTS && wait <= BUSY_PATIENCE => {
                    attempt += 1;
                    // Those who were sent away together shall not come back together.
                    let spread = jittered(Duration::from_millis(500), random());
                    tokio::time::sleep(wait + spread).await;
                }
                Some(_) | None => return Ok(answer),
            }
        }
    }

    async fn send_once(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Result<Response<Bytes>, TransportError> {
        *self.retry_after.lock() = None;
        let origin = request.uri().authority().map_or_else(
            || request.uri().to_string(),
            |authority| format!("https://{authority}"),
        );
        let (path, method) = (request.uri().path().to_owned(), request.method().clone());
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let exchange = async {
            let answer = self
                .client
                .request(request)
                .await
                .map_err(|error| TransportError::new(&origin, &error))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, LARGEST_ANSWER)
                .collect()
                .await
                .map_err(|error| TransportError::Answer {
                    origin: origin.clone(),
                    detail: error.to_string(),
                })?
                .to_bytes();
            Ok::<_, TransportError>(Response::from_parts(parts, body))
        };
        let answer = tokio::time::timeout(ANSWER_WITHIN, exchange)
            .await
            .map_err(|_| TransportError::Slow {
                origin: origin.clone(),
            })??;
        *self.retry_after.lock() = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| wait(value.to_str().ok()?.trim(), self.clock.now()));
        let status = answer.status();
        let problem = answer
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/problem+json"));
        if (status.is_client_error() || status.is_server_error())
            && !problem
            && method != Method::HEAD
        {
            return Err(TransportError::NotAcme {
                origin,
                path,
                status,
            });
        }
        Ok(answer)
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let this = self.clone();
        Box::pin(async move {
            let is_directory = request.method() == Method::GET;
            let is_nonce = request.method() == Method::HEAD;
            let answer = this
                .send(request)
                .await
                .map_err(|error| instant_acme::Error::Other(Box::new(error)))?;
            // The library reads whatever a directory's URL answers as a directory, a problem document too.
            if is_directory && !answer.status().is_success() {
                return Err(serde_json::from_slice::<instant_acme::Problem>(answer.body())?.into());
            }
            // It takes any other answer for a fault of the server's, for good.
            if is_nonce && !answer.status().is_success() {
                let busy = TransportError::Busy(answer.status());
                return Err(instant_acme::Error::Other(Box::new(busy)));
            }
            Ok(BytesResponse::from(answer.map(Full::new)))
        })
    }
}

/// How long a field `Retry-After` asks to wait: seconds, or until a date (RFC 9110 sections 5.6.7 and 10.2.3).
fn wait(text: &str, now: OffsetDateTime) -> Option<Duration> {
    const DATE: &[BorrowedFormatItem<'_>] = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = PrimitiveDateTime::parse(text, DATE).ok()?.assume_utc();
    Some(Duration::try_from(date - now).unwrap_or_default())
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Somebody answers, but not the server that is trusted.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// TLS can't be set up or fails otherwise.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// No connection.
    #[error("can't reach {origin}: {detail}")]
    Unreachable {
        /// The server.
        origin: String,
        /// The innermost cause.
        detail: String,
    },
    /// No complete answer in time.
    #[error("{origin} did not answer within {} seconds", ANSWER_WITHIN.as_secs())]
    Slow {
        /// The server.
        origin: String,
    },
    /// The answer broke off or is too large.
    #[error("the answer of {origin} can't be read: {detail}")]
    Answer {
        /// The server.
        origin: String,
        /// What happened.
        detail: String,
    },
    /// It has no time for as little as a nonce.
    #[error("the server has no time and answered {0}")]
    Busy(StatusCode),
    /// The answer is an error, but not from an ACME server.
    #[error(
        "{origin}{path} answered {status}, and not as an ACME server does: check the directory's URL"
    )]
    NotAcme {
        /// The server.
        origin: String,
        /// The path that was asked for.
        path: String,
        /// Its answer.
        status: StatusCode,
    },
}

impl TransportError {
    fn new(origin: &str, error: &(dyn StdError + 'static)) -> Self {
        let mut innermost = error;
        let mut cause = Some(error);
        while let Some(current) = cause {
            if let Some(rustls) = current.downcast_ref::<rustls::Error>() {
                return Self::from_tls(rustls);
            }
            innermost = current;
            // An io::Error leaves the error that it wraps out of its chain of sources.
            cause = match current.downcast_ref::<std::io::Error>() {
                Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
                None => current.source(),
            };
        }
        Self::Unreachable {
            origin: origin.to_owned(),
            detail: innermost.to_string(),
        }
    }

    fn from_tls(error: &rustls::Error) -> Self {
        if let rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) = error
            && let Some(trust) = other.0.downcast_ref::<TrustError>()
        {
            return Self::Untrusted(trust.clone());
        }
        Self::Tls(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_server_asks_to_wait_for_seconds_or_until_a_date() {
        let now = datetime!(1994-11-06 08:49:30 UTC);
        for (text, seconds) in [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(wait(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
