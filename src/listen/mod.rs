//! Sockets, TLS, client certificates, limits and drain. It knows no route: `app` hands it the handlers.
//!
//! Every connection that leaves this room has been accepted within a time limit, and every request carries the time at
//! which it arrived ([`ArrivedAt`]) and who is at the other end ([`Peer`] or [`UnixPeer`]).

pub mod body;
pub mod client_certificate;
mod connection;
pub mod limits;
pub mod peer;
mod refuse;
pub mod serve;
pub mod server_certificate;
pub mod socket;
pub mod tls;
pub mod unix;

pub use body::{BodyError, RequestBody};
pub use client_certificate::{ClientCertificateVerifier, Presence, VerifiedPaths};
pub use limits::{Limits, LimitsConfig};
pub use peer::{ArrivedAt, Peer, UnixPeer};
pub use refuse::refuse;
pub use serve::{HttpService, Serving, serve_plain, serve_tls, serve_unix};
pub use server_certificate::ServerCertificate;
pub use socket::{BindError, bind, bind_shared};
pub use tls::{ApplicationProtocol, ClientCertificates, TlsSettings};
pub use unix::UnixSocket;
