//! The repository held to its own rules: directions, sizes, documentation, scripts.

mod clock;
mod files;
mod layering;
mod limits;
mod readme;
mod references;
mod scripts;
mod sources;
