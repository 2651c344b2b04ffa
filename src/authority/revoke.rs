//! Revoking certificates: by serial, by what they have in common, and those that the store never saw.
//!
//! Whatever it is, the store's command is the only one that revokes, and the standing follows before the call returns. Many
//! are revoked in steps, so that whoever issues meanwhile waits for one step and not for all.

use portcullis_ca::{revocation::RevocationReason, serial::Serial};
use serde_json::{Value, json};

use super::{
    Authority, AuthorityError,
    crash_point::{CrashPoint, reach},
};
use crate::{
    domain::{
        account::Account,
        audit::Actor,
        certificate::{CertificateRecord, ends_enrolment},
        event::TrustEvent,
        identifier::Identifier,
        principal::Principal,
    },
    store::{Revocable, RevocationQuery, RevokeCertificates, UnseenCertificate},
};

mod unseen;

pub use unseen::Unseen;

/// How many certificates are revoked in one transaction.
const STEP: usize = 1000;
/// Up to so many serials stand in an entry of the audit trail; of more, their number and hash.
const NAMED: usize = 100;
/// How often what meets a query is looked for: what was being issued meanwhile is found the next time.
const ROUNDS: usize = 3;

/// What a revocation did.
#[derive(Debug, Clone, Default)]
pub struct Revoked {
    /// The epoch from which on nobody is let in with them; nothing when all were revoked before.
    pub epoch: Option<u64>,
    /// What is revoked now and was not before.
    pub serials: Vec<Serial>,
    /// What was revoked already.
    pub already: Vec<Serial>,
    /// How many enrolments ended with it.
    pub enrolments_ended: usize,
    /// How many keys are refused for ever from now on.
    pub keys_blocked: usize,
}

impl Authority {
    /// Revokes certificates by serial. When the call returns, it is durable and the gate refuses them; the list follows.
    ///
    /// # Errors
    /// `NotFound` when the store knows one of them not; then none is revoked, of at most 1,000.
    pub async fn revoke_certificates(
        &self,
        actor: &Actor,
        serials: &[Serial],
        reason: RevocationReason,
    ) -> Result<Revoked, AuthorityError> {
        self.revoke_in_steps(actor, serials, &[], reason, &json!({}))
            .await
    }

