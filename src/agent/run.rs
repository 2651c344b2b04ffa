//! Keeping the certificate and the trust bundle fresh, for as long as the device runs.
//!
//! What to do is decided anew in each turn, from the files and the clock: so a certificate or an account that `enroll`
//! replaced meanwhile, a clock that was set, and a device that slept are all noticed within half a minute.

use std::{path::PathBuf, sync::Arc, time::Duration};

use time::OffsetDateTime;

use super::{
    account::StoredAccount,
    attempts::Attempts,
    certificate::Certificate,
    clock::Clock,
    deployment::Changes,
    enroll::warn_of_clock,
    error::AgentError,
    failure::{Attempted, Failure},
    hook::Hook,
    install::Installed,
    issuance::obtain,
    key::DeviceKey,
    moment::rfc3339,
    random::random,
    renewal::jittered,
    renewal_info,
    schedule::Schedule,
    signals::{Signals, Woken},
    state::{StateDirectory, StateError},
    transport::Transport,
    trust::ServerTrust,
    trust_bundle::{self, Refreshed},
};

/// The longest sleep between two looks at the clock and the files.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The trust bundle is fetched after every renewal, and at least this often, so that a new root reaches everybody within
/// a working day. Nobody waits less than half of it, unless told to renew.
const BUNDLE_EVERY: Duration = Duration::from_secs(4 * 3600);
/// How long after the start it is fetched first, at most: a site's devices start together after a power cut.
const FIRST_BUNDLE_WITHIN: Duration = Duration::from_secs(60);

/// How to run.
#[derive(Debug)]
pub struct RunOptions {
    /// Where everything is kept.
    pub state_dir: PathBuf,
    /// What to run when there is a new certificate, or another trust bundle.
    pub hook: Option<Hook>,
    /// Do what is due now, and end.
    pub once: bool,
    /// Renew now, due or not.
    pub renew_now: bool,
    /// Renew with the key in use instead of a new one.
    pub reuse_key: bool,
}

/// Renews until it is told to end; with `once`, one time.
///
/// # Errors
/// The device isn't enrolled, or its state can't be read. With `once`, also whatever a renewal or the hook says.
pub async fn run(options: RunOptions, clock: Clock) -> Result<(), AgentError> {
    let state = StateDirectory::open(&options.state_dir)?;
    // What is wrong from the start is said and ends the program; what goes wrong later is waited out.
    account(&state)?;
    state.installed()?;
    let first_bundle = if options.once {
        Duration::ZERO
    } else {
        jittered(FIRST_BUNDLE_WITHIN, random())
    };
    let mut runner = Runner {
        forced: options.renew_now,
        schedule: Schedule::default(),
        renewing: Attempts::new(),
        trusting: Attempts::new(),
        bundle_due: clock.now() + first_bundle,
        deploying: Attempts::new(),
        key_id: None,
        told: None,
        state,
        clock,
        options,
    };
    if runner.options.once {
        return runner.turn().await.1;
    }
    let mut signals = Signals::new()?;
    loop {
        let next = tokio::select! {
            () = signals.end() => break,
            (next, _) = runner.turn() => next,
        };
        match signals
            .wait(until(runner.clock.now(), next).min(LOOK_EVERY))
            .await
        {
            Woken::ByTime => {}
            Woken::ToRenew => {
                tracing::info!("told to renew now (SIGHUP)");
                runner.forced = true;
                runner.renewing.reset();
            }
            Woken::ToEnd => break,
        }
    }
    tracing::info!("told to end");
    Ok(())
}

struct Runner {
    state: StateDirectory,
    clock: Clock,
    options: RunOptions,
    forced: bool,
    schedule: Schedule,
    renewing: Attempts,
    trusting: Attempts,
    /// When the trust bundle is to be fetched.
    bundle_due: OffsetDateTime,
    deploying: Attempts,
    /// The enrolment that the last turn saw.
    key_id: Option<String>,
    /// The certificate whose next renewal was logged, and when that is.
    told: Option<(String, OffsetDateTime)>,
}

