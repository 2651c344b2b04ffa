//! Answering for certificates' status, at the moment of the request (RFC 6960); and the delegated responders that sign
//! the answers, so that no CA key is used for what anybody may ask.
//!
//! A responder's key lives in memory only. Its certificate is recorded like every other; there is one for each issuer
//! whose key is at hand, from the start or from the first question on.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use portcullis_ca::{
    certificate::Draft,
    issuer_key_id::IssuerKeyId,
    key::{KeyAlgorithm, Signer, SigningKey},
    ocsp::{
        CertId, CertStatus, IssuerHashes, Request, Responder, ResponseDraft, ResponseStatus,
        SingleResponse,
    },
    profile::{Profile, ProfileKind, Subject},
    serial::Serial,
};
use serde_json::json;

use super::{Authority, AuthorityError, Issuer};
use crate::{
    domain::{Timestamp, audit::Actor, certificate::CertificateRecord, issuer::IssuerState},
    store::CertificateStatusAnswer,
};

/// How long a responder's certificate is valid: many times an answer's life, and short, for nobody asks whether it is
/// revoked (RFC 6960 section 4.2.2.2.1).
const RESPONDER_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// How long answers are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OcspSchedule {
    /// From thisUpdate to nextUpdate.
    pub life: Duration,
}

impl OcspSchedule {
    /// The longest life of an answer: the part of a responder's life that is left when it renews itself.
    pub const LONGEST: Duration = Duration::from_secs(2 * 86_400);
}

impl Default for OcspSchedule {
    fn default() -> Self {
        Self {
            life: Duration::from_secs(3600),
        }
    }
}

/// An answer, ready to be sent.
#[derive(Debug, Clone)]
pub struct OcspAnswer {
    /// The OCSPResponse.
    pub der: Bytes,
    /// What it is.
    pub kind: OcspAnswerKind,
}

/// What an answer is, for whoever sends it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OcspAnswerKind {
    /// Signed, and the same for everybody who asks: it may be cached (RFC 5019 section 6).
    ForAll {
        /// When it was true.
        this_update: Timestamp,
        /// Until when it may be used.
        next_update: Timestamp,
    },
    /// Signed for the one whose nonce it echoes.
    ForOne,
    /// No answer, and why.
    Refusal(ResponseStatus),
}

/// The responders by their issuers.
#[derive(Default)]
pub(super) struct Responders {
    current: ArcSwap<HashMap<IssuerKeyId, Arc<ActiveResponder>>>,
    /// One is made at a time. When that failed last, and why: a signer that is down is not asked for every request.
    making: tokio::sync::Mutex<HashMap<IssuerKeyId, (Timestamp, AuthorityError)>>,
}

/// How long after a failure the next attempt is made.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A responder that signs.
pub struct ActiveResponder {
    responder: Responder,
    key: SigningKey,
    serial: Serial,
}

impl ActiveResponder {
    /// The serial of its certificate.
    #[must_use]
    pub fn serial(&self) -> Serial {
        self.serial
    }

    /// The first moment of its certificate's validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.responder.not_before())
    }

    /// The last moment of its certificate's validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.responder.not_after())
    }

    /// From when on it should be replaced: two thirds of its life.
    #[must_use]
    pub fn renew_at(&self) -> Timestamp {
        let life = self.responder.not_after() - self.responder.not_before();
        Timestamp::from_unix_seconds(self.responder.not_before() + life / 3 * 2)
    }

    /// Whether an answer that is signed now has a future.
    fn can_sign(&self, now: Timestamp) -> bool {
        (self.responder.not_before()..self.responder.not_after()).contains(&now.unix_seconds())
    }
}

impl Authority {
    /// Answers an OCSP request. Revocations that were committed before the call are in the answer.
    pub async fn answer_ocsp(&self, request: &[u8]) -> OcspAnswer {
        let answer = match self.signed_answer(request).await {
            Ok(answer) => answer,
            Err(status) => OcspAnswer {
                der: status.to_der().into(),
                kind: OcspAnswerKind::Refusal(status),
            },
        };
        let what = match answer.kind {
            OcspAnswerKind::ForAll { .. } | OcspAnswerKind::ForOne => "signed",
            OcspAnswerKind::Refusal(status) => status.name(),
        };
        self.inner.tally.ocsp.add(what, 1);
        answer
    }

