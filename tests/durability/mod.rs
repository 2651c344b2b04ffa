//! What was acknowledged stays: after `kill -9`, and after a power cut that takes every unsynced write.

mod certificates_survive;
mod crash_points;
pub mod load;
mod power;
mod power_cut_takes_what_was_not_synced;
