//! `GET /metrics`: what there is to be measured, in OpenMetrics text. Labels are words of the operator's and ours: no
//! principal, no serial, no secret is ever one.
//!
//! Everything is read from memory when it is asked for; nothing here waits for the store. To add a metric: a line in
//! `families.rs`.

use std::sync::Arc;

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::authority::Authority;

mod families;

/// Where the figures come from.
#[derive(Clone)]
pub struct Sources {
    /// The authority.
    pub authority: Authority,
    /// The gate, which this room doesn't know.
    pub gate: Arc<dyn Fn() -> GateFigures + Send + Sync>,
}

/// What the gate has counted since its start.
#[derive(Debug, Clone, Default)]
pub struct GateFigures {
    /// Connections that are open now.
    pub connections: u64,
    /// Requests that were let through.
    pub permits: u64,
    /// Requests that were not, by the type of the problem.
    pub denials: Vec<(&'static str, u64)>,
    /// The log of decisions; nothing when it is off.
    pub decisions: Option<DecisionFigures>,
}

/// What the log of decisions has counted since its start.
#[derive(Debug, Clone, Copy, Default)]
pub struct DecisionFigures {
    /// Decisions that were written.
    pub written: u64,
    /// Decisions that were not, because the queue was full.
    pub dropped: u64,
    /// Decisions that were not, because the file could not be written.
    pub failed: u64,
}

/// The server of metrics.
pub fn router(sources: Sources) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(sources)
}

async fn metrics(State(sources): State<Sources>) -> impl IntoResponse {
    (
        [
            (
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ),
            (header::CACHE_CONTROL, "no-store"),
        ],
        text(&sources),
    )
}

/// The metrics as they are now, in OpenMetrics text.
#[must_use]
pub fn text(sources: &Sources) -> String {
    let mut registry = Registry::with_prefix("portcullis");
    registry.register_collector(Box::new(families::Figures::of(sources)));
    let mut text = String::new();
    if let Err(error) = encode(&mut text, &registry) {
        tracing::error!(%error, "the metrics could not be written");
    }
    text
}