    async fn signed_answer(&self, request: &[u8]) -> Result<OcspAnswer, ResponseStatus> {
        let request = Request::from_der(request).map_err(|error| {
            tracing::debug!(%error, "an OCSP request was refused");
            ResponseStatus::MalformedRequest
        })?;
        let issuers = self.issuers();
        // A responder answers for one issuer, so a request about several has no answer of ours.
        let issuer = issuers
            .iter()
            .find(|issuer| {
                let hashes = IssuerHashes::of(&issuer.certificate);
                request.cert_ids.iter().all(|id| hashes.names(id))
            })
            .ok_or(ResponseStatus::Unauthorized)?;
        // Before the status is looked up: what is committed later is not in this answer.
        let now = self.now().whole_seconds();
        if !can_answer(issuer, now) {
            return Err(ResponseStatus::Unauthorized);
        }
        // Whoever failed has told so; a line for each request would let anybody fill the log.
        let unavailable = |error: AuthorityError| {
            tracing::debug!(%error, issuer = %issuer.name(), "an OCSP request could not be answered");
            if matches!(error, AuthorityError::Refused(_)) {
                ResponseStatus::InternalError
            } else {
                ResponseStatus::TryLater
            }
        };
        let active = self
            .usable_responder(issuer, now)
            .await
            .map_err(unavailable)?;
        let next_update = (now + self.inner.parts.ocsp_schedule.life).min(active.not_after());
        let mut responses = Vec::with_capacity(request.cert_ids.len());
        for cert_id in request.cert_ids {
            responses.push(SingleResponse {
                status: self
                    .ocsp_status(issuer, &cert_id)
                    .await
                    .map_err(unavailable)?,
                cert_id,
                this_update: now.unix_seconds(),
                next_update: next_update.unix_seconds(),
            });
        }
        let draft = ResponseDraft {
            produced_at: now.unix_seconds(),
            responses,
            nonce: request.nonce,
        };
        let checked = draft
            .check(&active.responder)
            .map_err(|refused| unavailable(refused.into()))?;
        let der = checked
            .sign(&active.key)
            .await
            .map_err(|error| unavailable(error.into()))?;
        Ok(OcspAnswer {
            der: der.into(),
            kind: if draft.nonce.is_some() {
                OcspAnswerKind::ForOne
            } else {
                OcspAnswerKind::ForAll {
                    this_update: now,
                    next_update,
                }
            },
        })
    }

    /// What the store says at this moment. `good` only if we issued it: a certificate that nobody remembers is unknown.
    async fn ocsp_status(
        &self,
        issuer: &Issuer,
        cert_id: &CertId,
    ) -> Result<CertStatus, AuthorityError> {
        let Some(serial) = cert_id.serial() else {
            return Ok(CertStatus::Unknown);
        };
        let status = self.store().certificate_status(issuer.id(), serial).await?;
        Ok(match status {
            CertificateStatusAnswer::Unknown => CertStatus::Unknown,
            CertificateStatusAnswer::Good => CertStatus::Good,
            CertificateStatusAnswer::Revoked { at, reason } => CertStatus::Revoked {
                at: at.unix_seconds(),
                reason,
            },
        })
    }

    /// The responders as they are, by their issuers.
    #[must_use]
    pub fn ocsp_responders(&self) -> Arc<HashMap<IssuerKeyId, Arc<ActiveResponder>>> {
        self.inner.responders.current.load_full()
    }

    async fn usable_responder(
        &self,
        issuer: &Issuer,
        now: Timestamp,
    ) -> Result<Arc<ActiveResponder>, AuthorityError> {
        self.responder_unless(issuer, |active| active.can_sign(now))
            .await
    }

    /// The issuer's responder, or a new one where there is none that is good enough.
    async fn responder_unless(
        &self,
        issuer: &Issuer,
        is_good: impl Fn(&ActiveResponder) -> bool,
    ) -> Result<Arc<ActiveResponder>, AuthorityError> {
        let responders = &self.inner.responders;
        let good = || {
            let current = responders.current.load();
            current
                .get(&issuer.id())
                .filter(|active| is_good(active))
                .cloned()
        };
        if let Some(active) = good() {
            return Ok(active);
        }
        let mut failures = responders.making.lock().await;
        if let Some(active) = good() {
            return Ok(active);
        }
        let now = self.now();
        if let Some((at, error)) = failures.get(&issuer.id())
            && now >= *at
            && now < *at + RETRY_AFTER
        {
            return Err(error.clone());
        }
        let active = match self.make_responder(issuer).await {
            Ok(active) => Arc::new(active),
            Err(error) => {
                failures.insert(issuer.id(), (now, error.clone()));
                return Err(error);
            }
        };
        responders.current.rcu(|current| {
            let mut current = HashMap::clone(current);
            current.insert(issuer.id(), Arc::clone(&active));
            current
        });
        Ok(active)
    }

