//! The integration tests: one binary, one folder for each room or noun.
#![allow(missing_docs)]

mod acme;
mod agent;
mod api;
mod domain;
mod durability;
mod gate;
mod peers;
mod repo;
mod support;
mod vectors;
