//! Renewals: when a certificate is to be renewed, and whether an order may replace one (RFC 9773).

use super::{Authority, AuthorityError};
use crate::{
    domain::{
        account::Account,
        certificate::CertificateRecord,
        certificate_id::CertificateId,
        identifier::Identifier,
        incident::Incident,
        issuer::IssuerState,
        renewal::{Renewable, RenewalInfo, renewal_info},
    },
    store::Replacements,
};

impl Authority {
    /// When the certificate that is called so is to be renewed. Nothing when no issuer of ours, retired ones counted, has
    /// issued it. Anybody may ask: it costs one look-up by serial, and tells nothing of the certificate but this.
    ///
    /// # Errors
    /// What the store says.
    pub async fn renewal_info(
        &self,
        id: &CertificateId,
    ) -> Result<Option<RenewalInfo>, AuthorityError> {
        let record = self.certificate_called(id).await?;
        Ok(record.map(|record| self.renewal_of(&record)))
    }

    /// When a certificate is to be renewed.
    #[must_use]
    pub fn renewal_of(&self, record: &CertificateRecord) -> RenewalInfo {
        let incidents = self.inner.incidents.load();
        let incident = Incident::reaching(&incidents, record);
        let mut renewable = Renewable::from(record);
        // Nobody accepts what a retired issuer has signed.
        if let Some(issuer) = self.issuers().by_id(&record.issuer)
            && issuer.state() == IssuerState::Retired
        {
            let since = issuer.record.state_since;
            renewable.refused_since =
                Some(renewable.refused_since.map_or(since, |at| at.min(since)));
        }
        renewal_info(&renewable, incident, self.now())
    }

    async fn certificate_called(
        &self,
        id: &CertificateId,
    ) -> Result<Option<CertificateRecord>, AuthorityError> {
        let issuers = self.issuers();
        let is_issuer = |it: &&std::sync::Arc<super::Issuer>| {
            it.certificate.key_identifier() == id.key_identifier()
        };
        // A serial that was made up costs no look-up unless its issuer is ours.
        if !issuers.iter().any(|it| is_issuer(&it)) {
            return Ok(None);
        }
        let record = self.certificate(&id.serial()).await?;
        Ok(record.filter(|record| {
            issuers
                .iter()
                .filter(is_issuer)
                .any(|issuer| issuer.id() == record.issuer)
        }))
    }

    /// Whether an account's order for these identifiers may say that it replaces a certificate (RFC 9773 section 5): this
    /// authority issued it, the same account ordered it, and the two have an identifier in common. Whether it is
    /// replaced already, the command that records the order decides.
    ///
    /// # Errors
    /// `Invalid` and `Unauthorized`.
    pub(super) async fn check_replaces(
        &self,
        account: &Account,
        identifiers: &[Identifier],
        replaced: &CertificateId,
    ) -> Result<(), AuthorityError> {
        let record = self.certificate_called(replaced).await?.ok_or_else(|| {
            AuthorityError::Invalid(format!(
                "\"replaces\" names {replaced}, and this server has issued no such certificate; leave it out"
            ))
        })?;
        if record.account.as_ref() != Some(&account.id) {
            return Err(AuthorityError::Unauthorized(
                "another account ordered the certificate that \"replaces\" names; order with that account, or leave it out"
                    .to_owned(),
            ));
        }
        // An identifier that stands in no certificate, a device's hardware, is known by the order before.
        let before = match &record.order {
            Some(order) => self.order(order).await?,
            None => None,
        };
        let shared = identifiers.iter().any(|identifier| {
            let name = identifier.general_name().map(|name| name.to_string());
            name.is_some_and(|name| record.names.contains(&name))
                || before
                    .as_ref()
                    .is_some_and(|order| order.identifiers.contains(identifier))
                || proves(&record, identifier)
        });
        if shared {
            return Ok(());
        }
        Err(AuthorityError::Invalid(format!(
            "the order has no identifier in common with the certificate that \"replaces\" names, which has {}; leave it out",
            record.names.join(", ")
        )))
    }

    /// What a certificate replaced, and by what it was replaced, as orders said.
    ///
    /// # Errors
    /// What the store says.
    pub async fn replacements(
        &self,
        of: &CertificateRecord,
    ) -> Result<Replacements, AuthorityError> {
        Ok(self.store().replacements(of.serial).await?)
    }
}

/// Whether a certificate proves the principal that a permanent identifier stands for.
fn proves(record: &CertificateRecord, identifier: &Identifier) -> bool {
    match identifier {
        Identifier::PermanentIdentifier(path) => record
            .principal
            .as_ref()
            .is_some_and(|principal| principal.path() == path),
        Identifier::Dns(_) | Identifier::Ip(_) | Identifier::HardwareModule(_) => false,
    }
}