    async fn make_responder(&self, issuer: &Issuer) -> Result<ActiveResponder, AuthorityError> {
        let internal = |error: &dyn std::fmt::Display| AuthorityError::Internal(error.to_string());
        let now = self.now();
        let key = SigningKey::generate(KeyAlgorithm::P256).map_err(|error| internal(&error))?;
        let serial = Serial::random().map_err(|error| internal(&error))?;
        let mut profile = Profile::default_for(ProfileKind::OcspResponder);
        profile.lifetime = RESPONDER_LIFE;
        let (not_before, not_after) =
            profile.validity(now.unix_seconds(), issuer.certificate.not_after());
        let draft = Draft {
            subject: Subject::CommonName(format!("OCSP responder of {}", issuer.name())),
            issuer_certificate: Some(issuer.certificate_url()),
            ..Draft::new(
                Arc::new(profile),
                serial,
                key.public_key().clone(),
                (not_before, not_after),
            )
        };
        let certificate = draft
            .check(Some(&issuer.certificate))?
            .sign(&**issuer.signer()?)
            .await?;
        let responder = Responder::from_der(certificate.der(), &issuer.certificate)
            .map_err(|error| internal(&error))?;
        let audit = self.audit(
            &Actor::Authority,
            "certificate.issue",
            serial,
            json!({ "profile": ProfileKind::OcspResponder.name(), "for": format!("OCSP answers of {}", issuer.name()) }),
        );
        let record = CertificateRecord {
            serial,
            issuer: issuer.id(),
            list_shard: 0,
            profile: ProfileKind::OcspResponder.into(),
            principal: None,
            names: Vec::new(),
            not_before: Timestamp::from_unix_seconds(not_before),
            not_after: Timestamp::from_unix_seconds(not_after),
            key_fingerprint: key.public_key().fingerprint(),
            der: certificate.into_der(),
            enrolment: None,
            account: None,
            order: None,
            issued_at: now,
            revocation: None,
        };
        self.store().record_certificate(record, audit).await?;
        self.inner
            .tally
            .issued
            .add(ProfileKind::OcspResponder.name(), 1);
        tracing::info!(issuer = %issuer.name(), %serial, "an OCSP responder got its certificate");
        Ok(ActiveResponder {
            responder,
            key,
            serial,
        })
    }

    /// Renews the responders that are due: at two thirds of their life, and where the certificate was revoked. Issuers
    /// whose certificates send people here get theirs before anybody asks.
    ///
    /// # Errors
    /// The first one's, after all were tried: what the store, the linter and the signer say.
    pub async fn renew_due_responders(&self) -> Result<(), AuthorityError> {
        let mut outcome = Ok(());
        let issuers = self.issuers();
        let now = self.now();
        self.inner.responders.current.rcu(|current| {
            let mut current = HashMap::clone(current);
            current.retain(|id, _| {
                let issuer = issuers.by_id(id);
                issuer.is_some_and(|issuer| can_answer(issuer, now))
            });
            current
        });
        for issuer in issuers.iter().filter(|issuer| can_answer(issuer, now)) {
            if let Err(error) = self.renew_due_responder(issuer).await {
                tracing::error!(alarm = "ocsp", %error, issuer = %issuer.name(), "an OCSP responder could not be renewed");
                outcome = outcome.and(Err(error));
            }
        }
        outcome
    }

    async fn renew_due_responder(&self, issuer: &Issuer) -> Result<(), AuthorityError> {
        let current = self.ocsp_responders().get(&issuer.id()).cloned();
        let revoked = match &current {
            Some(active) => {
                let record = self.store().certificate(active.serial).await?;
                record
                    .is_none_or(|record| record.revocation.is_some())
                    .then_some(active.serial)
            }
            None if self.sends_to_responder(issuer) => None,
            None => return Ok(()),
        };
        let now = self.now();
        self.responder_unless(issuer, |active| {
            active.can_sign(now) && now < active.renew_at() && revoked != Some(active.serial)
        })
        .await?;
        Ok(())
    }

    /// Whether an issuer's certificates send people here, so that a responder should be there before anybody asks.
    pub(super) fn sends_to_responder(&self, issuer: &Issuer) -> bool {
        can_answer(issuer, self.now())
            && !issuer.record.is_root()
            && matches!(issuer.state(), IssuerState::Active | IssuerState::Retiring)
    }

    /// Keeps the responders in good time, until it is dropped. `app` runs it as a job.
    pub async fn keep_responders_current(&self) {
        let mut epochs = self.standing().subscribe();
        loop {
            // What failed has been told.
            let pause = match self.renew_due_responders().await {
                Ok(()) => 60,
                Err(_) => RETRY_AFTER.as_secs(),
            };
            // A new issuer wants its responder at once.
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(pause)) => {}
                changed = epochs.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Whether there are answers for an issuer's certificates: its key is at hand, and its time is not over.
fn can_answer(issuer: &Issuer, now: Timestamp) -> bool {
    issuer.signer().is_ok() && now.unix_seconds() < issuer.certificate.not_after()
}

/// Where OCSP requests go, below the status server's public URL.
#[must_use]
pub fn ocsp_url(public_url: &str) -> String {
    format!("{}/ocsp", public_url.trim_end_matches('/'))
}
