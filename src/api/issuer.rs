//! Issuers: listing, making, taking in, having signed, rotating, activating, retiring; and the trust bundle.

use std::collections::BTreeMap;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use portcullis_ca::{
    certificate::to_pem,
    csr,
    key::{KeyAlgorithm, KeyError, SigningKey},
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::{SharedState, caller::Caller, problem::Problem};
use crate::{
    authority::{
        KeyHome,
        ca::{Activate, CreateIssuer, ImportIssuer, RequestIssuer, RotateIssuer},
    },
    domain::{
        Principal, Timestamp,
        issuer::{IssuerName, IssuerRecord, IssuerRole, IssuerState},
    },
};

/// An issuer as it is shown.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownIssuer {
    /// What operators call it.
    pub name: IssuerName,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub id: String,
    /// `root` or `intermediate`.
    pub role: IssuerRole,
    /// How far its life has come.
    pub state: IssuerState,
    /// Since when.
    pub state_since: Timestamp,
    /// Where its key is.
    pub key: String,
    /// Its key's algorithm, once it has a certificate.
    pub key_algorithm: Option<String>,
    /// Its subject (RFC 4514), once it has a certificate.
    pub subject: Option<String>,
    /// The issuer of ours that signed it, by name.
    pub parent: Option<String>,
    /// The issuers of ours that signed its subject and key as well, by name.
    pub cross_signed_by: Vec<String>,
    /// The profiles that it issues; empty: all that no other active issuer names.
    pub profiles: Vec<String>,
    /// Over how many lists its certificates are spread.
    pub list_shards: u32,
    /// The first moment of its validity.
    pub not_before: Option<Timestamp>,
    /// The last.
    pub not_after: Option<Timestamp>,
    /// Its certificate, those above it, and for a root those that cross-sign it, as PEM; only where one is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
    /// The request that waits to be signed, as PEM; only where one is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl ShownIssuer {
    pub(super) fn of(record: &IssuerRecord, state: &SharedState) -> Self {
        use x509_parser::prelude::FromDer as _;
        let issuers = state.authority.issuers();
        let names: BTreeMap<_, _> = issuers
            .records()
            .map(|known| (known.id, known.name.to_string()))
            .collect();
        let name_of = |id: &_| names.get(id).cloned().unwrap_or_default();
        let issuer = issuers.by_id(&record.id);
        let certificate = issuer.map(|issuer| &issuer.certificate);
        let subject = certificate.and_then(|certificate| {
            x509_parser::x509::X509Name::from_der(certificate.subject())
                .ok()
                .map(|(_, name)| name.to_string())
        });
        Self {
            name: record.name.clone(),
            id: record.id.to_string(),
            role: record.role,
            state: record.state,
            state_since: record.state_since,
            key: record.key.to_string(),
            key_algorithm: certificate
                .map(|certificate| certificate.public_key().algorithm().name().to_owned()),
            subject,
            parent: record.parent.map(|parent| name_of(&parent.0)),
            cross_signed_by: record
                .cross
                .iter()
                .map(|cross| name_of(&cross.issuer))
                .collect(),
            profiles: record.profiles.clone(),
            list_shards: record.list_shards,
            not_before: certificate
                .map(|certificate| Timestamp::from_unix_seconds(certificate.not_before())),
            not_after: certificate
                .map(|certificate| Timestamp::from_unix_seconds(certificate.not_after())),
            pem: None,
            request: None,
        }
    }
}

/// Who signs what is to be made; all of it has a default but the name.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewIssuer {
    /// What operators will call it.
    pub name: String,
    /// `root`, or `intermediate`, which is the default.
    pub role: Option<IssuerRole>,
    /// The root that signs it, by name; the one that issues is the default.
    pub parent: Option<String>,
    /// Its key's algorithm; p256 is the default.
    pub key_type: Option<String>,
    /// Whether its key goes into the token.
    pub token: bool,
    /// The profiles that it is to issue; empty: all that no other active issuer names.
    pub profiles: Vec<String>,
    /// Over how many lists its certificates are spread.
    pub list_shards: Option<u32>,
}

impl NewIssuer {
    fn name(&self) -> Result<IssuerName, Problem> {
        self.name
            .parse()
            .map_err(|error: crate::domain::issuer::InvalidIssuerName| {
                Problem::bad_request(&error.to_string())
            })
    }

