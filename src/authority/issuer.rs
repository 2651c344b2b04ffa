//! Issuers: a CA certificate, its key, and where its certificate and list are to be had.

use std::sync::Arc;

use portcullis_ca::{
    certificate::{IssuerCertificate, to_pem},
    issuer_key_id::IssuerKeyId,
    key::Signer,
};

/// A CA that signs.
pub struct Issuer {
    /// Its certificate.
    pub certificate: IssuerCertificate,
    /// Its key.
    pub signer: Arc<dyn Signer>,
    id: IssuerKeyId,
    list_url: String,
    certificate_url: String,
}

impl Issuer {
    /// An issuer whose certificate and list are served below `public_url`.
    #[must_use]
    pub fn new(certificate: IssuerCertificate, signer: Arc<dyn Signer>, public_url: &str) -> Self {
        let id = IssuerKeyId::of(certificate.public_key().subject_public_key_info());
        Self {
            certificate,
            signer,
            id,
            list_url: list_url(public_url, &id, 0),
            certificate_url: issuer_certificate_url(public_url, &id),
        }
    }

    /// What it is known by.
    #[must_use]
    pub fn id(&self) -> IssuerKeyId {
        self.id
    }

    /// Where its list is.
    #[must_use]
    pub fn list_url(&self) -> &str {
        &self.list_url
    }

    /// Where its certificate is.
    #[must_use]
    pub fn certificate_url(&self) -> &str {
        &self.certificate_url
    }

    /// Its certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        to_pem(self.certificate.der())
    }
}

/// Where the list of an issuer's shard is, below the status server's public URL.
#[must_use]
pub fn list_url(public_url: &str, issuer: &IssuerKeyId, shard: u32) -> String {
    format!(
        "{}/crl/{}/{shard}.crl",
        public_url.trim_end_matches('/'),
        issuer.short()
    )
}

/// Where an issuer's certificate is, below the status server's public URL.
#[must_use]
pub fn issuer_certificate_url(public_url: &str, issuer: &IssuerKeyId) -> String {
    format!(
        "{}/issuer/{}.crt",
        public_url.trim_end_matches('/'),
        issuer.short()
    )
}

/// The built-in hierarchy: a root, and the intermediate that issues leaves.
pub struct Issuers {
    /// The trust anchor.
    pub root: Issuer,
    /// What leaves are signed by.
    pub intermediate: Issuer,
}

impl Issuers {
    /// Both, the root first.
    #[must_use]
    pub fn all(&self) -> [&Issuer; 2] {
        [&self.root, &self.intermediate]
    }
}
