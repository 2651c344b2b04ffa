//! Invitations: made, listed, shown and taken back. The MAC key is in the answer that makes one, and in no other.

use std::{net::IpAddr, time::Duration};

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{SharedState, caller::Caller, problem::Problem};
use crate::{
    agent::{identifier::Identifier as TokenIdentifier, token::InvitationToken},
    authority::Invite,
    domain::{
        DirectoryName, Principal, ProfileName, Timestamp,
        enrolment::{Enrolment, EnrolmentState},
        identifier::Identifier,
        identifier_pattern::IdentifierPattern,
        invitation::{Invitation, InvitationId, InvitationStatus, Needs},
    },
    store::InvitationQuery,
};

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateInvitation {
    /// Who is to enrol.
    pub principal: Principal,
    /// DNS names that its certificates may carry.
    #[serde(default)]
    pub dns: Vec<String>,
    /// Addresses that they may carry.
    #[serde(default)]
    pub ip: Vec<IpAddr>,
    /// Patterns of more DNS names: `*.dev.example`, `**.dev.example`.
    #[serde(default)]
    pub allow_dns: Vec<String>,
    /// Networks of more addresses.
    #[serde(default)]
    pub allow_ip: Vec<String>,
    /// Permanent identifiers that may be ordered, beside the principal's own path.
    #[serde(default)]
    pub permanent_identifiers: Vec<String>,
    /// By which profiles its certificates may be made, the default one first; without any, that of the principal's kind.
    #[serde(default)]
    pub profiles: Vec<ProfileName>,
    /// In which directories it may be used; without any, in all.
    #[serde(default)]
    pub directories: Vec<DirectoryName>,
    /// What an order needs beside the key.
    #[serde(default)]
    pub needs: Needs,
    /// How many accounts may be opened with it.
    pub uses: u32,
    /// How long it is good for, in seconds.
    pub life_seconds: u64,
}

