//! The nouns and their rules: pure, without socket, database or clock.

pub mod account;
pub mod authorization;
pub mod challenge;
pub mod clock;
pub mod id;
pub mod identifier;
pub mod order;
pub mod text;

pub use clock::{Clock, Timestamp};
