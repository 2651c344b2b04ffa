//! Renewals in SQLite: what replaces what, and incidents.

use portcullis_ca::serial::Serial;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter, types::Value};

use super::{SqliteStore, certificate::serial, failed, from_json, order, to_json};
use crate::{
    domain::{
        Timestamp,
        id::OrderId,
        incident::{Incident, Reach},
        order::Order,
        principal::Principal,
    },
    store::{Answer, Reached, Renewals, Replacements, StoreError},
};

impl Renewals for SqliteStore {
    fn replacements(&self, of: Serial) -> Answer<'_, Replacements> {
        self.look_up(move |connection| {
            let octets = of.significant_octets();
            let replaces = connection
                .prepare_cached("SELECT serial FROM replacements WHERE certificate = ?")?
                .query_row([octets], |row| serial(row, 0))
                .optional()?;
            let replaced_by = connection
                .prepare_cached(
                    "SELECT certificate FROM replacements WHERE serial = ? AND certificate IS NOT NULL",
                )?
                .query_row([octets], |row| serial(row, 0))
                .optional()?;
            Ok(Replacements {
                replaces,
                replaced_by,
            })
        })
    }

    fn replacing_order(&self, of: Serial) -> Answer<'_, Option<OrderId>> {
        self.look_up(move |connection| {
            connection
                .prepare_cached("SELECT \"order\" FROM replacements WHERE serial = ?")?
                .query_row([of.significant_octets()], |row| {
                    row.get::<_, String>(0).map(OrderId::from_text)
                })
                .optional()
        })
    }

    fn incidents(&self, open_only: bool) -> Answer<'_, Vec<Incident>> {
        self.read(move |connection| {
            let condition = if open_only {
                "WHERE closed_at IS NULL"
            } else {
                ""
            };
            connection
                .prepare_cached(&format!(
                    "SELECT body FROM incidents {condition} ORDER BY number"
                ))?
                .query_map([], |row| from_json(row, 0))?
                .collect()
        })
    }

    fn reached(&self, reach: Reach, at: Timestamp) -> Answer<'_, Reached> {
        self.read(move |connection| reached(connection, &reach, at))
    }
}

fn reached(connection: &Connection, reach: &Reach, at: Timestamp) -> rusqlite::Result<Reached> {
    let Reach {
        issuer,
        profile,
        principal,
        serials,
        issued_from,
        issued_before,
    } = reach;
    let mut condition =
        "account IS NOT NULL AND revoked_at IS NULL AND not_after >= ? AND issued_at < ?"
            .to_owned();
    let mut values: Vec<Value> = vec![
        at.whole_seconds().unix_millis().into(),
        issued_before.unix_millis().into(),
    ];
    for (column, value) in [
        ("issuer =", issuer.map(|it| Value::Blob(it.0.to_vec()))),
        (
            "profile =",
            profile.as_ref().map(|it| it.as_str().to_owned().into()),
        ),
        (
            "issued_at >=",
            issued_from.map(|it| it.unix_millis().into()),
        ),
    ] {
        if let Some(value) = value {
            condition.push_str(&format!(" AND {column} ?"));
            values.push(value);
        }
    }
    if !serials.is_empty() {
        let places = vec!["?"; serials.len()].join(", ");
        condition.push_str(&format!(" AND serial IN ({places})"));
        values.extend(
            serials
                .iter()
                .map(|it| Value::Blob(it.significant_octets().to_vec())),
        );
    }
    if let Some(pattern) = principal {
        // What the pattern begins with leads to the index; the pattern itself decides below.
        let text = pattern.to_string();
        let begin = text.split('*').next().unwrap_or_default();
        let begin = begin.trim_end_matches('/').to_owned();
        condition.push_str(" AND principal >= ? AND principal < ?");
        values.push(begin.clone().into());
        values.push(format!("{begin}\u{10ffff}").into());
    }
    let mut reached = Reached::default();
    let mut query = connection.prepare(&format!(
        "SELECT principal, EXISTS (SELECT 1 FROM replacements
             WHERE replacements.serial = certificates.serial AND replacements.certificate IS NOT NULL)
         FROM certificates WHERE {condition}"
    ))?;
    let mut rows = query.query(params_from_iter(&values))?;
    while let Some(row) = rows.next()? {
        if let Some(pattern) = principal {
            let matches = row
                .get_ref(0)?
                .as_str()?
                .parse::<Principal>()
                .is_ok_and(|principal| pattern.matches(&principal));
            if !matches {
                continue;
            }
        }
        reached.good += 1;
        let replaced: bool = row.get(1)?;
        reached.outstanding += u64::from(!replaced);
    }
    Ok(reached)
}

