//! Verifying the audit trail: entry after entry as the store has them, right or wrong, with the checkpoints that were
//! signed and the high-water mark that is kept elsewhere. Nothing that is read here is believed.

use super::{AuditPublicKey, BEFORE_THE_FIRST, checkpoint::to_be_signed, link};
use crate::domain::high_water::WaterLevel;

/// An entry as it was found: its texts may be no text, its hash no hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEntry {
    /// Its number.
    pub number: i64,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Actor, action, subject and detail.
    pub fields: [Vec<u8>; 4],
    /// Its hash.
    pub hash: Vec<u8>,
}

/// A checkpoint as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCheckpoint {
    /// Which checkpoint.
    pub sequence: i64,
    /// Which entry it stands for.
    pub number: i64,
    /// That entry's hash.
    pub hash: Vec<u8>,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Its signature.
    pub signature: Vec<u8>,
}

/// A verification that is under way. Hand it every entry by ascending number, then end it.
#[derive(Debug)]
pub struct TrailVerification {
    previous: [u8; 32],
    last: i64,
    /// What the entries must agree with, by ascending number.
    anchors: Vec<Anchor>,
    next_anchor: usize,
    /// What was wrong with the checkpoints; a fault of an entry before it is told first.
    checkpoint_fault: Option<TrailFault>,
    checkpoints: usize,
}

#[derive(Debug)]
struct Anchor {
    number: i64,
    hash: Vec<u8>,
    whose: Witness,
}

/// Who says what an entry's hash was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The checkpoint with this sequence.
    Checkpoint(i64),
    /// The high-water mark.
    HighWaterMark,
}

impl std::fmt::Display for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Checkpoint(sequence) => write!(f, "signed checkpoint {sequence}"),
            Self::HighWaterMark => f.write_str("the high-water mark"),
        }
    }
}

/// What is wrong with a trail, and from which entry on it can't be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrailFault {
    /// Entries are gone.
    #[error("entry {expected} is missing: after {} comes {found}", expected - 1)]
    Gap {
        /// The first that is missing.
        expected: i64,
        /// What stands in its place.
        found: i64,
    },
    /// A number that can't be: there is none below 1.
    #[error("an entry has the number {0}, which no entry can have")]
    Number(i64),
    /// Something in an entry, or the hash before it, is not as it was written.
    #[error(
        "entry {0} is not as it was written: its hash is not that of its contents and all before it"
    )]
    Hash(i64),
    /// The entries agree with one another, but somebody knows better: the trail was rewritten.
    #[error("entry {number} was rewritten: {witness} has another hash for it")]
    Rewritten {
        /// Which.
        number: i64,
        /// Who knows.
        witness: Witness,
    },
    /// The end is gone.
    #[error("entries from {first} on were cut off: {witness} speaks of entry {number}")]
    Cut {
        /// The first that is missing.
        first: i64,
        /// What the witness speaks of.
        number: i64,
        /// Who knows.
        witness: Witness,
    },
    /// Checkpoints are gone.
    #[error("checkpoint {0} is missing")]
    CheckpointGap(i64),
    /// A checkpoint was not made by the audit key, or was changed since.
    #[error("checkpoint {sequence}, for entry {number}, is not as it was signed")]
    CheckpointSignature {
        /// Which checkpoint.
        sequence: i64,
        /// Which entry it says it stands for.
        number: i64,
    },
    /// There is no mark to compare with, so a cut at the end would not show.
    #[error("the high-water mark is missing, so whether the end was cut off can't be known: {0}")]
    NoMark(String),
}

impl TrailFault {
    /// The first number that can't be believed.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Gap { expected, .. } => Some(*expected),
            Self::Number(number)
            | Self::Hash(number)
            | Self::Rewritten { number, .. }
            | Self::CheckpointSignature { number, .. } => Some(*number),
            Self::Cut { first, .. } => Some(*first),
            Self::CheckpointGap(_) | Self::NoMark(_) => None,
        }
    }
}

