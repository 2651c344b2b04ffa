//! Looking certificates up.

use portcullis_ca::serial::Serial;

use super::{Authority, AuthorityError};
use crate::{domain::certificate::CertificateRecord, store::CertificateFilter};

impl Authority {
    /// The certificate with this serial.
    ///
    /// # Errors
    /// What the store says.
    pub async fn certificate(
        &self,
        serial: &Serial,
    ) -> Result<Option<CertificateRecord>, AuthorityError> {
        Ok(self.store().certificate(*serial).await?)
    }

    /// The certificates that a filter leaves, newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn certificates(
        &self,
        filter: CertificateFilter,
    ) -> Result<Vec<CertificateRecord>, AuthorityError> {
        Ok(self.store().certificates(filter).await?)
    }
}
