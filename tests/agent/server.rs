//! Our own ACME server behind TLS on a loopback port, with an authority and a store of its own.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    extract::Request,
    middleware::{self, Next},
    response::IntoResponse,
};

use portcullis::{
    acme::{self, AcmeConfig, AcmeServer},
    agent::{identifier::Identifier, token::InvitationToken},
    authority::{Authority, Invite},
    domain::{Clock, Timestamp, audit::Actor, certificate::CertificateRecord},
    listen::{
        ApplicationProtocol, ClientCertificates, Limits, ServerCertificate, Serving, TlsSettings,
        bind, serve_tls,
    },
    store::CertificateFilter,
};
use portcullis_ca::{
    key::{KeyAlgorithm, Signer, SigningKey},
    name::GeneralName,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    revocation::RevocationReason,
};
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::other_side::{SEED, Trouble};
use crate::acme::authority;

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        OffsetDateTime::now_utc().into()
    }
}

/// A running server.
pub struct Server {
    runtime: Runtime,
    authority: Authority,
    url: String,
    bundle: Arc<Mutex<Option<String>>>,
    _state: tempfile::TempDir,
}

impl Server {
    pub fn start(trouble: Trouble) -> Self {
        let runtime = Runtime::new().unwrap();
        let state = tempfile::tempdir().unwrap();
        let bundle = Arc::new(Mutex::new(None::<String>));
        let instead = Arc::clone(&bundle);
        let (authority, url) = runtime.block_on(async {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let authority = authority::start(state.path(), clock.clone()).await;
            let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
            let url = format!(
                "https://localhost:{}",
                listener.local_addr().unwrap().port()
            );
            let tls = TlsSettings {
                certificate: Arc::new(own_certificate(&authority).await),
                clients: ClientCertificates::NotAsked,
                protocols: vec![ApplicationProtocol::Http2, ApplicationProtocol::Http1],
                clock: clock.clone(),
            };
            let mut settings = AcmeConfig::default().check().unwrap();
            if trouble == Trouble::OnPurpose {
                settings = settings.with_chaos(SEED);
            }
            let acme = AcmeServer::new(&authority, settings, &Url::parse(&url).unwrap(), &clock);
            let answer = middleware::from_fn(move |request: Request, next: Next| {
                let instead = Arc::clone(&instead);
                async move {
                    let is_bundle = request.uri().path() == "/acme/trust-bundle";
                    let response = next.run(request).await;
                    let instead = instead.lock().unwrap().clone();
                    match instead {
                        Some(pem) if is_bundle => pem.into_response(),
                        Some(_) | None => response,
                    }
                }
            });
            let router = acme::router(acme.unwrap()).layer(answer);
            let serving = Serving {
                limits: Limits::default(),
                clock,
                shutdown: CancellationToken::new(),
            };
            tokio::spawn(async move { serve_tls(listener, &tls, router, serving).await });
            (authority, url)
        });
        Self {
            runtime,
            authority,
            url: url + "/acme/directory",
            bundle,
            _state: state,
        }
    }

    /// Hands out another trust bundle than its own, or its own again.
    pub fn hand_out(&self, bundle: Option<&str>) {
        *self.bundle.lock().unwrap() = bundle.map(str::to_owned);
    }

    /// The root certificates.
    pub fn bundle(&self) -> String {
        self.authority.issuers().bundle().pem()
    }

    /// What an operator hands to the device `device:PATH`, good for one account.
    pub fn invite(&self, path: &str) -> InvitationToken {
        let invite = Invite {
            identifiers: Vec::new(),
            uses: 1,
            life: Duration::from_secs(3600),
            ..Invite::of(format!("device:{path}").parse().unwrap())
        };
        let invited = self
            .runtime
            .block_on(self.authority.invite(&Actor::Authority, invite))
            .unwrap();
        let root = CertificateDer::from(self.authority.issuers().bundle().certificates.remove(0));
        InvitationToken::new(
            &self.url,
            &invited.invitation.id.to_string(),
            invited.mac_key.as_slice(),
            vec![Identifier::PermanentIdentifier(path.to_owned())],
            portcullis::agent::certificate::Certificate::from_der(root)
                .unwrap()
                .sha256(),
            Some("device".to_owned()),
        )
        .unwrap()
    }

    /// The device certificates that were issued.
    pub fn certificates(&self) -> Vec<CertificateRecord> {
        let mut issued = self
            .runtime
            .block_on(self.authority.certificates(CertificateFilter::default()))
            .unwrap();
        issued.retain(|record| record.principal.is_some());
        issued
    }

    /// Revokes one of them.
    pub fn revoke(&self, certificate: &CertificateRecord, reason: RevocationReason) {
        let serials = [certificate.serial];
        let revoked = self
            .authority
            .revoke_certificates(&Actor::Authority, &serials, reason);
        self.runtime.block_on(revoked).unwrap();
    }
}

async fn own_certificate(authority: &Authority) -> ServerCertificate {
    let key = SigningKey::generate(KeyAlgorithm::P256).unwrap();
    let names = vec![GeneralName::Dns("localhost".parse().unwrap())];
    let own = authority
        .issue_own(key.public_key().clone(), names)
        .await
        .unwrap();
    let chain = own.chain.into_iter().map(CertificateDer::from).collect();
    let key = PrivatePkcs8KeyDer::from(key.to_pkcs8_der().to_vec());
    ServerCertificate::new(chain, key.into()).unwrap()
}
