//! Accounts (RFC 8555 section 7.3): made, found by their key, changed and deactivated.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    external_account_binding::ExternalAccountBinding,
    jwk::Jwk,
    key_change::check_new_key,
    problem::{Problem, ProblemType},
    resource_path::ResourcePath,
    signed_request::{ByAccount, SignedRequest, check_standing},
    state::AcmeState,
    terms,
};
use crate::{
    authority::NewAccount,
    domain::{
        ExternalAccount,
        account::{Account, AccountChange},
        id::AccountId,
        invitation::InvitationId,
    },
};

/// The most contacts that an account may have.
pub const MAX_CONTACTS: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewAccountRequest {
    #[serde(default)]
    contact: Vec<String>,
    #[serde(default)]
    terms_of_service_agreed: bool,
    #[serde(default)]
    only_return_existing: bool,
    external_account_binding: Option<Box<RawValue>>,
}

/// What may be changed; everything else is ignored (RFC 8555 section 7.3.2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountUpdate {
    contact: Option<Vec<String>>,
    status: Option<String>,
    #[serde(default)]
    terms_of_service_agreed: bool,
}

/// The account object (RFC 8555 section 7.1.2).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountObject {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contact: Vec<String>,
    orders: String,
    /// Whether its owner has agreed to the terms of service as they are now.
    #[serde(skip_serializing_if = "Option::is_none")]
    terms_of_service_agreed: Option<bool>,
    /// As it was sent (RFC 8555 section 7.3.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    external_account_binding: Option<serde_json::Value>,
}

/// newAccount.
///
/// # Errors
/// `accountDoesNotExist` with `onlyReturnExisting`, `userActionRequired`, `externalAccountRequired`,
/// `unsupportedContact`, `invalidContact`, and `unauthorized` for a refused binding or a key that was deactivated.
pub async fn create(
    State(state): State<Arc<AcmeState>>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let (url, from) = (request.url.clone(), request.from);
    let signed = request.by_key()?;
    let wanted: NewAccountRequest = signed.payload.object()?;
    if let Some(existing) = state
        .authority
        .account_by_key(&state.settings.rules.name, &signed.key.thumbprint())
        .await?
    {
        check_standing(&state, &existing).await?;
        return Ok(answer(&state, StatusCode::OK, existing));
    }
    if wanted.only_return_existing {
        return Err(Problem::new(
            ProblemType::AccountDoesNotExist,
            "no account has this key; leave out \"onlyReturnExisting\" to make one",
        ));
    }
    check_contacts(&wanted.contact)?;
    let terms_of_service = terms::agreed_to(&state, wanted.terms_of_service_agreed)?;
    check_new_key(&state, &signed.key).await?;
    let binding = match verify_binding(
        &state,
        wanted.external_account_binding.as_deref(),
        &signed.key,
        &url,
    )
    .await
    {
        Ok(binding) => binding,
        // What the quicker one used up was meant for this one, too.
        Err(problem) => return opened_meanwhile(&state, &signed.key, problem).await,
    };
    let new = NewAccount {
        directory: state.settings.rules.name.clone(),
        thumbprint: signed.key.thumbprint(),
        jwk: signed.key.to_value(),
        contacts: wanted.contact,
        binding,
        from,
        external_account_binding: wanted
            .external_account_binding
            .and_then(|json| serde_json::from_str(json.get()).ok()),
        terms_of_service,
    };
    match state.authority.create_account(new).await {
        Ok(account) => Ok(answer(&state, StatusCode::CREATED, account)),
        Err(error) => opened_meanwhile(&state, &signed.key, error.into()).await,
    }
}

/// The account, if another request with this key was quicker; otherwise the problem.
async fn opened_meanwhile(
    state: &AcmeState,
    key: &Jwk,
    problem: Problem,
) -> Result<Response, Problem> {
    let account = state
        .authority
        .account_by_key(&state.settings.rules.name, &key.thumbprint())
        .await?
        .ok_or(problem)?;
    check_standing(state, &account).await?;
    Ok(answer(state, StatusCode::OK, account))
}

/// An account's own URL: read with an empty payload, else changed or deactivated.
///
/// # Errors
/// `unauthorized` for another account, and those of contacts.
pub async fn update(
    State(state): State<Arc<AcmeState>>,
    ResourcePath(id): ResourcePath<String>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let ByAccount {
        mut account,
        payload,
    } = request.by_account(&state).await?;
    check_owner(&account, &id)?;
    if !payload.is_empty() {
        let update: AccountUpdate = payload.object()?;
        if update.status.as_deref() == Some("deactivated") {
            account = state.authority.deactivate_account(&account.id).await?;
        } else {
            let terms = state.settings.terms_of_service.as_ref();
            let change = AccountChange {
                contacts: update.contact,
                status: None,
                terms_of_service: terms
                    .filter(|_| update.terms_of_service_agreed)
                    .map(ToString::to_string),
            };
            check_contacts(change.contacts.as_deref().unwrap_or_default())?;
            if change != AccountChange::default() {
                account = state.authority.update_account(&account.id, change).await?;
            }
        }
    }
    Ok(answer(&state, StatusCode::OK, account))
}

