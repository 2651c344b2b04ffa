//! API keys in SQLite. Of the secret only its digest is here.

use ipnet::IpNet;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{SqliteStore, failed, from_json, to_json};
use crate::{
    domain::{
        Timestamp,
        api_key::{ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyKind},
        principal::Principal,
        scope::Scope,
    },
    store::{Answer, ApiKeys, StoreError},
};

impl ApiKeys for SqliteStore {
    fn api_key(&self, id: ApiKeyId) -> Answer<'_, Option<ApiKey>> {
        self.look_up(move |connection| by_id(connection, id))
    }

    fn api_keys(&self) -> Answer<'_, Vec<ApiKey>> {
        self.read(|connection| {
            connection
                .prepare("SELECT body FROM api_keys ORDER BY rowid")?
                .query_map([], record)?
                .collect()
        })
    }
}

pub(super) fn by_id(connection: &Connection, id: ApiKeyId) -> rusqlite::Result<Option<ApiKey>> {
    connection
        .prepare_cached("SELECT body FROM api_keys WHERE id = ?")?
        .query_row([id.as_str()], record)
        .optional()
}

/// Writes a key, new or changed.
pub(super) fn put(connection: &Connection, key: &ApiKey) -> Result<(), StoreError> {
    let body = to_json(&Body::from(key))?;
    connection
        .prepare_cached(
            "INSERT INTO api_keys (id, principal, revoked_at, body) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET revoked_at = excluded.revoked_at, body = excluded.body",
        )
        .and_then(|mut put| {
            put.execute(params![
                key.id.as_str(),
                key.principal.to_string(),
                key.revoked_at.map(Timestamp::unix_millis),
                body
            ])
        })
        .map(drop)
        .map_err(failed)
}

fn record(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    from_json::<Body>(row, 0).map(ApiKey::from)
}

/// A key as it is kept.
#[derive(Serialize, Deserialize)]
struct Body {
    id: ApiKeyId,
    kind: ApiKeyKind,
    principal: Principal,
    name: String,
    only: Option<Vec<Scope>>,
    cidrs: Vec<IpNet>,
    expires_at: Option<Timestamp>,
    bound_certificate: Option<[u8; 32]>,
    digest: [u8; 32],
    created_at: Timestamp,
    created_by: Principal,
    revoked_at: Option<Timestamp>,
}

impl From<&ApiKey> for Body {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id,
            kind: key.kind,
            principal: key.principal.clone(),
            name: key.name.clone(),
            only: key.only.clone(),
            cidrs: key.cidrs.clone(),
            expires_at: key.expires_at,
            bound_certificate: key.bound_certificate,
            digest: *key.digest.as_bytes(),
            created_at: key.created_at,
            created_by: key.created_by.clone(),
            revoked_at: key.revoked_at,
        }
    }
}

impl From<Body> for ApiKey {
    fn from(body: Body) -> Self {
        Self {
            id: body.id,
            kind: body.kind,
            principal: body.principal,
            name: body.name,
            only: body.only,
            cidrs: body.cidrs,
            expires_at: body.expires_at,
            bound_certificate: body.bound_certificate,
            digest: ApiKeyDigest::from_bytes(body.digest),
            created_at: body.created_at,
            created_by: body.created_by,
            revoked_at: body.revoked_at,
        }
    }
}
