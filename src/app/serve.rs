//! `portcullis serve`: reads, checks, binds, starts, waits, drains.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::MetadataExt,
    sync::Arc,
    time::Duration,
};

use portcullis_ca::profile::ProfileKind;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    ConfigError, OwnCertificate, STORE_FILE, ServeError, Settings, StateDir, StateError,
    StoredKeys, TokenKeys, anchors,
    high_water::{check_mark, close_high_water, find_mark, keep_high_water, move_mark},
    keep_trust_current, metrics,
    reconcile::refuse_restored,
};
use crate::{
    acme::{self, AcmeServer},
    api::{self, ApiState},
    authority::{Authority, CaKeys, Founding, Parts, Secrets, Standing, found, list_url},
    domain::{
        Clock, Principal, Timestamp,
        high_water::HighWaterMark,
        issuer::{IssuerRecord, KeyId, KeyPlace},
        policy::{Policy, PolicyContext},
    },
    gate::{Gate, GateHandle, GateParts},
    listen::{
        ApplicationProtocol, ClientCertificates, ServerCertificate, Serving, TlsSettings,
        UnixSocket, bind, serve_plain, serve_tls, serve_unix,
    },
    status,
    store::{
        AuditTrail, Issuers, Policies, Pruned, Store,
        sqlite::{SqliteReader, SqliteStore},
    },
};

/// A server that is up.
pub struct Server {
    settings: Settings,
    authority: Authority,
    gate: GateHandle,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
}

/// Starts a server from its state directory. It is ready when this returns. With `chaos`, the seed of it, the ACME server
/// makes trouble on purpose, for clients on this machine.
///
/// # Errors
/// [`ServeError`]; nothing is left running, and what was on the disk is as it was.
pub async fn serve(
    state: &StateDir,
    clock: Arc<dyn Clock>,
    chaos: Option<u64>,
) -> Result<Server, ServeError> {
    let mut settings = read_settings(state)?;
    if let Some(seed) = chaos {
        if !settings.server_listen.ip().is_loopback() {
            return Err(ServeError::Chaos(settings.server_listen));
        }
        settings.acme = settings.acme.with_chaos(seed);
    }
    refuse_restored(state)?;
    // What can be at fault in files first, then the sockets, then the store: a start that fails changes nothing.
    let materials = Materials::read(state, &settings, clock.now()).await?;
    let server_socket = bind(settings.server_listen)?;
    let status_socket = bind(settings.status_listen)?;
    let metrics_socket = settings.metrics_listen.map(bind).transpose()?;
    let admin_socket = UnixSocket::bind(&settings.admin_socket)?;
    // The gate's threads bind for themselves, later; that they can is found out now.
    drop(bind(settings.gate.listen)?);

    let authority = materials.start(&settings, &clock).await?;
    check_public_url(&authority, &settings, state)?;
    check_profiles(&authority, &settings)?;
    authority.publish_due_lists().await?;
    // What fails here has been told, is tried again, and is no reason not to start.
    let _ = authority.renew_due_responders().await;
    let own = OwnCertificate::issue(&authority, settings.server_names.clone()).await?;
    let certificate = own.certificate();
    let gate = Gate::start(
        &settings.gate,
        GateParts {
            certificate: Arc::clone(&certificate),
            anchors: anchors(&authority).map_err(ServeError::Anchor)?,
            standing: Arc::clone(authority.standing()),
            pepper: Arc::clone(&authority.secrets().pepper),
            clock: Arc::clone(&clock),
        },
    )?;
    let mut server = Server {
        authority,
        gate,
        tasks: JoinSet::new(),
        shutdown: CancellationToken::new(),
        settings,
    };
    server.spawn_fronts(
        server_socket,
        status_socket,
        admin_socket,
        &certificate,
        &clock,
    )?;
    if let Some(socket) = metrics_socket {
        server.spawn_metrics(socket, &clock);
    }
    server.spawn_jobs(own, state.clone());
    Ok(server)
}

/// Reads and checks the configuration of a state directory.
///
/// # Errors
/// [`ServeError`] when it is missing or at fault.
pub fn read_settings(state: &StateDir) -> Result<Settings, ServeError> {
    let text = state.read("portcullis.toml")?;
    Ok(Settings::from_toml(&text, &state.config(), state.path())?)
}

/// What an authority is made of, as the state directory has it.
struct Materials {
    store: Arc<dyn Store>,
    ca_keys: Arc<dyn CaKeys>,
    secrets: Secrets,
    policy_context: PolicyContext,
    first_policy: String,
}

