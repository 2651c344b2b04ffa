//! Every route of the admin API, with the scope that it needs. The resource is the principal that is acted on, as
//! `KIND/PATH`, and `**` where it is about all of them.

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{MethodRouter, get, post},
};

use super::{
    ApiState, SharedState, api_key, approval, audit, caller, doctor, incident, inventory,
    invitation, issuer, list, policy, problem::Problem, revocation, root_key,
};

/// A route: its method, its path, and the service and action of the scope that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// GET or POST.
    pub method: &'static str,
    /// Its path.
    pub path: &'static str,
    /// `service:action`.
    pub permission: &'static str,
}

const fn route(method: &'static str, path: &'static str, permission: &'static str) -> Route {
    Route {
        method,
        path,
        permission,
    }
}

/// The table of permissions. What doesn't stand here doesn't exist.
pub const ROUTES: &[Route] = &[
    route("GET", "/v1/api-keys", "api-keys:read"),
    route("POST", "/v1/api-keys", "api-keys:mint"),
    route("POST", "/v1/api-keys/{id}/revoke", "api-keys:revoke"),
    route("GET", "/v1/approvals", "approvals:read"),
    route("POST", "/v1/approvals/{id}/approve", "approvals:approve"),
    route("POST", "/v1/approvals/{id}/reject", "approvals:reject"),
    route("GET", "/v1/audit", "audit:read"),
    route("GET", "/v1/certificates", "certificates:read"),
    route("GET", "/v1/certificates/{serial}", "certificates:read"),
    route("POST", "/v1/certificates/revoke", "certificates:revoke"),
    route("GET", "/v1/bundle", "issuers:read"),
    route("GET", "/v1/issuers", "issuers:read"),
    route("POST", "/v1/issuers", "issuers:create"),
    route("GET", "/v1/issuers/{name}", "issuers:read"),
    route("POST", "/v1/issuers/{name}/activate", "issuers:activate"),
    route("POST", "/v1/issuers/{name}/export-key", "issuers:export"),
    route("POST", "/v1/issuers/{name}/remove-key", "issuers:export"),
    route("GET", "/v1/issuers/{name}/list-draft", "lists:publish"),
    route("POST", "/v1/issuers/{name}/list", "lists:publish"),
    route("POST", "/v1/issuers/{name}/install", "issuers:create"),
    route("POST", "/v1/issuers/{name}/retire", "issuers:retire"),
    route("POST", "/v1/issuers/{name}/rotate", "issuers:rotate"),
    route("POST", "/v1/issuer-imports", "issuers:create"),
    route("POST", "/v1/issuer-requests", "issuers:create"),
    route("GET", "/v1/doctor", "doctor:read"),
    route("GET", "/v1/incidents", "incidents:read"),
    route("POST", "/v1/incidents", "incidents:open"),
    route("POST", "/v1/incidents/{number}/close", "incidents:close"),
    route("GET", "/v1/invitations", "invitations:read"),
    route("POST", "/v1/invitations", "invitations:create"),
    route("GET", "/v1/invitations/{id}", "invitations:read"),
    route("POST", "/v1/invitations/{id}/revoke", "invitations:revoke"),
    route("GET", "/v1/lists", "lists:read"),
    route("POST", "/v1/lists/publish", "lists:publish"),
    route("GET", "/v1/policy", "policy:read"),
    route("POST", "/v1/policy", "policy:apply"),
    route("POST", "/v1/policy/check", "policy:check"),
];

/// The admin API, to be served on a socket that tells who calls.
pub fn router(state: ApiState) -> Router {
    let state: SharedState = Arc::new(state);
    let mut router = Router::new();
    for route in ROUTES {
        let handler = handler(route).layer(middleware::from_fn_with_state(
            (Arc::clone(&state), route.permission),
            caller::identify,
        ));
        router = router.route(route.path, handler);
    }
    router
        .fallback(async || Problem::not_found("there is no such route"))
        .with_state(state)
}

fn handler(route: &Route) -> MethodRouter<SharedState> {
    match (route.method, route.path) {
        ("GET", "/v1/api-keys") => get(api_key::list),
        ("POST", "/v1/api-keys") => post(api_key::mint),
        ("POST", "/v1/api-keys/{id}/revoke") => post(api_key::revoke),
        ("GET", "/v1/approvals") => get(approval::list),
        ("POST", "/v1/approvals/{id}/approve") => post(approval::approve),
        ("POST", "/v1/approvals/{id}/reject") => post(approval::reject),
        ("GET", "/v1/audit") => get(audit::list),
        ("GET", "/v1/certificates") => get(inventory::list),
        ("GET", "/v1/certificates/{serial}") => get(inventory::show),
        ("POST", "/v1/certificates/revoke") => post(revocation::revoke),
        ("GET", "/v1/bundle") => get(issuer::bundle),
        ("GET", "/v1/issuers") => get(issuer::list),
        ("POST", "/v1/issuers") => post(issuer::create),
        ("GET", "/v1/issuers/{name}") => get(issuer::show),
        ("POST", "/v1/issuers/{name}/activate") => post(issuer::activate),
        ("POST", "/v1/issuers/{name}/export-key") => post(root_key::export),
        ("POST", "/v1/issuers/{name}/remove-key") => post(root_key::remove),
        ("GET", "/v1/issuers/{name}/list-draft") => get(root_key::draft),
        ("POST", "/v1/issuers/{name}/list") => post(root_key::publish),
        ("POST", "/v1/issuers/{name}/install") => post(issuer::install),
        ("POST", "/v1/issuers/{name}/retire") => post(issuer::retire),
        ("POST", "/v1/issuers/{name}/rotate") => post(issuer::rotate),
        ("POST", "/v1/issuer-imports") => post(issuer::import),
        ("POST", "/v1/issuer-requests") => post(issuer::request),
        ("GET", "/v1/doctor") => get(doctor::examine),
        ("GET", "/v1/incidents") => get(incident::list),
        ("POST", "/v1/incidents") => post(incident::open),
        ("POST", "/v1/incidents/{number}/close") => post(incident::close),
        ("GET", "/v1/invitations") => get(invitation::list),
        ("POST", "/v1/invitations") => post(invitation::create),
        ("GET", "/v1/invitations/{id}") => get(invitation::show),
        ("POST", "/v1/invitations/{id}/revoke") => post(invitation::revoke),
        ("GET", "/v1/lists") => get(list::list),
        ("POST", "/v1/lists/publish") => post(list::publish),
        ("GET", "/v1/policy") => get(policy::show),
        ("POST", "/v1/policy") => post(policy::apply),
        ("POST", "/v1/policy/check") => post(policy::check),
        // A row without a handler would be a mistake of ours: `every_route_has_its_handler` finds it.
        _ => get(async || Problem::not_found("this route has no handler")),
    }
}
