//! What is served over plain HTTP, as a client without TLS sees it.

mod list;
mod ocsp;
