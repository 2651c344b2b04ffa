//! The http-01 validation (RFC 8555 section 8.3): fetch a file from the name and compare it with the key authorization.
//!
//! It never connects to an address that was not checked: a name is resolved once for each hop, each address is held
//! against `AllowedNetworks`, and the connection goes to that very address, so a name that resolves differently the
//! next time gains nothing. Redirects go through the same, their number, the size of the answer and the time are bounded.

mod networks;
mod redirect_tls;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use url::{Host, Url};

use super::config::Http01Settings;
use crate::domain::{
    challenge::{ValidationFailure, ValidationFailureKind},
    identifier::Identifier,
};

pub use networks::{AllowedNetworks, RefusedAddress};

/// How many redirects are followed.
pub const MAX_REDIRECTS: usize = 10;

/// The largest answer in bytes; a key authorization has 66 to 130.
pub const MAX_ANSWER_BYTES: usize = 1024;

/// The largest head of an answer in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How many addresses of a name are tried.
const MAX_ADDRESSES: usize = 4;

/// How long one address is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Validates http-01 challenges.
pub struct Http01 {
    resolver: TokioResolver,
    networks: AllowedNetworks,
    port: u16,
    timeout: Duration,
    redirect_tls: TlsConnector,
}

/// Why validations can't be done at all.
#[derive(Debug, thiserror::Error)]
pub enum Http01SetUpError {
    /// The system's resolver configuration can't be read, or the given one can't be used.
    #[error(
        "the DNS resolver can't be set up: {0}; name one under [acme.http01], as in resolvers = [\"192.0.2.53:53\"]"
    )]
    Resolver(#[from] NetError),
    /// TLS can't be set up.
    #[error("TLS for redirects can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl Http01 {
    /// With the resolvers, port and networks of the configuration.
    ///
    /// # Errors
    /// When the system's resolver can't be read.
    pub fn new(settings: &Http01Settings) -> Result<Self, Http01SetUpError> {
        let mut builder = if settings.resolvers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = settings.resolvers.iter().map(|address| {
                let mut server = NameServerConfig::udp_and_tcp(address.ip());
                for connection in &mut server.connections {
                    connection.port = address.port();
                }
                server
            });
            Resolver::builder_with_config(
                ResolverConfig::from_name_servers(servers.collect()),
                TokioRuntimeProvider::default(),
            )
        };
        let options = builder.options_mut();
        // A validation wants what is true now, and what the network says rather than this machine's files.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = Duration::from_secs(3);
        options.attempts = 2;
        Ok(Self {
            resolver: builder.build()?,
            networks: settings.networks.clone(),
            port: settings.port,
            timeout: settings.timeout,
            redirect_tls: TlsConnector::from(redirect_tls::client_config()?),
        })
    }

    /// Makes one attempt to fetch the key authorization from where the identifier points.
    ///
    /// # Errors
    /// Says what was asked, what came back and what would be right; the answer's content is not repeated.
    pub async fn validate(
        &self,
        identifier: &Identifier,
        token: &str,
        key_authorization: &str,
    ) -> Result<(), ValidationFailure> {
        let host = match identifier {
            Identifier::Dns(name) => name.to_string(),
            Identifier::Ip(IpAddr::V4(address)) => address.to_string(),
            Identifier::Ip(IpAddr::V6(address)) => format!("[{address}]"),
            Identifier::PermanentIdentifier(_) | Identifier::HardwareModule(_) => {
                return Err(refused(
                    "a device's identifier can't be validated by http-01",
                ));
            }
        };
        let url = format!(
            "http://{host}:{}/.well-known/acme-challenge/{token}",
            self.port
        );
        let url = Url::parse(&url).map_err(|error| refused(format!("{url}: {error}")))?;
        timeout(self.timeout, self.fetch_and_compare(url, key_authorization))
            .await
            .unwrap_or_else(|_| {
                Err(connection(format!(
                    "no answer from {host} within {} seconds",
                    self.timeout.as_secs()
                )))
            })
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
                Answer::Body(body) if body.trim_ascii_end() == key_authorization.as_bytes() => {
                    return Ok(());
                }
                Answer::Body(body) => {
                    return Err(incorrect(format!(
                        "{url} answered with {} bytes that are not the key authorization; serve the token, a dot, and the thumbprint of the account's key",
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
            return Err(refused(format!(
                "{from} redirects to {to}; only http and https are followed"
            )));
        }
        if !to.username().is_empty() || to.password().is_some() {
            return Err(refused(format!(
                "{from} redirects to a URL with a user name, which is not followed"
            )));
        }
        match to.port_or_known_default() {
            Some(port) if [80, 443, self.port].contains(&port) => Ok(to),
            port => Err(refused(format!(
                "{from} redirects to port {}; only 80, 443 and {} are followed",
                port.unwrap_or_default(),
                self.port
            ))),
        }
    }

    async fn fetch(&self, url: &Url) -> Result<Answer, ValidationFailure> {
        let addresses = self.addresses(url).await?;
        let stream = connect(url, &addresses).await?;
        if url.scheme() == "http" {
            return exchange(url, stream).await;
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned())
                .map_err(|_| refused(format!("{url}: the host is no name that TLS knows")))?,
            Some(Host::Ipv4(address)) => IpAddr::V4(address).into(),
            Some(Host::Ipv6(address)) => IpAddr::V6(address).into(),
            None => return Err(refused(format!("{url} has no host"))),
        };
        let stream = self
            .redirect_tls
            .connect(name, stream)
            .await
            .map_err(|error| connection(format!("{url}: the TLS handshake failed: {error}")))?;
        exchange(url, stream).await
    }

    /// The addresses of the URL's host that may be connected to, IPv6 first.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, ValidationFailure> {
        let found: Vec<IpAddr> = match url.host() {
            Some(Host::Ipv4(address)) => vec![address.into()],
            Some(Host::Ipv6(address)) => vec![address.into()],
            Some(Host::Domain(name)) => self.resolve(name).await?,
            None => return Err(refused(format!("{url} has no host"))),
        };
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(self.port);
        let mut refusal = None;
        let mut allowed: Vec<SocketAddr> = Vec::new();
        for address in found {
            match self.networks.check(address) {
                Ok(()) => allowed.push((address, port).into()),
                Err(error) => {
                    tracing::info!(host, %address, reason = %error, "a validation was kept from an address");
                    refusal = Some(error);
                }
            }
        }
        allowed.sort_by_key(SocketAddr::is_ipv4);
        allowed.truncate(MAX_ADDRESSES);
        match refusal {
            Some(error) if allowed.is_empty() => Err(refused(format!(
                "{host} is {error}, and validations don't go there unless the operator opens that network (allow_networks)"
            ))),
            Some(_) | None => Ok(allowed),
        }
    }

    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ValidationFailure> {
        // With the dot at its end, the name is looked up as it is and no search domain is added.
        let absolute = format!("{}.", name.trim_end_matches('.'));
        let found = self
            .resolver
            .lookup_ip(absolute.as_str())
            .await
            .map_err(|error| unresolved(name, &error))?;
        Ok(found.iter().collect())
    }
}

