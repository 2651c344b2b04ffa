//! Listing certificates, and showing one with all that is known of it.

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
};
use portcullis_ca::{certificate::to_pem, serial::Serial};
use serde::{Deserialize, Serialize};

use super::{
    SharedState,
    caller::Caller,
    certificate::{ShownCertificate, record},
    moment,
    problem::Problem,
};
use crate::{
    authority::Authority,
    domain::{
        Principal, Timestamp,
        certificate::{CertificateRecord, CertificateStatus},
        enrolment::EnrolmentState,
        text::as_text,
    },
    store::InventoryQuery,
};

/// Which certificates are wanted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListCertificates {
    /// Those of a principal.
    pub principal: Option<String>,
    /// Those with a DNS name, an address or a URI.
    pub name: Option<String>,
    /// Those whose serial begins so.
    pub serial: Option<String>,
    /// Those of a profile.
    pub profile: Option<String>,
    /// Those of an issuer, by its name or its key.
    pub issuer: Option<String>,
    /// Those that are `valid`, `expired` or `revoked`.
    pub state: Option<String>,
    /// Those that are good now and expire before a time, or within a duration.
    pub expiring_before: Option<String>,
    /// Those issued at a time or later, or at most so long ago.
    pub issued_from: Option<String>,
    /// Those issued before a time, or longer ago.
    pub issued_until: Option<String>,
    /// What follows the page before.
    pub cursor: Option<String>,
    /// At most so many, and at most 1000.
    pub limit: Option<usize>,
}

/// The most certificates of one page.
const MOST: usize = 1000;
/// The most predecessors, and successors, that are shown with one.
const MOST_KIN: usize = 20;

/// A page of certificates.
#[derive(Debug, Serialize, Deserialize)]
pub struct CertificatePage {
    /// What is on it.
    pub certificates: Vec<ShownCertificate>,
    /// The cursor of the next one; nothing when this is the last.
    pub next: Option<String>,
}

pub(super) async fn list(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Query(wanted): Query<ListCertificates>,
) -> Result<Json<CertificatePage>, Problem> {
    caller.on_everything()?;
    let now = state.authority.now();
    let query = query(&state.authority, wanted, now)?;
    let page = state.authority.inventory(query).await?;
    Ok(Json(CertificatePage {
        certificates: page
            .certificates
            .iter()
            .map(|record| ShownCertificate::of(record, now))
            .collect(),
        next: page.next.map(|cursor| cursor.to_string()),
    }))
}

fn query(
    authority: &Authority,
    wanted: ListCertificates,
    now: Timestamp,
) -> Result<InventoryQuery, Problem> {
    fn read<T>(text: Option<String>) -> Result<Option<T>, Problem>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        text.map(|text| {
            text.parse()
                .map_err(|error: T::Err| Problem::bad_request(&error.to_string()))
        })
        .transpose()
    }
    let status = match wanted.state.as_deref() {
        None => None,
        Some("valid") => Some(CertificateStatus::Valid),
        Some("expired") => Some(CertificateStatus::Expired),
        Some("revoked") => Some(CertificateStatus::Revoked),
        Some(other) => {
            return Err(Problem::bad_request(&format!(
                "{other:?} is no state; one of valid, expired, revoked"
            )));
        }
    };
    let issuer = match &wanted.issuer {
        None => None,
        Some(text) => Some(authority.issuers().named(text)?.id()),
    };
    let ago =
        |name, text: Option<String>| text.map(|text| moment::ago(name, &text, now)).transpose();
    let expiring_before = wanted
        .expiring_before
        .map(|text| moment::ahead("expiring_before", &text, now))
        .transpose()?;
    Ok(InventoryQuery {
        now,
        principal: read::<Principal>(wanted.principal)?,
        name: wanted.name.as_deref().map(written_name),
        serial: read(wanted.serial)?,
        profile: wanted.profile,
        issuer,
        // What is over, or was taken back, no longer expires.
        status: status.or(expiring_before.map(|_| CertificateStatus::Valid)),
        expiring_before,
        issued_from: ago("issued_from", wanted.issued_from)?,
        issued_until: ago("issued_until", wanted.issued_until)?,
        after: read(wanted.cursor)?,
        limit: wanted.limit.unwrap_or(MOST).clamp(1, MOST),
    })
}

/// A name as records have it: `dns:…`, `ip:…`, `uri:…`.
fn written_name(text: &str) -> String {
    if ["dns:", "ip:", "uri:"]
        .iter()
        .any(|kind| text.starts_with(kind))
    {
        text.to_owned()
    } else if let Ok(address) = text.parse::<std::net::IpAddr>() {
        format!("ip:{address}")
    } else if text.contains("://") {
        format!("uri:{text}")
    } else {
        format!("dns:{}", text.trim_end_matches('.').to_ascii_lowercase())
    }
}

