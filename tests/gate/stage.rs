//! A gate with everything around it, and the things that may happen to it.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use portcullis::{
    authority::standing::{Standing, StandingSnapshot},
    domain::{
        ApiKey, ApiKeyKind, ApiKeyToken, Clock, Labels, Pepper, Policy, PolicyContext, Principal,
        PrincipalState, Scope, Timestamp,
        event::{KnownIssuers, TrustEvent},
    },
    gate::{Gate, GateHandle, GateParts, GateSettings, UpstreamSettings},
    listen::{Limits, ServerCertificate},
};
use time::OffsetDateTime;

use super::{
    pki::{Identity, Pki},
    upstream::Upstream,
};

/// How long a test waits for what must happen.
pub const DEADLINE: Duration = Duration::from_secs(10);

pub const HOST: &str = "api.example";

/// Lets the devices of `fra` post to `/v1/devices/echo`, where what is sent comes back as it is sent.
pub const ECHO: &str = r#"
    [[role]]
    name = "echo"
    allow = ["telemetry:write@devices/echo"]

    [[bind]]
    role = "echo"
    to = "device:fra/**"
"#;

/// A clock that only the test moves.
pub struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.load(Ordering::SeqCst))
    }
}

pub struct Stage {
    pub pki: Arc<Pki>,
    pub upstream: Upstream,
    pub standing: Arc<Standing>,
    pub clock: Arc<TestClock>,
    pub gate: GateHandle,
    pepper: Arc<Pepper>,
    epoch: AtomicU64,
}

/// What a key is narrowed by.
#[derive(Default)]
pub struct Narrowed<'n> {
    pub only: Option<&'n [&'n str]>,
    pub cidrs: &'n [&'n str],
    pub expires_in: Option<Duration>,
    pub bound_certificate: Option<[u8; 32]>,
}

impl Stage {
    /// A gate that has loaded its standing.
    pub async fn open() -> Self {
        let stage = Self::closed().await;
        stage.load(0);
        stage
    }

    /// A second gate of the same authority.
    pub async fn open_with(pki: Arc<Pki>) -> Self {
        let stage = Self::closed_with(pki).await;
        stage.load(0);
        stage
    }

    /// A gate that knows nothing yet.
    pub async fn closed() -> Self {
        Self::closed_with(Arc::new(Pki::new(OffsetDateTime::now_utc()))).await
    }

