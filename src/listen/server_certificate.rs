//! The certificate that a listener shows, replaceable while it runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A listener's certificate chain and key. Handshakes under way keep what they began with.
#[derive(Debug)]
pub struct ServerCertificate(ArcSwap<CertifiedKey>);

impl ServerCertificate {
    /// The chain, leaf first, and the leaf's key.
    ///
    /// # Errors
    /// [`UnusableCertificate`] when the chain is empty, the key can't be read, or they don't belong together.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, UnusableCertificate> {
        Ok(Self(ArcSwap::new(certified(chain, key)?)))
    }

    /// Shows another chain from the next handshake on.
    ///
    /// # Errors
    /// [`UnusableCertificate`] as for [`Self::new`]; the present one stays.
    pub fn replace(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), UnusableCertificate> {
        self.0.store(certified(chain, key)?);
        Ok(())
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, UnusableCertificate> {
    let provider: CryptoProvider = aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider)
        .map(Arc::new)
        .map_err(UnusableCertificate)
}

/// A server certificate and key that can't be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "the server's certificate and key cannot be used: {0}; the chain must begin with the certificate of that very key"
)]
pub struct UnusableCertificate(rustls::Error);
