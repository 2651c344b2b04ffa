//! A TLS server on loopback that answers tls-alpn-01 challenges, rightly or wrongly.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the server shows.
#[derive(Clone)]
pub struct Shown {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
    pub protocols: &'static [&'static str],
    pub versions: Vec<&'static SupportedProtocolVersion>,
}

/// What a client said in its hello: the server name, and the protocols.
pub type Hello = (Option<String>, Vec<String>);

/// The server; it goes on as long as its runtime.
#[derive(Clone)]
pub struct TlsServer {
    pub address: SocketAddr,
    shown: Arc<Mutex<Option<Shown>>>,
    hellos: Arc<Mutex<Vec<Hello>>>,
}

impl TlsServer {
    /// At an address; port 0 is any. Until something is to be shown, it hangs up.
    pub async fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            shown: Arc::default(),
            hellos: Arc::default(),
        };
        let running = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(acceptor) = running.acceptor() else {
                    continue;
                };
                tokio::spawn(async move {
                    if let Ok(mut stream) = acceptor.accept(stream).await {
                        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                    }
                });
            }
        });
        server
    }

    pub fn show(&self, shown: Shown) {
        *self.shown.lock() = Some(shown);
    }

    /// What clients said, the first first.
    pub fn hellos(&self) -> Vec<Hello> {
        self.hellos.lock().clone()
    }

    fn acceptor(&self) -> Option<TlsAcceptor> {
        let shown = self.shown.lock().clone()?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(shown.key).unwrap();
        let key = provider.key_provider.load_private_key(key).unwrap();
        let certificate = CertificateDer::from(shown.certificate);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&shown.versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Recorder {
                certified: Arc::new(CertifiedKey::new(vec![certificate], key)),
                hellos: Arc::clone(&self.hellos),
            }));
        config.alpn_protocols = shown
            .protocols
            .iter()
            .map(|it| it.as_bytes().to_vec())
            .collect();
        Some(TlsAcceptor::from(Arc::new(config)))
    }
}

#[derive(Debug)]
struct Recorder {
    certified: Arc<CertifiedKey>,
    hellos: Arc<Mutex<Vec<Hello>>>,
}

impl ResolvesServerCert for Recorder {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let protocols = hello.alpn().into_iter().flatten();
        self.hellos.lock().push((
            hello.server_name().map(str::to_owned),
            protocols
                .map(|it| String::from_utf8_lossy(it).into_owned())
                .collect(),
        ));
        Some(Arc::clone(&self.certified))
    }
}

/// A certificate that signed itself, years out of date, with these names and extensions.
pub fn certificate(
    names: Vec<SanType>,
    extensions: Vec<CustomExtension>,
    key: &KeyPair,
) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params.custom_extensions = extensions;
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    params.self_signed(key).unwrap().der().to_vec()
}

/// The names of a challenge certificate.
pub fn name(text: &str) -> SanType {
    match text.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(text.try_into().unwrap()),
    }
}

/// What a client that does all right shows.
pub fn right(identifier: &str, key_authorization: &str) -> Shown {
    let key = KeyPair::generate().unwrap();
    let digest = digest(key_authorization);
    let extension = CustomExtension::new_acme_identifier(&digest);
    Shown {
        certificate: certificate(vec![name(identifier)], vec![extension], &key),
        key: key.serialize_der(),
        protocols: &["acme-tls/1"],
        versions: rustls::ALL_VERSIONS.to_vec(),
    }
}

/// SHA-256 of a key authorization.
pub fn digest(key_authorization: &str) -> [u8; 32] {
    let digest =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key_authorization.as_bytes());
    digest.as_ref().try_into().unwrap()
}
