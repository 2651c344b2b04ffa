//! An admitted connection: who is at the other end, as of which epoch, and how it is told to end.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::HeaderValue;
use parking_lot::Mutex;
use portcullis_ca::chain::{Category, ChainError};

use super::{
    admit::{PeerCertificate, Trust},
    in_flight::InFlight,
    registry::ConnectionId,
    switch::Switch,
};
use crate::domain::{Timestamp, denial::Denial};

/// An admitted connection, shared by its task, its requests and the watcher.
#[derive(Debug)]
pub(super) struct Connection {
    id: ConnectionId,
    peer: SocketAddr,
    server_name: Option<Box<str>>,
    certificate: PeerCertificate,
    forwarded_for: HeaderValue,
    forwarded: HeaderValue,
    /// The epoch as of which its standing was last looked at.
    epoch: AtomicU64,
    loss: OnceLock<Loss>,
    switch: Switch,
    /// Its requests under way.
    in_flight: Mutex<Vec<Arc<InFlight>>>,
}

/// How a connection's certificate lost its standing. What follows is for the log, not for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Loss {
    /// Its chain is not good any more.
    #[error("{0}")]
    Chain(ChainError),
    /// The authority's issuer that issued its certificate is no longer one of its own.
    #[error("the issuer of the certificate is no longer one of the authority's")]
    Issuer,
    /// Its principal was suspended.
    #[error("the principal is suspended")]
    Suspended,
}

impl Connection {
    pub(super) fn new(
        id: ConnectionId,
        peer: SocketAddr,
        server_name: Option<Box<str>>,
        certificate: PeerCertificate,
    ) -> Self {
        let address = peer.ip().to_canonical();
        // RFC 7239 section 6: an IPv6 address stands in brackets and quotes.
        let forwarded = match address {
            IpAddr::V4(address) => format!("for={address};proto=https"),
            IpAddr::V6(address) => format!("for=\"[{address}]\";proto=https"),
        };
        let value =
            |text: String| HeaderValue::try_from(text).expect("addresses are printable ASCII");
        Self {
            id,
            peer,
            server_name,
            certificate,
            forwarded_for: value(address.to_string()),
            forwarded: value(forwarded),
            // Nothing has been looked at yet; no epoch that the gate serves in is this one.
            epoch: AtomicU64::new(u64::MAX),
            loss: OnceLock::new(),
            switch: Switch::default(),
            in_flight: Mutex::default(),
        }
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The name that the client asked for in the handshake.
    pub(super) fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    pub(super) fn certificate(&self) -> &PeerCertificate {
        &self.certificate
    }

    /// `X-Forwarded-For`
    pub(super) fn forwarded_for(&self) -> &HeaderValue {
        &self.forwarded_for
    }

    /// `Forwarded` (RFC 7239)
    pub(super) fn forwarded(&self) -> &HeaderValue {
        &self.forwarded
    }

    pub(super) fn switch(&self) -> &Switch {
        &self.switch
    }

    /// How its certificate lost its standing, if it did.
    pub(super) fn loss(&self) -> Option<&Loss> {
        self.loss.get()
    }

    /// Looks at its certificate again if anything changed since it last was, or if its time has come.
    pub(super) fn refresh(&self, trust: &Trust, now: Timestamp) {
        let moved = self.epoch.load(Ordering::Acquire) != trust.standing().epoch();
        let over = self.certificate.expires_at().is_some_and(|end| end <= now);
        if moved || over {
            self.recheck(trust, now);
        }
    }

    /// Looks at its certificate and at its requests under way again.
    pub(super) fn recheck(&self, trust: &Trust, now: Timestamp) {
        // Read before anything is looked at: what changes in between is seen the next time.
        let epoch = trust.standing().epoch();
        if let Err(loss) = trust.check(&self.certificate, now) {
            // The first loss is the one that counts.
            let _ = self.loss.set(loss);
        }
        for request in self.in_flight.lock().iter() {
            request.recheck(trust.standing(), now);
        }
        self.epoch.store(epoch, Ordering::Release);
    }

    pub(super) fn begin(&self, request: Arc<InFlight>) {
        self.in_flight.lock().push(request);
    }

    pub(super) fn end(&self, request: &Arc<InFlight>) {
        let mut in_flight = self.in_flight.lock();
        if let Some(index) = in_flight.iter().position(|it| Arc::ptr_eq(it, request)) {
            in_flight.swap_remove(index);
        }
    }
}

impl Loss {
    /// What the caller is told, and the log.
    pub(super) fn denial(&self) -> Denial {
        let Self::Chain(error) = self else {
            return Denial::certificate_revoked(self);
        };
        match error.category() {
            Category::Expired => Denial::certificate_expired(error),
            // Whatever else made the path end is no time that has passed.
            Category::Revoked
            | Category::RevocationStatusUnknown
            | Category::UnknownIssuer
            | Category::NotYetValid
            | Category::Malformed
            | Category::BadSignature
            | Category::UnsuitablePurpose
            | Category::UnknownCriticalExtension
            | Category::Forbidden => Denial::certificate_revoked(error),
        }
    }
}
