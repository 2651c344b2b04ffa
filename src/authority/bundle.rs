//! The trust bundle on its way to devices: who has fetched it, and how many have not.

use super::{Authority, AuthorityError, TrustBundle};
use crate::{
    domain::{account::Account, principal::Principal},
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

    /// The trust bundle as it is now, for an account; that its principal has fetched it is remembered. An account without
    /// an enrolment, or whose enrolment has ended, stands for nobody.
    ///
    /// # Errors
    /// What the store says.
    pub async fn fetch_bundle(&self, account: &Account) -> Result<TrustBundle, AuthorityError> {
        let bundle = self.issuers().bundle();
        let enrolment = match &account.enrolment {
            Some(id) => self.store().enrolment(id).await?,
            None => None,
        };
        if let Some(enrolment) =
            enrolment.filter(|enrolment| enrolment.check_active(self.now()).is_ok())
        {
            let holder = enrolment.principal.to_string();
            self.store()
                .record_bundle_holder(holder, bundle.id(), self.now())
                .await?;
        }
        Ok(bundle)
    }
}