/// Marks the certificate that a new order replaces. The mark of another order gives way only if that one can't become a
/// certificate any more (RFC 9773 section 5).
pub(super) fn begin_replacement(
    connection: &Connection,
    order: &Order,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(id) = &order.replaces else {
        return Ok(());
    };
    let replaced = id.serial();
    let mark: Option<(String, bool)> = connection
        .prepare_cached(
            "SELECT \"order\", certificate IS NOT NULL FROM replacements WHERE serial = ?",
        )
        .and_then(|mut select| {
            select
                .query_row([replaced.significant_octets()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()
        })
        .map_err(failed)?;
    if let Some((other, done)) = mark {
        let other = OrderId::from_text(other);
        // An order that is gone without a certificate ended long ago.
        let goes_on = || {
            order::by_id(connection, &other)
                .map(|found| found.is_some_and(|found| found.status_at(now) != "invalid"))
                .map_err(failed)
        };
        if done || goes_on()? {
            return Err(StoreError::AlreadyReplaced { order: other });
        }
    }
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO replacements (serial, \"order\", certificate) VALUES (?, ?, NULL)",
        )
        .and_then(|mut put| {
            put.execute(params![replaced.significant_octets(), order.id.as_str()])
        })
        .map(drop)
        .map_err(failed)
}

/// Writes down which certificate replaced the one that an order was to replace.
pub(super) fn finish_replacement(
    connection: &Connection,
    order: &Order,
    certificate: Serial,
) -> Result<(), StoreError> {
    let Some(id) = &order.replaces else {
        return Ok(());
    };
    connection
        .prepare_cached(
            "UPDATE replacements SET certificate = ? WHERE serial = ? AND \"order\" = ?",
        )
        .and_then(|mut update| {
            update.execute(params![
                certificate.significant_octets(),
                id.serial().significant_octets(),
                order.id.as_str()
            ])
        })
        .map(drop)
        .map_err(failed)
}

/// Writes an incident down under the next number.
pub(super) fn open_incident(
    connection: &Connection,
    mut incident: Incident,
) -> Result<Incident, StoreError> {
    incident.number = connection
        .query_row(
            "SELECT coalesce(max(number), 0) + 1 FROM incidents",
            [],
            |row| row.get(0),
        )
        .map_err(failed)?;
    let body = to_json(&incident)?;
    connection
        .execute(
            "INSERT INTO incidents (number, closed_at, body) VALUES (?, NULL, ?)",
            params![incident.number, body],
        )
        .map_err(failed)?;
    Ok(incident)
}

/// Closes an incident.
pub(super) fn close_incident(
    connection: &Connection,
    number: u64,
    at: Timestamp,
) -> Result<Incident, StoreError> {
    let mut incident: Incident = connection
        .prepare_cached("SELECT body FROM incidents WHERE number = ?")
        .and_then(|mut select| {
            select
                .query_row([number], |row| from_json(row, 0))
                .optional()
        })
        .map_err(failed)?
        .ok_or(StoreError::NotFound(
            "incident; portcullis incident list shows them",
        ))?;
    if incident.closed_at.is_some() {
        return Err(StoreError::Conflict("the incident is closed already"));
    }
    incident.closed_at = Some(at);
    let body = to_json(&incident)?;
    connection
        .execute(
            "UPDATE incidents SET closed_at = ?, body = ? WHERE number = ?",
            params![at.unix_millis(), body, number],
        )
        .map_err(failed)?;
    Ok(incident)
}
