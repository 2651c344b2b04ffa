//! The admin API: JSON over a Unix socket. [`routes`] lists every route with the scope that it needs; who calls is told
//! by the kernel, and goes through the same decision as everybody else.
//!
//! To add a route: a row in `routes.rs`, and its handler in the file of its noun.

use std::sync::Arc;

use url::Url;

use crate::authority::Authority;

pub mod api_key;
pub mod approval;
pub mod audit;
mod caller;
pub mod certificate;
pub mod doctor;
pub mod incident;
pub mod inventory;
pub mod invitation;
pub mod issuer;
pub mod list;
mod moment;
pub mod policy;
mod problem;
pub mod revocation;
pub mod root_key;
pub mod routes;

pub use routes::{ROUTES, router};

/// What the handlers work with.
#[derive(Clone)]
pub struct ApiState {
    /// Decides and writes.
    pub authority: Authority,
    /// Where devices enrol: the ACME directory.
    pub directory: Url,
}

type SharedState = Arc<ApiState>;
