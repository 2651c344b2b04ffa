//! Tests of the ACME server: over HTTP, with requests signed here, and real name and web servers on loopback.

mod account;
mod at_once;
pub(crate) mod authority;
mod authorization;
mod authorization_reuse;
mod certificate;
mod chain;
mod client;
mod directory;
mod external_account_binding;
mod http01;
mod key_change;
mod name_server;
mod nonce;
mod order;
mod order_list;
mod ordered_profile;
mod pre_authorization;
mod profile;
mod rate_limits;
mod renewal_info;
mod requests;
mod server;
mod slow_senders;
mod trust_bundle;
mod web_server;
