//! Enrolling: from an invitation token to a certificate in its place.
//!
//! Each step is on disk before the next one depends on it, so a run that died anywhere is completed by running it
//! again with the same token:
//!
//! ```text
//! account key made > pending-account.json > registered with the binding > account URL stored > certificate issued
//!   > root.pem > account.json > live/NUMBER > current > the trust bundle in root.pem
//! ```
//!
//! Until the certificate is there, an earlier enrolment stays as it was. One of another principal is replaced only by
//! who says so.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use super::{
    account::{StoredAccount, invited},
    certificate::Certificate,
    clock::Clock,
    error::AgentError,
    failure::{Attempted, Failure},
    install::Credentials,
    issuance::obtain,
    key::{DeviceKey, KeyType},
    moment::rfc3339,
    random::random,
    registration::register,
    renewal::Backoff,
    state::{StateDirectory, StateError, StateLock},
    token::{InvitationToken, check_directory},
    transport::Transport,
    trust::{ServerTrust, TrustError},
    trust_bundle,
};

/// What to enrol with.
#[derive(Debug)]
pub struct EnrollOptions {
    /// The invitation.
    pub token: InvitationToken,
    /// The ACME directory, if it is reached under another URL than the invitation says.
    pub server: Option<String>,
    /// A PEM file with the root certificate, if the server doesn't send it.
    pub ca: Option<PathBuf>,
    /// Where to keep everything.
    pub state_dir: PathBuf,
    /// What kind of keys to make.
    pub key_type: KeyType,
    /// How long to try while the server can't be reached or is busy.
    pub wait: Duration,
    /// Give up the identity that the directory holds, if it is another.
    pub replace: bool,
}

/// How an enrolment ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// With a new certificate.
    Now,
    /// The device had been enrolled with the same invitation before, and its certificate is valid.
    Before,
}

/// Enrols the device.
///
/// # Errors
/// See [`AgentError`]; what was there before is then as it was.
pub async fn enroll(options: &EnrollOptions, clock: &Clock) -> Result<Enrolled, AgentError> {
    let token = &options.token;
    let directory = options.server.as_deref().unwrap_or(token.directory());
    check_directory(directory)?;
    let trust = trust(options)?;
    let state = StateDirectory::create(&options.state_dir)?;
    let lock = state.lock()?;

    let is_this = |account: &StoredAccount| {
        account.key_id == token.key_id() && account.directory == directory
    };
    let enrolled = state.account()?;
    check_identity(options, enrolled.as_ref())?;
    let enrolled = enrolled.filter(is_this);
    if enrolled.is_some()
        && state
            .installed()?
            .is_some_and(|installed| clock.now() <= installed.credentials.certificate.not_after())
    {
        return Ok(Enrolled::Before);
    }
    let pending = match enrolled {
        Some(account) => Some(account),
        None => state.pending_account()?.filter(is_this),
    };
    let mut account = match pending {
        Some(account) => account,
        None => StoredAccount::new(token, directory, options.key_type)?,
    };
    state.set_pending_account(&account, &lock)?;

    let transport = Transport::new(Arc::new(trust), clock.clone())?;
    let credentials = attempts(options, &state, &lock, &transport, &mut account).await?;
    state.set_roots(transport.trust().roots(), &lock)?;
    state.promote_pending_account(&lock)?;
    state.install(&credentials, &lock)?;
    state.set_failure(Attempted::Renewal, None, &lock)?;
    warn_of_clock(&credentials.certificate, clock);
    fetch_bundle(&state, &lock, &transport, &account, clock).await?;
    Ok(Enrolled::Now)
}

