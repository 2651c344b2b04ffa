//! Real programs of others against the real server: certbot, lego, dehydrated, acme-client, Caddy, curl, openssl; and our
//! own agent.

mod acme_client;
mod agent;
mod caddy;
mod certbot;
mod decisions;
mod dehydrated;
mod dns;
mod folder;
mod gate;
mod instant_acme;
mod judged;
mod judges;
mod lego;
mod ocsp;
pub mod openssl;
mod pkilint;
pub mod program;
mod revocation;
mod site;
mod upstream;
