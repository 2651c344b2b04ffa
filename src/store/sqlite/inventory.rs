//! The inventory in SQLite. Each query is led by the one index that serves it, named outright: the planner, which knows
//! nothing of how the values are spread, must not choose.

use rusqlite::{Connection, params, params_from_iter, types::Value};

use super::{
    SqliteStore,
    certificate::{COLUMNS, record},
    failed, to_json,
};
use crate::{
    domain::{
        Timestamp,
        certificate::{CertificateRecord, CertificateStatus},
    },
    store::{Answer, Inventory, InventoryCursor, InventoryPage, InventoryQuery, Kin, StoreError},
};

impl Inventory for SqliteStore {
    fn inventory(&self, query: InventoryQuery) -> Answer<'_, InventoryPage> {
        self.read(move |connection| page(connection, &query))
    }

    fn kin<'a>(&'a self, of: &'a CertificateRecord, limit: usize) -> Answer<'a, Kin> {
        let of = of.clone();
        self.read(move |connection| kin(connection, &of, limit))
    }
}

/// What a page is ordered by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    NewestFirst,
    ExpiringFirst,
    ExpiredLast,
}

impl Order {
    fn of(query: &InventoryQuery) -> Self {
        match query.status {
            _ if query.expiring_before.is_some() => Self::ExpiringFirst,
            Some(CertificateStatus::Expired) => Self::ExpiredLast,
            Some(CertificateStatus::Valid | CertificateStatus::Revoked) | None => Self::NewestFirst,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::NewestFirst => "issued_at",
            Self::ExpiringFirst | Self::ExpiredLast => "not_after",
        }
    }

    fn is_descending(self) -> bool {
        match self {
            Self::NewestFirst | Self::ExpiredLast => true,
            Self::ExpiringFirst => false,
        }
    }

    fn moment(self, record: &CertificateRecord) -> Timestamp {
        match self {
            Self::NewestFirst => record.issued_at,
            Self::ExpiringFirst | Self::ExpiredLast => record.not_after,
        }
    }
}

/// A query that is being written: conditions and their values, in step.
struct Written {
    conditions: String,
    values: Vec<Value>,
}

impl Written {
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.conditions.push_str(" AND ");
        self.conditions.push_str(condition);
        self.values.extend(values);
    }
}

fn page(connection: &Connection, query: &InventoryQuery) -> rusqlite::Result<InventoryPage> {
    let order = Order::of(query);
    let mut written = Written {
        conditions: String::new(),
        values: Vec::new(),
    };
    // A unary plus keeps a column from leading (https://www.sqlite.org/optoverview.html, section 2).
    let mut key = order.column().to_owned();
    let mut index = "";
    if let Some(prefix) = &query.serial {
        let (from, until) = prefix.range();
        written.and("serial >= ?", [from.to_vec().into()]);
        if let Some(until) = until {
            written.and("serial < ?", [until.to_vec().into()]);
        }
        key.insert(0, '+');
    } else if let Some(name) = &query.name {
        named(&mut written, name);
        key.insert(0, '+');
    } else if query.principal.is_some() {
        index = "INDEXED BY certificates_by_principal";
        if order != Order::NewestFirst {
            key.insert(0, '+');
        }
    } else if order != Order::NewestFirst {
        index = "INDEXED BY certificates_by_expiry";
    } else if query.status == Some(CertificateStatus::Revoked) {
        index = "INDEXED BY certificates_revoked_by_issuing";
    } else {
        index = "INDEXED BY certificates_by_issuing";
    }
    filter(&mut written, query, index, order);
    if let Some(after) = &query.after {
        let (moment, serial) = (
            Value::from(after.moment.unix_millis()),
            Value::from(after.serial.significant_octets().to_vec()),
        );
        let (on, past) = if order.is_descending() {
            ("<=", ">=")
        } else {
            (">=", "<=")
        };
        written.and(&format!("{key} {on} ?"), [moment.clone()]);
        written.and(
            &format!("NOT (+{} = ? AND +serial {past} ?)", order.column()),
            [moment, serial],
        );
    }
    let way = if order.is_descending() { "DESC" } else { "ASC" };
    let text = format!(
        "SELECT {COLUMNS} FROM certificates {index} WHERE 1{} ORDER BY {key} {way}, serial {way} LIMIT ?",
        written.conditions
    );
    let limit = query.limit.max(1);
    written
        .values
        .push(i64::try_from(limit + 1).unwrap_or(i64::MAX).into());
    let mut certificates = connection
        .prepare_cached(&text)?
        .query_map(params_from_iter(written.values), record)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let more = certificates.len() > limit;
    certificates.truncate(limit);
    let next = certificates.last().filter(|_| more);
    Ok(InventoryPage {
        next: next.map(|last| InventoryCursor {
            moment: order.moment(last),
            serial: last.serial,
        }),
        certificates,
    })
}