/// The device is enrolled, and trusts the root that the invitation names; that it can't have the others yet doesn't
/// change that.
async fn fetch_bundle(
    state: &StateDirectory,
    lock: &StateLock,
    transport: &Transport,
    account: &StoredAccount,
    clock: &Clock,
) -> Result<(), AgentError> {
    let Some(url) = account.url.as_deref() else {
        return Ok(());
    };
    let refreshed = trust_bundle::refresh(state, lock, transport, account, url, clock).await;
    let failure = match refreshed {
        Ok(_) => None,
        Err(error) => {
            tracing::warn!("{error}; the pinned root stays in root.pem until it is there");
            (!error.may_pass()).then(|| Failure::new(clock.now(), &error))
        }
    };
    Ok(state.set_failure(Attempted::Trust, failure, lock)?)
}

/// Two principals in one directory would take each other's credentials away.
fn check_identity(
    options: &EnrollOptions,
    enrolled: Option<&StoredAccount>,
) -> Result<(), AgentError> {
    let Some(account) = enrolled else {
        return Ok(());
    };
    let invited = invited(&options.token);
    if account.identity() == invited || options.replace {
        return Ok(());
    }
    Err(StateError::OtherIdentity {
        path: options.state_dir.clone(),
        here: account.identity(),
        invited,
    }
    .into())
}

async fn attempts(
    options: &EnrollOptions,
    state: &StateDirectory,
    lock: &StateLock,
    transport: &Transport,
    account: &mut StoredAccount,
) -> Result<Credentials, AgentError> {
    let mut backoff = Backoff::new(Duration::from_secs(24 * 3600));
    let mut waited = Duration::ZERO;
    loop {
        let error = match attempt(options, state, lock, transport, account).await {
            Ok(credentials) => return Ok(credentials),
            Err(error) => error,
        };
        let wait = backoff.after_failure(random(), transport.retry_after());
        if !error.may_pass() || waited + wait > options.wait {
            return Err(error);
        }
        tracing::warn!(wait_seconds = wait.as_secs(), "{error}");
        tokio::time::sleep(wait).await;
        waited += wait;
    }
}

async fn attempt(
    options: &EnrollOptions,
    state: &StateDirectory,
    lock: &StateLock,
    transport: &Transport,
    account: &mut StoredAccount,
) -> Result<Credentials, AgentError> {
    let url = match &account.url {
        Some(url) => url.clone(),
        None => {
            let url = register(transport, account, &options.token).await?;
            account.url = Some(url.clone());
            state.set_pending_account(account, lock)?;
            url
        }
    };
    let key = DeviceKey::generate(account.key_type)?;
    obtain(transport, account, &url, key, None).await
}

/// The root is the one that the invitation pins, from a file or from the server itself.
fn trust(options: &EnrollOptions) -> Result<ServerTrust, AgentError> {
    let pin = options.token.root_sha256();
    let Some(file) = &options.ca else {
        return Ok(ServerTrust::pinned(pin));
    };
    let usage = |detail: String| AgentError::Usage(format!("--ca {}: {detail}", file.display()));
    let pem = fs::read(file).map_err(|error| usage(error.to_string()))?;
    let certificates =
        Certificate::chain_from_pem(&pem).map_err(|error| usage(error.to_string()))?;
    let found = certificates[0].sha256();
    certificates
        .into_iter()
        .find(|certificate| certificate.sha256() == pin)
        .map(|root| ServerTrust::anchored(vec![root]))
        .ok_or_else(|| {
            AgentError::Untrusted(TrustError::OtherRoot {
                file: file.display().to_string(),
                expected: hex::encode(pin),
                found: hex::encode(found),
            })
        })
}

/// A certificate that the device's own clock doesn't take for valid is a sign that the clock is wrong.
pub(super) fn warn_of_clock(certificate: &Certificate, clock: &Clock) {
    let now = clock.now();
    if now < certificate.not_before() {
        tracing::warn!(
            not_before = %rfc3339(certificate.not_before()), now = %rfc3339(now),
            "the new certificate is not valid yet by this device's clock: set the clock (it is probably slow)"
        );
    } else if now > certificate.not_after() {
        tracing::warn!(
            not_after = %rfc3339(certificate.not_after()), now = %rfc3339(now),
            "the new certificate has expired by this device's clock: set the clock (it is probably fast)"
        );
    }
}
