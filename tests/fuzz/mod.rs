//! Mutated inputs for everything that reads what strangers send: nothing panics, and nothing that was changed under a
//! signature still verifies.
//!
//! A target reads one kind of input; its valid ones, and every one that was ever found to be trouble, lie in
//! `corpus/TARGET/`. Inputs are made from those by mutations that know their structure (`mutate/`). Each is a pure function
//! of a seed and a number, so a run is the same everywhere, and one input can be made again: see `soak.rs`, which
//! `scripts/soak` runs 10 million inputs with. Here is the sample that every run of the tests takes.
//!
//! To add a target: its file in `target/`, its line in `target::TARGETS`, and `scripts/bench fuzz --write-corpus NAME`.

pub mod corpus;
mod mutate;
pub mod random;
pub mod run;
pub mod target;

#[cfg(test)]
mod sample;
