//! Orders in SQLite.

use rusqlite::{Connection, params};

use super::{SqliteStore, failed, find, to_json};
use crate::{
    domain::{
        id::{AccountId, OrderId},
        order::Order,
    },
    store::{Answer, Orders, StoreError},
};

impl Orders for SqliteStore {
    fn order<'a>(&'a self, id: &'a OrderId) -> Answer<'a, Option<Order>> {
        let id = id.clone();
        self.look_up(move |connection| by_id(connection, &id))
    }

    fn orders_of<'a>(&'a self, account: &'a AccountId, limit: usize) -> Answer<'a, Vec<OrderId>> {
        let account = account.clone();
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT id FROM orders WHERE account = ? ORDER BY created_at, id LIMIT ?",
                )?
                .query_map(params![account.as_str(), limit as u64], |row| {
                    row.get::<_, String>(0).map(OrderId::from_text)
                })?
                .collect()
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
