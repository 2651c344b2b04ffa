//! The directory (RFC 8555 section 7.1.1): where everything is. It needs no signature, but takes one.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use serde::Serialize;

use super::{problem::Problem, signed_request::SignedRequest, state::AcmeState};
use crate::domain::ExternalAccount;

/// The directory object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    new_nonce: String,
    new_account: String,
    new_order: String,
    new_authz: String,
    revoke_cert: String,
    key_change: String,
    renewal_info: String,
    meta: Meta,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(skip_serializing_if = "Option::is_none")]
    terms_of_service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    website: Option<String>,
    external_account_required: bool,
    /// Which profiles are ordered here, and what they are for (draft-ietf-acme-profiles).
    profiles: BTreeMap<String, String>,
    /// Ours: where an account fetches every root that is to be trusted.
    trust_bundle: String,
}

/// GET.
pub async fn read(State(state): State<Arc<AcmeState>>) -> Json<Directory> {
    Json(directory(&state))
}

/// POST-as-GET (RFC 8555 section 6.3 allows both).
///
/// # Errors
/// Those of any signed request.
pub async fn read_signed(
    State(state): State<Arc<AcmeState>>,
    request: SignedRequest,
) -> Result<Json<Directory>, Problem> {
    request.by_account(&state).await?.payload.expect_empty()?;
    Ok(Json(directory(&state)))
}

fn directory(state: &AcmeState) -> Directory {
    Directory {
        new_nonce: state.urls.new_nonce(),
        new_account: state.urls.new_account(),
        new_order: state.urls.new_order(),
        new_authz: state.urls.new_authorization(),
        revoke_cert: state.urls.revoke_certificate(),
        key_change: state.urls.key_change(),
        renewal_info: state.urls.renewal_info(),
        meta: Meta {
            terms_of_service: state
                .settings
                .terms_of_service
                .as_ref()
                .map(ToString::to_string),
            website: state.settings.website.as_ref().map(ToString::to_string),
            external_account_required: match state.settings.rules.external_account {
                ExternalAccount::Optional => false,
                ExternalAccount::Required => true,
            },
            profiles: state
                .authority
                .profiles_of(&state.settings.rules)
                .map(|(name, profile)| {
                    let description = state.authority.profiles().description(name, profile);
                    (name.to_string(), description)
                })
                .collect(),
            trust_bundle: state.urls.trust_bundle(),
        },
    }
}