impl Materials {
    async fn read(
        state: &StateDir,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Self, ServeError> {
        let passphrase = settings
            .ca
            .passphrase
            .as_ref()
            .map(|source| source.read("passphrase of the CA keys"))
            .transpose()?;
        let mut ca_keys = StoredKeys::new(state.clone(), passphrase);
        if let Some(token) = &settings.ca.token {
            ca_keys = ca_keys.with_token(TokenKeys::new(token)?);
        }
        ca_keys.check()?;
        let policy_context = policy_context(settings, state)?;
        let first_policy = match state.read("policy.toml") {
            Ok(text) => text,
            // The policy in force is in the store; without either, everybody is refused.
            Err(StateError::Missing { .. } | StateError::Lost(_)) => String::new(),
            Err(error) => return Err(error.into()),
        };
        let store = state.file(STORE_FILE);
        if !store.exists() {
            return Err(ServeError::StoreMissing(store));
        }
        // Before it is brought up to date: versions before this one kept no mark.
        let marks = SqliteReader::has_a_mark(&store)?;
        let store = SqliteStore::open(&store)?;
        let secrets = Secrets::from_seed(&*state.seed()?);
        let path = &settings.store.high_water_mark;
        let mark = find_mark(state, path, &secrets.mark_key)?;
        let hash = match &mark {
            Some(mark) => store.audit_hash(mark.level.audit_number).await?,
            None => None,
        };
        let level = store.water_level().await?;
        if mark.is_some() || marks {
            check_mark(path, &settings.trust_domain, mark.as_ref(), &level, hash)?;
        }
        // Whatever is changed from here on, there is a mark where it belongs.
        move_mark(
            state,
            path,
            &secrets.mark_key,
            &HighWaterMark { at: now, level },
        )?;
        if store.issuers().await?.is_empty() {
            adopt(state, settings, &store, now).await?;
        }
        tell_of_strays(state, &store.issuers().await?)?;
        let in_token = |issuer: &IssuerRecord| {
            issuer.state.stands() && matches!(issuer.key, KeyPlace::Token(_))
        };
        if store.issuers().await?.iter().any(in_token) {
            ca_keys.token()?.check().await?;
        }
        // Once a policy was applied the file may say anything; for a first start it must be sound.
        if store.policy().await?.is_none() {
            Policy::compile(&first_policy, &policy_context).map_err(|errors| {
                ServeError::Policy {
                    file: state.file("policy.toml"),
                    faults: errors.to_string(),
                }
            })?;
        }
        Ok(Self {
            store: Arc::new(store),
            ca_keys: Arc::new(ca_keys),
            secrets,
            policy_context,
            first_policy,
        })
    }

    async fn start(
        self,
        settings: &Settings,
        clock: &Arc<dyn Clock>,
    ) -> Result<Authority, ServeError> {
        let parts = Parts {
            store: self.store,
            clock: Arc::clone(clock),
            ca_keys: self.ca_keys,
            public_url: settings.public_url.clone(),
            profiles: settings.profiles.clone(),
            list_schedule: settings.list_schedule,
            ocsp_schedule: settings.ocsp_schedule,
            doctor: settings.doctor,
            secrets: self.secrets,
            policy_context: self.policy_context,
            standing: Arc::new(Standing::closed()),
            directories: settings.acme.directories(),
            attestation: settings.attestation.clone(),
        };
        let authority = Authority::start(parts, &self.first_policy).await?;
        for directory in authority.directories_without_issuer() {
            tracing::warn!(
                directory = %directory.name,
                issuer = directory.issuer,
                "no active issuer of this name issues what is ordered in the directory: nothing can be had there; see portcullis \
                 ca list, and issuer in [acme] or [acme.directories.NAME]"
            );
        }
        Ok(authority)
    }
}

/// Says which key files no issuer is recorded with. A crash leaves one behind: of a CA that came to nothing, or, and that
/// matters, of a root whose key was on its way offline.
fn tell_of_strays(state: &StateDir, issuers: &[IssuerRecord]) -> Result<(), StateError> {
    for name in state.key_files()? {
        let is_recorded = issuers
            .iter()
            .any(|issuer| matches!(&issuer.key, KeyPlace::File(file) if *file == name));
        if !is_recorded {
            tracing::error!(
                alarm = "stray-key",
                file = %state.file(&name).display(),
                "a private key lies here that no CA of this authority is recorded with, such as that of a root which went \
                 offline; if it is safe elsewhere or of no use, remove the file"
            );
        }
    }
    Ok(())
}

/// Takes root and intermediate into a store that has no issuers yet: that of an authority from before issuers were kept
/// there.
async fn adopt(
    state: &StateDir,
    settings: &Settings,
    store: &SqliteStore,
    now: Timestamp,
) -> Result<(), ServeError> {
    let founding = Founding {
        root: state.issuer_certificate("root.pem")?,
        root_key: KeyPlace::File("keys/root.key".to_owned()),
        intermediate: state.issuer_certificate("intermediate.pem")?,
        intermediate_key: KeyPlace::File("keys/intermediate.key".to_owned()),
        list_shards: settings.list_schedule.shards,
    };
    Ok(found(store, founding, now).await?)
}

/// An intermediate of ours says for good where its root's list is; what is served must agree with it.
fn check_public_url(
    authority: &Authority,
    settings: &Settings,
    state: &StateDir,
) -> Result<(), ServeError> {
    for issuer in authority.issuers().standing() {
        let Some(KeyId(parent)) = issuer.record.parent else {
            continue;
        };
        let expected = list_url(&settings.public_url, &parent, 0);
        let written = issuer.certificate.revocation_list();
        // A certificate that was signed elsewhere and taken in may name any place, or none: we serve nothing there.
        let is_ours = written.is_some_and(|url| url.ends_with(&list_url("", &parent, 0)));
        if !is_ours || written == Some(expected.as_str()) {
            continue;
        }
        return Err(ServeError::Config(ConfigError {
            file: state.config(),
            place: None,
            message: format!(
                "public_url is {}, but the certificate of {} says that its list is at {}; certificates would point where \
                 nothing is: set public_url to what was chosen at init",
                settings.public_url,
                issuer.name(),
                written.unwrap_or("no place"),
            ),
        }));
    }
    Ok(())
}

/// What a profile says must not contradict the CA that is to issue by it. What nobody wrote gives way instead: no certificate
/// outlives its issuer.
fn check_profiles(authority: &Authority, settings: &Settings) -> Result<(), ServeError> {
    let issuers = authority.issuers();
    for (name, profile) in settings.profiles.iter() {
        let above = match profile.kind {
            ProfileKind::Server | ProfileKind::Device | ProfileKind::Service => {
                issuers.issuing(name.as_str()).into_iter().collect()
            }
            ProfileKind::Intermediate => issuers.roots(),
            // A root is below none, a cross-certificate as long as its root, a responder as its issuer.
            ProfileKind::Root | ProfileKind::CrossRoot | ProfileKind::OcspResponder => Vec::new(),
        };
        for issuer in above {
            for contradiction in profile.contradictions_under(&issuer.certificate) {
                let key = format!("profiles.{name}.{}", contradiction.key);
                if settings.text.says(&key) {
                    let message = format!("{} (issuer {})", contradiction.reason, issuer.name());
                    return Err(ServeError::Config(settings.text.fault(&key, message)));
                }
            }
        }
    }
    Ok(())
}

/// Whoever owns the state directory, and root, are the first operators.
fn policy_context(settings: &Settings, state: &StateDir) -> Result<PolicyContext, ServeError> {
    let owner = fs::metadata(state.path())
        .map_err(|error| StateError::Io {
            path: state.path().to_owned(),
            error,
        })?
        .uid();
    let mut local_admins = vec![Principal::local_user(owner)];
    if owner != 0 {
        local_admins.push(Principal::local_user(0));
    }
    Ok(PolicyContext {
        trust_domain: settings.trust_domain.clone(),
        local_admins,
    })
}

impl Server {
    /// The settings that it runs with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where the gate listens.
    #[must_use]
    pub fn gate_address(&self) -> SocketAddr {
        self.gate.address()
    }

