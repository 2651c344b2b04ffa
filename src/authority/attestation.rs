//! Devices' statements: judging one by the rules, and what it gives its device.

use std::time::Duration;

use portcullis_ca::{attestation::AttestationChallenge, key::PublicKey, pki_types::UnixTime};
use serde_json::json;

use super::{Authority, AuthorityError, CsrFault, random_bits};
use crate::domain::{
    Timestamp,
    account::Account,
    attestation::{Attestation, AttestationRules},
    audit::Actor,
    authorization::{Authorization, WrongState},
    challenge::{ChallengeKind, ChallengeState, ValidationFailure, ValidationFailureKind},
    device::{Device, DeviceCandidate, DeviceState},
    directory::Directory,
    enrolment::Enrolment,
    id::{AuthorizationId, EnrolmentId},
    identifier::Identifier,
    order::Order,
    principal::Principal,
    profile::ProfileName,
};

/// What a device's statement alone proves: a principal, and by which profile.
pub(super) struct ByStatement {
    pub(super) principal: Principal,
    pub(super) profile: ProfileName,
    /// What the device is called in the order.
    pub(super) identifier: Identifier,
}

impl Authority {
    /// The rules by which devices may prove themselves.
    #[must_use]
    pub fn attestation_rules(&self) -> &AttestationRules {
        &self.inner.parts.attestation
    }

    /// Reads the statement that came with the response to a challenge, and records what came of it; the order follows. A
    /// statement that does not hold ends the authorization.
    ///
    /// # Errors
    /// `WrongState` when the challenge can't be responded to any more, `RateLimited`.
    pub async fn attest(
        &self,
        id: &AuthorizationId,
        account: &Account,
        statement: Vec<u8>,
    ) -> Result<Authorization, AuthorityError> {
        let authorization = self
            .store()
            .authorization(id)
            .await?
            .filter(|authorization| authorization.account == account.id)
            .ok_or(AuthorityError::NotFound("authorization"))?;
        let now = self.now();
        let token = pending_token(&authorization, now)?;
        self.admit_challenge(&authorization).await?;
        // RFC 8555 section 8.1.
        let key_authorization = format!("{token}.{}", account.thumbprint.to_base64url());
        let enrolment = self.active_enrolment(account).await?;
        let outcome = match self.principal_to_prove(&authorization.identifier, enrolment.as_ref()) {
            Ok(principal) => {
                let (authority, identifier) = (self.clone(), authorization.identifier.clone());
                // Some milliseconds of signatures, which would keep others waiting here.
                tokio::task::spawn_blocking(move || {
                    let challenge = AttestationChallenge {
                        token: &token,
                        key_authorization: &key_authorization,
                    };
                    authority
                        .attestation_rules()
                        .attest(
                            &statement,
                            &identifier,
                            principal.as_ref(),
                            &challenge,
                            unix_time(now),
                        )
                        .map_err(|error| error.to_string())
                })
                .await
                .map_err(|error| AuthorityError::Internal(error.to_string()))?
            }
            Err(reason) => Err(reason),
        };
        let outcome = outcome.map_err(|detail| ValidationFailure {
            kind: ValidationFailureKind::BadAttestationStatement,
            detail,
        });
        let audit = self.audit(
            &Actor::Authority,
            "authorization.validate",
            id,
            json!({
                "challenge": ChallengeKind::DeviceAttest01.name(),
                "valid": outcome.is_ok(),
                "failure": outcome.as_ref().err().map(|failure| &failure.detail),
                "rule": outcome.as_ref().ok().map(|attestation| &attestation.rule),
                "identities": outcome.as_ref().ok().map(|attestation| &attestation.identities),
                "key": outcome.as_ref().ok().map(|attestation| hex::encode(attestation.key)),
            }),
        );
        let failed = outcome.is_err();
        let authorization = self.store().attest(id, outcome, now, audit).await?;
        if failed {
            self.count_failed_validation(&authorization).await?;
        }
        Ok(authorization)
    }

    /// The principal that a statement about an identifier must prove by itself; nothing where an invitation says who it is.
    fn principal_to_prove(
        &self,
        identifier: &Identifier,
        enrolment: Option<&Enrolment>,
    ) -> Result<Option<Principal>, String> {
        if enrolment.is_some() {
            return Ok(None);
        }
        match self.attestation_rules().proved_by(identifier) {
            Ok(Some((principal, _))) => Ok(Some(principal)),
            Ok(None) => Err(format!(
                "no rule of this server says any more which principal {identifier} is"
            )),
            Err(unclear) => Err(unclear.to_string()),
        }
    }

    /// What an order of devices' identifiers proves without an invitation: nothing, or exactly one principal.
    ///
    /// # Errors
    /// `RejectedIdentifier` when it is not clear which, or when a statement is not enough for it.
    pub(super) async fn by_statement(
        &self,
        enrolment: Option<&Enrolment>,
        identifiers: &[Identifier],
    ) -> Result<Option<ByStatement>, AuthorityError> {
        if enrolment.is_some() {
            return Ok(None);
        }
        let mut found: Option<ByStatement> = None;
        for identifier in identifiers {
            let rejected = |reason: String| AuthorityError::RejectedIdentifier {
                identifier: identifier.to_string(),
                reason,
            };
            let proved = self.attestation_rules().proved_by(identifier);
            let Some((principal, profile)) =
                proved.map_err(|unclear| rejected(unclear.to_string()))?
            else {
                continue;
            };
            if let Some(other) = &found {
                return Err(rejected(format!(
                    "{} proves who the certificate is for already, and it is for one device; order them one by one",
                    other.identifier
                )));
            }
            self.store()
                .admit_device(
                    DeviceCandidate {
                        principal: principal.clone(),
                        identities: vec![identifier.clone()],
                    },
                    self.now(),
                )
                .await?
                .map_err(|refused| rejected(refused.to_string()))?;
            found = Some(ByStatement {
                principal,
                profile,
                identifier: identifier.clone(),
            });
        }
        Ok(found)
    }