/// What is answered, once.
#[derive(Serialize, Deserialize)]
pub struct InvitationCreated {
    /// The invitation.
    #[serde(flatten)]
    pub invitation: ShownInvitation,
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

/// An invitation as it is shown: without its MAC key.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownInvitation {
    /// Its id, which is the key id of its external account binding.
    pub id: InvitationId,
    /// Who may enrol.
    pub principal: Principal,
    /// How it is.
    pub status: InvitationStatus,
    /// What an order needs beside the key.
    pub needs: Needs,
    /// The identifiers that may be ordered.
    pub identifiers: Vec<Identifier>,
    /// Patterns of more of them.
    pub patterns: Vec<IdentifierPattern>,
    /// By which profile its certificates are made where an order names none.
    pub profile: ProfileName,
    /// All profiles that may be ordered, that one first.
    pub profiles: Vec<ProfileName>,
    /// In which directories it may be used; none: in all.
    pub directories: Vec<DirectoryName>,
    /// How many accounts may be opened with it.
    pub uses: u32,
    /// How many have been.
    pub used: u32,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

impl ShownInvitation {
    fn of(invitation: Invitation, now: Timestamp) -> Self {
        Self {
            id: invitation.id,
            status: invitation.status_at(now),
            principal: invitation.principal,
            needs: invitation.needs,
            profiles: invitation.grant.profiles().cloned().collect(),
            profile: invitation.grant.profile,
            identifiers: invitation.grant.identifiers,
            patterns: invitation.grant.patterns,
            directories: invitation.directories,
            uses: invitation.uses,
            used: invitation.used,
            expires_at: invitation.expires_at,
            created_at: invitation.created_at,
            revoked_at: invitation.revoked_at,
        }
    }
}

pub(super) async fn create(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<CreateInvitation>,
) -> Result<Json<InvitationCreated>, Problem> {
    let actor = caller.lend(&wanted.principal, None)?;
    let directory = directory_url(&state, wanted.directories.first())?;
    let invited = state
        .authority
        .invite(
            &actor,
            Invite {
                identifiers: identifiers(&wanted)?,
                patterns: patterns(&wanted)?,
                principal: wanted.principal,
                profiles: wanted.profiles,
                directories: wanted.directories,
                needs: wanted.needs,
                uses: wanted.uses,
                life: Duration::from_secs(wanted.life_seconds),
            },
        )
        .await?;
    let invitation = invited.invitation;
    let token = InvitationToken::new(
        directory.as_str(),
        invitation.id.as_str(),
        invited.mac_key.as_ref(),
        invitation
            .grant
            .identifiers
            .iter()
            .filter_map(|identifier| token_identifier(identifier, &invitation.principal))
            .collect(),
        root_sha256(&state)?,
        Some(invitation.grant.profile.to_string()),
    )
    .and_then(|token| token.for_principal(&invitation.principal.to_string()))
    .map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(Json(InvitationCreated {
        directory: directory.to_string(),
        key_id: invitation.id.to_string(),
        mac_key: URL_SAFE_NO_PAD.encode(invited.mac_key.as_ref()),
        token: token.encode().to_string(),
        invitation: ShownInvitation::of(invitation, state.authority.now()),
    }))
}

fn identifiers(wanted: &CreateInvitation) -> Result<Vec<Identifier>, Problem> {
    let read = |kind: &str, value: &String| {
        Identifier::parse(kind, value).map_err(|error| Problem::bad_request(&error.to_string()))
    };
    let dns = wanted.dns.iter().map(|name| read("dns", name));
    let permanent = wanted
        .permanent_identifiers
        .iter()
        .map(|value| read("permanent-identifier", value));
    let mut identifiers = dns.chain(permanent).collect::<Result<Vec<_>, _>>()?;
    identifiers.extend(wanted.ip.iter().copied().map(Identifier::Ip));
    Ok(identifiers)
}

fn patterns(wanted: &CreateInvitation) -> Result<Vec<IdentifierPattern>, Problem> {
    let dns = wanted.allow_dns.iter().map(|text| format!("dns:{text}"));
    let ip = wanted.allow_ip.iter().map(|text| format!("ip:{text}"));
    dns.chain(ip)
        .map(|text| {
            text.parse()
                .map_err(|error| Problem::bad_request(&format!("{error}")))
        })
        .collect()
}

/// What an agent orders: it answers no challenges, so that a statement about its hardware is not for it.
fn token_identifier(identifier: &Identifier, principal: &Principal) -> Option<TokenIdentifier> {
    match identifier {
        Identifier::Dns(name) => Some(TokenIdentifier::Dns(name.to_string())),
        Identifier::Ip(address) => Some(TokenIdentifier::Ip(*address)),
        Identifier::PermanentIdentifier(value) if value == principal.path() => {
            Some(TokenIdentifier::PermanentIdentifier(value.clone()))
        }
        Identifier::PermanentIdentifier(_) | Identifier::HardwareModule(_) => None,
    }
}

/// The URL of a directory; without a name, of the default one.
fn directory_url(state: &SharedState, name: Option<&DirectoryName>) -> Result<Url, Problem> {
    match name {
        Some(name) if !name.is_default() => state
            .directory
            .join(&format!("{name}/directory"))
            .map_err(|error| Problem::internal(&error.to_string())),
        Some(_) | None => Ok(state.directory.clone()),
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

/// Which invitations are wanted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListInvitations {
    /// Those of a principal.
    pub principal: Option<Principal>,
    /// Those that are `open`, `used-up`, `expired` or `revoked`.
    pub status: Option<String>,
    /// What follows the page before.
    pub cursor: Option<String>,
    /// At most so many, and at most 1000.
    pub limit: Option<usize>,
}

/// The most invitations of one page, and the most enrolments that are shown with one.
const MOST: usize = 1000;

/// A page of invitations, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct InvitationPage {
    /// What is on it.
    pub invitations: Vec<ShownInvitation>,
    /// The cursor of the next one; nothing when this is the last.
    pub next: Option<String>,
}

pub(super) async fn list(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Query(wanted): Query<ListInvitations>,
) -> Result<Json<InvitationPage>, Problem> {
    caller.on_everything()?;
    let limit = wanted.limit.unwrap_or(100).clamp(1, MOST);
    let status = wanted
        .status
        .map(|text| text.parse::<InvitationStatus>())
        .transpose()
        .map_err(|error| Problem::bad_request(&error))?;
    let query = InvitationQuery {
        principal: wanted.principal,
        status,
        before: wanted.cursor.as_deref().map(read_id).transpose()?,
        limit: limit + 1,
    };
    let now = state.authority.now();
    let mut found = state.authority.invitations(query).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let invitations: Vec<_> = found
        .into_iter()
        .map(|invitation| ShownInvitation::of(invitation, now))
        .collect();
    let next = invitations
        .last()
        .filter(|_| has_more)
        .map(|last| last.id.to_string());
    Ok(Json(InvitationPage { invitations, next }))
}

/// An invitation with all that came of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct InvitationInFull {
    /// The invitation.
    #[serde(flatten)]
    pub invitation: ShownInvitation,
    /// Who enrolled with it, the first one first.
    pub enrolments: Vec<EnrolmentOfInvitation>,
}

