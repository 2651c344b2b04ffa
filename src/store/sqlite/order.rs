//! Orders in SQLite.

use rusqlite::{Connection, params};

use super::{SqliteStore, authorization, failed, find, to_json};
use crate::{
    domain::{
        Timestamp,
        authorization::Authorization,
        id::{AccountId, AuthorizationId, OrderId},
        order::Order,
    },
    store::{Answer, OrderPlace, Orders, OrdersPage, StoreError},
};

impl Orders for SqliteStore {
    fn order<'a>(&'a self, id: &'a OrderId) -> Answer<'a, Option<Order>> {
        let id = id.clone();
        self.look_up(move |connection| by_id(connection, &id))
    }

    fn orders_of<'a>(
        &'a self,
        account: &'a AccountId,
        after: Option<OrderPlace>,
        now: Timestamp,
        limit: usize,
    ) -> Answer<'a, OrdersPage> {
        let account = account.clone();
        self.read(move |connection| {
            let (created_at, id) = match &after {
                Some(place) => (place.created_at.unix_millis(), place.id.as_str()),
                None => (i64::MIN, ""),
            };
            let mut places: Vec<OrderPlace> = connection
                .prepare_cached(
                    "SELECT created_at, id FROM orders
                     WHERE account = ?1 AND (created_at, id) > (?2, ?3)
                     AND (json_extract(body, '$.state.status') = 'valid'
                          OR expires_at > ?4 AND json_extract(body, '$.state.status') <> 'invalid')
                     ORDER BY created_at, id LIMIT ?5",
                )?
                .query_map(
                    params![
                        account.as_str(),
                        created_at,
                        id,
                        now.unix_millis(),
                        limit.saturating_add(1) as u64
                    ],
                    |row| {
                        Ok(OrderPlace {
                            created_at: Timestamp::from_unix_millis(row.get(0)?),
                            id: OrderId::from_text(row.get::<_, String>(1)?),
                        })
                    },
                )?
                .collect::<rusqlite::Result<_>>()?;
            let more = places.len() > limit;
            places.truncate(limit);
            Ok(OrdersPage {
                next: places.last().filter(|_| more).cloned(),
                orders: places.into_iter().map(|place| place.id).collect(),
            })
        })
    }
}

pub(super) fn by_id(connection: &Connection, id: &OrderId) -> rusqlite::Result<Option<Order>> {
    find(
        connection,
        "SELECT body FROM orders WHERE id = ?",
        [id.as_str()],
    )
}

pub(super) fn insert(connection: &Connection, order: &Order) -> Result<(), StoreError> {
    let body = to_json(order)?;
    connection
        .prepare_cached(
            "INSERT INTO orders (id, account, created_at, expires_at, body) VALUES (?, ?, ?, ?, ?)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                order.id.as_str(),
                order.account.as_str(),
                order.created_at.unix_millis(),
                order.expires_at.unix_millis(),
                body
            ])
        })
        .map(drop)
        .map_err(failed)
}

pub(super) fn update(connection: &Connection, order: &Order) -> Result<(), StoreError> {
    let body = to_json(order)?;
    connection
        .prepare_cached("UPDATE orders SET body = ? WHERE id = ?")
        .and_then(|mut update| update.execute(params![body, order.id.as_str()]))
        .map(drop)
        .map_err(failed)
}

/// The orders that use an authorization which was made for another one, or for none.
pub(super) fn that_reuse(
    connection: &Connection,
    authorization: &AuthorizationId,
) -> rusqlite::Result<Vec<OrderId>> {
    connection
        .prepare_cached("SELECT \"order\" FROM reused_authorizations WHERE authorization = ?")?
        .query_map([authorization.as_str()], |row| {
            row.get::<_, String>(0).map(OrderId::from_text)
        })?
        .collect()
}

/// Remembers that an order uses an authorization which was not made for it.
pub(super) fn put_reuse(
    connection: &Connection,
    order: &Order,
    authorization: &AuthorizationId,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO reused_authorizations (authorization, \"order\", expires_at) VALUES (?, ?, ?)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                authorization.as_str(),
                order.id.as_str(),
                order.expires_at.unix_millis()
            ])
        })
        .map(drop)
        .map_err(failed)
}

/// Has every order that uses an authorization follow it.
pub(super) fn follow(
    connection: &Connection,
    authorization: &Authorization,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut orders = that_reuse(connection, &authorization.id).map_err(failed)?;
    orders.extend(authorization.order.clone());
    for id in &orders {
        let Some(order) = by_id(connection, id).map_err(failed)? else {
            continue;
        };
        let all = authorization::of_order(connection, &order).map_err(failed)?;
        update(connection, &order.follow(&all, now))?;
    }
    Ok(())
}
