//! The gate on loopback: real TLS clients, a real upstream, and certificates of a CA made for the test.

mod admission;
mod callers;
mod connection;
mod framing;
mod headers;
mod http2;
mod listening;
mod live;
mod logging;
mod pki;
mod resumption;
mod stage;
mod upstream;