/// An enrolment that was begun with an invitation.
#[derive(Debug, Serialize, Deserialize)]
pub struct EnrolmentOfInvitation {
    /// Its id.
    pub id: String,
    /// The ACME account.
    pub account: String,
    /// `valid`, `deactivated` or `revoked`.
    pub account_status: String,
    /// In which directory the account is.
    pub directory: Option<DirectoryName>,
    /// How it is.
    pub state: EnrolmentState,
    /// When it began.
    pub began_at: Timestamp,
}

pub(super) async fn show(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<InvitationInFull>, Problem> {
    let invitation = find(&state, &id).await?;
    caller.on(&invitation.principal)?;
    let mut enrolments = Vec::new();
    for enrolment in state.authority.enrolments_of(invitation.id, MOST).await? {
        let Enrolment {
            id,
            account,
            state: how,
            created_at,
            ..
        } = enrolment;
        let kept = state.authority.account(&account).await?;
        enrolments.push(EnrolmentOfInvitation {
            id: id.to_string(),
            account: account.to_string(),
            account_status: kept
                .as_ref()
                .map_or("unknown", |account| account.status.name())
                .to_owned(),
            directory: kept.map(|account| account.directory),
            state: how,
            began_at: created_at,
        });
    }
    Ok(Json(InvitationInFull {
        invitation: ShownInvitation::of(invitation, state.authority.now()),
        enrolments,
    }))
}

/// How an invitation is to be taken back.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeInvitation {
    /// Whether the accounts that were opened with it end too.
    #[serde(default)]
    pub stop_accounts: bool,
}

/// What taking an invitation back did.
#[derive(Debug, Serialize, Deserialize)]
pub struct InvitationRevoked {
    /// The invitation as it is now.
    #[serde(flatten)]
    pub invitation: ShownInvitation,
    /// How many accounts ended.
    pub accounts_stopped: usize,
    /// How many enrolments ended.
    pub enrolments_ended: usize,
}

pub(super) async fn revoke(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json(how): Json<RevokeInvitation>,
) -> Result<Json<InvitationRevoked>, Problem> {
    let invitation = find(&state, &id).await?;
    let actor = caller.on(&invitation.principal)?;
    let revoked = state
        .authority
        .revoke_invitation(&actor, invitation.id, how.stop_accounts)
        .await?;
    Ok(Json(InvitationRevoked {
        invitation: ShownInvitation::of(revoked.invitation, state.authority.now()),
        accounts_stopped: revoked.accounts_stopped,
        enrolments_ended: revoked.enrolments_ended,
    }))
}

async fn find(state: &SharedState, id: &str) -> Result<Invitation, Problem> {
    state
        .authority
        .invitation(read_id(id)?)
        .await?
        .ok_or_else(|| {
            Problem::not_found(
                "there is no invitation with this id: portcullis invite list shows them",
            )
        })
}

fn read_id(text: &str) -> Result<InvitationId, Problem> {
    text.parse().map_err(|_| {
        Problem::bad_request(
            "an invitation's id is 12 letters and digits: portcullis invite list shows them",
        )
    })
}
