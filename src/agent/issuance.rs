//! From an order to a certificate (RFC 8555 section 7.4), with instant-acme.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, NewOrder, Order, OrderStatus,
};

use super::{
    account::StoredAccount,
    certificate::Certificate,
    error::{AgentError, Step},
    install::Credentials,
    key::DeviceKey,
    random::random,
    renewal::jittered,
    signed_request::{ATTEMPTS, is},
    transport::{Transport, TransportError},
};

/// How long the server may take from one state of an order to the next.
const PATIENCE: Duration = Duration::from_secs(90);
const FIRST_POLL: Duration = Duration::from_millis(250);
const SLOWEST_POLL: Duration = Duration::from_secs(10);

/// Asks again while nothing but the nonce is refused (RFC 8555 section 6.5). The library does so twice; what it was to do
/// has not been done then, so it may be asked for once more.
macro_rules! ask {
    ($ask:expr) => {{
        let mut left = ATTEMPTS;
        loop {
            match $ask.await {
                Err(instant_acme::Error::Api(problem)) if left > 0 && is(&problem, "badNonce") => {
                    left -= 1;
                }
                outcome => break outcome,
            }
        }
    }};
}

/// Orders what `account` may order, for `key`, and returns the key with its certificate. Where the server takes that, the
/// order says which certificate it `replaces` (RFC 9773 section 5).
///
/// # Errors
/// The server can't be reached, isn't trusted, refuses, wants a challenge, or hands out a certificate for another key.
pub async fn obtain(
    transport: &Transport,
    account: &StoredAccount,
    account_url: &str,
    key: DeviceKey,
    replaces: Option<&Certificate>,
) -> Result<Credentials, AgentError> {
    let failed = |step| move |error| AgentError::from_acme(step, error, account);
    let client = Account::builder_with_http(Box::new(transport.clone()))
        .from_parts(
            account_url.to_owned(),
            account.key(),
            account.directory.clone(),
        )
        .await
        .map_err(failed(Step::Directory))?;

    let identifiers: Vec<_> = account.identifiers.iter().map(Into::into).collect();
    // A profile that the server doesn't list must not be asked for (draft-ietf-acme-profiles section 4).
    let profile = account
        .profile
        .as_deref()
        .filter(|profile| client.profiles().any(|offered| offered.name == *profile));
    let request = || {
        let request = NewOrder::new(&identifiers);
        match profile {
            Some(profile) => request.profile(profile),
            None => request,
        }
    };
    let mut order = place(&client, request, replaces)
        .await
        .map_err(failed(Step::Order))?;
    if order.state().status == OrderStatus::Pending {
        let offered = ask!(challenges(&mut order)).map_err(failed(Step::Order))?;
        if let Some((identifier, offered)) = offered {
            return Err(AgentError::Challenge {
                identifier,
                offered,
            });
        }
    }
    settle(transport, account, &mut order, Step::Order, |status| {
        status != OrderStatus::Pending
    })
    .await?;

    let csr = key.certificate_request(&account.identifiers)?;
    ask!(order.finalize_csr(&csr)).map_err(failed(Step::Finalize))?;
    settle(transport, account, &mut order, Step::Finalize, |status| {
        matches!(status, OrderStatus::Valid)
    })
    .await?;
    let pem = ask!(order.certificate())
        .map_err(failed(Step::Download))?
        .ok_or_else(|| protocol("the order is valid and has no certificate"))?;

    let mut issuers = Certificate::chain_from_pem(pem.as_bytes())
        .map_err(|error| protocol(&format!("the certificate can't be used: {error}")))?;
    let certificate = issuers.remove(0);
    if certificate.public_key() != key.public_key() {
        return Err(protocol("the certificate is for another key"));
    }
    // Whoever trusts a root has it; one that is sent along convinces nobody.
    issuers.retain(|issuer| !transport.trust().roots().contains(issuer));
    Ok(Credentials {
        key,
        certificate,
        issuers,
    })
}