/// What was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrailSummary {
    /// How many entries.
    pub entries: i64,
    /// How many checkpoints.
    pub checkpoints: usize,
    /// The last entry's hash.
    pub hash: [u8; 32],
}

impl TrailVerification {
    /// Begins, with the checkpoints by ascending sequence and what the high-water mark says. Both must have been read
    /// before the first entry is, for a trail may grow while it is verified.
    #[must_use]
    pub fn begin(
        key: &AuditPublicKey,
        checkpoints: Vec<KeptCheckpoint>,
        mark: Option<&WaterLevel>,
    ) -> Self {
        let count = checkpoints.len();
        let mut checkpoint_fault = None;
        let mut anchors = Vec::new();
        let mut expected = 1;
        for checkpoint in checkpoints {
            let octets = to_be_signed(
                checkpoint.sequence,
                checkpoint.number,
                &checkpoint.hash,
                checkpoint.at,
            );
            let fault = if checkpoint.sequence != expected {
                Some(TrailFault::CheckpointGap(expected))
            } else if !key.verifies(&octets, &checkpoint.signature) {
                Some(TrailFault::CheckpointSignature {
                    sequence: checkpoint.sequence,
                    number: checkpoint.number,
                })
            } else {
                None
            };
            if fault.is_some() {
                checkpoint_fault = fault;
                break;
            }
            expected += 1;
            anchors.push(Anchor {
                number: checkpoint.number,
                hash: checkpoint.hash,
                whose: Witness::Checkpoint(checkpoint.sequence),
            });
        }
        if let Some(mark) = mark {
            let sequence = i64::try_from(mark.checkpoint).unwrap_or(i64::MAX);
            if checkpoint_fault.is_none() && expected <= sequence {
                checkpoint_fault = Some(TrailFault::CheckpointGap(expected));
            }
            anchors.push(Anchor {
                number: i64::try_from(mark.audit_number).unwrap_or(i64::MAX),
                hash: mark.audit_hash.to_vec(),
                whose: Witness::HighWaterMark,
            });
        }
        anchors.retain(|anchor| anchor.number != 0);
        anchors.sort_by_key(|anchor| anchor.number);
        Self {
            previous: BEFORE_THE_FIRST,
            last: 0,
            anchors,
            next_anchor: 0,
            checkpoint_fault,
            checkpoints: count,
        }
    }

    /// Verifies the next entry.
    ///
    /// # Errors
    /// [`TrailFault`]: nothing from its number on can be believed.
    pub fn entry(&mut self, entry: &KeptEntry) -> Result<(), TrailFault> {
        if entry.number < 1 {
            return Err(TrailFault::Number(entry.number));
        }
        let expected = self.last + 1;
        if entry.number != expected {
            return Err(TrailFault::Gap {
                expected,
                found: entry.number,
            });
        }
        let [actor, action, subject, detail] = &entry.fields;
        let hash = link(
            &self.previous,
            entry.number.to_be_bytes(),
            entry.at,
            [actor, action, subject, detail],
        );
        if entry.hash != hash {
            return Err(TrailFault::Hash(entry.number));
        }
        while let Some(anchor) = self.anchors.get(self.next_anchor)
            && anchor.number <= entry.number
        {
            if anchor.hash != hash {
                return Err(TrailFault::Rewritten {
                    number: entry.number,
                    witness: anchor.whose,
                });
            }
            self.next_anchor += 1;
        }
        self.last = entry.number;
        self.previous = hash;
        Ok(())
    }

    /// Ends it: nothing may be missing.
    ///
    /// # Errors
    /// [`TrailFault`], of the end or of the checkpoints.
    pub fn end(self) -> Result<TrailSummary, TrailFault> {
        if let Some(anchor) = self.anchors.get(self.next_anchor) {
            return Err(TrailFault::Cut {
                first: self.last + 1,
                number: anchor.number,
                witness: anchor.whose,
            });
        }
        match self.checkpoint_fault {
            Some(fault) => Err(fault),
            None => Ok(TrailSummary {
                entries: self.last,
                checkpoints: self.checkpoints,
                hash: self.previous,
            }),
        }
    }
}
