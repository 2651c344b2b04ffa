//! Real programs of others against the real server: certbot, lego, curl, openssl; and our own agent.

mod acme_client;
mod agent;
mod decisions;
mod dns;
mod external_account;
mod gate;
mod http_01;
mod judged;
mod judges;
mod ocsp;
pub mod openssl;
mod pkilint;
pub mod program;
mod revocation;
mod upstream;
