//! What is asked and told about renewals: which certificate replaced which, and incidents.

use portcullis_ca::serial::Serial;

use super::Answer;
use crate::domain::{
    Timestamp,
    id::OrderId,
    incident::{Incident, Reach},
};

/// Renewals.
pub trait Renewals: Send + Sync {
    /// What a certificate replaced, and by what it was replaced, as orders said (RFC 9773 section 5).
    fn replacements(&self, serial: Serial) -> Answer<'_, Replacements>;
    /// The order that was placed last to replace a certificate, whatever became of it.
    fn replacing_order(&self, serial: Serial) -> Answer<'_, Option<OrderId>>;
    /// The incidents, oldest first; all of them, or those that are open.
    fn incidents(&self, open_only: bool) -> Answer<'_, Vec<Incident>>;
    /// How many certificates an incident is about, of those that were ordered and are good at a moment.
    fn reached(&self, reach: Reach, at: Timestamp) -> Answer<'_, Reached>;
}

/// The certificates before and after one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replacements {
    /// What it replaced.
    pub replaces: Option<Serial>,
    /// What replaced it.
    pub replaced_by: Option<Serial>,
}

/// How far an incident reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reached {
    /// How many good certificates.
    pub good: u64,
    /// How many of them have not been replaced by an order that said so.
    pub outstanding: u64,
}
