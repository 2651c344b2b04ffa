//! Activating and retiring issuers.

use std::sync::Arc;

use portcullis_ca::{certificate::IssuerCertificate, revocation::RevocationReason, serial::Serial};
use serde_json::json;

use crate::{
    authority::{Authority, AuthorityError, Issuer, IssuerSet},
    domain::{
        audit::Actor,
        issuer::{IssuerRecord, IssuerState},
    },
    store::RevocationQuery,
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
    /// `Invalid` when its extended key usages lack what its profiles are for; `Conflict` when the state is wrong, or too
    /// few devices trust its root yet and `force` is not set.
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
            if issuer.record.parent.is_none() {
                // Its root is somebody else's, and new to the devices.
                self.check_ready(activate).await?;
            }
            if let Some(name) = &activate.instead_of {
                let other = issuers.named(name)?;
                if other.record.is_root() {
                    return Err(AuthorityError::Invalid(format!(
                        "{name} is a root; an intermediate takes the place of an intermediate"
                    )));
                }
                changed.push(other.record.clone().begin_retiring(now)?);
            }
        }
        self.check_all_issued(&issuers, &changed)?;
        let retiring: Vec<&str> = changed
            .iter()
            .filter(|it| it.state == IssuerState::Retiring)
            .map(|it| it.name.as_str())
            .collect();
        let audit = self.audit(
            actor,
            "issuer.activate",
            issuer.name(),
            json!({ "retiring": retiring, "forced": activate.force, "threshold": activate.threshold }),
        );
        self.change_issuers(&issuers, changed.clone(), Vec::new(), audit)
            .await?;
        Ok(changed)
    }

    /// Refuses a change after which a profile that is issued now would not be: everybody would wait for a certificate,
    /// and this server could not start for want of its own.
    fn check_all_issued(
        &self,
        issuers: &IssuerSet,
        changed: &[IssuerRecord],
    ) -> Result<(), AuthorityError> {
        let after: Vec<&IssuerRecord> = issuers
            .records()
            .map(|known| changed.iter().find(|it| it.id == known.id).unwrap_or(known))
            .filter(|record| !record.is_root() && record.state == IssuerState::Active)
            .collect();
        for (name, profile) in self.profiles().iter() {
            if !profile.kind.is_enrolled() {
                continue;
            }
            let is_issued = after.iter().any(|record| {
                record.profiles.is_empty() || record.profiles.iter().any(|it| it == name.as_str())
            });
            if !is_issued && issuers.issuing(name.as_str()).is_ok() {
                return Err(AuthorityError::Conflict(format!(
                    "nobody would issue the profile {name} any more; prepare an intermediate for it first: portcullis ca \
                     create, or portcullis ca rotate"
                )));
            }
        }
        Ok(())
    }

    async fn check_ready(&self, activate: &Activate) -> Result<(), AuthorityError> {
        let readiness = self.bundle_readiness().await?;
        let part = readiness.part();
        if part >= activate.threshold || activate.force {
            return Ok(());
        }
        Err(AuthorityError::Conflict(format!(
            "{} of {} devices and services have not fetched the trust bundle with its root, and could not verify what it \
             issues; portcullis ca readiness names them, --force goes ahead all the same",
            readiness.missing, readiness.all,
        )))
    }

    async fn check_no_good_leaves(&self, ending: &[&Arc<Issuer>]) -> Result<(), AuthorityError> {
        let mut good = 0;
        for issuer in ending.iter().filter(|issuer| !issuer.record.is_root()) {
            let query = RevocationQuery {
                issuer: Some(issuer.id()),
                ..RevocationQuery::default()
            };
            let reason = RevocationReason::CessationOfOperation;
            good += self.revocable(&query, reason, 0).await?.count;
        }
        if good == 0 {
            return Ok(());
        }
        Err(AuthorityError::Conflict(format!(
            "{good} certificates that it issued are still good, and would be refused at once; --yes goes ahead"
        )))
    }

    /// Ends an issuer: whatever it issued is refused from now on, live connections end, and its certificates are revoked.
    /// A root takes the intermediates below it along, and the roots that signed its key revoke that. The answer is every
    /// issuer that changed. What was cut short is finished by asking again.
    ///
    /// # Errors
    /// `Conflict` when one of them still issues, or all of it was done before; and when leaves of theirs are still good,
    /// unless it is done `knowingly`.
    pub async fn retire_issuer(
        &self,
        actor: &Actor,
        name: &str,
        knowingly: bool,
    ) -> Result<Vec<IssuerRecord>, AuthorityError> {
        let issuers = self.issuers();
        let now = self.now();
        if let Some(record) = issuers
            .records()
            .find(|record| record.name.as_str() == name && record.state == IssuerState::Requested)
        {
            let record = record.clone().retire(now)?;
            let audit = self.audit(actor, "issuer.retire", name, json!({ "request": true }));
            self.change_issuers(&issuers, vec![record.clone()], Vec::new(), audit)
                .await?;
            return Ok(vec![record]);
        }
        let issuer = issuers.named(name)?;
        let mut ending = vec![issuer];
        if issuer.record.is_root() {
            ending.extend(below(&issuers, issuer));
        }
        let changed = ending
            .iter()
            .filter(|issuer| issuer.state() != IssuerState::Retired)
            .map(|issuer| issuer.record.clone().retire(now))
            .collect::<Result<Vec<_>, _>>()?;
        if !knowingly {
            self.check_no_good_leaves(&ending).await?;
        }
        if !changed.is_empty() {
            let names: Vec<&str> = changed.iter().map(|it| it.name.as_str()).collect();
            let audit = self.audit(actor, "issuer.retire", name, json!({ "issuers": names }));
            self.change_issuers(&issuers, changed.clone(), Vec::new(), audit)
                .await?;
        }
        // For verifiers elsewhere: the lists of the roots that signed them say so too.
        let serials = ending
            .iter()
            .map(|issuer| certificates_of(issuer))
            .collect::<Result<Vec<_>, _>>()?
            .concat();
        let mut revoked = Vec::new();
        if !serials.is_empty() {
            let reason = RevocationReason::CessationOfOperation;
            revoked = self
                .revoke_certificates(actor, &serials, reason)
                .await?
                .serials;
        }
        if changed.is_empty() && revoked.is_empty() {
            issuer.record.clone().retire(now)?;
        }
        Ok(changed)
    }
}

/// The serials of an issuer's certificates that roots of ours signed: its own, unless it is a root, and those that cross.
fn certificates_of(issuer: &Issuer) -> Result<Vec<Serial>, AuthorityError> {
    let mut serials = Vec::new();
    if issuer.record.parent.is_some() {
        serials.push(issuer.certificate.serial());
    }
    for cross in &issuer.record.cross {
        let read = IssuerCertificate::from_der(&cross.der)
            .map_err(|error| AuthorityError::Internal(error.to_string()))?;
        serials.push(read.serial());
    }
    Ok(serials)
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
