//! The high-water mark: how far the authority had come, kept outside of its database, so that a database that was
//! rolled back shows (trap 20: step-ca #606, a restored backup un-revokes).

use aws_lc_rs::{constant_time, hmac};
use portcullis_ca::issuer_key_id::IssuerKeyId;
use serde::{Deserialize, Serialize};

use super::{Timestamp, audit::hash, text::as_text};

/// How far a database has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaterLevel {
    /// The number of the last trust event.
    pub epoch: u64,
    /// The number of the last entry of the audit trail; zero when there is none.
    pub audit_number: u64,
    /// That entry's hash.
    #[serde(with = "hash")]
    pub audit_hash: [u8; 32],
    /// The sequence of the last checkpoint; zero when there is none.
    pub checkpoint: u64,
    /// The list last published for each issuer and shard.
    pub lists: Vec<ListLevel>,
}

/// How far the lists of an issuer's shard have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListLevel {
    /// Whose.
    #[serde(with = "as_text")]
    pub issuer: IssuerKeyId,
    /// Which of its shards.
    pub shard: u32,
    /// The number of the list last published.
    pub number: u64,
}

/// A water level with the moment at which it was written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighWaterMark {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub level: WaterLevel,
}

/// The key under which marks are authentic.
pub struct MarkKey(hmac::Key);

impl MarkKey {
    /// From 256 bits that nobody else knows.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

impl std::fmt::Debug for MarkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MarkKey")
    }
}

impl HighWaterMark {
    /// The mark as it is kept: a line of JSON, and a line with its HMAC.
    #[must_use]
    pub fn seal(&self, key: &MarkKey) -> String {
        let body = serde_json::to_string(self).expect("numbers, times and digests are JSON");
        let mac = hmac::sign(&key.0, body.as_bytes());
        format!("{body}\n{}\n", hex::encode(mac))
    }

    /// Reads a mark that was sealed with this key.
    ///
    /// # Errors
    /// [`MarkError`]: it is no mark, or not this authority's, or was changed.
    pub fn open(text: &str, key: &MarkKey) -> Result<Self, MarkError> {
        let mut lines = text.lines();
        let (Some(body), Some(mac), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err(MarkError::Malformed);
        };
        let mac = hex::decode(mac).map_err(|_| MarkError::Malformed)?;
        let right = hmac::sign(&key.0, body.as_bytes());
        constant_time::verify_slices_are_equal(right.as_ref(), &mac)
            .map_err(|_| MarkError::Forged)?;
        serde_json::from_str(body).map_err(|_| MarkError::Malformed)
    }
}

/// Why a file is no mark of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MarkError {
    /// It isn't written as one.
    #[error("it is no high-water mark: it was damaged")]
    Malformed,
    /// Its HMAC is wrong.
    #[error("it is not this authority's high-water mark, or it was changed by somebody")]
    Forged,
}

impl WaterLevel {
    /// Whether anything has ever been recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.epoch == 0 && self.audit_number == 0 && self.lists.is_empty()
    }

    /// The number of the list last published for an issuer's shard; zero when there is none.
    #[must_use]
    pub fn list(&self, issuer: &IssuerKeyId, shard: u32) -> u64 {
        self.lists
            .iter()
            .find(|list| (list.issuer, list.shard) == (*issuer, shard))
            .map_or(0, |list| list.number)
    }

    /// Compares a database with what is known of it. `hash_at_mark` is the hash that the database has for the entry of
    /// the mark's audit number.
    ///
    /// # Errors
    /// [`RolledBack`] when the database has not come as far, or by another way.
    pub fn check_against(
        &self,
        mark: &Self,
        hash_at_mark: Option<[u8; 32]>,
    ) -> Result<(), RolledBack> {
        let behind = |what: &str, has: u64, had: u64| {
            (has < had).then(|| RolledBack(format!("{what} is {has}, and was {had} already")))
        };
        let list = mark.lists.iter().find_map(|list| {
            let what = format!("list {} of issuer {}", list.shard, list.issuer.short());
            behind(&what, self.list(&list.issuer, list.shard), list.number)
        });
        let forked = (mark.audit_number > 0 && hash_at_mark != Some(mark.audit_hash)).then(|| {
            RolledBack(format!(
                "entry {} of the audit trail is another one than it was",
                mark.audit_number
            ))
        });
        behind("its epoch", self.epoch, mark.epoch)
            .or_else(|| {
                behind(
                    "the last entry of its audit trail",
                    self.audit_number,
                    mark.audit_number,
                )
            })
            .or(list)
            .or(forked)
            .map_or(Ok(()), Err)
    }
}

/// The database is not the one that the mark was written of, or an older state of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RolledBack(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn level() -> WaterLevel {
        WaterLevel {
            epoch: 7,
            audit_number: 20,
            audit_hash: [3; 32],
            checkpoint: 1,
            lists: vec![ListLevel {
                issuer: IssuerKeyId([1; 32]),
                shard: 2,
                number: 5,
            }],
        }
    }

    #[test]
    fn a_database_that_is_behind_in_anything_was_rolled_back() {
        let mark = level();
        let same = Some(mark.audit_hash);
        assert_eq!(level().check_against(&mark, same), Ok(()));
        let ahead = WaterLevel {
            epoch: 8,
            audit_number: 30,
            audit_hash: [9; 32],
            ..level()
        };
        assert_eq!(ahead.check_against(&mark, same), Ok(()));
        let older_list = vec![ListLevel {
            number: 4,
            ..level().lists[0]
        }];
        let table: [(WaterLevel, Option<[u8; 32]>, &str); 5] = [
            (
                WaterLevel {
                    epoch: 6,
                    ..level()
                },
                same,
                "epoch is 6",
            ),
            (
                WaterLevel {
                    audit_number: 19,
                    ..level()
                },
                same,
                "audit trail is 19",
            ),
            (level(), Some([4; 32]), "entry 20"),
            (
                WaterLevel {
                    lists: older_list,
                    ..ahead.clone()
                },
                same,
                "list 2",
            ),
            (
                WaterLevel {
                    lists: Vec::new(),
                    ..ahead
                },
                same,
                "list 2",
            ),
        ];
        for (database, hash, words) in table {
            let error = database.check_against(&mark, hash).expect_err(words);
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn a_mark_is_read_back_with_its_key_and_unchanged() {
        let (key, other) = (MarkKey::new(&[1; 32]), MarkKey::new(&[2; 32]));
        let mark = HighWaterMark {
            at: Timestamp::from_unix_seconds(9),
            level: level(),
        };
        let text = mark.seal(&key);
        assert_eq!(HighWaterMark::open(&text, &key), Ok(mark));
        let lower = text.replace("\"epoch\":7", "\"epoch\":6");
        for (text, key, error) in [
            (&*text, &other, MarkError::Forged),
            (&*lower, &key, MarkError::Forged),
            ("", &key, MarkError::Malformed),
            (&text[..40], &key, MarkError::Malformed),
        ] {
            assert_eq!(HighWaterMark::open(text, key), Err(error), "{text}");
        }
    }
}
