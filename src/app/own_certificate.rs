//! The certificate of this process's own fronts. Its key never touches the disk: at the next start there is another one.

use std::{sync::Arc, time::Duration};

use portcullis_ca::{
    key::{KeyAlgorithm, KeyError, Signer, SigningKey},
    name::GeneralName,
    pki_types::{CertificateDer, PrivateKeyDer},
};

use crate::{
    authority::{Authority, AuthorityError},
    domain::Timestamp,
    listen::ServerCertificate,
};

/// The fronts' certificate, and what is needed to make the next one.
pub(super) struct OwnCertificate {
    certificate: Arc<ServerCertificate>,
    names: Vec<GeneralName>,
    renew_at: Timestamp,
    /// What leads from its issuer to the roots, as it was when it was issued.
    chain: Vec<CertificateDer<'static>>,
}

impl OwnCertificate {
    /// Issues the first one.
    ///
    /// # Errors
    /// What the authority says, or that the TLS stack can't use it.
    pub(super) async fn issue(
        authority: &Authority,
        names: Vec<GeneralName>,
    ) -> Result<Self, OwnCertificateError> {
        let fresh = Fresh::issue(authority, &names).await?;
        Ok(Self {
            chain: fresh.chain[1..].to_vec(),
            renew_at: fresh.renew_at,
            certificate: Arc::new(
                ServerCertificate::new(fresh.chain, fresh.key)
                    .map_err(|error| OwnCertificateError::Tls(error.to_string()))?,
            ),
            names,
        })
    }

    /// The certificate, as the fronts share it.
    pub(super) fn certificate(&self) -> Arc<ServerCertificate> {
        Arc::clone(&self.certificate)
    }

    /// Replaces it at two thirds of its life, and at once when another issuer has taken over, until it is dropped.
    pub(super) async fn keep_current(&mut self, authority: &Authority) {
        // Short steps, so that a clock that jumps is noticed.
        const STEP: Duration = Duration::from_secs(60);
        let mut epochs = authority.standing().subscribe();
        loop {
            let pause = self
                .renew_at
                .since(authority.now())
                .clamp(Duration::from_secs(1), STEP);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = epochs.changed() => if changed.is_err() { return },
            }
            if authority.now() < self.renew_at && !self.is_of_before(authority) {
                continue;
            }
            if let Err(error) = self.renew(authority).await {
                tracing::error!(%error, "this server's own certificate could not be renewed");
                tokio::time::sleep(STEP).await;
            }
        }
    }

    /// Whether it would be issued by another issuer, or shown with another chain, now.
    fn is_of_before(&self, authority: &Authority) -> bool {
        let issuers = authority.issuers();
        issuers.issuing("server").is_ok_and(|issuer| {
            let chain = issuers.chain_with_roots(issuer);
            !self
                .chain
                .iter()
                .map(|der| der.as_ref())
                .eq(chain.iter().map(Vec::as_slice))
        })
    }

    async fn renew(&mut self, authority: &Authority) -> Result<(), OwnCertificateError> {
        let fresh = Fresh::issue(authority, &self.names).await?;
        let chain = fresh.chain[1..].to_vec();
        self.certificate
            .replace(fresh.chain, fresh.key)
            .map_err(|error| OwnCertificateError::Tls(error.to_string()))?;
        self.chain = chain;
        self.renew_at = fresh.renew_at;
        tracing::info!(renew_at = %self.renew_at, "this server's own certificate was renewed");
        Ok(())
    }
}

struct Fresh {
    /// The leaf, and all that leads to the roots, with them.
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    renew_at: Timestamp,
}

impl Fresh {
    async fn issue(
        authority: &Authority,
        names: &[GeneralName],
    ) -> Result<Self, OwnCertificateError> {
        let key = SigningKey::generate(KeyAlgorithm::P256)?;
        let own = authority
            .issue_own(key.public_key().clone(), names.to_vec())
            .await?;
        Ok(Self {
            chain: own.chain.into_iter().map(CertificateDer::from).collect(),
            key: PrivateKeyDer::Pkcs8(key.to_pkcs8_der().to_vec().into()),
            renew_at: own.renew_at,
        })
    }
}

/// Why this server has no certificate of its own.
#[derive(Debug, thiserror::Error)]
pub enum OwnCertificateError {
    /// No key could be made.
    #[error("this server's own key: {0}")]
    Key(#[from] KeyError),
    /// It was not issued.
    #[error("this server's own certificate: {0}")]
    Authority(#[from] AuthorityError),
    /// The TLS stack can't use it.
    #[error("this server's own certificate: {0}")]
    Tls(String),
}
