//! Inviting.

use std::{net::IpAddr, time::Duration};

use axum::{Extension, Json, extract::State};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{SharedState, caller::Caller, problem::Problem};
use crate::{
    agent::{identifier::Identifier as TokenIdentifier, token::InvitationToken},
    authority::Invite,
    domain::{Principal, ProfileName, Timestamp, identifier::Identifier},
};

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateInvitation {
    /// Who is to enrol.
    pub principal: Principal,
    /// DNS names that the invitation vouches for.
    #[serde(default)]
    pub dns: Vec<String>,
    /// Addresses that it vouches for.
    #[serde(default)]
    pub ip: Vec<IpAddr>,
    /// By which profile its certificates are made; the default is that of the principal's kind.
    #[serde(default)]
    pub profile: Option<ProfileName>,
    /// How many accounts may be opened with it.
    pub uses: u32,
    /// How long it is good for, in seconds.
    pub life_seconds: u64,
}

/// What is answered, once.
#[derive(Serialize, Deserialize)]
pub struct InvitationCreated {
    /// Who is to enrol.
    pub principal: Principal,
    /// The names that may be ordered.
    pub identifiers: Vec<Identifier>,
    /// By which profile its certificates are made.
    pub profile: ProfileName,
    /// How many accounts may be opened with it.
    pub uses: u32,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Where to enrol.
    pub directory: String,
    /// The external account binding's key identifier.
    pub key_id: String,
    /// Its MAC key, base64url.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac_key: String,
    /// All of it in one line, for the agent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token: String,
}

pub(super) async fn create(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<CreateInvitation>,
) -> Result<Json<InvitationCreated>, Problem> {
    let actor = caller.lend(&wanted.principal, None)?;
    let mut identifiers = Vec::new();
    for name in &wanted.dns {
        let identifier = Identifier::parse("dns", name)
            .map_err(|error| Problem::bad_request(&error.to_string()))?;
        identifiers.push(identifier);
    }
    identifiers.extend(wanted.ip.iter().copied().map(Identifier::Ip));
    let invited = state
        .authority
        .invite(
            &actor,
            Invite {
                principal: wanted.principal,
                identifiers,
                profile: wanted.profile,
                uses: wanted.uses,
                life: Duration::from_secs(wanted.life_seconds),
            },
        )
        .await?;
    let invitation = invited.invitation;
    let token = InvitationToken::new(
        state.directory.as_str(),
        invitation.id.as_str(),
        invited.mac_key.as_ref(),
        invitation
            .identifiers
            .iter()
            .map(token_identifier)
            .collect(),
        root_sha256(&state)?,
        Some(invitation.profile.to_string()),
    )
    .and_then(|token| token.for_principal(&invitation.principal.to_string()))
    .map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(Json(InvitationCreated {
        principal: invitation.principal,
        identifiers: invitation.identifiers,
        profile: invitation.profile,
        uses: invitation.uses,
        expires_at: invitation.expires_at,
        directory: state.directory.to_string(),
        key_id: invitation.id.to_string(),
        mac_key: URL_SAFE_NO_PAD.encode(invited.mac_key.as_ref()),
        token: token.encode().to_string(),
    }))
}

fn token_identifier(identifier: &Identifier) -> TokenIdentifier {
    match identifier {
        Identifier::Dns(name) => TokenIdentifier::Dns(name.to_string()),
        Identifier::Ip(address) => TokenIdentifier::Ip(*address),
        Identifier::PermanentIdentifier(value) => {
            TokenIdentifier::PermanentIdentifier(value.clone())
        }
        // An agent makes no statements: a token has nothing for them.
        Identifier::HardwareModule(value) => TokenIdentifier::PermanentIdentifier(value.clone()),
    }
}

/// SHA-256 of the root certificate above this server's own, by which an agent knows the server.
fn root_sha256(state: &SharedState) -> Result<[u8; 32], Problem> {
    use aws_lc_rs::digest;
    let issuers = state.authority.issuers();
    let root = issuers.anchor(issuers.issuing("server")?);
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest::digest(&digest::SHA256, &root).as_ref());
    Ok(sha256)
}
