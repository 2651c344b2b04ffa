//! Incidents: opening one, listing them, closing one.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use portcullis_ca::serial::Serial;
use serde::{Deserialize, Serialize};

use super::{SharedState, caller::Caller, certificate::record, moment, problem::Problem};
use crate::{
    authority::{Authority, OpenIncident as Open},
    domain::{
        PrincipalPattern, ProfileName, Timestamp,
        audit::Actor,
        incident::{Incident, Reach},
    },
    store::Reached,
};

/// An incident that is to be opened: the certificates that meet every condition are to be renewed before their time.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenIncident {
    /// Those of an issuer, by its name or key id.
    pub issuer: Option<String>,
    /// Those of a profile.
    pub profile: Option<ProfileName>,
    /// Those of principals that match.
    pub principal: Option<PrincipalPattern>,
    /// These.
    pub serials: Vec<String>,
    /// Those issued at a time (RFC 3339) or later, or so long ago or later.
    pub issued_from: Option<String>,
    /// Those issued before a time, or longer ago; before now where nothing is said.
    pub issued_before: Option<String>,
    /// All there are: for who sets no condition.
    pub all: bool,
    /// Why.
    pub reason: String,
    /// Where people read why.
    pub explanation_url: Option<String>,
    /// Over how long the renewals are spread; at once without.
    pub within_seconds: u64,
    /// Only tell how many certificates it would be.
    pub dry_run: bool,
}

/// An incident as it is shown.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownIncident {
    /// Its number; nothing where it was not opened.
    pub number: Option<u64>,
    /// `open` or `closed`; `dry-run` where it was not opened.
    pub status: String,
    /// The name of the issuer that it is about.
    pub issuer: Option<String>,
    /// The profile.
    pub profile: Option<ProfileName>,
    /// The principals.
    pub principal: Option<PrincipalPattern>,
    /// The certificates, by serial.
    pub serials: Vec<String>,
    /// Issued at this moment or later.
    pub issued_from: Option<Timestamp>,
    /// Issued before this moment.
    pub issued_before: Timestamp,
    /// Why.
    pub reason: String,
    /// Where people read why.
    pub explanation_url: Option<String>,
    /// Over how long the renewals are spread.
    pub within_seconds: u64,
    /// Since when.
    pub opened_at: Timestamp,
    /// Who opened it.
    pub opened_by: String,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// How many good certificates it reaches; only while it is open.
    pub certificates: Option<u64>,
    /// How many of them have not been replaced, as far as orders say.
    pub outstanding: Option<u64>,
}

impl ShownIncident {
    fn of(authority: &Authority, incident: &Incident, reached: Option<Reached>) -> Self {
        let Reach {
            issuer,
            profile,
            principal,
            serials,
            issued_from,
            issued_before,
        } = &incident.reach;
        let issuers = authority.issuers();
        let status = match (incident.number, incident.closed_at) {
            (0, _) => "dry-run",
            (_, None) => "open",
            (_, Some(_)) => "closed",
        };
        Self {
            number: (incident.number > 0).then_some(incident.number),
            status: status.to_owned(),
            issuer: issuer.map(|id| {
                issuers
                    .by_id(&id)
                    .map_or_else(|| id.to_string(), |issuer| issuer.name().to_string())
            }),
            profile: profile.clone(),
            principal: principal.clone(),
            serials: serials.iter().map(ToString::to_string).collect(),
            issued_from: *issued_from,
            issued_before: *issued_before,
            reason: incident.reason.clone(),
            explanation_url: incident.explanation_url.clone(),
            within_seconds: incident.within.as_secs(),
            opened_at: incident.opened_at,
            opened_by: incident.opened_by.clone(),
            closed_at: incident.closed_at,
            certificates: reached.map(|reached| reached.good),
            outstanding: reached.map(|reached| reached.outstanding),
        }
    }
}

