//! The watcher of one thread's connections: it ends those whose standing is lost, idle and streaming ones too.
//!
//! It looks at every connection when the epoch has moved, and at a single one when its time has come. A request on a
//! connection looks for itself as well (`Connection::refresh`), so nothing depends on who is first.

use std::{sync::Arc, time::Duration};

use tokio::{task::yield_now, time::sleep};

use super::{connection::Connection, worker::Worker};
use crate::domain::Timestamp;

/// How often the clock is looked at, at least: it need not go like tokio's timers.
const LOOK: Duration = Duration::from_millis(500);

/// How many connections are looked at before others on the thread have their turn.
const AT_ONCE: usize = 256;

/// Watches until it is dropped.
pub(super) async fn watch(worker: Arc<Worker>) {
    let mut epochs = worker.trust.standing().subscribe();
    epochs.mark_changed();
    loop {
        let now = worker.clock.now();
        let wait = worker
            .registry
            .next_appointment()
            .map_or(LOOK, |at| at.since(now).min(LOOK));
        tokio::select! {
            moved = epochs.changed() => {
                if moved.is_err() {
                    return;
                }
                epochs.mark_unchanged();
                look_at(&worker, &worker.registry.all()).await;
            }
            () = sleep(wait) => {
                look_at(&worker, &worker.registry.due(worker.clock.now())).await;
            }
        }
    }
}

async fn look_at(worker: &Worker, connections: &[Arc<Connection>]) {
    for some in connections.chunks(AT_ONCE) {
        let now = worker.clock.now();
        for connection in some {
            look_at_one(worker, connection, now);
        }
        yield_now().await;
    }
}

fn look_at_one(worker: &Worker, connection: &Connection, now: Timestamp) {
    connection.recheck(&worker.trust, now);
    let Some(loss) = connection.loss() else {
        return;
    };
    if !connection.switch().is_cut() {
        tracing::info!(
            peer = %connection.peer(),
            principal = connection.certificate().principal().map(tracing::field::display),
            reason = %loss,
            "closed a connection whose certificate lost its standing"
        );
        connection.switch().cut();
    }
}
