//! Orders (RFC 8555 section 7.4): placed, read, listed and finalized.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use portcullis_ca::csr::CertificateRequest;
use serde::{Deserialize, Serialize};

use super::{
    account::check_owner,
    challenge,
    identifier::{self, WireIdentifier},
    jwk::Jwk,
    jws,
    problem::{Problem, ProblemDocument, ProblemType, Subproblem},
    resource_path::ResourcePath,
    signed_request::{ByAccount, SignedRequest},
    state::AcmeState,
    terms,
};
use crate::{
    authority::NewOrder,
    domain::{
        Timestamp,
        account::Account,
        certificate_id::{CertificateId, InvalidCertificateId},
        id::OrderId,
        order::{Order, OrderFailure, OrderState, WantedValidity},
        profile::ProfileName,
    },
    store::OrderPlace,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewOrderRequest {
    identifiers: Vec<WireIdentifier>,
    /// draft-ietf-acme-profiles.
    profile: Option<String>,
    not_before: Option<String>,
    not_after: Option<String>,
    replaces: Option<String>,
}

/// The query of an orders list's further pages.
#[derive(Deserialize)]
pub struct OrdersQuery {
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct FinalizeRequest {
    csr: String,
}

/// The order object (RFC 8555 section 7.1.3).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderObject {
    status: &'static str,
    expires: Timestamp,
    identifiers: Vec<WireIdentifier>,
    /// draft-ietf-acme-profiles.
    profile: ProfileName,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<Timestamp>,
    authorizations: Vec<String>,
    finalize: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
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
/// Those of identifiers; `invalidProfile`; `malformed` for a `notBefore` or `notAfter` that the profile does not allow;
/// `userActionRequired` when the terms of service must be agreed to again.
pub async fn create(
    State(state): State<Arc<AcmeState>>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let ByAccount { account, payload } = request.by_account(&state).await?;
    let wanted: NewOrderRequest = payload.object()?;
    terms::check_agreed(&state, &account)?;
    let validity = WantedValidity {
        not_before: moment("notBefore", wanted.not_before.as_deref())?,
        not_after: moment("notAfter", wanted.not_after.as_deref())?,
    };
    let profile = wanted.profile.as_deref().map(profile).transpose()?;
    let identifiers = identifier::parse_all(&wanted.identifiers)?;
    let order = state
        .authority
        .new_order(NewOrder {
            profile,
            validity,
            replaces: wanted.replaces.as_deref().map(read_replaces).transpose()?,
            ..NewOrder::of(&account.id, identifiers)
        })
        .await?;
    Ok(answer(&state, StatusCode::CREATED, &order))
}

/// The certificate that an order is to replace (RFC 9773 section 5).
fn read_replaces(text: &str) -> Result<CertificateId, Problem> {
    text.parse().map_err(|error: InvalidCertificateId| {
        Problem::malformed(format!("\"replaces\" can't be read: {error}"))
    })
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

/// A page of an account's orders, without those that are invalid (RFC 8555 section 7.1.2.1).
///
/// # Errors
/// `unauthorized` when they are another account's, `malformed` for a cursor that no page gave.
pub async fn list(
    State(state): State<Arc<AcmeState>>,
    ResourcePath(id): ResourcePath<String>,
    query: Result<Query<OrdersQuery>, QueryRejection>,
    request: SignedRequest,
) -> Result<Response, Problem> {
    let ByAccount { account, payload } = request.by_account(&state).await?;
    payload.expect_empty()?;
    check_owner(&account, &id)?;
    let cursor = match query {
        Ok(Query(OrdersQuery { cursor: None })) => None,
        Ok(Query(OrdersQuery {
            cursor: Some(cursor),
        })) => Some(read_cursor(&cursor).ok_or_else(bad_cursor)?),
        Err(_) => return Err(bad_cursor()),
    };
    let page = state
        .authority
        .orders_of(&account.id, cursor, state.orders_per_page)
        .await?;
    let orders = page
        .orders
        .iter()
        .map(|order| state.urls.order(order))
        .collect();
    let mut response = Json(OrdersObject { orders }).into_response();
    if let Some(place) = page.next {
        let next = state.urls.orders_after(&account.id, &cursor_of(&place));
        if let Ok(link) = HeaderValue::try_from(format!("<{next}>;rel=\"next\"")) {
            response.headers_mut().append(header::LINK, link);
        }
    }
    Ok(response)
}

/// Where a page ended: the moment and the order.
fn cursor_of(place: &OrderPlace) -> String {
    format!("{}.{}", place.created_at.unix_millis(), place.id)
}

fn read_cursor(text: &str) -> Option<OrderPlace> {
    let (millis, id) = text.split_once('.')?;
    Some(OrderPlace {
        created_at: Timestamp::from_unix_millis(millis.parse().ok()?),
        id: OrderId::from_text(id),
    })
}

fn bad_cursor() -> Problem {
    Problem::malformed(
        "the cursor is not one that a page of this list gave; begin with the account's \"orders\", and follow each page's Link with rel=\"next\"",
    )
}

/// A moment as RFC 3339 writes it.
fn moment(member: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else { return Ok(None) };
    text.parse::<Timestamp>().map(Some).map_err(|_| {
        Problem::malformed(format!(
            "{member:?} is {text:?}, which is no date and time; write it as in \"2027-01-31T12:00:00Z\" (RFC 3339)"
        ))
    })
}

fn profile(name: &str) -> Result<ProfileName, Problem> {
    name.parse().map_err(|_| {
        Problem::new(
            ProblemType::InvalidProfile,
            format!(
                "there is no profile {name:?}; the directory's \"meta\" has those that there are"
            ),
        )
    })
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
    terms::check_agreed(&state, &account)?;
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
        OrderState::Invalid { detail, failures } => {
            (None, Some(error_of(detail, failures).document()))
        }
    };
    let status_now = order.status_at(state.clock.now());
    let error = error.or_else(|| {
        (status_now == "invalid").then(|| {
            Problem::unauthorized(format!(
                "the order was to be finalized before {}; place a new one",
                order.expires_at.whole_seconds()
            ))
            .document()
        })
    });
    let object = OrderObject {
        status: status_now,
        expires: order.expires_at.whole_seconds(),
        profile: order.profile.clone(),
        not_before: order.validity.not_before,
        not_after: order.validity.not_after,
        identifiers: order.identifiers.iter().map(WireIdentifier::from).collect(),
        authorizations: order
            .authorizations
            .iter()
            .map(|authorization| state.urls.authorization(authorization))
            .collect(),
        finalize: state.urls.finalize(&order.id),
        replaces: order.replaces.as_ref().map(ToString::to_string),
        certificate,
        error,
    };
    let mut response = (
        status,
        [(header::LOCATION, state.urls.order(&order.id))],
        Json(object),
    )
        .into_response();
    let now = state.clock.now();
    if let Some(wait) = state.validations.retry_after(&order.authorizations, now) {
        let seconds = HeaderValue::from(wait.as_secs());
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// Why an order can't be had: a part for each identifier, under the type that they have in common.
fn error_of(detail: &str, failures: &[OrderFailure]) -> Problem {
    let parts: Vec<Subproblem> = failures
        .iter()
        .map(|failed| Subproblem {
            kind: challenge::type_of(failed.failure.kind),
            detail: failed.failure.detail.clone(),
            identifier: Some(WireIdentifier::from(&failed.identifier)),
        })
        .collect();
    let kind = match parts.as_slice() {
        [] => ProblemType::Unauthorized,
        [first, rest @ ..] if rest.iter().all(|part| part.kind == first.kind) => first.kind,
        [_, ..] => ProblemType::Compound,
    };
    Problem::new(kind, detail).with_subproblems(parts)
}