/// Places an order that says what it replaces, and one that doesn't where the server won't have that: it is another
/// account's, say, or an order that nobody finished has its place.
async fn place<'a>(
    client: &Account,
    request: impl Fn() -> NewOrder<'a>,
    replaces: Option<&Certificate>,
) -> Result<Order, instant_acme::Error> {
    let Some(id) = replaces.and_then(|it| CertificateIdentifier::try_from(it.der()).ok()) else {
        return ask!(client.new_order(&request()));
    };
    let error = match ask!(client.new_order(&request().replaces(id.clone()))) {
        Err(error) if is_about_replacing(&error) => error,
        outcome => return outcome,
    };
    tracing::debug!("the order does not say which certificate it replaces: {error}");
    ask!(client.new_order(&request()))
}

/// Whether an order might be taken that does not say what it replaces. What the server can't do at the moment, and what did
/// not reach it, has nothing to do with that.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library's errors may grow; those are not about the order"
)]
fn is_about_replacing(error: &instant_acme::Error) -> bool {
    match error {
        instant_acme::Error::Unsupported(_) => true,
        instant_acme::Error::Api(problem) => {
            let ours = |status: u16| (400..500).contains(&status) && status != 429;
            problem.status.is_some_and(ours) && !is(problem, "badNonce")
        }
        // The library's word for an order that does not repeat what it was to replace.
        instant_acme::Error::Other(other) => other.downcast_ref::<TransportError>().is_none(),
        _ => false,
    }
}

/// All authorizations must be valid already: the invitation vouches for the device. Else, an identifier that isn't, and the
/// challenges that the server offers for it.
async fn challenges(order: &mut Order) -> Result<Option<(String, String)>, instant_acme::Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let authorization = authorization?;
        if authorization.status != AuthorizationStatus::Valid {
            let offered: Vec<_> = authorization
                .challenges
                .iter()
                .map(|challenge| challenge_name(&challenge.r#type))
                .collect();
            let identifier = authorization.identifier().to_string();
            return Ok(Some((identifier, offered.join(", "))));
        }
    }
    Ok(None)
}

fn challenge_name(kind: &instant_acme::ChallengeType) -> String {
    use instant_acme::ChallengeType;
    match kind {
        ChallengeType::Http01 => "http-01".to_owned(),
        ChallengeType::Dns01 => "dns-01".to_owned(),
        ChallengeType::TlsAlpn01 => "tls-alpn-01".to_owned(),
        ChallengeType::DeviceAttest01 => "device-attest-01".to_owned(),
        ChallengeType::Unknown(name) => name.clone(),
        // The enum is another crate's and may grow.
        other => format!("{other:?}"),
    }
}

/// Asks for the order, ever more slowly, until its status is `done`.
async fn settle(
    transport: &Transport,
    account: &StoredAccount,
    order: &mut Order,
    step: Step,
    done: fn(OrderStatus) -> bool,
) -> Result<(), AgentError> {
    let mut waited = Duration::ZERO;
    let mut pause = FIRST_POLL;
    loop {
        let state = order.state();
        if let Some(problem) = &state.error {
            return Err(AgentError::from_problem(step, problem, account));
        }
        if state.status == OrderStatus::Invalid {
            return Err(protocol(
                "the order became invalid, and the server does not say why",
            ));
        }
        if done(state.status) {
            return Ok(());
        }
        let wait = jittered(pause, random()).max(
            transport
                .retry_after()
                .unwrap_or_default()
                .min(SLOWEST_POLL),
        );
        if waited + wait > PATIENCE {
            return Err(AgentError::Unavailable {
                step,
                problem: format!("nothing new after {} seconds", waited.as_secs()),
            });
        }
        tokio::time::sleep(wait).await;
        waited += wait;
        pause = (pause * 2).min(SLOWEST_POLL);
        ask!(async { order.refresh().await.map(drop) })
            .map_err(|error| AgentError::from_acme(step, error, account))?;
    }
}

fn protocol(detail: &str) -> AgentError {
    AgentError::Protocol {
        step: Step::Download,
        detail: detail.to_owned(),
    }
}