    /// How many certificates meet a query and would be revoked, and the first of them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn revocable(
        &self,
        query: &RevocationQuery,
        reason: RevocationReason,
        limit: usize,
    ) -> Result<Revocable, AuthorityError> {
        Ok(self
            .store()
            .revocable(query.clone(), reason, self.now(), limit)
            .await?)
    }

    /// Revokes every certificate that meets a query. With a principal and nothing else, its enrolments end first, so that
    /// nothing is issued meanwhile; with a key that is compromised, the key is blocked even if no certificate has it.
    ///
    /// # Errors
    /// What the store says. Where there are many, the steps before stay done.
    pub async fn revoke_matching(
        &self,
        actor: &Actor,
        query: &RevocationQuery,
        reason: RevocationReason,
    ) -> Result<Revoked, AuthorityError> {
        let (authority, actor, query) = (self.clone(), actor.clone(), query.clone());
        // It goes on when the caller goes away: a million take longer than anybody may want to wait.
        tokio::spawn(async move { authority.revoke_all_matching(&actor, &query, reason).await })
            .await
            .map_err(|error| AuthorityError::Internal(error.to_string()))?
    }

    async fn revoke_all_matching(
        &self,
        actor: &Actor,
        query: &RevocationQuery,
        reason: RevocationReason,
    ) -> Result<Revoked, AuthorityError> {
        let mut revoked = Revoked::default();
        let alone = RevocationQuery {
            principal: query.principal.clone(),
            ..RevocationQuery::default()
        };
        if let Some(principal) = &query.principal
            && *query == alone
            && ends_enrolment(reason)
        {
            revoked.enrolments_ended = self.end_enrolments(actor, principal, reason).await?;
        }
        let keys: Vec<[u8; 32]> = query
            .key
            .filter(|_| reason == RevocationReason::KeyCompromise)
            .into_iter()
            .collect();
        let detail = json!({ "query": shown(query) });
        for round in 0..ROUNDS {
            let found = self.revocable(query, reason, usize::MAX).await?.serials;
            let keys = if round == 0 { &keys[..] } else { &[] };
            if found.is_empty() && keys.is_empty() {
                break;
            }
            let more = self
                .revoke_in_steps(actor, &found, keys, reason, &detail)
                .await?;
            revoked.take_in(more);
        }
        Ok(revoked)
    }

    /// A CA that goes on issuing under a revoked certificate would make leaves that nobody accepts.
    fn check_no_ca_in_service(&self, serials: &[Serial]) -> Result<(), AuthorityError> {
        let issuers = self.issuers();
        let found = issuers.standing().find(|issuer| {
            !issuer.record.is_root() && serials.contains(&issuer.certificate.serial())
        });
        match found {
            Some(issuer) => Err(AuthorityError::Conflict(format!(
                "{} is the certificate of the CA {name}, which is {}; retiring it revokes it: portcullis ca rotate {name}, \
                 then portcullis ca retire {name}",
                issuer.certificate.serial(),
                issuer.state(),
                name = issuer.name(),
            ))),
            None => Ok(()),
        }
    }

    /// Revokes many, step by step. `detail` goes into each step's entry of the audit trail.
    async fn revoke_in_steps(
        &self,
        actor: &Actor,
        serials: &[Serial],
        keys: &[[u8; 32]],
        reason: RevocationReason,
        detail: &Value,
    ) -> Result<Revoked, AuthorityError> {
        self.check_no_ca_in_service(serials)?;
        let mut revoked = Revoked::default();
        let steps: Vec<&[Serial]> = match serials {
            [] => vec![&[]],
            serials => serials.chunks(STEP).collect(),
        };
        for (index, step) in steps.iter().enumerate() {
            let mut detail = detail.clone();
            detail["reason"] = reason.name().into();
            if steps.len() > 1 {
                detail["step"] = format!("{} of {}", index + 1, steps.len()).into();
                detail["of"] = serials.len().into();
            }
            let step = self
                .revoke_step(
                    actor,
                    Step {
                        serials: step.to_vec(),
                        unseen: Vec::new(),
                        keys: if index == 0 {
                            keys.to_vec()
                        } else {
                            Vec::new()
                        },
                        reason,
                    },
                    detail,
                )
                .await;
            // Whatever was revoked belongs on a list, also when the next step fails.
            self.inner.list_due.notify_one();
            revoked.take_in(step?);
        }
        Ok(revoked)
    }

    async fn revoke_step(
        &self,
        actor: &Actor,
        step: Step,
        mut detail: Value,
    ) -> Result<Revoked, AuthorityError> {
        let names: Vec<String> = step
            .serials
            .iter()
            .chain(step.unseen.iter().map(|unseen| &unseen.serial))
            .map(ToString::to_string)
            .collect();
        let subject = match (&names[..], &step.keys[..]) {
            ([one], _) => one.clone(),
            ([], [key]) => format!("key {}", hex::encode(key)),
            (many, _) => format!("{} certificates", many.len()),
        };
        if names.len() <= NAMED {
            detail["serials"] = names.into();
        } else {
            // Which they are, their records say: by the number of the event that revoked them.
            detail["count"] = names.len().into();
        }
        if let [key] = &step.keys[..] {
            detail["key"] = hex::encode(key).into();
        }
        let audit = self.audit(actor, "certificate.revoke", subject, detail);
        self.change_standing(move |authority| async move {
            let revoke = RevokeCertificates {
                serials: step.serials,
                unseen: step.unseen,
                keys: step.keys,
                reason: step.reason,
                at: authority.now(),
            };
            let reason = revoke.reason.name();
            reach(CrashPoint::RevokeBeforeCommit);
            let outcome = authority.store().revoke_certificates(revoke, audit).await?;
            reach(CrashPoint::RevokeCommitted);
            let count = outcome.revoked().count() as u64;
            authority.inner.tally.revoked.add(reason, count);
            let revoked = Revoked {
                epoch: outcome.epoch(),
                serials: outcome.revoked().map(|(_, serial)| serial).collect(),
                already: outcome.already,
                enrolments_ended: outcome.enrolments_ended,
                keys_blocked: outcome.keys_blocked,
            };
            let events = outcome.events.into_iter().map(|event| {
                let change = TrustEvent::CertificatesRevoked {
                    issuer: event.issuer,
                    serials: event.serials,
                };
                (event.number, change)
            });
            Ok((revoked, events.collect::<Vec<_>>()))
        })
        .await
    }

    /// Ends every enrolment of a principal, so that nothing can be issued to it while its certificates are revoked.
    ///
    /// # Errors
    /// What the store says.
    pub async fn end_enrolments(
        &self,
        actor: &Actor,
        principal: &Principal,
        reason: RevocationReason,
    ) -> Result<usize, AuthorityError> {
        let audit = self.audit(
            actor,
            "enrolment.end",
            principal,
            json!({ "reason": reason.name() }),
        );
        Ok(self
            .store()
            .end_enrolments(principal.clone(), reason, audit)
            .await?)
    }

    /// Revokes the certificate that an account presents, if the account ordered it, or is authorized for everything that
    /// the certificate proves (RFC 8555 section 7.6).
    ///
    /// # Errors
    /// `NotFound`, `Unauthorized`, `AlreadyRevoked`.
    pub async fn revoke_by_account(
        &self,
        account: &Account,
        certificate: &[u8],
        reason: RevocationReason,
    ) -> Result<(), AuthorityError> {
        let record = self.presented(certificate).await?;
        if record.account.as_ref() != Some(&account.id) {
            let missing = self.unauthorized_names(account, &record).await?;
            // What nobody ordered (a CA, a responder, this server's own) is not a client's to revoke, nor what proves
            // nothing at all.
            if record.account.is_none() || record.names.is_empty() || !missing.is_empty() {
                return Err(AuthorityError::Unauthorized(format!(
                    "another account ordered this certificate, and this one is not authorized for all that it proves \
                     ({}); sign with that account or with the certificate's own key, or get authorizations for all of it",
                    missing.join(", ")
                )));
            }
            // A compromise reaches every certificate with the key, and those it is not authorized for.
            if reason == RevocationReason::KeyCompromise {
                return Err(AuthorityError::Unauthorized(
                    "another account ordered this certificate: that its key is compromised can be told with that account, or \
                     with the key itself; give another reason, or none"
                        .to_owned(),
                ));
            }
        }
        self.revoke_presented(&Actor::Account(account.id.to_string()), &record, reason)
            .await
    }

    /// What a certificate proves and an account holds no valid authorization for. A principal is proved by nothing but
    /// the account's own enrolment.
    async fn unauthorized_names(
        &self,
        account: &Account,
        record: &CertificateRecord,
    ) -> Result<Vec<String>, AuthorityError> {
        let enrolment = match &account.enrolment {
            Some(id) => self.store().enrolment(id).await?,
            None => None,
        }
        .filter(|enrolment| enrolment.check_active(self.now()).is_ok());
        let held = |principal: &Principal| {
            enrolment
                .as_ref()
                .is_some_and(|enrolment| enrolment.principal == *principal)
        };
        let mut missing = Vec::new();
        let own_uri = record.principal.as_ref().map(|principal| {
            let uri = format!("uri:{}", principal.spiffe_id(self.trust_domain()));
            (principal, uri)
        });
        if let Some((principal, uri)) = &own_uri
            && !held(principal)
        {
            missing.push(uri.clone());
        }
        let now = self.now();
        for name in &record.names {
            if own_uri.as_ref().is_some_and(|(_, uri)| uri == name) {
                continue;
            }
            let Some(identifier) = identifier_of(name) else {
                missing.push(name.clone());
                continue;
            };
            let vouched = enrolment.as_ref().is_some_and(|enrolment| {
                record.principal.as_ref() == Some(&enrolment.principal)
                    && enrolment.vouches()
                    && enrolment.grant.allows(&identifier)
            });
            let proved = self
                .store()
                .proved_authorization(&account.id, &identifier)
                .await?
                .is_some_and(|authorization| authorization.is_valid_at(now));
            if !vouched && !proved {
                missing.push(name.clone());
            }
        }
        Ok(missing)
    }

    /// Revokes the certificate that the holder of its key presents (RFC 8555 section 7.6). The fingerprint is that of
    /// the key which signed the request.
    ///
    /// # Errors
    /// `NotFound`, `Unauthorized`, `AlreadyRevoked`.
    pub async fn revoke_by_key(
        &self,
        fingerprint: &[u8; 32],
        certificate: &[u8],
        reason: RevocationReason,
    ) -> Result<(), AuthorityError> {
        let record = self.presented(certificate).await?;
        if record.key_fingerprint != *fingerprint {
            return Err(AuthorityError::Unauthorized(
                "the request is signed with another key than the certificate's".to_owned(),
            ));
        }
        self.revoke_presented(
            &Actor::KeyHolder(record.serial.to_string()),
            &record,
            reason,
        )
        .await
    }

    async fn revoke_presented(
        &self,
        actor: &Actor,
        record: &CertificateRecord,
        reason: RevocationReason,
    ) -> Result<(), AuthorityError> {
        let revoked = self
            .revoke_certificates(actor, &[record.serial], reason)
            .await?;
        if revoked.serials.is_empty() {
            return Err(AuthorityError::AlreadyRevoked);
        }
        Ok(())
    }

    /// The record of a certificate that somebody presents: ours to the byte, not just one with the same serial.
    async fn presented(&self, der: &[u8]) -> Result<CertificateRecord, AuthorityError> {
        use x509_parser::prelude::FromDer as _;
        let (_, parsed) =
            x509_parser::certificate::X509Certificate::from_der(der).map_err(|_| {
                AuthorityError::Invalid(
                    "\"certificate\" is no DER-encoded X.509 certificate".to_owned(),
                )
            })?;
        let serial = Serial::from_der_integer(parsed.raw_serial())
            .map_err(|error| AuthorityError::Invalid(error.to_string()))?;
        self.certificate(&serial)
            .await?
            .filter(|record| record.der == der)
            .ok_or(AuthorityError::NotFound("certificate"))
    }
}