    /// Where devices enrol.
    #[must_use]
    pub fn directory(&self) -> String {
        directory(&self.settings)
    }

    /// Ends it: no new connections, what is under way is finished within the time to drain.
    pub async fn shut_down(mut self) {
        self.shutdown.cancel();
        let gate = tokio::task::spawn_blocking(move || self.gate.shutdown());
        while self.tasks.join_next().await.is_some() {}
        let _ = gate.await;
        close_high_water(&self.authority, &self.settings.store.high_water_mark).await;
    }

    fn spawn_fronts(
        &mut self,
        server_socket: TcpListener,
        status_socket: TcpListener,
        admin_socket: UnixSocket,
        certificate: &Arc<ServerCertificate>,
        clock: &Arc<dyn Clock>,
    ) -> Result<(), ServeError> {
        let serving = |limits: &crate::listen::Limits| Serving {
            limits: limits.clone(),
            clock: Arc::clone(clock),
            shutdown: self.shutdown.clone(),
        };
        let acme = AcmeServer::new(
            &self.authority,
            self.settings.acme.clone(),
            &self.settings.server_url,
            clock,
        )
        .map_err(|error| ServeError::Acme(error.to_string()))?;
        let tls = TlsSettings {
            certificate: Arc::clone(certificate),
            clients: ClientCertificates::NotAsked,
            protocols: vec![ApplicationProtocol::Http2, ApplicationProtocol::Http1],
            clock: Arc::clone(clock),
        };
        let api = api::router(ApiState {
            authority: self.authority.clone(),
            directory: directory(&self.settings)
                .parse()
                .map_err(|_| ServeError::Acme("server.url makes no directory URL".to_owned()))?,
        });
        let status = status::router(self.authority.clone());
        let (acme_serving, status_serving, api_serving) = (
            serving(&self.settings.server_limits),
            serving(&self.settings.status_limits),
            serving(&self.settings.status_limits),
        );
        self.tasks.spawn(async move {
            ended(
                "ACME",
                serve_tls(server_socket, &tls, acme::router(acme), acme_serving).await,
            );
        });
        self.tasks.spawn(async move {
            ended(
                "status",
                serve_plain(status_socket, status, status_serving).await,
            );
        });
        self.tasks.spawn(async move {
            ended("admin", serve_unix(admin_socket, api, api_serving).await);
        });
        Ok(())
    }