impl Runner {
    /// Does what is due, and says when to look again, and what went wrong.
    async fn turn(&mut self) -> (OffsetDateTime, Result<(), AgentError>) {
        let mut renewal = told_apart(self.renew_if_due().await);
        // Where the server isn't to be had for the one, it isn't for the other.
        let (next_bundle, refreshed) = match &renewal.1 {
            Err(error) if !error.is_final() => (None, Ok(())),
            Ok(()) | Err(_) => {
                let forced = self.forced;
                let (next, refreshed) = told_apart(self.refresh_trust_if_due().await);
                if self.forced && !forced {
                    renewal = told_apart(self.renew_if_due().await);
                }
                (Some(next), refreshed)
            }
        };
        let (next_renewal, renewed) = renewal;
        let (next_deploy, deployed) = match self.deploy_if_due().await {
            Ok(()) => (None, Ok(())),
            Err((next, error)) => (Some(next), Err(error)),
        };
        let others = [next_bundle, next_deploy].into_iter().flatten();
        let next = others.fold(next_renewal, OffsetDateTime::min);
        (next, renewed.and(refreshed).and(deployed))
    }

    async fn renew_if_due(&mut self) -> Result<OffsetDateTime, (OffsetDateTime, AgentError)> {
        let now = self.clock.now();
        let (account, installed) = match self.look() {
            Ok(seen) => seen,
            Err(error) => return Err(self.failed(error, None)),
        };
        if self.key_id.as_ref() != Some(&account.key_id) {
            self.renewing.reset();
            self.trusting.reset();
            self.key_id = Some(account.key_id.clone());
        }
        let certificate = installed.as_ref().map(|(certificate, _)| certificate);
        if let Some(certificate) = certificate {
            self.renewing
                .fit(certificate.not_after() - certificate.not_before());
        }
        let due = match certificate {
            Some(certificate) if !self.forced => self.scheduled(&account, certificate).await,
            Some(_) | None => now,
        };
        let due = self.renewing.not_before(due, now);
        if now < due {
            self.tell(certificate, due);
            return Ok(self.schedule.next(due));
        }
        match self.renew(&account, installed).await {
            Ok(certificate) => {
                self.forced = false;
                self.renewing.reset();
                self.trusting.reset();
                self.deploying.reset();
                self.bundle_due = self.clock.now();
                warn_of_clock(&certificate, &self.clock);
                self.schedule.renewed(self.clock.now());
                self.schedule.follow(&certificate, || None);
                let next = self.schedule.due(&certificate);
                tracing::info!(
                    serial = certificate.serial(), not_after = %rfc3339(certificate.not_after()), next_renewal = %rfc3339(next),
                    "renewed the certificate"
                );
                self.told = Some((certificate.serial().to_owned(), next));
                // The server is asked about the new one soon, but not before it can be put to use.
                Ok(self.clock.now())
            }
            Err((error, retry_after)) => Err(self.failed(error, retry_after)),
        }
    }

    /// When the certificate is to be renewed; if it is time to, the server is asked first. A server that can't say leaves it
    /// at what it said before, or at the device's own rule.
    async fn scheduled(
        &mut self,
        account: &StoredAccount,
        certificate: &Certificate,
    ) -> OffsetDateTime {
        let state = &self.state;
        self.schedule
            .follow(certificate, || state.renewal_info(certificate).ok()?);
        let now = self.clock.now();
        if self.schedule.is_to_ask(certificate, now) {
            match self.ask(account, certificate).await {
                Ok(info) => {
                    if let Some(info) = &info {
                        self.keep(info);
                    }
                    let window = info.clone();
                    if self.schedule.answered(info, now)
                        && let Some(window) = window
                    {
                        tracing::info!(
                            start = %rfc3339(window.start), end = %rfc3339(window.end),
                            explanation = window.explanation_url.as_deref().unwrap_or("none"),
                            "the server says when to renew the certificate"
                        );
                    }
                }
                Err((error, retry_after)) => {
                    let next =
                        self.schedule
                            .failed(certificate, error.may_pass(), retry_after, now);
                    tracing::warn!(ask_again = %rfc3339(next), "{error}");
                }
            }
        }
        self.schedule.due(certificate)
    }

    async fn ask(
        &self,
        account: &StoredAccount,
        certificate: &Certificate,
    ) -> Result<Option<renewal_info::RenewalInfo>, (AgentError, Option<Duration>)> {
        let transport = self.transport().map_err(|error| (error, None))?;
        renewal_info::ask(&transport, account, certificate, self.clock.now())
            .await
            .map_err(|error| (error, transport.retry_after()))
    }

