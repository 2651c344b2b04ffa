//! The inventory in SQLite. Each query is led by the one index that serves it, named outright: the planner, which knows
//! nothing of how the values are spread, must not choose.

use std::time::Duration;

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
#[derive(Default)]
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

    fn within(&mut self, column: &str, span: Span) {
        if let Some(from) = span.from {
            self.and(&format!("{column} >= ?"), [from.unix_millis().into()]);
        }
        if let Some(before) = span.before {
            self.and(&format!("{column} < ?"), [before.unix_millis().into()]);
        }
    }
}

/// From a moment on, and before another. A walk through an index begins where one condition says and reads all that a
/// second one would have left out, so a column that leads gets one span that is as narrow as all conditions together.
#[derive(Clone, Copy, Default)]
struct Span {
    from: Option<Timestamp>,
    before: Option<Timestamp>,
}

impl Span {
    fn narrow(&mut self, other: Self) {
        // Nothing is less than every moment.
        self.from = self.from.max(other.from);
        self.before = match (self.before, other.before) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

fn page(connection: &Connection, query: &InventoryQuery) -> rusqlite::Result<InventoryPage> {
    let order = Order::of(query);
    let (text, values) = written(query, order);
    let limit = query.limit.max(1);
    let mut certificates = connection
        .prepare_cached(&text)?
        .query_map(params_from_iter(values), record)?
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

/// The text of a page's query, and its values. It asks for one more than the page holds.
fn written(query: &InventoryQuery, order: Order) -> (String, Vec<Value>) {
    let mut written = Written::default();
    let by_issuing = order == Order::NewestFirst;
    let (index, leads) = if let Some(prefix) = &query.serial {
        let (from, until) = prefix.range();
        written.and("serial >= ?", [from.to_vec().into()]);
        if let Some(until) = until {
            written.and("serial < ?", [until.to_vec().into()]);
        }
        ("", false)
    } else if let Some(name) = &query.name {
        named(&mut written, name);
        ("", false)
    } else if query.principal.is_some() {
        ("INDEXED BY certificates_by_principal", by_issuing)
    } else if !by_issuing {
        ("INDEXED BY certificates_by_expiry", true)
    } else if query.status == Some(CertificateStatus::Revoked) {
        ("INDEXED BY certificates_revoked_by_issuing", true)
    } else {
        ("INDEXED BY certificates_by_issuing", true)
    };
    filter(&mut written, query, index);
    let (mut issued, mut ends) = spans(query);
    // A unary plus keeps a column from leading (https://www.sqlite.org/optoverview.html, section 2).
    let key = format!("{}{}", if leads { "" } else { "+" }, order.column());
    let (span, other_column, other_span) = if by_issuing {
        (&mut issued, "+not_after", ends)
    } else {
        (&mut ends, "+issued_at", issued)
    };
    if let Some(after) = &query.after {
        let past = if order.is_descending() {
            span.narrow(Span {
                from: None,
                before: Some(after.moment + Duration::from_millis(1)),
            });
            ">="
        } else {
            span.narrow(Span {
                from: Some(after.moment),
                before: None,
            });
            "<="
        };
        written.and(
            &format!("NOT (+{} = ? AND +serial {past} ?)", order.column()),
            [
                after.moment.unix_millis().into(),
                after.serial.significant_octets().to_vec().into(),
            ],
        );
    }
    written.within(&key, *span);
    written.within(other_column, other_span);
    let way = if order.is_descending() { "DESC" } else { "ASC" };
    let text = format!(
        "SELECT {COLUMNS} FROM certificates {index} WHERE 1{} ORDER BY {key} {way}, serial {way} LIMIT ?",
        written.conditions
    );
    let one_more = query.limit.max(1) + 1;
    written
        .values
        .push(i64::try_from(one_more).unwrap_or(i64::MAX).into());
    (text, written.values)
}

/// When the certificates were issued, and when they end.
fn spans(query: &InventoryQuery) -> (Span, Span) {
    let issued = Span {
        from: query.issued_from,
        before: query.issued_until,
    };
    let mut ends = Span {
        from: None,
        before: query.expiring_before,
    };
    // A certificate is good through its last second.
    let now = query.now.whole_seconds();
    match query.status {
        Some(CertificateStatus::Valid) => ends.from = Some(now),
        Some(CertificateStatus::Expired) => ends.narrow(Span {
            from: None,
            before: Some(now),
        }),
        Some(CertificateStatus::Revoked) | None => {}
    }
    (issued, ends)
}

fn filter(written: &mut Written, query: &InventoryQuery, index: &str) {
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
    match query.status {
        Some(CertificateStatus::Revoked) => written.and("revoked_at IS NOT NULL", []),
        Some(CertificateStatus::Expired | CertificateStatus::Valid) => {
            written.and("revoked_at IS NULL", []);
        }
        None => {}
    }
    if query.serial.is_some()
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
    let mut written = Written::default();
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

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    /// Steps of SQLite's machine, not time: a page far into the inventory must cost what the first one costs.
    #[test]
    fn a_page_costs_the_same_wherever_it_begins() {
        const COUNT: i64 = 20_000;
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::migrations::run(&mut connection).unwrap();
        connection
            .execute(
                "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)
                 INSERT INTO certificates (serial, issuer, list_shard, profile, principal, names, not_before, not_after,
                     key_fingerprint, der, issued_at, revoked_at)
                 SELECT cast(10000000 + n AS BLOB), x'07', 0, 'device', 'device:a/b', '[]', n, 1000000 + n, x'07', x'', n,
                     iif(n % 2, NULL, n)
                 FROM n",
                [COUNT],
            )
            .unwrap();
        let at = Timestamp::from_unix_millis;
        let all = || InventoryQuery::all(at(0), 10);
        let principal = Some("device:a/b".parse().unwrap());
        for (what, query, base) in [
            ("all", all(), 0),
            (
                "those issued in a span",
                InventoryQuery {
                    issued_from: Some(at(0)),
                    issued_until: Some(at(COUNT + 1)),
                    ..all()
                },
                0,
            ),
            (
                "a principal's, in a span",
                InventoryQuery {
                    principal,
                    issued_from: Some(at(0)),
                    issued_until: Some(at(COUNT + 1)),
                    ..all()
                },
                0,
            ),
            (
                "revoked ones, in a span",
                InventoryQuery {
                    status: Some(CertificateStatus::Revoked),
                    issued_from: Some(at(0)),
                    issued_until: Some(at(COUNT + 1)),
                    ..all()
                },
                0,
            ),
            (
                "valid ones that expire",
                InventoryQuery {
                    status: Some(CertificateStatus::Valid),
                    expiring_before: Some(at(2_000_000)),
                    ..all()
                },
                1_000_000,
            ),
            (
                "expired ones",
                InventoryQuery {
                    status: Some(CertificateStatus::Expired),
                    now: at(1_000_000_000),
                    expiring_before: Some(at(2_000_000)),
                    ..all()
                },
                1_000_000,
            ),
            (
                "the last expired ones",
                InventoryQuery {
                    status: Some(CertificateStatus::Expired),
                    now: at(1_000_000_000),
                    ..all()
                },
                1_000_000,
            ),
        ] {
            for moment in [1000, COUNT / 2, COUNT - 1000] {
                let query = InventoryQuery {
                    after: Some(InventoryCursor {
                        moment: at(base + moment),
                        serial: "05".parse().unwrap(),
                    }),
                    ..query.clone()
                };
                let (text, values) = written(&query, Order::of(&query));
                let mut statement = connection.prepare(&text).unwrap();
                let found = statement
                    .query_map(params_from_iter(values), |_| Ok(()))
                    .unwrap()
                    .count();
                assert_eq!(found, 11, "{what}");
                let steps = statement.get_status(StatementStatus::VmStep);
                assert!(steps < 2_000, "{what}, from {moment} on: {steps} steps");
            }
        }
    }
}
