//! The trust bundle on its way to devices: who has fetched it, and how many have not.

use super::{Authority, AuthorityError};
use crate::{
    domain::{id::AccountId, principal::Principal},
    store::BundleReadiness,
};

/// How many have fetched the trust bundle as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Readiness {
    /// SHA-256 of the bundle.
    pub bundle: [u8; 32],
    /// How many principals have a good certificate.
    pub all: u64,
    /// How many of them have not fetched this bundle.
    pub missing: u64,
    /// The first of those.
    pub first_missing: Vec<Principal>,
}

impl Readiness {
    /// The part that has fetched it, 0 to 1. Where there is nobody, nobody is missing.
    #[must_use]
    pub fn part(&self) -> f64 {
        if self.all == 0 {
            return 1.0;
        }
        #[allow(clippy::cast_precision_loss, reason = "a part of some millions")]
        let part = (self.all - self.missing) as f64 / self.all as f64;
        part
    }
}

impl Authority {
    /// How many devices and services have fetched the trust bundle as it is now.
    ///
    /// # Errors
    /// What the store says.
    pub async fn bundle_readiness(&self) -> Result<Readiness, AuthorityError> {
        const NAMED: usize = 100;
        let bundle = self.issuers().bundle().id();
        let BundleReadiness {
            all,
            missing,
            first_missing,
        } = self
            .store()
            .bundle_readiness(bundle, self.now(), NAMED)
            .await?;
        Ok(Readiness {
            bundle,
            all,
            missing,
            first_missing,
        })
    }

    /// Remembers that an account's principal has fetched the trust bundle as it is now. An account without an enrolment
    /// stands for nobody.
    ///
    /// # Errors
    /// What the store says.
    pub async fn record_bundle_fetch(&self, account: &AccountId) -> Result<(), AuthorityError> {
        let bundle = self.issuers().bundle().id();
        let Some(account) = self.store().account(account).await? else {
            return Ok(());
        };
        let Some(enrolment) = &account.enrolment else {
            return Ok(());
        };
        if let Some(enrolment) = self.store().enrolment(enrolment).await? {
            let holder = enrolment.principal.to_string();
            self.store()
                .record_bundle_holder(holder, bundle, self.now())
                .await?;
        }
        Ok(())
    }
}
