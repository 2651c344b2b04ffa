//! Faults of an audit trail, drawn at random: what a bad disk does, and what somebody does who has something to hide.

use rusqlite::{Connection, OptionalExtension, params, types::Value};

/// A generator of its own, so that a run can be repeated from its seed (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Below `end`.
    pub fn below(&mut self, end: i64) -> i64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
        value as i64 % end
    }
}

/// What was done, and the number that must be told as the first bad one, where that is certain.
pub struct Fault {
    pub what: String,
    pub first_bad: Option<i64>,
}

const COLUMNS: &str = "at, actor, action, subject, detail, hash";

/// Does something to the trail; nothing when what was drawn can't be done.
pub fn inject(db: &Connection, random: &mut Random) -> Option<Fault> {
    let last: i64 = db
        .query_row("SELECT max(number) FROM audit", [], |row| row.get(0))
        .expect("a trail");
    let (one, other) = (random.below(last) + 1, random.below(last) + 1);
    let fault = |what: String, first_bad| Some(Fault { what, first_bad });
    match random.below(11) {
        0..=3 => flip(db, random, "audit", "number", one),
        4 => {
            let count: i64 = db
                .query_row("SELECT count(*) FROM audit_checkpoints", [], |row| {
                    row.get(0)
                })
                .expect("checkpoints");
            flip(db, random, "audit_checkpoints", "sequence", one % count + 1)
        }
        5 => {
            let until = (one + random.below(4)).min(last - 1);
            run(
                db,
                "DELETE FROM audit WHERE number BETWEEN ? AND ?",
                [one, until],
            )?;
            fault(format!("{one} to {until} deleted"), Some(one))
        }
        6 => {
            run(db, "DELETE FROM audit WHERE number >= ?", [one])?;
            // Who cuts the end off takes the checkpoints that speak of it along.
            let checkpoints = random.below(2) == 0;
            if checkpoints {
                let _ = db.execute("DELETE FROM audit_checkpoints WHERE number >= ?", [one]);
            }
            fault(
                format!("cut off from {one} on, checkpoints too: {checkpoints}"),
                Some(one),
            )
        }
        7 if one != other => {
            for (from, to) in [(one, -1), (other, one), (-1, other)] {
                run(
                    db,
                    "UPDATE audit SET number = ?2 WHERE number = ?1",
                    [from, to],
                )?;
            }
            fault(format!("{one} and {other} swapped"), Some(one.min(other)))
        }
        8 => {
            // A copy of one is put before another, and what follows is renumbered.
            run(
                db,
                "UPDATE audit SET number = -number - 1 WHERE number >= ?",
                [other],
            )?;
            let copied = format!(
                "INSERT INTO audit (number, {COLUMNS})
                 SELECT ?2, {COLUMNS} FROM audit WHERE number IN (?1, -?1 - 1)"
            );
            run(db, &copied, [one, other])?;
            run(
                db,
                "UPDATE audit SET number = -number WHERE number < ?",
                [0],
            )?;
            // Put before itself, it is its copy that is wrong.
            let first = other + i64::from(one == other);
            fault(format!("{one} copied to {other}"), Some(first))
        }
        9 => {
            // Taken out, and the gap closed.
            run(db, "DELETE FROM audit WHERE number = ?", [one])?;
            run(
                db,
                "UPDATE audit SET number = -number + 1 WHERE number > ?",
                [one],
            )?;
            let _ = db.execute("UPDATE audit SET number = -number WHERE number < 0", []);
            fault(
                format!("{one} taken out and what follows renumbered"),
                Some(one),
            )
        }
        10 => rewrite(db, one),
        _ => None,
    }
}

fn run<P: rusqlite::Params>(db: &Connection, statement: &str, parameters: P) -> Option<()> {
    let changed = db.execute(statement, parameters).ok()?;
    (changed > 0).then_some(())
}

/// Flips one bit of one column of one row.
fn flip(db: &Connection, random: &mut Random, table: &str, key: &str, row: i64) -> Option<Fault> {
    let columns: &[&str] = if table == "audit" {
        &[
            "number", "at", "actor", "action", "subject", "detail", "hash",
        ]
    } else {
        &["sequence", "number", "hash", "at", "signature"]
    };
    let column = columns[random.below(columns.len() as i64) as usize];
    let value: Value = db
        .query_row(
            &format!("SELECT {column} FROM {table} WHERE {key} = ?"),
            [row],
            |row| row.get(0),
        )
        .optional()
        .expect("a row")?;
    let bit = |octets: &mut Vec<u8>, random: &mut Random| {
        let bit = random.below(octets.len() as i64 * 8) as usize;
        octets[bit / 8] ^= 1 << (bit % 8);
    };
    let (new, placeholder) = match value {
        Value::Integer(number) => (Value::Integer(number ^ (1 << random.below(64))), "?2"),
        Value::Blob(mut octets) => {
            bit(&mut octets, random);
            (Value::Blob(octets), "?2")
        }
        Value::Text(text) if !text.is_empty() => {
            let mut octets = text.into_bytes();
            bit(&mut octets, random);
            // Perhaps no UTF-8 any more: a bad disk doesn't ask.
            (Value::Blob(octets), "CAST(?2 AS TEXT)")
        }
        Value::Text(_) | Value::Null | Value::Real(_) => return None,
    };
    run(
        db,
        &format!("UPDATE {table} SET {column} = {placeholder} WHERE {key} = ?1"),
        params![row, new],
    )?;
    let certain = table == "audit" && column != "number";
    Some(Fault {
        what: format!("a bit of {table}.{column} of {row} flipped"),
        first_bad: certain.then_some(row),
    })
}

/// Changes an entry and makes every hash from there on anew, as somebody who knows how does it.
fn rewrite(db: &Connection, number: i64) -> Option<Fault> {
    use portcullis::domain::audit::{AuditEntry, BEFORE_THE_FIRST};
    let entries = |from: i64| -> Vec<AuditEntry> {
        let mut query = db
            .prepare(&format!(
                "SELECT number, {COLUMNS} FROM audit WHERE number >= ? ORDER BY number"
            ))
            .expect("a query");
        let rows = query.query_map([from], |row| {
            Ok(AuditEntry {
                number: row.get(0)?,
                at: portcullis::domain::Timestamp::from_unix_millis(row.get(1)?),
                actor: row.get(2)?,
                action: row.get(3)?,
                subject: row.get(4)?,
                detail: row.get(5)?,
                hash: row.get(6)?,
            })
        });
        rows.expect("rows")
            .map(|row| row.expect("an entry"))
            .collect()
    };
    let mut previous = db
        .query_row(
            "SELECT hash FROM audit WHERE number = ?",
            [number - 1],
            |row| row.get(0),
        )
        .optional()
        .expect("a hash")
        .unwrap_or(BEFORE_THE_FIRST);
    for (index, mut entry) in entries(number).into_iter().enumerate() {
        if index == 0 {
            entry.actor = "nobody".to_owned();
        }
        previous = entry.hash_after(&previous);
        db.execute(
            "UPDATE audit SET actor = ?, hash = ? WHERE number = ?",
            params![entry.actor, previous, entry.number],
        )
        .expect("changed");
    }
    // Its number is not known: the first that is told is the one that a checkpoint or the mark was made of.
    Some(Fault {
        what: format!("rewritten from {number} on, hashes and all"),
        first_bad: None,
    })
}
