//! One request, from its head to the head of its answer: validate, route, authenticate, decide, forward, log.

use std::{future::poll_fn, net::IpAddr, sync::Arc};

use http::{HeaderValue, Request, Response, Uri, request::Parts};
use hyper::body::Incoming;

use super::{
    admit::PeerCertificate,
    api_key,
    body::ResponseBody,
    connection::{Connection, Loss},
    decisions::{Outcome, Permitted, Record, Refused},
    forward::Inbound,
    identity_headers::REQUEST_ID,
    in_flight::{InFlight, UnderWay},
    problem, validate,
    worker::Worker,
};
use crate::domain::{
    Timestamp,
    api_key::ApiKey,
    credential::{ApiKeyCredential, CertificateCredential, Presented},
    denial::Denial,
    permit::decide,
    request_path::NormalisedPath,
    route::{AuthMethod, Target},
};

/// The request lost its standing before it was answered; it is reset without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the credential behind this request lost its standing")]
pub(super) struct Cut;

/// Answers one request.
///
/// # Errors
/// [`Cut`].
pub(super) async fn answer(
    worker: Arc<Worker>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Cut> {
    let now = worker.clock.now();
    let request_id = worker.request_ids.next();
    connection.refresh(&worker.trust, now);
    let (parts, body) = request.into_parts();

    let decision = match decide_on(&worker, &connection, &parts, now) {
        Ok(decision) => decision,
        Err(denial) => {
            let response = problem::denied(&denial, &worker.realm, &request_id, &parts);
            log_denial(&worker, &connection, &parts, &denial, &request_id, now);
            worker.counters.denied(&denial);
            if denial.reason().closes_connection() {
                connection.switch().close();
            }
            if let Some(decisions) = &worker.decisions {
                decisions.log(Record {
                    at: now,
                    request_id,
                    peer: connection.peer(),
                    method: parts.method,
                    outcome: Outcome::Refused(Box::new(refused(
                        &worker,
                        &connection,
                        &parts.uri,
                        denial,
                    ))),
                });
            }
            return Ok(response);
        }
    };
    let Decision {
        permitted,
        in_flight,
    } = decision;
    worker.counters.permitted();
    if let Some(decisions) = &worker.decisions {
        // Before anything is forwarded: what an upstream has seen is on its way to the log.
        decisions.log(Record {
            at: now,
            request_id: request_id.clone(),
            peer: connection.peer(),
            method: parts.method.clone(),
            outcome: Outcome::Permitted(Arc::clone(&permitted)),
        });
    }
    let Permitted { permit, path } = &*permitted;
    if let Some(until) = permit.valid_until() {
        worker.registry.appoint(until, connection.id());
    }
    let under_way = UnderWay::begin(&connection, in_flight);
    let method = parts.method.clone();
    let inbound = Inbound {
        parts,
        body,
        path,
        connection: &connection,
        request_id: &request_id,
    };
    let answered = tokio::select! {
        biased;
        () = poll_fn(|context| under_way.poll_cut(context)) => return Err(Cut),
        answered = worker.upstreams.forward(permit, inbound) => answered,
    };
    let (mut response, failure) = match answered {
        Ok(response) => (
            response.map(|body| ResponseBody::Upstream(body, under_way)),
            None,
        ),
        Err(failure) => (
            problem::upstream_failed(&failure, &request_id),
            Some(failure),
        ),
    };
    response
        .headers_mut()
        .insert(&REQUEST_ID, request_id.clone());
    let took = worker.clock.now().since(now);
    tracing::info!(
        target: "portcullis::access",
        request_id = request_id.to_str().unwrap_or_default(),
        peer = %connection.peer(),
        %method,
        %path,
        principal = %permit.principal(),
        api_key = permit.api_key().map(tracing::field::display),
        serial = permit.certificate_serial().map(tracing::field::display),
        scope = %permit.scope(),
        rule = %permit.rule(),
        epoch = permit.epoch(),
        status = response.status().as_u16(),
        failure = failure.as_ref().map(tracing::field::display),
        millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "permitted"
    );
    Ok(response)
}

/// A request that may pass, and what that was decided by.
struct Decision {
    permitted: Arc<Permitted>,
    in_flight: InFlight,
}

fn decide_on(
    worker: &Worker,
    connection: &Connection,
    parts: &Parts,
    now: Timestamp,
) -> Result<Decision, Denial> {
    if let Some(loss) = connection.loss() {
        // Of a suspended principal the decision says the same; what else was lost it can't see.
        if *loss != Loss::Suspended {
            return Err(loss.denial());
        }
    }
    validate::check_framing(parts)?;
    let host = validate::host(parts, connection.server_name())?;
    let path = NormalisedPath::new(parts.uri.path())?;

    let standing = worker.trust.standing();
    // Read first: what changes from here on has a later epoch.
    let epoch = standing.epoch();
    let policy = standing.policy();
    let Some(policy) = policy.as_deref() else {
        return Err(Denial::standing_stale("no policy has been loaded"));
    };
    let target = policy.target(&host, parts.method.as_str(), &path);
    let certificate = match connection.certificate() {
        PeerCertificate::Proven(proven) => Some(proven.credential.clone()),
        PeerCertificate::None => None,
        PeerCertificate::Unproven(unproven) => return Err(unproven.reason.clone().into()),
        PeerCertificate::Refused(loss) => return Err(loss.denial()),
    };
    let key: Option<Arc<ApiKey>> = match &target {
        Target::Route { route, .. } if route.accepts(AuthMethod::ApiKey) => api_key::verified(
            &parts.headers,
            parts.uri.query(),
            standing,
            &worker.pepper,
            now,
        )?,
        Target::Route { .. } | Target::NoRoute | Target::MethodNotAllowed { .. } => None,
    };
    let presented = Presented {
        certificate,
        api_key: key.as_deref().map(ApiKeyCredential::from),
        peer: peer_address(connection),
    };
    let state = |principal: &_| standing.principal_state(principal);
    let permit = decide(&presented, &target, policy, &state, epoch, now)?;
    Ok(Decision {
        permitted: Arc::new(Permitted { permit, path }),
        in_flight: InFlight::new(presented, key, target),
    })
}

fn peer_address(connection: &Connection) -> IpAddr {
    connection.peer().ip().to_canonical()
}

/// What the log of decisions is told of a denial.
fn refused(worker: &Worker, connection: &Connection, uri: &Uri, denial: Denial) -> Refused {
    let proven = proven(connection);
    Refused {
        denial,
        path: uri.path().to_owned(),
        principal: proven.map(|credential| credential.principal.clone()),
        serial: proven.map(|credential| credential.serial),
        epoch: worker.trust.standing().epoch(),
    }
}

fn proven(connection: &Connection) -> Option<&CertificateCredential> {
    match connection.certificate() {
        PeerCertificate::Proven(proven) => Some(&proven.credential),
        PeerCertificate::None | PeerCertificate::Unproven(_) | PeerCertificate::Refused(_) => None,
    }
}

fn log_denial(
    worker: &Worker,
    connection: &Connection,
    parts: &Parts,
    denial: &Denial,
    request_id: &HeaderValue,
    now: Timestamp,
) {
    let proven = proven(connection);
    let principal = denial
        .principal()
        .or_else(|| proven.map(|credential| &credential.principal));
    let took = worker.clock.now().since(now);
    tracing::info!(
        target: "portcullis::access",
        request_id = request_id.to_str().unwrap_or_default(),
        peer = %connection.peer(),
        method = %parts.method,
        // As it came, so escaped: it may be anything.
        path = ?parts.uri.path(),
        principal = principal.map(tracing::field::display),
        serial = proven.map(|credential| tracing::field::display(credential.serial)),
        rule = %denial.rule(),
        epoch = worker.trust.standing().epoch(),
        status = denial.http_status(),
        reason = denial.reason().type_name(),
        details = denial.audit_words(),
        millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "denied"
    );
}
