//! Revocation lists, OCSP answers and issuer certificates over plain HTTP: what certificates point to (RFC 5280 sections
//! 4.2.1.13 and 4.2.2.1). All are signed, so they need no TLS. It is also where a load balancer asks whether the server is there.

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use crate::{authority::Authority, domain::Timestamp};

mod list;
mod ocsp;

/// The status server's routes.
pub fn router(authority: Authority) -> Router {
    Router::new()
        .route("/crl/{issuer}/{file}", get(list::list))
        .route("/issuer/{file}", get(issuer))
        .merge(ocsp::router())
        .route("/root.pem", get(root))
        .route("/bundle.pem", get(bundle))
        .route("/health", get(health))
        .with_state(authority)
}

/// An issuer's certificate, DER (RFC 2585 section 4.1).
async fn issuer(State(authority): State<Authority>, Path(file): Path<String>) -> Response {
    let issuers = authority.issuers();
    let found = issuers
        .iter()
        .find(|issuer| file.strip_suffix(".crt") == Some(&issuer.id().short()));
    match found {
        Some(issuer) => (
            [(header::CONTENT_TYPE, "application/pkix-cert")],
            issuer.certificate.der().to_vec(),
        )
            .into_response(),
        None => not_found("no such issuer; the path is that of a certificate's caIssuers"),
    }
}

/// The root as PEM. Who fetches it here must compare its fingerprint before trusting it.
async fn root(State(authority): State<Authority>) -> Response {
    let issuers = authority.issuers();
    match issuers.roots().first() {
        Some(root) => (
            [(header::CONTENT_TYPE, "application/x-pem-file")],
            root.pem(),
        )
            .into_response(),
        None => not_found("this authority has no root of its own; see /bundle.pem"),
    }
}

/// The trust bundle as PEM: every root that is trusted. Who fetches it here must know it some other way before trusting
/// it; agents fetch it over the connection that they trust.
async fn bundle(State(authority): State<Authority>) -> Response {
    (
        [(header::CONTENT_TYPE, "application/x-pem-file")],
        authority.issuers().bundle().pem(),
    )
        .into_response()
}

async fn health(State(authority): State<Authority>) -> Response {
    if authority.has_stale_list() {
        let text = "a revocation list is stale; see the log\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    "ok\n".into_response()
}

fn not_found(why: &str) -> Response {
    (StatusCode::NOT_FOUND, format!("{why}\n")).into_response()
}

/// IMF-fixdate (RFC 9110 section 5.6.7).
fn http_date(moment: Timestamp) -> String {
    const FORMAT: &[BorrowedFormatItem<'_>] = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let moment: OffsetDateTime = moment.to_offset_date_time();
    moment.format(FORMAT).unwrap_or_default()
}
