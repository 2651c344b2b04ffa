//! Revoking certificates: those that are named, those that a query finds, and those that the store never saw.

use axum::{Extension, Json, extract::State};
use portcullis_ca::{
    pki_types::{CertificateDer, pem::PemObject},
    revocation::RevocationReason,
    serial::Serial,
};
use serde::{Deserialize, Serialize};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{SharedState, caller::Caller, certificate::record, moment, problem::Problem};
use crate::{
    authority::{Revoked, Unseen},
    domain::{Principal, audit::Actor, certificate::CertificateRecord},
    store::RevocationQuery,
};

/// A query that finds more than so many is not carried out before somebody has said yes to the number.
const ASK_ABOVE: u64 = 100;
/// So many serials are shown of what a query would revoke.
const FIRST: usize = 10;
/// And so many of what was revoked: the rest is in the inventory.
const SHOWN: usize = 1000;

/// Which certificates to revoke: named ones, or all that meet the conditions of a query.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RevokeCertificates {
    /// By serial.
    pub serials: Vec<String>,
    /// By the certificates themselves, as PEM.
    pub certificates: Vec<String>,
    /// All good ones of a principal.
    pub principal: Option<Principal>,
    /// All good ones of an issuer, by its name or key id; with `unseen`, whose serials they are.
    pub issuer: Option<String>,
    /// All with a key, by the SHA-256 of its SubjectPublicKeyInfo in hexadecimal.
    pub key: Option<String>,
    /// All good ones of a profile.
    pub profile: Option<String>,
    /// All good ones issued at a time (RFC 3339) or later, or so long ago or later.
    pub issued_from: Option<String>,
    /// All good ones issued before a time, or longer ago.
    pub issued_before: Option<String>,
    /// The certificates that are named may be such as the store never saw.
    pub unseen: bool,
    /// Why, as RFC 5280 section 5.3.1 spells it.
    pub reason: String,
    /// Only tell how many it would be, and the first of them.
    pub dry_run: bool,
    /// Yes, also if a query finds more than 100.
    pub yes: bool,
}

/// What a revocation did, or would do.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct CertificatesRevoked {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// How many are revoked now and were not before, or would be.
    pub count: u64,
    /// The first 1,000 of them; 10 where nothing was done.
    pub serials: Vec<String>,
    /// What was revoked before, the first 1,000.
    pub already_revoked: Vec<String>,
    /// How many enrolments ended with it.
    pub enrolments_ended: usize,
    /// How many keys are refused for ever from now on.
    pub keys_blocked: usize,
    /// The epoch from which on nobody gets in with them.
    pub epoch: Option<u64>,
}

pub(super) async fn revoke(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<RevokeCertificates>,
) -> Result<Json<CertificatesRevoked>, Problem> {
    let reason: RevocationReason =
        wanted
            .reason
            .parse()
            .map_err(|error: portcullis_ca::revocation::UnknownReason| {
                Problem::bad_request(&error.to_string())
            })?;
    let names = !wanted.serials.is_empty() || !wanted.certificates.is_empty();
    let asks = wanted.asks();
    match (names, asks, wanted.unseen) {
        (true, false, true) => unseen(&state, &caller, &wanted, reason).await,
        (true, false, false) => named(&state, &caller, &wanted, reason).await,
        (false, true, false) => matching(&state, &caller, &wanted, reason).await,
        (true, true, true | false) => Err(Problem::bad_request(
            "name certificates by serial or file, or ask for all that meet conditions, but not both at once",
        )),
        (false, true | false, true) => Err(Problem::bad_request(
            "what the store never saw must be named: by the certificate, or by issuer and serial",
        )),
        (false, false, false) => Err(Problem::bad_request(
            "name at least one certificate, by serial, file, principal, issuer, key, profile or time of issuing",
        )),
    }
    .map(Json)
}

impl RevokeCertificates {
    /// Whether it is a query.
    fn asks(&self) -> bool {
        let issuer = self.issuer.is_some() && !self.unseen;
        issuer
            || self.principal.is_some()
            || self.key.is_some()
            || self.profile.is_some()
            || self.issued_from.is_some()
            || self.issued_before.is_some()
    }

    fn query(&self, state: &SharedState) -> Result<RevocationQuery, Problem> {
        let now = state.authority.now();
        let moment = |name: &str, text: &Option<String>| {
            text.as_deref()
                .map(|text| moment::ago(name, text, now))
                .transpose()
        };
        let issuer = self
            .issuer
            .as_deref()
            .map(|name| state.authority.issuers().named(name).map(|it| it.id()))
            .transpose()?;
        Ok(RevocationQuery {
            principal: self.principal.clone(),
            issuer,
            key: self.key.as_deref().map(fingerprint).transpose()?,
            profile: self.profile.clone(),
            issued_from: moment("issued_from", &self.issued_from)?,
            issued_before: moment("issued_before", &self.issued_before)?,
        })
    }
}

/// SHA-256 in hexadecimal, with or without the colons that openssl prints.
fn fingerprint(text: &str) -> Result<[u8; 32], Problem> {
    let mut octets = [0; 32];
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    hex::decode_to_slice(digits, &mut octets).map_err(|_| {
        Problem::bad_request(&format!(
            "{text:?} is no SHA-256 of a key: 64 hexadecimal digits"
        ))
    })?;
    Ok(octets)
}