    /// Keeps what the server said for `status` and the next run, if the disk can take it.
    fn keep(&self, info: &renewal_info::RenewalInfo) {
        let kept = self
            .state
            .lock()
            .and_then(|lock| self.state.set_renewal_info(info, &lock));
        if let Err(error) = kept {
            tracing::warn!("can't keep when to renew: {error}");
        }
    }

    fn look(&self) -> Result<(StoredAccount, Option<(Certificate, DeviceKey)>), AgentError> {
        let account = account(&self.state)?;
        let installed = self.state.installed()?;
        Ok((
            account,
            installed
                .map(|installed| (installed.credentials.certificate, installed.credentials.key)),
        ))
    }

    /// Logs a failed renewal, remembers it for `status`, and sets when to try again.
    fn failed(
        &mut self,
        error: AgentError,
        retry_after: Option<Duration>,
    ) -> (OffsetDateTime, AgentError) {
        let now = self.clock.now();
        let next = self.renewing.failed(&error, retry_after, now);
        if !self.options.once {
            tracing::error!(next_attempt = %rfc3339(next), "{error}");
        }
        // What is wrong with the state, `status` sees by itself.
        if !matches!(error, AgentError::State(_)) {
            self.remember(Attempted::Renewal, Failure::new(now, &error));
        }
        (next, error)
    }

    /// Keeps a failure for `status`, if the disk can take it; it is in the log anyway.
    fn remember(&self, attempted: Attempted, failure: Failure) {
        let kept = self
            .state
            .lock()
            .and_then(|lock| self.state.set_failure(attempted, Some(failure), &lock));
        if let Err(error) = kept {
            tracing::warn!("can't keep this for `portcullis-agent status`: {error}");
        }
    }

    /// A client that trusts what `root.pem` holds now.
    fn transport(&self) -> Result<Transport, AgentError> {
        let roots = self.state.roots()?;
        let roots = roots.ok_or_else(|| missing(&self.state, "root.pem"))?;
        let trust = Arc::new(ServerTrust::anchored(roots));
        Ok(Transport::new(trust, self.clock.clone())?)
    }

    async fn renew(
        &self,
        account: &StoredAccount,
        installed: Option<(Certificate, DeviceKey)>,
    ) -> Result<Certificate, (AgentError, Option<Duration>)> {
        let now = |error: AgentError| (error, None);
        let lock = self.state.lock().map_err(AgentError::from).map_err(now)?;
        let transport = self.transport().map_err(now)?;
        let url = url(&self.state, account).map_err(now)?;
        let (replaced, key) = installed.unzip();
        let key = match key {
            Some(key) if self.options.reuse_key => key,
            Some(_) | None => DeviceKey::generate(account.key_type)
                .map_err(AgentError::from)
                .map_err(now)?,
        };
        let credentials = obtain(&transport, account, url, key, replaced.as_ref())
            .await
            .map_err(|error| (error, transport.retry_after()))?;
        self.state
            .install(&credentials, &lock)
            .and_then(|()| self.state.set_failure(Attempted::Renewal, None, &lock))
            .map_err(AgentError::from)
            .map_err(now)?;
        Ok(credentials.certificate)
    }

    /// Fetches the trust bundle if it is time to, and says when that is next.
    async fn refresh_trust_if_due(
        &mut self,
    ) -> Result<OffsetDateTime, (OffsetDateTime, AgentError)> {
        let now = self.clock.now();
        if self.bundle_due - now > BUNDLE_EVERY {
            // It was set before the clock was.
            self.bundle_due = now;
        }
        let due = self.trusting.not_before(self.bundle_due, now);
        if now < due {
            return Ok(due);
        }
        match self.refresh_trust().await {
            Ok(superseded) => {
                self.trusting.reset();
                if superseded {
                    tracing::info!("the certificate's root is no longer trusted: renewing now");
                    self.forced = true;
                }
                self.bundle_due = now + jittered(BUNDLE_EVERY, random());
                Ok(self.bundle_due)
            }
            Err((error, retry_after)) => {
                let next = self.trusting.failed(&error, retry_after, now);
                // A bundle that is a few hours late does no harm, and a server that is away for long is told of by the
                // renewal.
                match (self.options.once, error.may_pass()) {
                    (true, _) => {}
                    (false, true) => tracing::warn!(next_attempt = %rfc3339(next), "{error}"),
                    (false, false) => tracing::error!(next_attempt = %rfc3339(next), "{error}"),
                }
                if !error.may_pass() && !matches!(error, AgentError::State(_)) {
                    self.remember(Attempted::Trust, Failure::new(now, &error));
                }
                Err((next, error))
            }
        }
    }