/// Refuses what belongs to another account.
///
/// # Errors
/// `unauthorized`.
pub fn check_owner(account: &Account, owner: &str) -> Result<(), Problem> {
    if account.id == AccountId::from_text(owner) {
        return Ok(());
    }
    Err(Problem::unauthorized(
        "this belongs to another account; sign with the key of the account that it belongs to",
    ))
}

/// An account's object, as it is after whatever was done.
pub(super) fn answer(state: &AcmeState, status: StatusCode, account: Account) -> Response {
    let url = state.urls.account(&account.id);
    let agreed = account.terms_of_service.as_deref();
    let terms = state.settings.terms_of_service.as_ref();
    let object = AccountObject {
        status: account.status.name(),
        orders: state.urls.orders(&account.id),
        contact: account.contacts,
        terms_of_service_agreed: terms.map(|terms| agreed == Some(terms.as_str())),
        external_account_binding: account.external_account_binding,
    };
    (status, [(header::LOCATION, url)], Json(object)).into_response()
}

async fn verify_binding(
    state: &AcmeState,
    binding: Option<&RawValue>,
    account_key: &Jwk,
    url: &str,
) -> Result<Option<InvitationId>, Problem> {
    let Some(json) = binding else {
        return match state.settings.rules.external_account {
            ExternalAccount::Optional => Ok(None),
            ExternalAccount::Required => Err(Problem::new(
                ProblemType::ExternalAccountRequired,
                "an account needs an \"externalAccountBinding\" here; ask the operator for an invitation, and give its key id and key to your client (certbot: --eab-kid and --eab-hmac-key)",
            )),
        };
    };
    let binding = ExternalAccountBinding::parse(json, account_key, url)?;
    let (invitation, key) = state
        .authority
        .external_account_key(&binding.key_id)
        .await?
        .ok_or_else(ExternalAccountBinding::refused)?;
    binding.verify(key.as_ref())?;
    Ok(Some(invitation))
}

/// RFC 8555 section 7.3: `mailto`, without header fields, one address each.
fn check_contacts(contacts: &[String]) -> Result<(), Problem> {
    if contacts.len() > MAX_CONTACTS {
        return Err(Problem::new(
            ProblemType::InvalidContact,
            format!(
                "{} contacts are too many; give at most {MAX_CONTACTS}",
                contacts.len()
            ),
        ));
    }
    for contact in contacts {
        let Some(("mailto", address)) = contact.split_once(':') else {
            return Err(Problem::new(
                ProblemType::UnsupportedContact,
                format!(
                    "the contact {contact:?} is no mail address; write it as \"mailto:ops@example.com\""
                ),
            ));
        };
        if !is_one_mail_address(address) {
            return Err(Problem::new(
                ProblemType::InvalidContact,
                format!(
                    "the contact {contact:?} is not one plain mail address; write it as \"mailto:ops@example.com\", without header fields"
                ),
            ));
        }
    }
    Ok(())
}

fn is_one_mail_address(address: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_graphic() && !matches!(byte, b',' | b'?' | b'<' | b'>' | b'"' | b';')
    };
    let Some((local, domain)) = address.split_once('@') else {
        return false;
    };
    address.len() <= 254
        && address.bytes().all(plain)
        && !local.is_empty()
        && !domain.is_empty()
        && !domain.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_single_mail_addresses() {
        for (contact, expected) in [
            ("mailto:ops@example.com", None),
            ("mailto:o+tag@example.com", None),
            ("tel:+4912345", Some(ProblemType::UnsupportedContact)),
            ("ops@example.com", Some(ProblemType::UnsupportedContact)),
            ("mailto:", Some(ProblemType::InvalidContact)),
            ("mailto:ops", Some(ProblemType::InvalidContact)),
            ("mailto:a@b@c", Some(ProblemType::InvalidContact)),
            (
                "mailto:a@example.com,b@example.com",
                Some(ProblemType::InvalidContact),
            ),
            (
                "mailto:a@example.com?subject=x",
                Some(ProblemType::InvalidContact),
            ),
            ("mailto:a@exa\nmple.com", Some(ProblemType::InvalidContact)),
            ("mailto:ä@example.com", Some(ProblemType::InvalidContact)),
        ] {
            assert_eq!(
                check_contacts(&[contact.to_owned()])
                    .map_err(|problem| problem.kind)
                    .err(),
                expected,
                "{contact}"
            );
        }
        let many = vec!["mailto:a@example.com".to_owned(); MAX_CONTACTS + 1];
        assert!(check_contacts(&many).is_err());
    }
}
