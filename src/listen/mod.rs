//! Sockets, TLS, client certificates, limits and drain.