    /// Whether the certificate in use leads to a root that was trusted, and isn't any more.
    async fn refresh_trust(&self) -> Result<bool, (AgentError, Option<Duration>)> {
        let now = |error: AgentError| (error, None);
        let lock = self.state.lock().map_err(AgentError::from).map_err(now)?;
        let account = account(&self.state)
            .map_err(AgentError::from)
            .map_err(now)?;
        let url = url(&self.state, &account).map_err(now)?;
        let transport = self.transport().map_err(now)?;
        let refreshed =
            trust_bundle::refresh(&self.state, &lock, &transport, &account, url, &self.clock)
                .await
                .map_err(|error| (error, transport.retry_after()))?;
        let superseded = match refreshed {
            Refreshed::NotOffered | Refreshed::Unchanged => Ok(false),
            Refreshed::Changed => self.is_superseded(transport.trust().roots()),
        };
        superseded
            .and_then(|superseded| {
                self.state.set_failure(Attempted::Trust, None, &lock)?;
                Ok(superseded)
            })
            .map_err(AgentError::from)
            .map_err(now)
    }

    fn is_superseded(&self, before: &[Certificate]) -> Result<bool, StateError> {
        let roots = self.state.roots()?.unwrap_or_default();
        let installed = self.state.installed()?;
        Ok(installed.is_some_and(|Installed { credentials, .. }| {
            credentials.lead_to(before) && !credentials.lead_to(&roots)
        }))
    }

    /// Runs the hook, unless it has succeeded for what is in place.
    async fn deploy_if_due(&mut self) -> Result<(), (OffsetDateTime, AgentError)> {
        let now = self.clock.now();
        if self.deploying.not_before(now, now) > now {
            return Ok(());
        }
        let Err(error) = self.deploy().await else {
            self.deploying.reset();
            return Ok(());
        };
        let next = self.deploying.failed(&error, None, self.clock.now());
        if !self.options.once {
            tracing::error!(next_attempt = %rfc3339(next), "{error}");
        }
        Err((next, error))
    }

    async fn deploy(&self) -> Result<(), AgentError> {
        let Some(hook) = &self.options.hook else {
            return Ok(());
        };
        let Some(in_place) = self.state.in_place()? else {
            return Ok(());
        };
        let Some(changes) = Changes::between(self.state.deployed()?.as_ref(), &in_place) else {
            return Ok(());
        };
        hook.run(&self.state, changes).await?;
        tracing::info!(changed = changes.words(), "the hook has run");
        let lock = self.state.lock()?;
        Ok(self.state.set_deployed(&in_place, &lock)?)
    }

    fn tell(&mut self, certificate: Option<&Certificate>, due: OffsetDateTime) {
        let Some(certificate) = certificate else {
            return;
        };
        let told = Some((certificate.serial().to_owned(), due));
        if self.told == told {
            return;
        }
        self.told = told;
        tracing::info!(
            serial = certificate.serial(), not_after = %rfc3339(certificate.not_after()), next_renewal = %rfc3339(due),
            "the certificate is fresh"
        );
    }
}

/// When to look again, and how it went.
fn told_apart(
    outcome: Result<OffsetDateTime, (OffsetDateTime, AgentError)>,
) -> (OffsetDateTime, Result<(), AgentError>) {
    match outcome {
        Ok(next) => (next, Ok(())),
        Err((next, error)) => (next, Err(error)),
    }
}

fn account(state: &StateDirectory) -> Result<StoredAccount, StateError> {
    state
        .account()?
        .ok_or_else(|| missing(state, "ACME account"))
}

fn url<'a>(state: &StateDirectory, account: &'a StoredAccount) -> Result<&'a str, AgentError> {
    let url = account.url.as_deref();
    Ok(url.ok_or_else(|| missing(state, "registered account"))?)
}

fn missing(state: &StateDirectory, what: &'static str) -> StateError {
    StateError::Incomplete {
        path: state.path().to_owned(),
        what,
    }
}

fn until(now: OffsetDateTime, next: OffsetDateTime) -> Duration {
    Duration::try_from(next - now).unwrap_or(Duration::ZERO)
}
