//! Real programs of others against the real server: certbot, lego, curl, openssl; and our own agent.

mod acme_client;
mod dns;
mod program;
