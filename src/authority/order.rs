//! Orders: placing one, and making a certificate of it.

use std::{collections::BTreeSet, time::Duration};

use portcullis_ca::csr::CertificateRequest;
use serde_json::json;

use super::{
    Authority, AuthorityError, CsrFault, RejectedIdentifier,
    attestation::ByStatement,
    crash_point::{CrashPoint, reach},
    issue::Leaf,
    profile::{check_key, check_name},
    random_bits,
};
use crate::{
    domain::{
        Timestamp,
        account::Account,
        audit::Actor,
        authorization::{Authorization, AuthorizationState},
        certificate_id::CertificateId,
        device::Device,
        directory::Directory,
        enrolment::Enrolment,
        id::{AccountId, AuthorizationId, OrderId},
        identifier::Identifier,
        order::{MAX_IDENTIFIERS, Order, OrderState, WantedValidity},
        principal::Principal,
        profile::ProfileName,
    },
    store::{CompleteOrder, OrderPlace, OrdersPage},
};

/// How long an order, and the authorizations that were made for it, may wait to be finished.
const ORDER_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How often an order is placed anew because an authorization that it was to use has ended meanwhile.
const PLACING_ATTEMPTS: usize = 5;

/// What somebody wants to have certified.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// Whose order it is.
    pub account: AccountId,
    /// What is to be certified.
    pub identifiers: Vec<Identifier>,
    /// By which profile; nothing: that of the account's enrolment, else `server`.
    pub profile: Option<ProfileName>,
    /// The certificate that it is to replace (RFC 9773 section 5).
    pub replaces: Option<CertificateId>,
    /// The validity that is wanted; nothing: the profile's.
    pub validity: WantedValidity,
}

impl NewOrder {
    /// An order that leaves all else to the account.
    #[must_use]
    pub fn of(account: &AccountId, identifiers: Vec<Identifier>) -> Self {
        Self {
            account: account.clone(),
            identifiers,
            profile: None,
            replaces: None,
            validity: WantedValidity::default(),
        }
    }
}

