//! The agent as a program: against our own server, and against one that isn't ours.

mod enrolment;
mod invitation;
mod pebble;
mod renewal;
mod rotation;
mod server;
mod trust_bundle;
