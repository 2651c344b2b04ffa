//! Activating and retiring issuers.

use portcullis_ca::revocation::RevocationReason;
use serde_json::json;

use crate::{
    authority::{Authority, AuthorityError, Issuer, IssuerSet},
    domain::{
        audit::Actor,
        issuer::{IssuerRecord, IssuerState},
    },
};

/// An issuer that is to issue.
#[derive(Debug, Clone)]
pub struct Activate {
    /// Which.
    pub name: String,
    /// The issuer whose place it takes, where it doesn't follow from the roots.
    pub instead_of: Option<String>,
    /// The part of the devices that must have fetched the trust bundle before a root is activated, 0 to 1.
    pub threshold: f64,
    /// Do it below the threshold too.
    pub force: bool,
}

impl Activate {
    /// Nineteen devices of twenty.
    pub const THRESHOLD: f64 = 0.95;
}

impl Authority {
    /// Makes an issuer issue. A root takes the intermediates below it along, and every other root of ours that issues
    /// begins to retire with its own. The answer is every issuer that changed, the one that was named first.
    ///
    /// # Errors
    /// `Invalid` when its extended key usages lack what its profiles are for; `Conflict` when the state is wrong, or too few devices trust the root yet and `force` is not set.
    pub async fn activate_issuer(
        &self,
        actor: &Actor,
        activate: &Activate,
    ) -> Result<Vec<IssuerRecord>, AuthorityError> {
        let issuers = self.issuers();
        let issuer = issuers.named(&activate.name)?;
        let now = self.now();
        let mut changed = vec![issuer.record.clone().activate(now)?];
        if issuer.record.is_root() {
            self.check_ready(activate).await?;
            for below in below(&issuers, issuer) {
                if below.state() == IssuerState::Prepared || below.state() == IssuerState::Retiring
                {
                    below.signer()?;
                    self.profiles().check_issuer(below)?;
                    changed.push(below.record.clone().activate(now)?);
                }
            }
            for other in issuers.roots() {
                if other.id() == issuer.id() || other.state() != IssuerState::Active {
                    continue;
                }
                changed.push(other.record.clone().begin_retiring(now)?);
                for below in below(&issuers, other) {
                    if below.state() == IssuerState::Active {
                        changed.push(below.record.clone().begin_retiring(now)?);
                    }
                }
            }
        } else {
            issuer.signer()?;
            self.profiles().check_issuer(issuer)?;
            if let Some(name) = &activate.instead_of {
                let other = issuers.named(name)?;
                changed.push(other.record.clone().begin_retiring(now)?);
            }
        }
        let retiring: Vec<&str> = changed
            .iter()
            .filter(|it| it.state == IssuerState::Retiring)
            .map(|it| it.name.as_str())
            .collect();
        let audit = self.audit(
            actor,
            "issuer.activate",
            issuer.name(),
            json!({ "retiring": retiring, "forced": activate.force }),
        );
        self.change_issuers(changed.clone(), Vec::new(), audit)
            .await?;
        Ok(changed)
    }

    async fn check_ready(&self, activate: &Activate) -> Result<(), AuthorityError> {
        let readiness = self.bundle_readiness().await?;
        let part = readiness.part();
        if part >= activate.threshold || activate.force {
            return Ok(());
        }
        Err(AuthorityError::Conflict(format!(
            "{} of {} devices and services have not fetched the trust bundle with this root, and could not verify what it \
             issues; portcullis ca readiness names them, --force goes ahead all the same",
            readiness.missing, readiness.all,
        )))
    }

    /// Ends an issuer: whatever it issued is refused from now on, live connections end, and its certificate is revoked. A
    /// root takes the intermediates below it along. The answer is every issuer that changed.
    ///
    /// # Errors
    /// `Conflict` when one of them still issues.
    pub async fn retire_issuer(
        &self,
        actor: &Actor,
        name: &str,
    ) -> Result<Vec<IssuerRecord>, AuthorityError> {
        let issuers = self.issuers();
        let now = self.now();
        if let Some(record) = issuers
            .records()
            .find(|record| record.name.as_str() == name && record.state == IssuerState::Requested)
        {
            let record = record.clone().retire(now)?;
            let audit = self.audit(actor, "issuer.retire", name, json!({ "request": true }));
            self.change_issuers(vec![record.clone()], Vec::new(), audit)
                .await?;
            return Ok(vec![record]);
        }
        let issuer = issuers.named(name)?;
        let mut ending = vec![issuer];
        if issuer.record.is_root() {
            ending.extend(
                below(&issuers, issuer).filter(|below| below.state() != IssuerState::Retired),
            );
        }
        let changed = ending
            .iter()
            .map(|issuer| issuer.record.clone().retire(now))
            .collect::<Result<Vec<_>, _>>()?;
        let names: Vec<&str> = changed.iter().map(|it| it.name.as_str()).collect();
        let audit = self.audit(actor, "issuer.retire", name, json!({ "issuers": names }));
        self.change_issuers(changed.clone(), Vec::new(), audit)
            .await?;
        // For verifiers elsewhere: the list of the root that signed it says so too.
        for issuer in ending {
            if issuer.record.parent.is_some() {
                self.revoke_certificates(
                    actor,
                    &[issuer.certificate.serial()],
                    RevocationReason::CessationOfOperation,
                )
                .await?;
            }
        }
        Ok(changed)
    }
}

fn below<'a>(
    issuers: &'a IssuerSet,
    root: &'a Issuer,
) -> impl Iterator<Item = &'a std::sync::Arc<Issuer>> {
    issuers.iter().filter(|issuer| {
        issuer
            .record
            .parent
            .is_some_and(|parent| parent.0 == root.id())
    })
}
