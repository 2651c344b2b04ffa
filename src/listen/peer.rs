//! What `listen` knows of a request before anybody has read it: when it came, and from where.

use std::{net::SocketAddr, sync::Arc};

use rustls_pki_types::CertificateDer;

use crate::domain::Timestamp;

/// When the request's head had been read. A request extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrivedAt(pub Timestamp);

/// The other end of a TCP connection. A request extension.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address that the connection came from.
    pub address: SocketAddr,
    /// What the client presented in the TLS handshake, leaf first; empty without TLS or without a certificate.
    pub certificates: Arc<[CertificateDer<'static>]>,
    /// The server name of the ClientHello (RFC 6066 section 3), lower-case, when there was one.
    pub server_name: Option<Arc<str>>,
}

/// The process at the other end of a Unix socket, as the kernel vouches for it. A request extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnixPeer {
    /// The effective user id of the process when it connected.
    pub uid: u32,
    /// Its process id, where the system tells it.
    pub pid: Option<i32>,
}