    fn algorithm(&self) -> Result<KeyAlgorithm, Problem> {
        key_type(self.key_type.as_deref()).map(|it| it.unwrap_or(KeyAlgorithm::P256))
    }

    fn home(&self) -> KeyHome {
        if self.token {
            KeyHome::Token
        } else {
            KeyHome::File
        }
    }
}

fn key_type(text: Option<&str>) -> Result<Option<KeyAlgorithm>, Problem> {
    text.map(|text| {
        text.parse()
            .map_err(|error: KeyError| Problem::bad_request(&error.to_string()))
    })
    .transpose()
}

pub(super) async fn list(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<ShownIssuer>>, Problem> {
    caller.on_everything()?;
    let issuers = state.authority.issuers();
    Ok(Json(
        issuers
            .records()
            .map(|record| ShownIssuer::of(record, &state))
            .collect(),
    ))
}

pub(super) async fn show(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<ShownIssuer>, Problem> {
    caller.on_everything()?;
    let issuers = state.authority.issuers();
    let requested = issuers
        .records()
        .find(|record| record.name.as_str() == name && record.state == IssuerState::Requested);
    if let Some(record) = requested {
        let mut shown = ShownIssuer::of(record, &state);
        shown.request = Some(csr::to_pem(&state.authority.request_again(&name).await?));
        return Ok(Json(shown));
    }
    let issuer = issuers.named(&name)?;
    let mut shown = ShownIssuer::of(&issuer.record, &state);
    let mut pem: String = issuers
        .chain_with_roots(issuer)
        .iter()
        .map(|der| to_pem(der))
        .collect();
    pem.extend(issuer.record.cross.iter().map(|cross| to_pem(&cross.der)));
    shown.pem = Some(pem);
    Ok(Json(shown))
}

pub(super) async fn create(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<NewIssuer>,
) -> Result<Json<ShownIssuer>, Problem> {
    let actor = caller.on_everything()?;
    let create = CreateIssuer {
        name: wanted.name()?,
        role: wanted.role.unwrap_or(IssuerRole::Intermediate),
        algorithm: wanted.algorithm()?,
        home: wanted.home(),
        parent: wanted.parent,
        profiles: wanted.profiles,
        list_shards: wanted.list_shards,
    };
    let record = state.authority.create_issuer(&actor, create).await?;
    Ok(Json(ShownIssuer::of(&record, &state)))
}

pub(super) async fn request(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<NewIssuer>,
) -> Result<Json<ShownIssuer>, Problem> {
    let actor = caller.on_everything()?;
    let request = RequestIssuer {
        name: wanted.name()?,
        algorithm: wanted.algorithm()?,
        home: wanted.home(),
        profiles: wanted.profiles,
        list_shards: wanted.list_shards,
    };
    let (record, der) = state.authority.request_issuer(&actor, request).await?;
    let mut shown = ShownIssuer::of(&record, &state);
    shown.request = Some(csr::to_pem(&der));
    Ok(Json(shown))
}

/// A CA that exists already. The key is in it; it goes over the socket of this machine and nowhere else.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeIn {
    /// What operators will call it.
    pub name: String,
    /// Its certificate, then those above it, PEM.
    pub chain: String,
    /// Its private key, PKCS#8 in PEM; without one it is a root whose key stays elsewhere.
    pub key: Option<String>,
    /// What the key is sealed with.
    pub passphrase: Option<String>,
    /// The profiles that it is to issue.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Over how many lists its certificates are spread.
    pub list_shards: Option<u32>,
}

impl Drop for TakeIn {
    fn drop(&mut self) {
        self.key.zeroize();
        self.passphrase.zeroize();
    }
}

pub(super) async fn import(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<TakeIn>,
) -> Result<Json<ShownIssuer>, Problem> {
    // Whoever holds the key of a CA that is trusted is whoever they like.
    let actor = caller.on_all_there_is()?;
    let key = wanted
        .key
        .as_deref()
        .map(|pem| {
            let passphrase = wanted.passphrase.as_deref().map(str::as_bytes);
            SigningKey::from_pkcs8_pem(pem, passphrase)
                .map_err(|error| Problem::bad_request(&format!("the key: {error}")))
        })
        .transpose()?;
    let import = ImportIssuer {
        name: NewIssuer {
            name: wanted.name.clone(),
            ..NewIssuer::default()
        }
        .name()?,
        chain: certificates(&wanted.chain)?,
        key,
        profiles: wanted.profiles.clone(),
        list_shards: wanted.list_shards,
    };
    let record = state.authority.import_issuer(&actor, import).await?;
    Ok(Json(ShownIssuer::of(&record, &state)))
}

/// A certificate that somebody else signed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Install {
    /// The certificate, then those above it up to the root, PEM.
    pub chain: String,
}

