//! Keeping the certificate fresh, for as long as the device runs.
//!
//! What to do is decided anew in each turn, from the files and the clock: so a certificate or an account that `enroll`
//! replaced meanwhile, a clock that was set, and a device that slept are all noticed within half a minute.

use std::{path::PathBuf, sync::Arc, time::Duration};

use time::OffsetDateTime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    account::StoredAccount,
    certificate::Certificate,
    clock::Clock,
    enroll::warn_of_clock,
    error::AgentError,
    hook::Hook,
    issuance::obtain,
    key::DeviceKey,
    moment::rfc3339,
    random::random,
    renewal::{Backoff, renewal_time},
    state::{StateDirectory, StateError},
    transport::Transport,
    trust::ServerTrust,
};

/// The longest sleep between two looks at the clock and the files.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The lifetime that waits are reckoned for while there is no certificate.
const USUAL_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How to run.
#[derive(Debug)]
pub struct RunOptions {
    /// Where everything is kept.
    pub state_dir: PathBuf,
    /// What to run when there is a new certificate.
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
    let mut runner = Runner {
        forced: options.renew_now,
        renewing: Attempts::new(),
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

/// When a certificate is to be renewed. The jitter comes from the certificate itself, so that every run of the program
/// comes to the same answer.
#[must_use]
pub fn next_renewal(certificate: &Certificate) -> OffsetDateTime {
    let mut first = [0; 8];
    first.copy_from_slice(&certificate.sha256()[..8]);
    renewal_time(
        certificate.not_before(),
        certificate.not_after(),
        u64::from_be_bytes(first),
    )
}

/// Something that is tried until it succeeds.
struct Attempts {
    backoff: Backoff,
    not_before: Option<OffsetDateTime>,
}

impl Attempts {
    fn new() -> Self {
        Self {
            backoff: Backoff::new(USUAL_LIFETIME),
            not_before: None,
        }
    }

    fn reset(&mut self) {
        self.backoff.reset();
        self.not_before = None;
    }

    /// When it may be tried next if it is due at `due`. A moment that lies further ahead than any wait was set before
    /// the clock was, and doesn't count.
    fn not_before(&self, due: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
        self.not_before
            .filter(|moment| *moment - now <= LONGEST_WAIT)
            .map_or(due, |moment| moment.max(due))
    }
}

struct Runner {
    state: StateDirectory,
    clock: Clock,
    options: RunOptions,
    forced: bool,
    renewing: Attempts,
    deploying: Attempts,
    /// The enrolment that the last turn saw.
    key_id: Option<String>,
    /// The certificate whose next renewal was logged.
    told: Option<String>,
}

impl Runner {
    /// Does what is due, and says when to look again, and what went wrong.
    async fn turn(&mut self) -> (OffsetDateTime, Result<(), AgentError>) {
        let (next_renewal, renewed) = match self.renew_if_due().await {
            Ok(next) => (next, Ok(())),
            Err((next, error)) => (next, Err(error)),
        };
        let (next_deploy, deployed) = match self.deploy_if_due().await {
            Ok(()) => (None, Ok(())),
            Err(error) => (self.deploying.not_before, Err(error)),
        };
        let next = next_deploy.map_or(next_renewal, |deploy| deploy.min(next_renewal));
        (next, renewed.and(deployed))
    }

    async fn renew_if_due(&mut self) -> Result<OffsetDateTime, (OffsetDateTime, AgentError)> {
        let now = self.clock.now();
        let (account, installed) = match self.look() {
            Ok(seen) => seen,
            Err(error) => return Err(self.failed(error, None)),
        };
        if self.key_id.as_ref() != Some(&account.key_id) {
            self.renewing.reset();
            self.key_id = Some(account.key_id.clone());
        }
        let certificate = installed.as_ref().map(|(certificate, _)| certificate);
        if let Some(certificate) = certificate {
            let lifetime = certificate.not_after() - certificate.not_before();
            let failures = std::mem::replace(
                &mut self.renewing.backoff,
                Backoff::new(lifetime.try_into().unwrap_or(USUAL_LIFETIME)),
            );
            self.renewing.backoff.continue_from(&failures);
        }
        let due = match certificate {
            Some(certificate) if !self.forced => next_renewal(certificate),
            Some(_) | None => now,
        };
        let due = self.renewing.not_before(due, now);
        if now < due {
            self.tell(certificate, due);
            return Ok(due);
        }
        match self.renew(&account, installed.map(|(_, key)| key)).await {
            Ok(certificate) => {
                self.forced = false;
                self.renewing.reset();
                self.deploying.reset();
                warn_of_clock(&certificate, &self.clock);
                let next = next_renewal(&certificate);
                tracing::info!(
                    serial = certificate.serial(), not_after = %rfc3339(certificate.not_after()), next_renewal = %rfc3339(next),
                    "renewed the certificate"
                );
                self.told = Some(certificate.serial().to_owned());
                Ok(next)
            }
            Err((error, retry_after)) => Err(self.failed(error, retry_after)),
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

    /// Logs a failure and sets when to try again.
    fn failed(
        &mut self,
        error: AgentError,
        retry_after: Option<Duration>,
    ) -> (OffsetDateTime, AgentError) {
        let wait = if error.is_final() {
            self.renewing.backoff.after_refusal(random())
        } else {
            self.renewing.backoff.after_failure(random(), retry_after)
        };
        let next = self.clock.now() + wait;
        self.renewing.not_before = Some(next);
        if !self.options.once {
            tracing::error!(next_attempt = %rfc3339(next), "{error}");
        }
        (next, error)
    }

    async fn renew(
        &self,
        account: &StoredAccount,
        key: Option<DeviceKey>,
    ) -> Result<Certificate, (AgentError, Option<Duration>)> {
        let now = |error: AgentError| (error, None);
        let lock = self.state.lock().map_err(AgentError::from).map_err(now)?;
        let root = self
            .state
            .root()
            .and_then(|root| root.ok_or_else(|| missing(&self.state, "root.pem")))
            .map_err(AgentError::from)
            .map_err(now)?;
        let url = account
            .url
            .as_deref()
            .ok_or_else(|| now(missing(&self.state, "registered account").into()))?;
        let key = match key {
            Some(key) if self.options.reuse_key => key,
            Some(_) | None => DeviceKey::generate(account.key_type)
                .map_err(AgentError::from)
                .map_err(now)?,
        };
        let trust = Arc::new(ServerTrust::anchored(root));
        let transport = Transport::new(trust, self.clock.clone())
            .map_err(AgentError::from)
            .map_err(now)?;
        let credentials = obtain(&transport, account, url, key)
            .await
            .map_err(|error| (error, transport.retry_after()))?;
        self.state
            .install(&credentials, &lock)
            .map_err(AgentError::from)
            .map_err(now)?;
        Ok(credentials.certificate)
    }

    /// Runs the hook, unless it has succeeded for the credentials in use.
    async fn deploy_if_due(&mut self) -> Result<(), AgentError> {
        let Some(hook) = &self.options.hook else {
            return Ok(());
        };
        let Some(current) = self.state.current()? else {
            return Ok(());
        };
        let now = self.clock.now();
        if self.state.deployed()? == Some(current.clone()) {
            return Ok(());
        }
        if self.deploying.not_before(now, now) > now {
            return Ok(());
        }
        if let Err(error) = hook.run(&self.state).await {
            let wait = self.deploying.backoff.after_failure(random(), None);
            let next = self.clock.now() + wait;
            self.deploying.not_before = Some(next);
            if !self.options.once {
                tracing::error!(next_attempt = %rfc3339(next), "{error}; the new certificate is in place all the same");
            }
            return Err(error.into());
        }
        tracing::info!("the hook has run");
        self.deploying.reset();
        let lock = self.state.lock()?;
        Ok(self.state.set_deployed(&current, &lock)?)
    }

    fn tell(&mut self, certificate: Option<&Certificate>, due: OffsetDateTime) {
        let Some(certificate) = certificate else {
            return;
        };
        if self.told.as_deref() == Some(certificate.serial()) {
            return;
        }
        self.told = Some(certificate.serial().to_owned());
        tracing::info!(
            serial = certificate.serial(), not_after = %rfc3339(certificate.not_after()), next_renewal = %rfc3339(due),
            "the certificate is fresh"
        );
    }
}

fn account(state: &StateDirectory) -> Result<StoredAccount, StateError> {
    state
        .account()?
        .ok_or_else(|| missing(state, "ACME account"))
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

/// The signals that mean something to the agent.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

enum Woken {
    ByTime,
    ToRenew,
    ToEnd,
}

impl Signals {
    fn new() -> Result<Self, AgentError> {
        let listen = |kind| {
            signal(kind).map_err(|error| AgentError::System {
                what: "can't listen for signals",
                error,
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    async fn wait(&mut self, at_most: Duration) -> Woken {
        tokio::select! {
            _ = self.terminate.recv() => Woken::ToEnd,
            _ = self.interrupt.recv() => Woken::ToEnd,
            _ = self.hang_up.recv() => Woken::ToRenew,
            () = tokio::time::sleep(at_most) => Woken::ByTime,
        }
    }
}
