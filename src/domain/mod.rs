//! The nouns and their rules: pure, without socket, database or clock.

pub mod clock;

pub use clock::{Clock, Timestamp};