/// The identifier that stands in a certificate as this name.
fn identifier_of(name: &str) -> Option<Identifier> {
    let (kind, value) = name.split_once(':')?;
    Identifier::parse(kind, value).ok()
}

/// What one transaction revokes.
struct Step {
    serials: Vec<Serial>,
    unseen: Vec<UnseenCertificate>,
    keys: Vec<[u8; 32]>,
    reason: RevocationReason,
}

impl Revoked {
    /// Adds what another revocation did.
    pub fn take_in(&mut self, more: Self) {
        self.epoch = more.epoch.or(self.epoch);
        self.serials.extend(more.serials);
        self.already.extend(more.already);
        self.enrolments_ended += more.enrolments_ended;
        self.keys_blocked += more.keys_blocked;
    }
}

/// A query as the audit trail has it.
fn shown(query: &RevocationQuery) -> Value {
    let RevocationQuery {
        principal,
        issuer,
        key,
        profile,
        issued_from,
        issued_before,
    } = query;
    let mut shown = serde_json::Map::new();
    for (name, value) in [
        ("principal", principal.as_ref().map(ToString::to_string)),
        ("issuer", issuer.map(|id| id.to_string())),
        ("key", key.map(hex::encode)),
        ("profile", profile.clone()),
        ("issued_from", issued_from.map(|at| at.to_string())),
        ("issued_before", issued_before.map(|at| at.to_string())),
    ] {
        if let Some(value) = value {
            shown.insert(name.to_owned(), value.into());
        }
    }
    shown.into()
}