fn unresolved(name: &str, error: &NetError) -> ValidationFailure {
    let reason = if let NetError::Dns(DnsError::NoRecordsFound(none)) = error {
        format!("it has no A or AAAA record ({})", none.response_code)
    } else if let NetError::Timeout = error {
        "the resolver did not answer in time".to_owned()
    } else {
        tracing::info!(name, %error, "a name could not be resolved");
        "the look-up failed".to_owned()
    };
    failure(
        ValidationFailureKind::Dns,
        format!("{name} can't be resolved: {reason}"),
    )
}

/// What came back.
enum Answer {
    Body(Bytes),
    Redirect(String),
}

async fn connect(url: &Url, addresses: &[SocketAddr]) -> Result<TcpStream, ValidationFailure> {
    let mut last = "it has no address".to_owned();
    for address in addresses {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = format!("{address}: {}", error.kind()),
            Err(_) => {
                last = format!(
                    "{address}: no connection within {} seconds",
                    CONNECT_TIMEOUT.as_secs()
                )
            }
        }
    }
    Err(connection(format!(
        "could not connect to fetch {url}: {last}"
    )))
}

async fn exchange(
    url: &Url,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Answer, ValidationFailure> {
    let broken =
        |error: hyper::Error| connection(format!("{url}: the exchange broke off: {error}"));
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
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
        .map_err(|error| refused(format!("{url}: {error}")))?;
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
                .ok_or_else(|| incorrect(format!("{url} redirects without a usable Location")))?;
            return Ok(Answer::Redirect(location.to_owned()));
        }
        status => {
            return Err(incorrect(format!(
                "{url} answered {status}; 200 and the key authorization are expected"
            )));
        }
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            incorrect(format!(
                "{url} answered with more than {MAX_ANSWER_BYTES} bytes; serve the key authorization alone"
            ))
        } else {
            connection(format!("{url}: the answer broke off"))
        }
    })?;
    Ok(Answer::Body(body.to_bytes()))
}

fn failure(kind: ValidationFailureKind, detail: impl Into<String>) -> ValidationFailure {
    ValidationFailure {
        kind,
        detail: detail.into(),
    }
}

fn connection(detail: impl Into<String>) -> ValidationFailure {
    failure(ValidationFailureKind::Connection, detail)
}

fn incorrect(detail: impl Into<String>) -> ValidationFailure {
    failure(ValidationFailureKind::IncorrectResponse, detail)
}

fn refused(detail: impl Into<String>) -> ValidationFailure {
    failure(ValidationFailureKind::Unauthorized, detail)
}
