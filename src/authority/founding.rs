//! The first root and intermediate of an authority go into its store: at `init`, or when a server finds the files of an
//! older one.

use portcullis_ca::{
    certificate::IssuerCertificate, issuer_key_id::IssuerKeyId, profile::ProfileKind,
};
use serde_json::json;

use super::AuthorityError;
use crate::{
    domain::{
        Timestamp,
        audit::{Actor, AuditDraft},
        certificate::CertificateRecord,
        issuer::{IssuerName, IssuerRecord, IssuerRole, IssuerState, KeyId, KeyPlace},
    },
    store::{ChangeIssuers, Store},
};

/// A root and the intermediate below it, with where their keys are.
#[derive(Debug)]
pub struct Founding {
    /// The root's certificate.
    pub root: IssuerCertificate,
    /// Where its key is.
    pub root_key: KeyPlace,
    /// The intermediate's certificate.
    pub intermediate: IssuerCertificate,
    /// Where its key is.
    pub intermediate_key: KeyPlace,
    /// Over how many lists the intermediate's certificates are spread.
    pub list_shards: u32,
}

/// Records both as active.
///
/// # Errors
/// What the store says; `Conflict` when there are issuers of these names or keys.
pub async fn found(
    store: &dyn Store,
    founding: Founding,
    now: Timestamp,
) -> Result<(), AuthorityError> {
    let root = IssuerKeyId::of(founding.root.public_key().subject_public_key_info());
    let record = |name: &str, certificate: &IssuerCertificate, key, role, parent, list_shards| {
        let name: IssuerName = name
            .parse()
            .map_err(|error| AuthorityError::Internal(format!("{error}")))?;
        Ok::<_, AuthorityError>(IssuerRecord {
            id: IssuerKeyId::of(certificate.public_key().subject_public_key_info()),
            name,
            role,
            state: IssuerState::Active,
            state_since: now,
            certificate: certificate.der().to_vec(),
            above: Vec::new(),
            parent,
            cross: Vec::new(),
            key,
            profiles: Vec::new(),
            list_shards,
            created_at: now,
        })
    };
    let change = ChangeIssuers {
        put: vec![
            record(
                "root",
                &founding.root,
                founding.root_key,
                IssuerRole::Root,
                None,
                1,
            )?,
            record(
                "intermediate",
                &founding.intermediate,
                founding.intermediate_key,
                IssuerRole::Intermediate,
                Some(KeyId(root)),
                founding.list_shards,
            )?,
        ],
        expected: Vec::new(),
        certificates: vec![ca_record(
            &founding.intermediate,
            root,
            ProfileKind::Intermediate,
            now,
        )],
        at: now,
    };
    let audit = AuditDraft {
        at: now,
        actor: Actor::Authority,
        action: "issuer.found",
        subject: root.short(),
        detail: json!({ "root": root.to_string(), "intermediate": change.put[1].id.to_string() }),
    };
    store.change_issuers(change, audit).await?;
    Ok(())
}

/// The record of a CA certificate that an issuer of ours signed.
pub(super) fn ca_record(
    certificate: &IssuerCertificate,
    issuer: IssuerKeyId,
    kind: ProfileKind,
    now: Timestamp,
) -> CertificateRecord {
    CertificateRecord {
        serial: certificate.serial(),
        issuer,
        list_shard: 0,
        profile: kind.into(),
        principal: None,
        names: Vec::new(),
        not_before: Timestamp::from_unix_seconds(certificate.not_before()),
        not_after: Timestamp::from_unix_seconds(certificate.not_after()),
        key_fingerprint: certificate.public_key().fingerprint(),
        der: certificate.der().to_vec(),
        enrolment: None,
        account: None,
        order: None,
        issued_at: now,
        revocation: None,
    }
}