    /// The profile of an order that proves a principal by statement: the rule's, if the directory has it and the order asks
    /// for no other one.
    ///
    /// # Errors
    /// `InvalidProfile`.
    pub(super) fn profile_by_statement(
        &self,
        directory: &Directory,
        by_statement: &ByStatement,
        wanted: Option<&ProfileName>,
    ) -> Result<ProfileName, AuthorityError> {
        let profile = &by_statement.profile;
        if !directory.allows_profile(profile) {
            return Err(AuthorityError::InvalidProfile(format!(
                "{} gets certificates by the profile {profile}, which can't be ordered in the directory {}",
                by_statement.identifier, directory.name
            )));
        }
        if wanted.is_some_and(|wanted| wanted != profile) {
            return Err(AuthorityError::InvalidProfile(format!(
                "{} gets certificates by the profile {profile} only; order that one, or leave it out",
                by_statement.identifier
            )));
        }
        Ok(profile.clone())
    }

    /// What the authorizations of an order attested, held to the rules of today, and to the key of the CSR: every attested
    /// identifier goes with the key that was attested with it, and with no other one.
    ///
    /// # Errors
    /// `Unauthorized` when a rule is gone or names the device no more.
    pub(super) async fn attestations(
        &self,
        order: &Order,
        key: &PublicKey,
        faults: &mut Vec<CsrFault>,
    ) -> Result<Vec<(Identifier, Attestation)>, AuthorityError> {
        let mut attestations = Vec::new();
        for id in &order.authorizations {
            let Some(authorization) = self.store().authorization(id).await? else {
                continue;
            };
            let identifier = authorization.identifier;
            if authorization
                .attested_key
                .is_some_and(|attested| attested != key.fingerprint())
            {
                faults.push(CsrFault {
                    detail: format!(
                        "its key is not the one that the statement about {identifier} attested; make the CSR with that key, or \
                         place a new order and attest this one"
                    ),
                    names: Vec::new(),
                });
            }
            if let Some(attestation) = authorization.attestation {
                let stands = self
                    .attestation_rules()
                    .get(&attestation.rule)
                    .is_some_and(|rule| rule.names(&identifier));
                if !stands {
                    return Err(AuthorityError::Unauthorized(format!(
                        "the rule {} does not let {identifier} through any more; ask the operator of this server",
                        attestation.rule
                    )));
                }
                attestations.push((identifier, attestation));
            }
        }
        Ok(attestations)
    }

    /// The device that an order proves by statement: the one that is known, or a new one, which is recorded with its
    /// certificate.
    ///
    /// # Errors
    /// `Unauthorized` when a statement is not enough.
    pub(super) async fn device_of(
        &self,
        by_statement: &ByStatement,
        attestations: &[(Identifier, Attestation)],
    ) -> Result<Device, AuthorityError> {
        let Some((_, attestation)) = attestations
            .iter()
            .find(|(identifier, _)| *identifier == by_statement.identifier)
        else {
            return Err(AuthorityError::Unauthorized(format!(
                "{} was authorized without a statement; place a new order and attest it",
                by_statement.identifier
            )));
        };
        let now = self.now();
        let candidate = DeviceCandidate {
            principal: by_statement.principal.clone(),
            identities: attestation.identities.clone(),
        };
        let known = self
            .store()
            .admit_device(candidate, now)
            .await?
            .map_err(|refused| AuthorityError::Unauthorized(refused.to_string()))?;
        if let Some(mut device) = known {
            for identity in &attestation.identities {
                if !device.identities.contains(identity) {
                    device.identities.push(identity.clone());
                }
            }
            return Ok(device);
        }
        Ok(Device {
            enrolment: EnrolmentId::from_random(random_bits()?),
            principal: by_statement.principal.clone(),
            rule: attestation.rule.clone(),
            identities: attestation.identities.clone(),
            state: DeviceState::Active,
            created_at: now,
        })
    }
}

/// The token of the challenge that waits for a statement.
fn pending_token(authorization: &Authorization, now: Timestamp) -> Result<String, WrongState> {
    let status = authorization.status_at(now);
    authorization
        .challenges
        .iter()
        .find(|challenge| {
            challenge.kind == ChallengeKind::DeviceAttest01
                && challenge.state == ChallengeState::Pending
        })
        .filter(|_| status == "pending")
        .map(|challenge| challenge.token.clone())
        .ok_or(WrongState {
            status,
            action: "respond to its challenge",
        })
}

fn unix_time(now: Timestamp) -> UnixTime {
    // A clock before 1970 lets no certificate be valid.
    UnixTime::since_unix_epoch(Duration::from_secs(
        u64::try_from(now.unix_seconds()).unwrap_or(0),
    ))
}
