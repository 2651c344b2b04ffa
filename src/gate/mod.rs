//! The mTLS front: admit, route, decide, forward, watch. It is no authority: it reads a standing that others write.
//!
//! Each thread has its own runtime, listening socket, connections and upstream connections, and shares with the others
//! only what it reads. A request on an admitted connection never waits for the store.
//!
//! ```text
//! handshake > admit > registry ............ watch (ends what lost its standing)
//!               |
//!   request > validate > route > api_key > decide > Permit > forward > upstream
//!                                            |
//!                                          Denial > problem
//! ```
//!
//! Nothing reaches an upstream without a `Permit`, which only `domain::permit::decide` makes.

mod admit;
mod api_key;
mod body;
pub mod config;
mod connection;
mod counters;
mod decisions;
mod forward;
pub mod identity_headers;
mod in_flight;
mod problem;
mod registry;
mod request;
mod request_id;
mod start;
mod switch;
mod tether;
mod validate;
mod watch;
mod worker;

pub use config::{
    DecisionsConfig, GateConfig, GateSettings, InvalidGateConfig, UpstreamConfig, UpstreamSettings,
};
pub use counters::GateCounters;
pub use decisions::{DecisionCounts, DecisionSettings, WRITE_EVERY};
pub use problem::TYPE_PREFIX;
pub use start::{Gate, GateAnchors, GateHandle, GateParts, GateStartError};
