//! Looking certificates up.

use portcullis_ca::serial::Serial;

use super::{Authority, AuthorityError};
use crate::{
    domain::{certificate::CertificateRecord, enrolment::Enrolment, id::EnrolmentId},
    store::{CertificateFilter, InventoryPage, InventoryQuery, Kin},
};

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

    /// A page of the inventory.
    ///
    /// # Errors
    /// What the store says.
    pub async fn inventory(&self, query: InventoryQuery) -> Result<InventoryPage, AuthorityError> {
        Ok(self.store().inventory(query).await?)
    }

    /// What came before and after a certificate, at most `limit` of each.
    ///
    /// # Errors
    /// What the store says.
    pub async fn kin(&self, of: &CertificateRecord, limit: usize) -> Result<Kin, AuthorityError> {
        Ok(self.store().kin(of, limit).await?)
    }

    /// The enrolment with this id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn enrolment(&self, id: &EnrolmentId) -> Result<Option<Enrolment>, AuthorityError> {
        Ok(self.store().enrolment(id).await?)
    }
}
