//! Every route of the ACME server, and what all answers carry.
//!
//! To add one more resource: its row here, its URL in `urls`, and its handlers in the file of its noun.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};

use super::{
    account, authorization, certificate, challenge, directory,
    nonce::{self, REPLAY_NONCE},
    order,
    problem::Problem,
    state::AcmeState,
    trust_bundle,
};

/// The ACME server, to be served behind TLS. All its paths begin with `/acme/`. It also takes up the validations that
/// the last process left unfinished, so it is to be called within the runtime that serves it.
pub fn router(state: AcmeState) -> Router {
    let state = Arc::new(state);
    tokio::spawn(challenge::resume_all(Arc::clone(&state)));
    Router::new()
        .route(
            "/acme/directory",
            get(directory::read).post(directory::read_signed),
        )
        .route(
            "/acme/new-nonce",
            get(nonce::read).head(nonce::head).post(nonce::read_signed),
        )
        .route("/acme/new-account", post(account::create))
        .route("/acme/account/{account}", post(account::update))
        .route("/acme/account/{account}/orders", post(order::list))
        .route("/acme/new-order", post(order::create))
        .route("/acme/order/{order}", post(order::read))
        .route("/acme/order/{order}/finalize", post(order::finalize))
        .route(
            "/acme/authorization/{authorization}",
            post(authorization::update),
        )
        .route(
            "/acme/challenge/{authorization}/{kind}",
            post(challenge::respond),
        )
        .route("/acme/certificate/{serial}", post(certificate::read))
        .route("/acme/revoke-cert", post(certificate::revoke))
        .route("/acme/trust-bundle", post(trust_bundle::read))
        .route("/acme/{*rest}", any(no_such_resource))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            add_nonce_and_index,
        ))
        .with_state(state)
}

async fn no_such_resource() -> Problem {
    Problem::not_found("resource")
}

/// RFC 8555 section 6.3: only the directory and newNonce are read with GET.
async fn method_not_allowed(method: Method) -> Problem {
    Problem::malformed(format!(
        "{method} does not work here; resources are read with POST-as-GET, a signed POST with an empty payload (RFC 8555 section 6.3)"
    ))
    .with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// Every answer to a POST carries a fresh nonce, be it a success or an error (RFC 8555 section 6.5), and every answer
/// but the directory's points to the directory (section 7.1).
async fn add_nonce_and_index(
    State(state): State<Arc<AcmeState>>,
    request: Request,
    next: Next,
) -> Response {
    let signed = request.method() == Method::POST;
    let is_directory = request.uri().path() == "/acme/directory";
    let mut response = next.run(request).await.into_response();
    let headers = response.headers_mut();
    if signed && !headers.contains_key(REPLAY_NONCE) {
        nonce::add_to(headers, &state);
    }
    if !is_directory {
        let link = format!("<{}>;rel=\"index\"", state.urls.directory());
        if let Ok(link) = HeaderValue::try_from(link) {
            headers.append(header::LINK, link);
        }
    }
    response
}
