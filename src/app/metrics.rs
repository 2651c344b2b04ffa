//! `[metrics]` of the configuration, and where its server's figures come from.

use std::sync::Arc;

use serde::Deserialize;

use crate::{
    authority::Authority,
    gate::GateCounters,
    metrics::{DecisionFigures, GateFigures, Sources},
};

/// `[metrics]` as read.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Address and port; empty: no metrics are served.
    pub listen: String,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8446".to_owned(),
        }
    }
}

/// The figures of a running server.
pub(super) fn sources(authority: Authority, gate: GateCounters) -> Sources {
    Sources {
        authority,
        gate: Arc::new(move || figures(&gate)),
    }
}

fn figures(gate: &GateCounters) -> GateFigures {
    GateFigures {
        connections: gate.connections() as u64,
        permits: gate.permits(),
        denials: gate
            .denials()
            .map(|(reason, count)| (reason.type_name(), count))
            .to_vec(),
        decisions: gate.decisions().map(|counts| DecisionFigures {
            written: counts.written(),
            dropped: counts.dropped(),
            failed: counts.failed(),
        }),
    }
}