async fn named(
    state: &SharedState,
    caller: &Caller,
    wanted: &RevokeCertificates,
    reason: RevocationReason,
) -> Result<CertificatesRevoked, Problem> {
    let mut records = Vec::new();
    for serial in &wanted.serials {
        records.push(record(state, serial).await?);
    }
    for pem in &wanted.certificates {
        records.push(presented(state, pem).await?);
    }
    let mut actor = None;
    for record in &records {
        actor = Some(match &record.principal {
            Some(principal) => caller.on(principal)?,
            None => caller.on_everything()?,
        });
    }
    let Some(actor) = actor else {
        return Ok(CertificatesRevoked::default());
    };
    if wanted.dry_run {
        let (already, good): (Vec<_>, Vec<_>) =
            records.iter().partition(|it| it.revocation.is_some());
        let serials = |records: &[&CertificateRecord]| {
            records.iter().map(|it| it.serial.to_string()).collect()
        };
        return Ok(CertificatesRevoked {
            dry_run: true,
            count: good.len() as u64,
            serials: serials(&good),
            already_revoked: serials(&already),
            ..CertificatesRevoked::default()
        });
    }
    let serials: Vec<Serial> = records.iter().map(|record| record.serial).collect();
    let revoked = state
        .authority
        .revoke_certificates(&actor, &serials, reason)
        .await?;
    Ok(revoked.into())
}

/// The record of a certificate that is presented: to the byte, not just one with the same serial.
async fn presented(state: &SharedState, pem: &str) -> Result<CertificateRecord, Problem> {
    let der = certificate(pem)?;
    let (_, parsed) = X509Certificate::from_der(&der)
        .map_err(|_| Problem::bad_request("it is no X.509 certificate"))?;
    let serial = Serial::from_der_integer(parsed.raw_serial())
        .map_err(|error| Problem::bad_request(&error.to_string()))?;
    let known = state.authority.certificate(&serial).await?;
    known.filter(|record| record.der == *der).ok_or_else(|| {
        Problem::not_found(&format!(
            "the store has never seen this certificate ({serial}); if an issuer of this authority signed it, --unseen \
             revokes it all the same"
        ))
    })
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>, Problem> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| Problem::bad_request("\"certificates\" holds PEM blocks of certificates"))
}

async fn matching(
    state: &SharedState,
    caller: &Caller,
    wanted: &RevokeCertificates,
    reason: RevocationReason,
) -> Result<CertificatesRevoked, Problem> {
    let query = wanted.query(state)?;
    let actor: Actor = match &query.principal {
        // To block a key is to block it for everybody.
        Some(principal) if query.key.is_none() => caller.on(principal)?,
        Some(_) | None => caller.on_everything()?,
    };
    let found = state.authority.revocable(&query, reason, FIRST).await?;
    if wanted.dry_run {
        return Ok(CertificatesRevoked {
            dry_run: true,
            count: found.count,
            serials: found.serials.iter().map(ToString::to_string).collect(),
            ..CertificatesRevoked::default()
        });
    }
    if found.count > ASK_ABOVE && !wanted.yes {
        return Err(Problem::conflict(&format!(
            "{} certificates meet this; --dry-run shows the first of them, and --yes revokes them all",
            found.count
        )));
    }
    let revoked = state
        .authority
        .revoke_matching(&actor, &query, reason)
        .await?;
    let nothing = revoked.serials.is_empty()
        && revoked.already.is_empty()
        && revoked.enrolments_ended == 0
        && revoked.keys_blocked == 0;
    match &query.principal {
        Some(principal) if nothing => Err(Problem::not_found(&format!(
            "{principal} has no valid certificate that meets this, and no enrolment: portcullis cert list shows them"
        ))),
        None if nothing => Err(Problem::not_found(
            "no valid certificate meets this, and no key was left to block: portcullis cert list shows what there is",
        )),
        Some(_) | None => Ok(revoked.into()),
    }
}

async fn unseen(
    state: &SharedState,
    caller: &Caller,
    wanted: &RevokeCertificates,
    reason: RevocationReason,
) -> Result<CertificatesRevoked, Problem> {
    let actor = caller.on_everything()?;
    let mut all = Vec::new();
    for serial in &wanted.serials {
        let issuer = wanted.issuer.clone().ok_or_else(|| {
            Problem::bad_request(
                "a serial that the store never saw needs its issuer: --issuer NAME; portcullis ca list shows them",
            )
        })?;
        let serial = serial
            .parse()
            .map_err(|error: portcullis_ca::serial::InvalidSerial| {
                Problem::bad_request(&error.to_string())
            })?;
        all.push(Unseen::Serial { issuer, serial });
    }
    for pem in &wanted.certificates {
        all.push(Unseen::Certificate(certificate(pem)?.to_vec()));
    }
    if wanted.dry_run {
        return Ok(CertificatesRevoked {
            dry_run: true,
            count: all.len() as u64,
            ..CertificatesRevoked::default()
        });
    }
    let mut revoked = Revoked::default();
    for one in all {
        revoked.take_in(state.authority.revoke_unseen(&actor, one, reason).await?);
    }
    Ok(revoked.into())
}

impl From<Revoked> for CertificatesRevoked {
    fn from(revoked: Revoked) -> Self {
        let text = |serials: &[Serial]| {
            let shown = serials.iter().take(SHOWN);
            shown.map(ToString::to_string).collect()
        };
        Self {
            dry_run: false,
            count: revoked.serials.len() as u64,
            serials: text(&revoked.serials),
            already_revoked: text(&revoked.already),
            enrolments_ended: revoked.enrolments_ended,
            keys_blocked: revoked.keys_blocked,
            epoch: revoked.epoch,
        }
    }
}
