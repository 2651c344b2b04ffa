//! Every route of the ACME server, and what all answers carry.
//!
//! To add one more resource: its row here, its URL in `urls`, and its handlers in the file of its noun.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};

use super::{
    account, authorization, certificate, challenge, chaos, directory, key_change, limits,
    nonce::{self, REPLAY_NONCE},
    order,
    problem::{Problem, ProblemType, Told},
    renewal_info,
    state::{AcmeServer, AcmeState},
    trust_bundle,
    validation::task,
};

/// The ACME server, to be served behind TLS. All its paths begin with `/acme/`. It also takes up the validations that
/// the last process left unfinished, so it is to be called within the runtime that serves it.
pub fn router(server: AcmeServer) -> Router {
    server
        .directories
        .into_iter()
        .map(directory_router)
        .fold(Router::new(), Router::merge)
}

/// The resources of one directory, all below its own path.
fn directory_router(state: Arc<AcmeState>) -> Router {
    tokio::spawn(task::resume_all(Arc::clone(&state)));
    let path = |resource: &str| state.urls.path(resource);
    Router::new()
        .route(
            &path("directory"),
            get(directory::read).post(directory::read_signed),
        )
        .route(
            &path("new-nonce"),
            get(nonce::read).head(nonce::head).post(nonce::read_signed),
        )
        .route(&path("new-account"), post(account::create))
        .route(&path("account/{account}"), post(account::update))
        .route(&path("account/{account}/orders"), post(order::list))
        .route(&path("new-order"), post(order::create))
        .route(&path("new-authz"), post(authorization::create))
        .route(&path("order/{order}"), post(order::read))
        .route(&path("order/{order}/finalize"), post(order::finalize))
        .route(
            &path("authorization/{authorization}"),
            post(authorization::update),
        )
        .route(
            &path("challenge/{authorization}/{kind}"),
            post(challenge::respond),
        )
        .route(&path("certificate/{serial}"), post(certificate::read))
        .route(
            &path("certificate/{serial}/alternate/{number}"),
            post(certificate::read_alternate),
        )
        .route(&path("revoke-cert"), post(certificate::revoke))
        .route(&path("key-change"), post(key_change::change))
        .route(&path("renewal-info/{certificate}"), get(renewal_info::read))
        .route(&path("trust-bundle"), post(trust_bundle::read))
        .route(&path("{*rest}"), any(no_such_resource))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            chaos::disturb,
        ))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            limits::admit,
        ))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            add_nonce_and_index,
        ))
        .with_state(state)
}

async fn no_such_resource() -> Problem {
    Problem::not_found("resource")
}

/// RFC 8555 section 6.3: only the directory and newNonce are read with GET, and renewal information (RFC 9773 section 4.1).
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
    let is_directory = request.uri().path() == state.urls.path("directory");
    let (path, from) = (
        request.uri().path().to_owned(),
        limits::client_address(request.extensions()),
    );
    let mut response = next.run(request).await.into_response();
    if let Some(told) = response.extensions_mut().remove::<Told>() {
        tell(&path, from, &told);
    }
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

/// Whoever asks the operator why a client fails finds it in the log. What clients mend by themselves, and floods, are for
/// who looks closer.
fn tell(path: &str, from: Option<IpAddr>, told: &Told) {
    let (kind, detail) = (told.kind.name(), &told.detail);
    let from = from.map(tracing::field::display);
    if matches!(told.kind, ProblemType::BadNonce | ProblemType::RateLimited) {
        tracing::debug!(path, from, kind, ?detail, "a request was refused");
    } else {
        tracing::info!(path, from, kind, ?detail, "a request was refused");
    }
}
