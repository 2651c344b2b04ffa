//! Orders (RFC 8555 section 7.4): placed, read, listed and finalized.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use portcullis_ca::csr::CertificateRequest;
use serde::{Deserialize, Serialize};

use super::{
    account::check_owner,
    identifier::{self, WireIdentifier},
    jwk::Jwk,
    jws,
    problem::{Problem, ProblemDocument, ProblemType},
    resource_path::ResourcePath,
    signed_request::{ByAccount, SignedRequest},
    state::AcmeState,
};
use crate::{
    authority::NewOrder,
    domain::{
        Timestamp,
        account::Account,
        id::OrderId,
        order::{Order, OrderState},
    },
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewOrderRequest {
    identifiers: Vec<WireIdentifier>,
    not_before: Option<String>,
    not_after: Option<String>,
}

#[derive(Deserialize)]
struct FinalizeRequest {
    csr: String,
}

/// The order object (RFC 8555 section 7.1.3).
#[derive(Serialize)]
struct OrderObject {
    status: &'static str,
    expires: Timestamp,
    identifiers: Vec<WireIdentifier>,
    authorizations: Vec<String>,
    finalize: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ProblemDocument>,
}

#[derive(Serialize)]
struct OrdersObject {
    orders: Vec<String>,
}

/// newOrder.
///
/// # Errors
/// Those of identifiers; `malformed` for `notBefore` and `notAfter`, which the profile decides here.
pub async fn create(
    State(state): State<Arc<AcmeState>>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let ByAccount { account, payload } = request.by_account(&state).await?;
    let wanted: NewOrderRequest = payload.object()?;
    if wanted.not_before.is_some() || wanted.not_after.is_some() {
        return Err(Problem::malformed(
            "the order asks for \"notBefore\" or \"notAfter\"; the profile decides how long a certificate is valid here, so leave them out",
        ));
    }
    let identifiers = identifier::parse_all(&wanted.identifiers)?;
    let order = state
        .authority
        .new_order(NewOrder::of(&account.id, identifiers))
        .await?;
    Ok(answer(&state, StatusCode::CREATED, &order))
}

/// An order's URL.
///
/// # Errors
/// 404 when there is none, `unauthorized` when it is another account's.
pub async fn read(
    State(state): State<Arc<AcmeState>>,
    ResourcePath(id): ResourcePath<String>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let ByAccount { account, payload } = request.by_account(&state).await?;
    payload.expect_empty()?;
    let order = own_order(&state, &account, id).await?;
    Ok(answer(&state, StatusCode::OK, &order))
}

/// An account's orders.
///
/// # Errors
/// `unauthorized` when they are another account's.
pub async fn list(
    State(state): State<Arc<AcmeState>>,
    ResourcePath(id): ResourcePath<String>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let ByAccount { account, payload } = request.by_account(&state).await?;
    payload.expect_empty()?;
    check_owner(&account, &id)?;
    let orders = state.authority.orders_of(&account.id).await?;
    let orders = orders.iter().map(|order| state.urls.order(order)).collect();
    Ok(Json(OrdersObject { orders }).into_response())
}

/// Where an order is finalized. A CSR that can't be used leaves it ready (RFC 8555 section 7.4). Who sends the same key again
/// gets the same answer again, so that a lost answer and calls at once do no harm.
///
/// # Errors
/// `orderNotReady`, `badCSR`, and those of [`read`].
pub async fn finalize(
    State(state): State<Arc<AcmeState>>,
    ResourcePath(id): ResourcePath<String>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let ByAccount { account, payload } = request.by_account(&state).await?;
    let wanted: FinalizeRequest = payload.object()?;
    let order = own_order(&state, &account, id).await?;
    let status = order.status_at(state.clock.now());
    // One that is valid may be asked for again with the same key; `authority` looks.
    if !matches!(status, "ready" | "valid") {
        return Err(Problem::new(
            ProblemType::OrderNotReady,
            format!(
                "the order is {status}; it can be finalized once it is ready, when all its authorizations are valid"
            ),
        ));
    }
    let csr = read_csr(&state, &wanted.csr).await?;
    let order = state
        .authority
        .finalize(&order.id, &account.id, csr)
        .await?;
    Ok(answer(&state, StatusCode::OK, &order))
}

async fn read_csr(state: &AcmeState, text: &str) -> Result<CertificateRequest, Problem> {
    let bad = |detail: String| Problem::new(ProblemType::BadCsr, detail);
    let der = jws::decode(text, "csr").map_err(|problem| bad(problem.detail))?;
    let csr = CertificateRequest::from_der(&der).map_err(|error| bad(error.to_string()))?;
    // RFC 8555 section 11.1: who can make a CA sign with an account's key could act for the account.
    if let Some(key) = Jwk::from_public_key(csr.public_key())
        && state.authority.is_account_key(&key.thumbprint()).await?
    {
        return Err(bad(
            "the key of the CSR is an account's key; make another key for the certificate"
                .to_owned(),
        ));
    }
    Ok(csr)
}

async fn own_order(state: &AcmeState, account: &Account, id: String) -> Result<Order, Problem> {
    let order = state
        .authority
        .order(&OrderId::from_text(id))
        .await?
        .ok_or_else(|| Problem::not_found("order"))?;
    check_owner(account, order.account.as_str())?;
    Ok(order)
}

fn answer(state: &AcmeState, status: StatusCode, order: &Order) -> Response {
    let (certificate, error) = match &order.state {
        OrderState::Pending | OrderState::Ready => (None, None),
        OrderState::Valid { certificate } => (Some(state.urls.certificate(certificate)), None),
        OrderState::Invalid { detail } => {
            (None, Some(Problem::unauthorized(detail.clone()).document()))
        }
    };
    let object = OrderObject {
        status: order.status_at(state.clock.now()),
        expires: order.expires_at.whole_seconds(),
        identifiers: order.identifiers.iter().map(WireIdentifier::from).collect(),
        authorizations: order
            .authorizations
            .iter()
            .map(|authorization| state.urls.authorization(authorization))
            .collect(),
        finalize: state.urls.finalize(&order.id),
        certificate,
        error,
    };
    (
        status,
        [(header::LOCATION, state.urls.order(&order.id))],
        Json(object),
    )
        .into_response()
}