/// A certificate with its history.
#[derive(Debug, Serialize, Deserialize)]
pub struct CertificateInFull {
    /// The certificate.
    #[serde(flatten)]
    pub certificate: ShownCertificate,
    /// Who asked for it.
    pub asked_by: AskedBy,
    /// Which of its issuer's lists would revoke it.
    pub list_shard: u32,
    /// Where that list is, if the issuer is one of ours.
    pub list_url: Option<String>,
    /// The name of its issuer, if it is one of ours.
    pub issuer_name: Option<String>,
    /// When it is to be renewed, as whoever asks is told.
    pub renewal: ShownRenewal,
    /// What it replaced, as its order said.
    pub replaces: Option<String>,
    /// What replaced it, as that one's order said.
    pub replaced_by: Option<String>,
    /// What it replaced, the youngest first.
    pub predecessors: Vec<Relative>,
    /// What replaced it, the oldest first.
    pub successors: Vec<Relative>,
}

/// When a certificate is to be renewed (RFC 9773).
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownRenewal {
    /// From when on.
    pub start: Timestamp,
    /// Until when.
    pub end: Timestamp,
    /// Where people read why, if an incident says so.
    pub explanation_url: Option<String>,
}

/// Who asked for a certificate, and by which credential.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum AskedBy {
    /// The authority itself.
    Authority,
    /// An ACME account.
    Account {
        /// Its id.
        account: String,
        /// Where its owner can be reached.
        contacts: Vec<String>,
        /// The order.
        order: Option<String>,
        /// The enrolment that vouched for it; nothing when its names were proved by challenges.
        enrolment: Option<ShownEnrolment>,
    },
}

/// An enrolment as it is shown with its certificates.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownEnrolment {
    /// Its id.
    pub id: String,
    /// The invitation that it was begun with: the key id of its external account binding.
    pub invitation: String,
    /// When it began.
    pub began_at: Timestamp,
    /// Why it ended, if it did.
    pub ended: Option<String>,
}

/// A certificate before or after another.
#[derive(Debug, Serialize, Deserialize)]
pub struct Relative {
    /// Its serial.
    #[serde(with = "as_text")]
    pub serial: Serial,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The last moment of its validity.
    pub not_after: Timestamp,
    /// `valid`, `expired` or `revoked`.
    pub status: String,
}

pub(super) async fn show(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(serial): Path<String>,
) -> Result<Json<CertificateInFull>, Problem> {
    let record = record(&state, &serial).await?;
    match &record.principal {
        Some(principal) => caller.on(principal)?,
        None => caller.on_everything()?,
    };
    let authority = &state.authority;
    let now = authority.now();
    let mut certificate = ShownCertificate::of(&record, now);
    certificate.pem = Some(to_pem(&record.der));
    let kin = authority.kin(&record, MOST_KIN).await?;
    let renewal = authority.renewal_of(&record);
    let replacements = authority.replacements(&record).await?;
    let issuers = authority.issuers();
    let issuer = issuers.by_id(&record.issuer);
    let relative = |record: &CertificateRecord| Relative {
        serial: record.serial,
        issued_at: record.issued_at,
        not_after: record.not_after,
        status: record.status_at(now).name().to_owned(),
    };
    Ok(Json(CertificateInFull {
        certificate,
        asked_by: asked_by(authority, &record).await?,
        list_shard: record.list_shard,
        list_url: issuer.map(|issuer| issuer.list_url(record.list_shard)),
        issuer_name: issuer.map(|issuer| issuer.name().to_string()),
        renewal: ShownRenewal {
            start: renewal.window.start,
            end: renewal.window.end,
            explanation_url: renewal.explanation_url,
        },
        replaces: replacements.replaces.map(|serial| serial.to_string()),
        replaced_by: replacements.replaced_by.map(|serial| serial.to_string()),
        predecessors: kin.predecessors.iter().map(relative).collect(),
        successors: kin.successors.iter().map(relative).collect(),
    }))
}

async fn asked_by(authority: &Authority, record: &CertificateRecord) -> Result<AskedBy, Problem> {
    let Some(id) = &record.account else {
        return Ok(AskedBy::Authority);
    };
    let contacts = authority
        .account(id)
        .await?
        .map_or_else(Vec::new, |account| account.contacts);
    let enrolment = match &record.enrolment {
        Some(id) => authority.enrolment(id).await?,
        None => None,
    };
    Ok(AskedBy::Account {
        account: id.to_string(),
        contacts,
        order: record.order.as_ref().map(ToString::to_string),
        enrolment: enrolment.map(|enrolment| ShownEnrolment {
            id: enrolment.id.to_string(),
            invitation: enrolment.invitation.to_string(),
            began_at: enrolment.created_at,
            ended: match enrolment.state {
                EnrolmentState::Active | EnrolmentState::AwaitingApproval { .. } => None,
                EnrolmentState::Ended { at, reason } => Some(format!("{at}: {reason}")),
            },
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_however_it_is_written() {
        for (text, name) in [
            ("Host.Example.", "dns:host.example"),
            ("dns:host.example", "dns:host.example"),
            ("10.0.0.1", "ip:10.0.0.1"),
            ("2001:DB8::1", "ip:2001:db8::1"),
            ("spiffe://home/device/a", "uri:spiffe://home/device/a"),
        ] {
            assert_eq!(written_name(text), name, "{text}");
        }
    }
}