    async fn closed_with(pki: Arc<Pki>) -> Self {
        let upstream = Upstream::start().await;
        let standing = Arc::new(Standing::closed());
        let clock = Arc::new(TestClock(AtomicI64::new(
            Timestamp::from(OffsetDateTime::now_utc()).unix_millis(),
        )));
        let pepper = Arc::new(Pepper::new(&[7; 32]));
        let server = pki.server(&[HOST, "other.example"]);
        let settings = GateSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            threads: NonZeroUsize::new(2).unwrap(),
            limits: Limits {
                drain: DEADLINE,
                ..Limits::default()
            },
            trust_domain: "home.example".parse().unwrap(),
            realm: "home".to_owned(),
            upstream: UpstreamSettings::default(),
            decisions: None,
        };
        let parts = GateParts {
            certificate: Arc::new(
                ServerCertificate::new(server.chain.clone(), server.key()).unwrap(),
            ),
            anchors: pki.anchors("internal"),
            standing: Arc::clone(&standing),
            pepper: Arc::clone(&pepper),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        };
        Self {
            gate: Gate::start(&settings, parts).unwrap(),
            pki,
            upstream,
            standing,
            clock,
            pepper,
            epoch: AtomicU64::new(0),
        }
    }

    pub fn load(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::SeqCst);
        self.standing.load(StandingSnapshot {
            epoch,
            policy: self.policy(""),
            revoked: Vec::new(),
            issuers: KnownIssuers {
                of_leaves: vec![self.pki.issuer_key_id],
                retired: Vec::new(),
            },
            api_keys: Vec::new(),
            principals: Vec::new(),
        });
    }

    pub fn address(&self) -> SocketAddr {
        self.gate.address()
    }

    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap();
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// Applies the next trust event.
    pub fn apply(&self, event: &TrustEvent) {
        let epoch = self.epoch.fetch_add(1, Ordering::SeqCst) + 1;
        self.standing.apply(epoch, event).unwrap();
    }

    pub fn revoke(&self, identity: &Identity) {
        self.apply(&TrustEvent::CertificatesRevoked {
            issuer: self.pki.issuer_key_id,
            serials: vec![identity.serial],
        });
    }

    pub fn suspend(&self, principal: &str) {
        self.apply(&TrustEvent::PrincipalChanged {
            principal: principal.parse().unwrap(),
            state: PrincipalState {
                labels: Labels::default(),
                suspended: true,
            },
        });
    }

    /// Adds to the policy of these tests.
    pub fn apply_policy(&self, more: &str) {
        self.apply(&TrustEvent::PolicyApplied(self.policy(more)));
    }

    /// Mints a key and gives its record and token.
    pub fn mint(&self, principal: &str, narrowed: &Narrowed<'_>) -> (Arc<ApiKey>, String) {
        self.mint_kind(ApiKeyKind::Standard, principal, narrowed)
    }

    pub fn mint_kind(
        &self,
        kind: ApiKeyKind,
        principal: &str,
        narrowed: &Narrowed<'_>,
    ) -> (Arc<ApiKey>, String) {
        let seed = self.epoch.load(Ordering::SeqCst).to_be_bytes();
        let mut randomness = [0; 32];
        randomness[..8].copy_from_slice(&seed);
        let token = ApiKeyToken::mint(kind, &randomness);
        let now = self.clock.now();
        let key = Arc::new(ApiKey {
            id: token.id(),
            kind: token.kind(),
            principal: principal.parse().unwrap(),
            name: "test".to_owned(),
            only: narrowed
                .only
                .map(|only| only.iter().map(|s| s.parse::<Scope>().unwrap()).collect()),
            cidrs: narrowed.cidrs.iter().map(|c| c.parse().unwrap()).collect(),
            expires_at: narrowed.expires_in.map(|life| now + life),
            bound_certificate: narrowed.bound_certificate,
            digest: self.pepper.digest(&token),
            created_at: now,
            created_by: Principal::local_user(0),
            revoked_at: None,
        });
        self.apply(&TrustEvent::ApiKeyMinted(Arc::clone(&key)));
        (key, token.reveal().to_string())
    }

    fn policy(&self, more: &str) -> Arc<Policy> {
        let upstream = self.upstream.address;
        let document = format!(
            r#"
            [[role]]
            name = "sensor"
            allow = ["telemetry:write@devices/{{self}}", "telemetry:read@devices/**"]

            [[bind]]
            role = "sensor"
            to = "device:fra/**"

            [[route]]
            host = "{HOST}"
            path = "/v1/devices/{{device...}}"
            methods = ["POST"]
            auth = ["certificate", "api-key"]
            scope = "telemetry:write@devices/{{device...}}"
            upstream = "http://{upstream}"

            [[route]]
            host = "{HOST}"
            path = "/v1/devices/{{device...}}"
            methods = ["GET"]
            auth = ["certificate", "api-key"]
            scope = "telemetry:read@devices/{{device...}}"
            upstream = "http://{upstream}"

            [[route]]
            host = "{HOST}"
            path = "/certificate-only"
            methods = ["GET"]
            scope = "telemetry:read@devices/all"
            upstream = "http://{upstream}"

            [[route]]
            host = "{HOST}"
            path = "/no-scope"
            methods = ["GET"]
            auth = ["certificate", "api-key"]
            upstream = "http://{upstream}"

            [[route]]
            host = "{HOST}"
            path = "/dead"
            methods = ["GET"]
            auth = ["certificate", "api-key"]
            scope = "telemetry:read@devices/all"
            upstream = "http://127.0.0.1:9"

            {more}
            "#
        );
        let context = PolicyContext {
            trust_domain: "home.example".parse().unwrap(),
            local_admins: Vec::new(),
        };
        Arc::new(Policy::compile(&document, &context).unwrap())
    }
}
