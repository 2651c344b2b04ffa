//! Authorizations: those that are asked for before any order, and those that serve another one.

use std::time::Duration;

use serde_json::json;

use super::{Authority, AuthorityError, challenge::challenges_for, random_bits};
use crate::domain::{
    Timestamp,
    account::Account,
    audit::Actor,
    authorization::{Authorization, AuthorizationState},
    challenge::{Challenge, ChallengeKind, ChallengeState},
    directory::Directory,
    enrolment::Enrolment,
    id::{AccountId, AuthorizationId, random_text},
    identifier::Identifier,
};

/// How long an authorization that was asked for before any order is good for.
const PRE_AUTHORIZATION_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long an authorization must still be good to serve another order: the order ends with it, and its client needs time
/// to finalize.
const LEAST_LEFT: Duration = Duration::from_secs(3600);

impl Authority {
    /// Authorizes an identifier before any order (RFC 8555 section 7.4.1).
    ///
    /// # Errors
    /// `RejectedIdentifier` for a wildcard and for what the account may not order at all, `Unauthorized` when its
    /// enrolment has ended.
    pub async fn new_authorization(
        &self,
        account: &AccountId,
        identifier: Identifier,
    ) -> Result<Authorization, AuthorityError> {
        let account = self
            .store()
            .account(account)
            .await?
            .ok_or(AuthorityError::NotFound("account"))?;
        let directory = self.directory(&account.directory)?;
        let enrolment = self.active_enrolment(&account).await?;
        if let Identifier::Dns(name) = &identifier
            && name.is_wildcard()
        {
            return Err(AuthorityError::RejectedIdentifier {
                identifier: identifier.to_string(),
                reason: "a wildcard is authorized with its order only (RFC 8555 section 7.4.1); order it".to_owned(),
            });
        }
        let one = std::slice::from_ref(&identifier);
        self.admit_order(directory, &account, enrolment.as_ref(), one, false)?;
        let profile = self.ordered_profile(directory, enrolment.as_ref(), None)?;
        self.check_names(directory, &profile, one)?;
        let (state, challenges) = self.authorize(directory, enrolment.as_ref(), &identifier)?;
        if challenges
            .iter()
            .any(|challenge| challenge.kind == ChallengeKind::DeviceAttest01)
        {
            return Err(AuthorityError::RejectedIdentifier {
                identifier: identifier.to_string(),
                reason: "a device attests one key for one order; order it".to_owned(),
            });
        }
        let authorization = Authorization {
            id: AuthorizationId::from_random(random_bits()?),
            account: account.id.clone(),
            order: None,
            identifier,
            state,
            expires_at: self.now() + PRE_AUTHORIZATION_LIFE,
            challenges,
            attested_key: None,
            attestation: None,
        };
        self.admit_pending(directory, &account.id, std::slice::from_ref(&authorization))
            .await?;
        let audit = self.audit(
            &Actor::Account(account.id.to_string()),
            "authorization.request",
            &authorization.id,
            json!({ "identifier": authorization.identifier.to_string() }),
        );
        self.store()
            .place_authorization(authorization.clone(), audit)
            .await?;
        Ok(authorization)
    }

    /// The authorization that an account has for an identifier already and that serves a new order too: one that was
    /// asked for before any order, or one that was proved not too long ago. Whether the account may order the identifier
    /// at all is decided without it, each time.
    pub(super) async fn reusable_authorization(
        &self,
        directory: &Directory,
        account: &Account,
        identifier: &Identifier,
        now: Timestamp,
    ) -> Result<Option<Authorization>, AuthorityError> {
        let kept = self
            .store()
            .proved_authorization(&account.id, identifier)
            .await?;
        Ok(kept.filter(|kept| is_reusable(directory, kept, now)))
    }
}

fn is_reusable(directory: &Directory, kept: &Authorization, now: Timestamp) -> bool {
    let Some((kind, proved_at)) = kept.proof() else {
        return false;
    };
    let recent = kept.order.is_none() || now < proved_at + directory.reuse_authorizations;
    // A way of proving that is no longer good enough here.
    let offered = challenges_for(directory, &kept.identifier).contains(&kind);
    kept.is_valid_at(now + LEAST_LEFT) && recent && offered
}

impl Authority {
    /// How an identifier is authorized for an account: at once, or by these challenges.
    ///
    /// # Errors
    /// `RejectedIdentifier` for what the account may not order.
    pub(super) fn authorize(
        &self,
        directory: &Directory,
        enrolment: Option<&Enrolment>,
        identifier: &Identifier,
    ) -> Result<(AuthorizationState, Vec<Challenge>), AuthorityError> {
        let rejected = |reason: String| {
            Err(AuthorityError::RejectedIdentifier {
                identifier: identifier.to_string(),
                reason,
            })
        };
        if let Some(enrolment) = enrolment {
            if !enrolment.grant.allows(identifier) {
                return rejected(format!(
                    "the invitation of {} allows {}",
                    enrolment.principal,
                    enrolment.grant.allowed()
                ));
            }
            if enrolment.vouches() {
                let state = AuthorizationState::Valid {
                    vouched_by: Some(enrolment.invitation),
                };
                return Ok((state, Vec::new()));
            }
        }
        let mut kinds = challenges_for(directory, identifier);
        if !self.may_attest(enrolment, identifier) {
            kinds.retain(|kind| *kind != ChallengeKind::DeviceAttest01);
        }
        if kinds.is_empty() {
            return rejected(unprovable(enrolment, identifier).to_owned());
        }
        let challenges = kinds
            .into_iter()
            .map(|kind| {
                Ok(Challenge {
                    kind,
                    token: random_text(random_bits()?),
                    state: ChallengeState::Pending,
                })
            })
            .collect::<Result<_, AuthorityError>>()?;
        Ok((AuthorizationState::Pending, challenges))
    }

    /// Whether a statement could prove an identifier for an account: a rule names the device, and where there is no
    /// invitation that says who it is, the rule does.
    fn may_attest(&self, enrolment: Option<&Enrolment>, identifier: &Identifier) -> bool {
        let rules = self.attestation_rules();
        match enrolment {
            Some(_) => rules.names(identifier),
            None => matches!(rules.proved_by(identifier), Ok(Some(_))),
        }
    }
}

/// Why no challenge could prove an identifier, and what would help.
fn unprovable(enrolment: Option<&Enrolment>, identifier: &Identifier) -> &'static str {
    match identifier {
        Identifier::Dns(name) if name.is_wildcard() => {
            "a wildcard is proved by dns-01 or dns-account-01 only (RFC 8555 section 7.1.3), and this directory offers \
             neither; order the names one by one"
        }
        Identifier::Dns(_) | Identifier::Ip(_) => {
            "this directory offers no challenge that could prove it"
        }
        Identifier::PermanentIdentifier(_) | Identifier::HardwareModule(_)
            if enrolment.is_some() =>
        {
            "the invitation asks for a challenge, and device-attest-01, which could prove it, is not offered for it: the \
             directory must offer it, and a rule ([[attestation]] in portcullis.toml) must name the device; order the DNS \
             names and addresses that the invitation allows, or ask the operator"
        }
        Identifier::PermanentIdentifier(_) | Identifier::HardwareModule(_) => {
            "only an account that was opened with an invitation may order it; ask the operator for one (portcullis invite), \
             or for a rule that lets the device prove itself ([[attestation]] in portcullis.toml)"
        }
    }
}
