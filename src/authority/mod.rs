//! Every change of state, and the only writer; and the standing that the gate reads.
//!
//! An [`Authority`] is cheap to clone. Whoever changes something says who they are ([`Actor`]); the change, its audit
//! entry and its trust event are one transaction of the store, and the standing has followed when the call returns.
//!
//! To add a use case: a command in `store`, a method here, in the file of its noun.

use std::{future::Future, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::{
    domain::{
        Clock, Timestamp,
        attestation::AttestationRules,
        audit::{Actor, AuditDraft},
        directory::{Directories, Directory, DirectoryName},
        event::TrustEvent,
        id::RandomBits,
        incident::Incident,
        policy::PolicyContext,
        principal::TrustDomain,
    },
    store::Store,
};

mod account;
mod api_key;
mod approval;
mod attestation;
mod audit;
mod authorization;
mod bundle;
pub mod ca;
mod ca_key;
mod certificate;
mod challenge;
pub mod crash_point;
pub mod doctor;
mod error;
mod founding;
mod in_progress;
mod incident;
mod invitation;
mod issue;
mod issuer;
mod list;
mod ocsp;
mod order;
mod ordered_profile;
mod policy;
mod profile;
mod prune;
mod rate_limit;
mod reconcile;
mod renewal;
mod revoke;
mod secrets;
pub mod standing;
mod tally;

pub use account::{NewAccount, NewAccountKey};
pub use api_key::{MintApiKey, MintedApiKey};
pub use bundle::Readiness;
pub use ca_key::{CaKeyError, CaKeys, KeptKey};
pub use doctor::{Check, DoctorSettings, Finding, Report, Severity, Watch};
pub use error::{AuthorityError, CsrFault, RejectedIdentifier};
pub use founding::{Founding, found};
pub use in_progress::InProgress;
pub use incident::OpenIncident;
pub use invitation::{Invite, Invited};
pub use issue::OwnCertificate;
pub use issuer::{Issuer, IssuerSet, KeyHome, TrustBundle, issuer_certificate_url, list_url};
pub use list::{CurrentList, ListFault, ListRound, ListSchedule};
pub use ocsp::{ActiveResponder, OcspAnswer, OcspAnswerKind, OcspSchedule, ocsp_url};
pub use order::NewOrder;
pub use policy::AppliedPolicy;
pub use profile::Profiles;
pub use rate_limit::MOST_KEYS as MOST_LIMITED_KEYS;
pub use reconcile::{FoundList, Known, Missing, missing, reconcile};
pub use revoke::{Revoked, Unseen};
pub use secrets::Secrets;
pub use standing::Standing;
pub use tally::TallyReading;

/// What an authority is made of; `app` reads it from the configuration and the state directory.
pub struct Parts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where CA keys are.
    pub ca_keys: Arc<dyn CaKeys>,
    /// Where lists and issuer certificates are to be had.
    pub public_url: String,
    /// What leaves may contain, and for how long.
    pub profiles: Profiles,
    /// How often lists are made.
    pub list_schedule: ListSchedule,
    /// How long OCSP answers are good for.
    pub ocsp_schedule: OcspSchedule,
    /// From when on the doctor speaks up.
    pub doctor: DoctorSettings,
    /// Pepper and root of derived keys.
    pub secrets: Secrets,
    /// What policies are compiled with.
    pub policy_context: PolicyContext,
    /// What the gate reads.
    pub standing: Arc<Standing>,
    /// The doors to it that speak ACME.
    pub directories: Directories,
    /// By which devices may prove themselves.
    pub attestation: AttestationRules,
}

/// The authority.
#[derive(Clone)]
pub struct Authority {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    /// Changes of standing go one after the other, so that the standing sees their events in order.
    standing_changes: tokio::sync::Mutex<()>,
    /// Orders that are being finalized now.
    finalizing: InProgress<crate::domain::id::OrderId>,
    /// The issuers as they stand.
    issuers: ArcSwap<IssuerSet>,
    /// The lists as they are served.
    lists: ArcSwap<Vec<CurrentList>>,
    /// The incidents that are open, and whoever changes them: one after the other.
    incidents: ArcSwap<Vec<Incident>>,
    incident_changes: tokio::sync::Mutex<()>,
    /// What signs OCSP answers.
    responders: ocsp::Responders,
    /// The validity of this process's own certificate.
    own_certificate: parking_lot::Mutex<Option<(Timestamp, Timestamp)>>,
    /// When the high-water mark was last kept.
    mark_kept: parking_lot::Mutex<Option<Timestamp>>,
    /// When it was started.
    started_at: Timestamp,
    /// What was done since the start.
    tally: tally::Tally,
    /// What clients have used up of their limits.
    rates: rate_limit::RateTables,
    /// What the doctor found last.
    report: ArcSwapOption<Report>,
    /// What publishing them needs.
    publisher: list::Publisher,
    /// Wakes whoever publishes lists.
    list_due: tokio::sync::Notify,
}