/// An incident about certain principals takes the permission on those; any other takes it on all.
fn actor(caller: &Caller, reach: &Reach) -> Result<Actor, Problem> {
    match &reach.principal {
        Some(pattern) => caller.on_all_that_match(pattern),
        None => caller.on_everything(),
    }
}

pub(super) async fn open(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<OpenIncident>,
) -> Result<Json<ShownIncident>, Problem> {
    let authority = &state.authority;
    let reach = reach(&state, &wanted).await?;
    let actor = actor(&caller, &reach)?;
    let reached = authority.incident_reach(&reach).await?;
    let open = Open {
        reach,
        reason: wanted.reason,
        explanation_url: wanted.explanation_url,
        within: Duration::from_secs(wanted.within_seconds),
    };
    let incident = if wanted.dry_run {
        Incident {
            number: 0,
            reach: open.reach,
            reason: open.reason,
            explanation_url: open.explanation_url,
            within: open.within,
            opened_at: authority.now(),
            opened_by: actor.to_string(),
            closed_at: None,
        }
    } else {
        authority.open_incident(&actor, open).await?
    };
    Ok(Json(ShownIncident::of(authority, &incident, Some(reached))))
}

async fn reach(state: &SharedState, wanted: &OpenIncident) -> Result<Reach, Problem> {
    let authority = &state.authority;
    let now = authority.now();
    let OpenIncident {
        issuer,
        profile,
        principal,
        serials,
        issued_from,
        issued_before,
        all,
        reason: _,
        explanation_url: _,
        within_seconds: _,
        dry_run: _,
    } = wanted;
    let conditions = issuer.is_some()
        || profile.is_some()
        || principal.is_some()
        || !serials.is_empty()
        || issued_from.is_some()
        || issued_before.is_some();
    match (conditions, all) {
        (false, false) => {
            return Err(Problem::bad_request(
                "say which certificates are to be renewed: by issuer, profile, principal, serial or time of issuing, or all",
            ));
        }
        (true, true) => {
            return Err(Problem::bad_request(
                "all certificates, or those that meet conditions; not both",
            ));
        }
        (true, false) | (false, true) => {}
    }
    let moment = |name: &str, text: &Option<String>| {
        text.as_deref()
            .map(|text| moment::ago(name, text, now))
            .transpose()
    };
    let issuer = match issuer {
        Some(name) => Some(authority.issuers().named(name)?.id()),
        None => None,
    };
    if serials.len() > Reach::MOST_SERIALS {
        return Err(Problem::bad_request(&format!(
            "an incident names at most {} certificates by serial",
            Reach::MOST_SERIALS
        )));
    }
    let mut named: Vec<Serial> = Vec::with_capacity(serials.len());
    for serial in serials {
        named.push(record(state, serial).await?.serial);
    }
    Ok(Reach {
        issuer,
        profile: profile.clone(),
        principal: principal.clone(),
        serials: named,
        issued_from: moment("issued_from", issued_from)?,
        issued_before: moment("issued_before", issued_before)?.unwrap_or(now),
    })
}

pub(super) async fn list(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<ShownIncident>>, Problem> {
    caller.on_everything()?;
    let authority = &state.authority;
    let mut shown = Vec::new();
    for incident in authority.incidents().await? {
        let reached = match incident.closed_at {
            None => Some(authority.incident_reach(&incident.reach).await?),
            Some(_) => None,
        };
        shown.push(ShownIncident::of(authority, &incident, reached));
    }
    Ok(Json(shown))
}

pub(super) async fn close(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
) -> Result<Json<ShownIncident>, Problem> {
    let unknown = || {
        Problem::not_found(&format!(
            "there is no incident {number:?}: portcullis incident list shows them"
        ))
    };
    let authority = &state.authority;
    let incident = authority
        .incidents()
        .await?
        .into_iter()
        .find(|incident| incident.number.to_string() == number)
        .ok_or_else(unknown)?;
    let actor = actor(&caller, &incident.reach)?;
    let closed = authority.close_incident(&actor, incident.number).await?;
    Ok(Json(ShownIncident::of(authority, &closed, None)))
}