    fn spawn_metrics(&mut self, socket: TcpListener, clock: &Arc<dyn Clock>) {
        let sources = metrics::sources(self.authority.clone(), self.gate.counters());
        let serving = Serving {
            limits: self.settings.status_limits.clone(),
            clock: Arc::clone(clock),
            shutdown: self.shutdown.clone(),
        };
        self.tasks.spawn(async move {
            let router = crate::metrics::router(sources);
            ended("metrics", serve_plain(socket, router, serving).await);
        });
    }

    fn spawn_jobs(&mut self, mut own: OwnCertificate, state: StateDir) {
        let authority = self.authority.clone();
        self.spawn_job(async move { authority.keep_lists_current().await });
        let authority = self.authority.clone();
        self.spawn_job(async move { authority.keep_responders_current().await });
        let authority = self.authority.clone();
        self.spawn_job(async move { authority.keep_examined().await });
        let authority = self.authority.clone();
        self.spawn_job(async move { own.keep_current(&authority).await });
        let (authority, anchors) = (self.authority.clone(), self.gate.anchors());
        self.spawn_job(async move { keep_trust_current(&authority, &anchors, &state).await });
        let authority = self.authority.clone();
        let keep_expired = self.settings.store.keep_expired;
        self.spawn_job(async move { keep_pruned(&authority, keep_expired).await });
        let authority = self.authority.clone();
        let mark = self.settings.store.high_water_mark.clone();
        self.spawn_job(async move { keep_high_water(&authority, &mark).await });
    }

    /// Runs a job until the server ends.
    fn spawn_job(&mut self, job: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = job => {}
                () = shutdown.cancelled() => {}
            }
        });
    }
}

fn directory(settings: &Settings) -> String {
    format!(
        "{}/acme/directory",
        settings.server_url.as_str().trim_end_matches('/')
    )
}

fn ended(front: &str, outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "the {front} front ended");
    }
}

/// Deletes orders, authorizations and invitations a day after they ended, and certificates when their time is over.
async fn keep_pruned(authority: &Authority, keep_expired: Duration) {
    const KEEP: Duration = Duration::from_secs(24 * 3600);
    loop {
        match authority.prune(authority.now().earlier_by(KEEP)).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(
                count,
                "ended orders, authorizations and invitations were deleted"
            ),
            Err(error) => tracing::error!(%error, "what has ended could not be deleted"),
        }
        match authority.prune_expired(keep_expired).await {
            Ok(pruned) if pruned == Pruned::default() => {}
            Ok(pruned) => tracing::info!(
                certificates = pruned.certificates,
                events = pruned.events,
                "what expired long ago was deleted"
            ),
            Err(error) => {
                tracing::error!(%error, "what expired long ago could not be deleted");
            }
        }
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}
