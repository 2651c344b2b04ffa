//! A client's connection to the gate: TLS as asked for, then HTTP/1.1, HTTP/2 or bare octets.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    version::{TLS12, TLS13},
};
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, sync::mpsc, task::JoinHandle, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    pki::Identity,
    stage::{DEADLINE, HOST, Stage},
};

pub type Body = BoxBody<Bytes, std::convert::Infallible>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http {
    One,
    Two,
}

pub const BOTH: [Http; 2] = [Http::One, Http::Two];
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A client with its own memory of sessions.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    address: SocketAddr,
}

impl Client {
    pub fn new(stage: &Stage, identity: Option<&Identity>, http: Http) -> Self {
        Self::with_version(stage, identity, http, &TLS13)
    }

    pub fn with_version(
        stage: &Stage,
        identity: Option<&Identity>,
        http: Http,
        version: &'static SupportedProtocolVersion,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(stage.pki.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            Some(identity) => builder
                .with_client_auth_cert(identity.chain.clone(), identity.key())
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![match http {
            Http::One => b"http/1.1".to_vec(),
            Http::Two => b"h2".to_vec(),
        }];
        config.resumption = Resumption::in_memory_sessions(16);
        Self {
            config: Arc::new(config),
            address: stage.address(),
        }
    }

    /// The same client, which sends its part of the handshake in TLS records of a few octets.
    pub fn fragmented(&self) -> Self {
        let mut config = (*self.config).clone();
        config.max_fragment_size = Some(32);
        Self {
            config: Arc::new(config),
            address: self.address,
        }
    }

    /// The same client, with what it remembers, at another address.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self {
            config: Arc::clone(&self.config),
            address,
        }
    }

    pub async fn tls(&self, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::clone(&self.config))
            .connect(ServerName::try_from(name.to_owned()).unwrap(), stream)
            .await
    }

    pub async fn connect(&self) -> Connected {
        self.connect_as(HOST).await
    }

    pub async fn connect_as(&self, name: &str) -> Connected {
        let stream = timeout(DEADLINE, self.tls(name)).await.unwrap().unwrap();
        let session = stream.get_ref().1;
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        let (sender, driver) = if is_http2 {
            let (sender, driver) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            (Sender::Two(sender), tokio::spawn(driver))
        } else {
            let (sender, driver) = http1::handshake(io).await.unwrap();
            (Sender::One(sender), tokio::spawn(driver))
        };
        Connected {
            sender,
            driver,
            resumed,
        }
    }
}

/// A body that is sent piece by piece, until the sender is dropped.
pub fn pieces() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((Ok(Frame::data(piece)), receiver))
    });
    (sender, StreamBody::new(stream).boxed())
}

/// An HTTP connection. Its driver ends when the connection does.
pub struct Connected {
    pub sender: Sender,
    pub driver: JoinHandle<hyper::Result<()>>,
    pub resumed: bool,
}

pub enum Sender {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn problem(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let kind = problem["type"].as_str().unwrap_or_default();
        kind.strip_prefix(portcullis::gate::TYPE_PREFIX)
            .unwrap_or(kind)
            .to_owned()
    }
}

impl Connected {
    pub async fn begin(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        let answer = async {
            match &mut self.sender {
                Sender::One(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Sender::Two(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
            }
        };
        timeout(DEADLINE, answer).await.expect("an answer in time")
    }

    pub async fn send(&mut self, request: Request<Body>) -> hyper::Result<Answer> {
        let (parts, body) = self.begin(request).await?.into_parts();
        let body = timeout(DEADLINE, body.collect())
            .await
            .expect("a body in time")?
            .to_bytes();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    pub async fn get(&mut self, path: &str) -> hyper::Result<Answer> {
        let request = self.request("GET", path, &[]);
        self.send(request).await
    }

    pub fn request(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Request<Body> {
        self.request_with(method, path, fields, Full::new(Bytes::new()).boxed())
    }

    pub fn request_with(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: Body,
    ) -> Request<Body> {
        let mut request = Request::builder().method(method);
        request = match self.sender {
            Sender::One(_) => request.uri(path).header("host", HOST),
            Sender::Two(_) => request.uri(format!("https://{HOST}{path}")),
        };
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(body).unwrap()
    }

    /// Waits until the gate has closed the connection.
    pub async fn closed(self) {
        // Whether it ended well or badly: it ended.
        let _ = timeout(DEADLINE, self.driver)
            .await
            .expect("the connection is closed in time");
    }
}
