//! The connections of one thread, and when each has to be looked at again.
//!
//! Only its own thread registers, removes and looks; the lock is there for the type system and never waited for.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;

use super::connection::Connection;
use crate::domain::Timestamp;

/// What a connection is known by on its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnectionId(u64);

/// The admitted connections of one thread.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    connections: HashMap<ConnectionId, Entry>,
    appointments: BTreeSet<(Timestamp, ConnectionId)>,
}

#[derive(Debug)]
struct Entry {
    connection: Arc<Connection>,
    /// Moments at which something about it ends.
    appointments: Vec<Timestamp>,
}

/// A connection's place in the registry; it leaves when this is dropped.
pub(super) struct Registered {
    registry: Arc<Registry>,
    id: ConnectionId,
}

impl Registry {
    /// Takes in a connection that is good until `until` at the longest.
    pub(super) fn register(
        self: &Arc<Self>,
        until: Option<Timestamp>,
        connection: impl FnOnce(ConnectionId) -> Arc<Connection>,
    ) -> (Registered, Arc<Connection>) {
        let mut inner = self.0.lock();
        let id = ConnectionId(inner.next);
        inner.next += 1;
        let connection = connection(id);
        inner.appointments.extend(until.map(|until| (until, id)));
        let entry = Entry {
            connection: Arc::clone(&connection),
            appointments: Vec::from_iter(until),
        };
        inner.connections.insert(id, entry);
        let registered = Registered {
            registry: Arc::clone(self),
            id,
        };
        (registered, connection)
    }

    /// Has a connection looked at again at `at`.
    pub(super) fn appoint(&self, at: Timestamp, id: ConnectionId) {
        let mut inner = self.0.lock();
        let Some(entry) = inner.connections.get_mut(&id) else {
            return;
        };
        // The same few moments again and again: those of the certificate, a key, a binding.
        if !entry.appointments.contains(&at) {
            entry.appointments.push(at);
            inner.appointments.insert((at, id));
        }
    }

    /// The next moment at which a connection has to be looked at.
    pub(super) fn next_appointment(&self) -> Option<Timestamp> {
        self.0.lock().appointments.first().map(|(at, _)| *at)
    }

    /// The connections whose moment has come.
    pub(super) fn due(&self, now: Timestamp) -> Vec<Arc<Connection>> {
        let mut inner = self.0.lock();
        let mut due = Vec::new();
        while let Some((at, id)) = inner.appointments.first().copied() {
            if at > now {
                break;
            }
            inner.appointments.remove(&(at, id));
            if let Some(entry) = inner.connections.get_mut(&id) {
                entry.appointments.retain(|it| *it != at);
                due.push(Arc::clone(&entry.connection));
            }
        }
        due
    }

    /// Every connection.
    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        let inner = self.0.lock();
        let connections = inner.connections.values();
        connections
            .map(|entry| Arc::clone(&entry.connection))
            .collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.lock().connections.len()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut inner = self.registry.0.lock();
        if let Some(entry) = inner.connections.remove(&self.id) {
            for at in entry.appointments {
                inner.appointments.remove(&(at, self.id));
            }
        }
    }
}