fn filter(written: &mut Written, query: &InventoryQuery, index: &str, order: Order) {
    let moment = |at: Timestamp| Value::from(at.unix_millis());
    if let Some(principal) = &query.principal {
        let leads = index.ends_with("by_principal");
        let column = if leads { "principal" } else { "+principal" };
        written.and(&format!("{column} = ?"), [principal.to_string().into()]);
    }
    if let Some(profile) = &query.profile {
        written.and("+profile = ?", [profile.clone().into()]);
    }
    if let Some(issuer) = &query.issuer {
        written.and("+issuer = ?", [issuer.0.to_vec().into()]);
    }
    let leads = order != Order::NewestFirst && index.ends_with("by_expiry");
    let not_after = if leads { "not_after" } else { "+not_after" };
    // A certificate is good through its last second.
    let now = moment(query.now.whole_seconds());
    match query.status {
        Some(CertificateStatus::Revoked) => written.and("revoked_at IS NOT NULL", []),
        Some(CertificateStatus::Expired) => {
            written.and("revoked_at IS NULL", []);
            written.and(&format!("{not_after} < ?"), [now]);
        }
        Some(CertificateStatus::Valid) => {
            written.and("revoked_at IS NULL", []);
            written.and(&format!("{not_after} >= ?"), [now]);
        }
        None => {}
    }
    if let Some(before) = query.expiring_before {
        written.and(&format!("{not_after} < ?"), [moment(before)]);
    }
    let leads = order == Order::NewestFirst && !index.is_empty();
    let issued_at = if leads { "issued_at" } else { "+issued_at" };
    if let Some(from) = query.issued_from {
        written.and(&format!("{issued_at} >= ?"), [moment(from)]);
    }
    if let Some(until) = query.issued_until {
        written.and(&format!("{issued_at} < ?"), [moment(until)]);
    }
    if index.is_empty()
        && query.serial.is_some()
        && let Some(name) = &query.name
    {
        written.and(
            "EXISTS (SELECT 1 FROM json_each(names) WHERE value = ?)",
            [name.clone().into()],
        );
    }
}

/// The certificates with a name. A SPIFFE ID is a principal's: those stand under it, not among the names.
fn named(written: &mut Written, name: &str) {
    let names = "SELECT serial FROM certificate_names WHERE name = ?";
    match spiffe_principal(name) {
        None => written.and(&format!("serial IN ({names})"), [name.to_owned().into()]),
        Some(principal) => written.and(
            &format!(
                "serial IN ({names} UNION SELECT serial FROM certificates WHERE principal = ?
                     AND EXISTS (SELECT 1 FROM json_each(names) WHERE value = ?))"
            ),
            [
                name.to_owned().into(),
                principal.into(),
                name.to_owned().into(),
            ],
        ),
    }
}

/// `KIND:PATH` of `uri:spiffe://TRUST-DOMAIN/KIND/PATH`.
fn spiffe_principal(name: &str) -> Option<String> {
    let (_, path) = name.strip_prefix("uri:spiffe://")?.split_once('/')?;
    let (kind, path) = path.split_once('/')?;
    Some(format!("{kind}:{path}"))
}

/// Writes the names of a new certificate down.
pub(super) fn insert_names(
    connection: &Connection,
    certificate: &CertificateRecord,
) -> Result<(), StoreError> {
    let principal = certificate.principal.as_ref().map(ToString::to_string);
    for name in &certificate.names {
        if principal.is_some() && spiffe_principal(name) == principal {
            continue;
        }
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO certificate_names (name, issued_at, serial) VALUES (?, ?, ?)",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    name,
                    certificate.issued_at.unix_millis(),
                    certificate.serial.significant_octets()
                ])
            })
            .map_err(failed)?;
    }
    Ok(())
}

fn kin(connection: &Connection, of: &CertificateRecord, limit: usize) -> rusqlite::Result<Kin> {
    let mut written = Written {
        conditions: String::new(),
        values: Vec::new(),
    };
    let mut key = "issued_at";
    if let Some(principal) = &of.principal {
        written.and("principal = ?", [principal.to_string().into()]);
        if let Some(enrolment) = &of.enrolment {
            written.and("+enrolment = ?", [enrolment.as_str().to_owned().into()]);
        }
    } else if let (Some(first), Ok(names)) = (of.names.first(), to_json(&of.names)) {
        named(&mut written, first);
        written.and("+names = ?", [names.into()]);
        let account = of.account.as_ref().map(|id| id.as_str().to_owned());
        written.and("+account IS ?", [account.into()]);
        key = "+issued_at";
    } else {
        return Ok(Kin::default());
    }
    let side = |on: &str, past: &str, way: &str| {
        let text = format!(
            "SELECT {COLUMNS} FROM certificates WHERE 1{}
                 AND {key} {on} ? AND NOT (+issued_at = ? AND +serial {past} ?)
             ORDER BY {key} {way}, serial {way} LIMIT ?",
            written.conditions
        );
        let at = of.issued_at.unix_millis();
        let mut values = written.values.clone();
        values.extend([
            at.into(),
            at.into(),
            of.serial.significant_octets().to_vec().into(),
            i64::try_from(limit).unwrap_or(i64::MAX).into(),
        ]);
        connection
            .prepare_cached(&text)?
            .query_map(params_from_iter(values), record)?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    Ok(Kin {
        predecessors: side("<=", ">=", "DESC")?,
        successors: side(">=", "<=", "ASC")?,
    })
}
