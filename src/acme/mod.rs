//! RFC 8555 on the wire.