pub(super) async fn install(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(wanted): Json<Install>,
) -> Result<Json<ShownIssuer>, Problem> {
    // The root above it is trusted from now on.
    let actor = caller.on_all_there_is()?;
    let chain = certificates(&wanted.chain)?;
    let record = state
        .authority
        .install_issuer(&actor, &name, &chain)
        .await?;
    Ok(Json(ShownIssuer::of(&record, &state)))
}

/// How to rotate.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rotate {
    /// The algorithm of the new key; the old one's is the default.
    pub key_type: Option<String>,
    /// Whether the new key goes into the token; it goes where the old one is by default.
    pub token: Option<bool>,
}

pub(super) async fn rotate(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(wanted): Json<Rotate>,
) -> Result<Json<Vec<ShownIssuer>>, Problem> {
    let actor = caller.on_everything()?;
    let rotate = RotateIssuer {
        name,
        algorithm: key_type(wanted.key_type.as_deref())?,
        home: wanted
            .token
            .map(|token| if token { KeyHome::Token } else { KeyHome::File }),
    };
    let rotated = state.authority.rotate_issuer(&actor, rotate).await?;
    Ok(Json(shown(&rotated.made, &state)))
}

/// How to activate.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Start {
    /// The issuer whose place it takes.
    pub instead_of: Option<String>,
    /// The part of the devices that must have fetched the trust bundle, 0 to 1.
    pub threshold: Option<f64>,
    /// Do it below the threshold too.
    pub force: bool,
}

pub(super) async fn activate(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(wanted): Json<Start>,
) -> Result<Json<Vec<ShownIssuer>>, Problem> {
    let actor = caller.on_everything()?;
    let activate = Activate {
        name,
        instead_of: wanted.instead_of,
        threshold: wanted.threshold.unwrap_or(Activate::THRESHOLD),
        force: wanted.force,
    };
    let changed = state.authority.activate_issuer(&actor, &activate).await?;
    Ok(Json(shown(&changed, &state)))
}

/// How to retire.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retire {
    /// Although leaves are still good.
    pub yes: bool,
}

pub(super) async fn retire(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(wanted): Json<Retire>,
) -> Result<Json<Vec<ShownIssuer>>, Problem> {
    let actor = caller.on_everything()?;
    let changed = state
        .authority
        .retire_issuer(&actor, &name, wanted.yes)
        .await?;
    Ok(Json(shown(&changed, &state)))
}

/// The trust bundle, and who has fetched it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownBundle {
    /// SHA-256 over its certificates.
    pub id: String,
    /// The certificates, PEM.
    pub pem: String,
    /// The epoch that this node's gate has; it follows the bundle by itself.
    pub gate_epoch: u64,
    /// How many devices and services have a good certificate.
    pub all: u64,
    /// How many of them have not fetched this bundle.
    pub missing: u64,
    /// The first of those.
    pub first_missing: Vec<Principal>,
}

pub(super) async fn bundle(
    State(state): State<SharedState>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<ShownBundle>, Problem> {
    caller.on_everything()?;
    let readiness = state.authority.bundle_readiness().await?;
    Ok(Json(ShownBundle {
        id: hex::encode(readiness.bundle),
        pem: state.authority.issuers().bundle().pem(),
        gate_epoch: state.authority.standing().epoch(),
        all: readiness.all,
        missing: readiness.missing,
        first_missing: readiness.first_missing,
    }))
}

fn shown(records: &[IssuerRecord], state: &SharedState) -> Vec<ShownIssuer> {
    records
        .iter()
        .map(|record| ShownIssuer::of(record, state))
        .collect()
}

fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, Problem> {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Problem::bad_request(&format!("the chain is no PEM: {error}")))?;
    if chain.is_empty() {
        return Err(Problem::bad_request(
            "the chain holds no certificate (-----BEGIN CERTIFICATE-----)",
        ));
    }
    Ok(chain)
}
