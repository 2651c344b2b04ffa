//! A running ACME server on a loopback port, with its name server and a web server to validate against.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, Request},
    middleware::{self, Next},
    response::Response,
};
use portcullis::{
    acme::{self, AcmeConfig, AcmeServer, AcmeSettings, validation::config::ValidationConfig},
    app::{StateDir, StoredKeys},
    authority::{Authority, Invite, Profiles},
    domain::{
        Clock, Timestamp, attestation::AttestationRules, audit::Actor,
        certificate::CertificateRecord, duration::WrittenDuration, identifier::Identifier,
    },
    listen::Peer,
    store::CertificateFilter,
};
use tokio::{net::TcpListener, task::JoinHandle};
use url::Url;

use super::{authority, name_server::NameServer, web_server::WebServer};

/// A clock that a test moves.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Tells who is at the other end, as `listen` does.
async fn tell_peer(
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(Peer {
        address,
        certificates: Arc::default(),
        server_name: None,
    });
    next.run(request).await
}

/// A server under test.
pub struct Server {
    pub base: String,
    pub clock: Arc<TestClock>,
    pub authority: Authority,
    pub names: NameServer,
    pub web: WebServer,
    settings: AcmeSettings,
    rules: AttestationRules,
    serving: JoinHandle<()>,
    state_directory: tempfile::TempDir,
}

fn serve(
    listener: TcpListener,
    authority: &Authority,
    settings: &AcmeSettings,
    base: &str,
    clock: &Arc<TestClock>,
) -> JoinHandle<()> {
    let server = AcmeServer::new(
        authority,
        settings.clone(),
        &Url::parse(base).unwrap(),
        &(clock.clone() as Arc<dyn Clock>),
    )
    .unwrap();
    let router = acme::router(server)
        .layer(middleware::from_fn(tell_peer))
        .into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() })
}

impl Server {
    pub async fn start() -> Self {
        Self::with(AcmeConfig::default()).await
    }

    /// With a configuration, whose `validation` is set to the servers here.
    pub async fn with(config: AcmeConfig) -> Self {
        Self::with_profiles(config, Profiles::default()).await
    }

    /// With so many orders on a page of an account's list.
    pub async fn with_pages(orders_per_page: usize) -> Self {
        Self::with_settings(AcmeConfig::default(), Profiles::default(), |settings| {
            settings.orders_per_page = orders_per_page;
        })
        .await
    }

    /// One that makes trouble on purpose.
    pub async fn with_chaos(seed: u64) -> Self {
        Self::with_settings(AcmeConfig::default(), Profiles::default(), |settings| {
            *settings = settings.clone().with_chaos(seed);
        })
        .await
    }

    /// And with profiles of the test's own.
    pub async fn with_profiles(config: AcmeConfig, profiles: Profiles) -> Self {
        Self::with_rules(config, profiles, AttestationRules::default()).await
    }

    /// And with rules for devices' statements.
    pub async fn with_rules(
        config: AcmeConfig,
        profiles: Profiles,
        rules: AttestationRules,
    ) -> Self {
        Self::with_all(config, profiles, rules, |_| {}).await
    }

    async fn with_settings(
        config: AcmeConfig,
        profiles: Profiles,
        change: impl FnOnce(&mut AcmeSettings),
    ) -> Self {
        Self::with_all(config, profiles, AttestationRules::default(), change).await
    }

    async fn with_all(
        mut config: AcmeConfig,
        profiles: Profiles,
        rules: AttestationRules,
        change: impl FnOnce(&mut AcmeSettings),
    ) -> Self {
        let (names, web) = (
            NameServer::start().await,
            WebServer::start("127.0.0.1:0").await,
        );
        config.validation = Some(ValidationConfig {
            http_port: web.address.port(),
            resolvers: vec![names.address.to_string()],
            allow_networks: vec!["127.0.0.1/32".to_owned()],
            ..config.validation.unwrap_or_else(|| ValidationConfig {
                retry: WrittenDuration(Duration::ZERO),
                ..ValidationConfig::default()
            })
        });
        let mut settings = config.check().unwrap();
        change(&mut settings);
        let clock = Arc::new(TestClock(AtomicI64::new(1_800_000_000_000)));
        let state_directory = tempfile::tempdir().unwrap();
        let authority = authority::start_with_directories(
            state_directory.path(),
            clock.clone(),
            profiles,
            settings.directories(),
            rules.clone(),
        )
        .await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let serving = serve(listener, &authority, &settings, &base, &clock);
        Self {
            base,
            clock,
            authority,
            names,
            web,
            settings,
            rules,
            serving,
            state_directory,
        }
    }

    /// Has the next process show other terms of service.
    pub fn change_terms(&mut self, terms: &str) {
        for directory in &mut self.settings.directories {
            directory.terms_of_service = Some(Url::parse(terms).unwrap());
        }
    }

    /// The next process, on the same state and address, with profiles of another configuration.
    pub async fn reconfigured(mut self, profiles: Profiles) -> Self {
        self.serving.abort();
        let _ = (&mut self.serving).await;
        let state = StateDir::new(self.state_directory.path().join("state"));
        let keys = StoredKeys::new(state.clone(), None);
        self.authority = authority::open_with_directories(
            &state,
            self.clock.clone(),
            profiles,
            Arc::new(keys),
            self.settings.directories(),
            self.rules.clone(),
        )
        .await;
        let address = self.base.strip_prefix("http://").unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        self.serving = serve(
            listener,
            &self.authority,
            &self.settings,
            &self.base,
            &self.clock,
        );
        self
    }
}

/// What an operator hands to whoever shall enrol.
pub struct Invitation {
    pub key_id: String,
    pub mac_key: Vec<u8>,
}

impl Server {
    /// Invites a principal, for one account; the invitation vouches for its path and for these names.
    pub async fn invite(&self, principal: &str, names: &[&str]) -> Invitation {
        let invite = Invite {
            identifiers: names
                .iter()
                .map(|name| Identifier::parse("dns", name).unwrap())
                .collect(),
            uses: 1,
            life: Duration::from_secs(3600),
            ..Invite::of(principal.parse().unwrap())
        };
        self.invite_to(invite).await
    }

    /// Invites somebody to something.
    pub async fn invite_to(&self, invite: Invite) -> Invitation {
        let invited = self
            .authority
            .invite(&Actor::Authority, invite)
            .await
            .unwrap();
        Invitation {
            key_id: invited.invitation.id.to_string(),
            mac_key: invited.mac_key.to_vec(),
        }
    }

    /// Starts the ACME server of the next process: the same authority, and nothing else of the last one.
    pub fn restart(&self) {
        let server = AcmeServer::new(
            &self.authority,
            self.settings.clone(),
            &Url::parse(&self.base).unwrap(),
            &(self.clock.clone() as Arc<dyn Clock>),
        );
        let _ = acme::router(server.unwrap());
    }

    /// The certificates that were issued: leaves.
    pub async fn certificates(&self) -> Vec<CertificateRecord> {
        let filter = CertificateFilter::default();
        let mut issued = self.authority.certificates(filter).await.unwrap();
        issued.retain(|record| record.account.is_some());
        issued
    }
}