impl Authority {
    /// Puts an authority together and loads its standing from the store. A store without a policy gets `first_policy`.
    ///
    /// # Errors
    /// What the store says, or that the policy in force can't be compiled.
    pub async fn start(parts: Parts, first_policy: &str) -> Result<Self, AuthorityError> {
        let started_at = parts.clock.now();
        let authority = Self {
            inner: Arc::new(Inner {
                parts,
                standing_changes: tokio::sync::Mutex::new(()),
                finalizing: InProgress::default(),
                issuers: ArcSwap::default(),
                lists: ArcSwap::default(),
                incidents: ArcSwap::default(),
                incident_changes: tokio::sync::Mutex::new(()),
                responders: ocsp::Responders::default(),
                own_certificate: parking_lot::Mutex::default(),
                mark_kept: parking_lot::Mutex::default(),
                started_at,
                tally: tally::Tally::default(),
                rates: rate_limit::RateTables::default(),
                report: ArcSwapOption::default(),
                publisher: list::Publisher::new()?,
                list_due: tokio::sync::Notify::new(),
            }),
        };
        authority.load_issuers().await?;
        authority.load_standing(first_policy).await?;
        authority.load_lists().await?;
        authority.load_incidents().await?;
        Ok(authority)
    }

    /// The time as the authority has it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.parts.clock.now()
    }

    /// What the gate reads.
    #[must_use]
    pub fn standing(&self) -> &Arc<Standing> {
        &self.inner.parts.standing
    }

    /// Looking up, for whoever may.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.inner.parts.store
    }

    /// The issuers as they stand at this moment.
    #[must_use]
    pub fn issuers(&self) -> Arc<IssuerSet> {
        self.inner.issuers.load_full()
    }

    /// What certificates may contain, and for how long.
    #[must_use]
    pub fn profiles(&self) -> &Profiles {
        &self.inner.parts.profiles
    }

    /// The ACME directory of this name.
    ///
    /// # Errors
    /// `Unauthorized` for one that is not configured any more.
    pub fn directory(&self, name: &DirectoryName) -> Result<&Directory, AuthorityError> {
        self.inner
            .parts
            .directories
            .get(name)
            .map(|directory| &**directory)
            .ok_or_else(|| {
                AuthorityError::Unauthorized(format!(
                    "there is no directory {name} on this server any more; take another one"
                ))
            })
    }

    /// All ACME directories.
    #[must_use]
    pub fn directories(&self) -> &Directories {
        &self.inner.parts.directories
    }

    /// Pepper and root of derived keys.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.inner.parts.secrets
    }

    /// The trust domain of the principals' SPIFFE IDs.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.inner.parts.policy_context.trust_domain
    }

    /// Makes a change of standing: the command, then the standing follows, and only then does the call return. It goes
    /// on when the caller goes away, so that no event is committed and not applied.
    async fn change_standing<T, E, F>(
        &self,
        command: impl FnOnce(Self) -> F,
    ) -> Result<T, AuthorityError>
    where
        T: Send + 'static,
        E: IntoIterator<Item = (u64, TrustEvent), IntoIter: Send> + Send,
        F: Future<Output = Result<(T, E), AuthorityError>> + Send + 'static,
    {
        let authority = self.clone();
        let change = command(self.clone());
        tokio::spawn(async move {
            let _one_at_a_time = authority.inner.standing_changes.lock().await;
            let (outcome, events) = change.await?;
            for (epoch, event) in events {
                if let Err(gap) = authority.standing().apply(epoch, &event) {
                    // An event was committed that nobody applied; the store knows everything.
                    tracing::error!(alarm = "standing", %gap, "the standing is loaded again");
                    authority.load_standing("").await?;
                }
            }
            Ok(outcome)
        })
        .await
        .map_err(|error| AuthorityError::Internal(error.to_string()))?
    }

    fn audit(
        &self,
        actor: &Actor,
        action: &'static str,
        subject: impl ToString,
        detail: serde_json::Value,
    ) -> AuditDraft {
        AuditDraft {
            at: self.now(),
            actor: actor.clone(),
            action,
            subject: subject.to_string(),
            detail,
        }
    }
}

/// 128 bits from the provider's generator.
fn random_bits() -> Result<RandomBits, AuthorityError> {
    let mut bits = [0; 16];
    fill_random(&mut bits)?;
    Ok(bits)
}

fn fill_random(bits: &mut [u8]) -> Result<(), AuthorityError> {
    aws_lc_rs::rand::fill(bits)
        .map_err(|_| AuthorityError::Internal("the system's random generator failed".to_owned()))
}