impl Authority {
    /// The order with this id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn order(&self, id: &OrderId) -> Result<Option<Order>, AuthorityError> {
        Ok(self.store().order(id).await?)
    }

    /// A page of an account's orders, oldest first, without those that are invalid.
    ///
    /// # Errors
    /// What the store says.
    pub async fn orders_of(
        &self,
        account: &AccountId,
        after: Option<OrderPlace>,
        limit: usize,
    ) -> Result<OrdersPage, AuthorityError> {
        let now = self.now();
        Ok(self.store().orders_of(account, after, now, limit).await?)
    }

    /// Places an order. What the account's invitation vouches for is authorized at once; an account without one proves
    /// DNS names and addresses by challenge, unless it has proved them for an order before.
    ///
    /// # Errors
    /// `RejectedIdentifier`, or `RejectedIdentifiers`, for what the account may not order at all, `InvalidProfile`,
    /// `Unauthorized` when its enrolment has ended, `Invalid` for a validity that the profile does not allow; for one that
    /// replaces a certificate also those of `check_replaces`, and `AlreadyReplaced`.
    pub async fn new_order(&self, new: NewOrder) -> Result<Order, AuthorityError> {
        let mut attempt = 1;
        loop {
            match self.place_order(new.clone()).await {
                // An authorization that was to serve this order, too, has ended since it was looked up.
                Err(AuthorityError::WrongState(_)) if attempt < PLACING_ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    async fn place_order(&self, new: NewOrder) -> Result<Order, AuthorityError> {
        let NewOrder {
            account,
            identifiers,
            profile,
            replaces,
            validity,
        } = new;
        let now = self.now();
        let account = self
            .store()
            .account(&account)
            .await?
            .ok_or(AuthorityError::NotFound("account"))?;
        let directory = self.directory(&account.directory)?;
        let enrolment = self.active_enrolment(&account).await?;
        let identifiers: Vec<Identifier> = BTreeSet::from_iter(identifiers).into_iter().collect();
        if identifiers.is_empty() || identifiers.len() > MAX_IDENTIFIERS {
            return Err(AuthorityError::Invalid(format!(
                "an order has 1 to {MAX_IDENTIFIERS} identifiers, this one has {}",
                identifiers.len()
            )));
        }
        if let Some(replaced) = &replaces {
            self.check_replaces(&account, &identifiers, replaced)
                .await?;
        }
        let is_due = self.is_due_renewal(replaces.as_ref(), None).await?;
        self.admit_order(
            directory,
            &account,
            enrolment.as_ref(),
            &identifiers,
            is_due,
        )?;
        let id = OrderId::from_random(random_bits()?);
        let mut expires_at = now + ORDER_LIFE;
        let by_statement = self.by_statement(enrolment.as_ref(), &identifiers).await?;
        let profile = match &by_statement {
            Some(it) => self.profile_by_statement(directory, it, profile.as_ref())?,
            None => self.ordered_profile(directory, enrolment.as_ref(), profile)?,
        };
        self.check_validity(directory, &profile, validity, now)?;
        let mut authorizations = Vec::with_capacity(identifiers.len());
        let mut rejected = Vec::new();
        for identifier in &identifiers {
            // Each name by itself, each time, whatever was authorized before.
            let allowed = self
                .check_names(directory, &profile, std::slice::from_ref(identifier))
                .and_then(|()| self.authorize(directory, enrolment.as_ref(), identifier));
            let (state, challenges) = match allowed {
                Ok(allowed) => allowed,
                Err(AuthorityError::RejectedIdentifier { identifier, reason }) => {
                    rejected.push(RejectedIdentifier { identifier, reason });
                    continue;
                }
                Err(error) => return Err(error),
            };
            if matches!(state, AuthorizationState::Pending)
                && let Some(kept) = self
                    .reusable_authorization(directory, &account, identifier, now)
                    .await?
            {
                expires_at = expires_at.min(kept.expires_at);
                authorizations.push(kept);
                continue;
            }
            authorizations.push(Authorization {
                id: AuthorizationId::from_random(random_bits()?),
                account: account.id.clone(),
                order: Some(id.clone()),
                identifier: identifier.clone(),
                state,
                expires_at,
                challenges,
                attested_key: None,
                attestation: None,
            });
        }
        self.admit_pending(directory, &account.id, &authorizations)
            .await?;
        match rejected.len() {
            0 => {}
            1 => return Err(rejected.remove(0).into()),
            _ => return Err(AuthorityError::RejectedIdentifiers(rejected)),
        }
        let order = Order {
            id,
            account: account.id.clone(),
            directory: account.directory.clone(),
            profile,
            replaces,
            identifiers,
            authorizations: authorizations
                .iter()
                .map(|authorization| authorization.id.clone())
                .collect(),
            state: OrderState::Pending,
            validity,
            expires_at,
            created_at: now,
        }
        .follow(&authorizations, now);
        authorizations.retain(|authorization| authorization.order.as_ref() == Some(&order.id));
        let names: Vec<String> = order.identifiers.iter().map(ToString::to_string).collect();
        let audit = self.audit(
            &Actor::Account(account.id.to_string()),
            "order.place",
            &order.id,
            json!({
                "identifiers": names,
                "profile": order.profile,
                "replaces": order.replaces.as_ref().map(|id| id.serial().to_string()),
            }),
        );
        reach(CrashPoint::OrderBeforeCommit);
        self.store()
            .place_order(order.clone(), authorizations, audit)
            .await?;
        reach(CrashPoint::OrderCommitted);
        Ok(order)
    }

    /// Makes the order's certificate. However many ask at once, one certificate is made; who asks again with the same key,
    /// because the answer was lost say, gets the same order.
    ///
    /// # Errors
    /// `NotReady`, also when the order has its certificate and that is for another key; `BadRequest` when the request's
    /// names differ, and the order stays ready; `Unauthorized` when the enrolment has ended.
    pub async fn finalize(
        &self,
        id: &OrderId,
        account: &AccountId,
        request: CertificateRequest,
    ) -> Result<Order, AuthorityError> {
        let authority = self.clone();
        let (id, account) = (id.clone(), account.clone());
        // On its own feet: who hangs up now must not leave a signed certificate without its record.
        tokio::spawn(async move { authority.finalize_in_turn(&id, &account, request).await })
            .await
            .map_err(|error| AuthorityError::Internal(error.to_string()))?
    }

    async fn finalize_in_turn(
        &self,
        id: &OrderId,
        account: &AccountId,
        request: CertificateRequest,
    ) -> Result<Order, AuthorityError> {
        let _turn = self.inner.finalizing.turn(id).await;
        let now = self.now();
        let order = self
            .store()
            .order(id)
            .await?
            .filter(|order| order.account == *account)
            .ok_or(AuthorityError::NotFound("order"))?;
        match (&order.state, order.status_at(now)) {
            (OrderState::Valid { certificate }, status) => {
                let made = self.store().certificate(*certificate).await?;
                let fingerprint = request.public_key().fingerprint();
                return match made {
                    Some(made) if made.key_fingerprint == fingerprint => Ok(order),
                    Some(_) | None => Err(crate::domain::order::NotReady { status }.into()),
                };
            }
            (_, "ready") => {}
            (_, status) => return Err(crate::domain::order::NotReady { status }.into()),
        }
        let account = self
            .store()
            .account(account)
            .await?
            .ok_or(AuthorityError::NotFound("account"))?;
        let enrolment = self.active_enrolment(&account).await?;
        let directory = self.directory(&account.directory)?;
        let by_statement = self
            .by_statement(enrolment.as_ref(), &order.identifiers)
            .await?;
        match &by_statement {
            Some(it) => {
                self.profile_by_statement(directory, it, Some(&order.profile))?;
            }
            None => self.check_ordered_profile(directory, enrolment.as_ref(), &order.profile)?,
        }
        let whose = Whose {
            enrolment: enrolment.as_ref(),
            by_statement,
        };
        let (leaf, device) = self
            .leaf_of(directory, &order, &account, &whose, request)
            .await?;
        let is_due = self
            .is_due_renewal(order.replaces.as_ref(), Some(&order.id))
            .await?;
        let counted = self.count_certificate(directory, &order, enrolment.as_ref(), is_due)?;
        reach(CrashPoint::FinalizeBeforeSign);
        let record = self.issue(leaf).await?;
        reach(CrashPoint::FinalizeSigned);
        let audit = self.audit(
            &Actor::Account(account.id.to_string()),
            "certificate.issue",
            record.serial,
            json!({
                "order": order.id,
                "profile": record.profile,
                "principal": record.principal,
                "names": record.names,
                "not_after": record.not_after,
            }),
        );
        let complete = CompleteOrder {
            order: order.id,
            account: account.id,
            certificate: record,
            device,
            now,
        };
        let profile = complete.certificate.profile.to_string();
        let told = (
            complete.certificate.serial,
            complete.certificate.names.join(", "),
            complete.account.clone(),
        );
        let order = self.store().complete_order(complete, audit).await??;
        reach(CrashPoint::FinalizeCommitted);
        counted.keep();
        let (serial, names, account) = told;
        tracing::info!(%serial, names, profile, %account, "a certificate was issued");
        self.inner.tally.issued.add(profile, 1);
        Ok(order)
    }

    /// Whether the profile and the issuer of today would certify the names: better told now than when the names are
    /// proved.
    pub(super) fn check_names(
        &self,
        directory: &Directory,
        profile: &ProfileName,
        identifiers: &[Identifier],
    ) -> Result<(), AuthorityError> {
        let issuers = self.issuers();
        let issuer = issuers
            .chosen(directory.issuer.as_deref(), profile.as_str())
            .ok();
        let profile = self.profiles().enrolled(profile)?;
        identifiers
            .iter()
            .filter_map(Identifier::general_name)
            .try_for_each(|name| check_name(profile, issuer.map(|issuer| &**issuer), &name))
    }

    /// Whether the profile of today allows the validity that an order wants.
    fn check_validity(
        &self,
        directory: &Directory,
        profile: &ProfileName,
        wanted: WantedValidity,
        now: Timestamp,
    ) -> Result<(), AuthorityError> {
        if wanted == WantedValidity::default() {
            return Ok(());
        }
        let issuers = self.issuers();
        let issuer = issuers.chosen(directory.issuer.as_deref(), profile.as_str())?;
        let profile = self.profiles().enrolled(profile)?;
        let (not_before, not_after) =
            profile.validity(now.unix_seconds(), issuer.certificate.not_after());
        wanted
            .check(
                Timestamp::from_unix_seconds(not_before),
                Timestamp::from_unix_seconds(not_after),
                now,
            )
            .map_err(|refused| AuthorityError::Invalid(refused.to_string()))
    }

    /// What the certificate of an order is to say, if the CSR is right. All that is wrong with it is told at once.
    async fn leaf_of(
        &self,
        directory: &Directory,
        order: &Order,
        account: &Account,
        whose: &Whose<'_>,
        request: CertificateRequest,
    ) -> Result<(Leaf, Option<Device>), AuthorityError> {
        let principal = whose.principal();
        let uri = principal
            .as_ref()
            .map(|principal| principal.spiffe_id(self.trust_domain()));
        let mut faults: Vec<CsrFault> = Vec::new();
        if let Err(differ) = order.check_names(&request, uri.as_deref()) {
            faults.push(differ.into());
        }
        let public_key = request.public_key().clone();
        let first_name = request.common_names().first().cloned();
        let profile = self.profiles().enrolled(&order.profile)?;
        let blocked = self
            .store()
            .is_key_blocked(public_key.fingerprint())
            .await?
            .then_some(AuthorityError::KeyBlocked);
        for error in check_key(profile, &public_key)
            .err()
            .into_iter()
            .chain(blocked)
        {
            faults.push(CsrFault {
                detail: error.to_string(),
                names: Vec::new(),
            });
        }
        let attestations = self.attestations(order, &public_key, &mut faults).await?;
        if !faults.is_empty() {
            return Err(AuthorityError::BadCsr(faults));
        }
        let device = match &whose.by_statement {
            Some(it) => Some(self.device_of(it, &attestations).await?),
            None => None,
        };
        let leaf = Leaf {
            profile: order.profile.clone(),
            issuer: directory.issuer.clone(),
            validity: order.validity,
            public_key,
            principal,
            names: order.general_names(),
            first_name,
            enrolment: match &device {
                Some(device) => Some(device.enrolment.clone()),
                None => whose.enrolment.map(|enrolment| enrolment.id.clone()),
            },
            account: Some(account.id.clone()),
            order: Some(order.id.clone()),
        };
        Ok((leaf, device))
    }

    /// The account's enrolment, if it has one; an ended one is an error.
    pub(super) async fn active_enrolment(
        &self,
        account: &Account,
    ) -> Result<Option<Enrolment>, AuthorityError> {
        let Some(id) = &account.enrolment else {
            return Ok(None);
        };
        let enrolment = self
            .store()
            .enrolment(id)
            .await?
            .ok_or(AuthorityError::NotFound("enrolment"))?;
        enrolment.check_active(self.now())?;
        Ok(Some(enrolment))
    }
}

/// Who a certificate is for: nobody, or a principal by an invitation or by a statement of its own.
struct Whose<'a> {
    enrolment: Option<&'a Enrolment>,
    by_statement: Option<ByStatement>,
}

impl Whose<'_> {
    fn principal(&self) -> Option<Principal> {
        match (self.enrolment, &self.by_statement) {
            (Some(enrolment), _) => Some(enrolment.principal.clone()),
            (None, Some(it)) => Some(it.principal.clone()),
            (None, None) => None,
        }
    }
}
