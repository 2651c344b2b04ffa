//! Tests of the ACME server: over HTTP, with requests signed here.
