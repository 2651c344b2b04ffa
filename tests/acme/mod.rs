//! Tests of the ACME server: over HTTP, with requests signed here, and real name and web servers on loopback.

mod client;
mod http01;
mod name_server;
mod nonce;
mod requests;
mod server;
mod web_server;
