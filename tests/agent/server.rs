//! Our own ACME server behind TLS on a loopback port, with an authority and a store of its own.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    extract::Request,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
};

use portcullis::{
    acme::{self, AcmeConfig, AcmeServer},
    agent::{identifier::Identifier, token::InvitationToken},
    authority::{Authority, Invite, OpenIncident, Profiles},
    domain::{Clock, Timestamp, audit::Actor, certificate::CertificateRecord, incident::Reach},
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

/// What is answered in the place of what the server answers, by how the path begins; and how often it was asked for.
#[derive(Default)]
struct Tampering {
    instead: HashMap<&'static str, Instead>,
    asked: HashMap<String, usize>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Instead {
    pub status: u16,
    pub content_type: &'static str,
    pub retry_after: Option<&'static str>,
    pub body: String,
}

impl IntoResponse for Instead {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap();
        let mut response = (status, self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(wait));
        }
        response
    }
}

/// A running server.
pub struct Server {
    runtime: Runtime,
    authority: Authority,
    url: String,
    tampering: Arc<Mutex<Tampering>>,
    _state: tempfile::TempDir,
}

impl Server {
    pub fn start(trouble: Trouble) -> Self {
        Self::with_profiles(trouble, Profiles::default())
    }

    /// With profiles of the test's own.
    pub fn with_profiles(trouble: Trouble, profiles: Profiles) -> Self {
        let runtime = Runtime::new().unwrap();
        let state = tempfile::tempdir().unwrap();
        let tampering = Arc::new(Mutex::new(Tampering::default()));
        let tampers = Arc::clone(&tampering);
        let (authority, url) = runtime.block_on(async {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let authority = authority::start_with(state.path(), clock.clone(), profiles).await;
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
                let tampers = Arc::clone(&tampers);
                async move {
                    let path = request.uri().path().to_owned();
                    let instead = {
                        let mut tampers = tampers.lock().unwrap();
                        *tampers.asked.entry(path.clone()).or_default() += 1;
                        let found = tampers.instead.iter();
                        let mut found = found.filter(|(begin, _)| path.starts_with(**begin));
                        found.next().map(|(_, instead)| instead.clone())
                    };
                    match instead {
                        Some(instead) => instead.into_response(),
                        None => next.run(request).await,
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
            tampering,
            _state: state,
        }
    }

    /// Hands out another trust bundle than its own, or its own again.
    pub fn hand_out(&self, bundle: Option<&str>) {
        let instead = bundle.map(|pem| Instead {
            status: 200,
            content_type: "application/pem-certificate-chain",
            retry_after: None,
            body: pem.to_owned(),
        });
        self.answer("/acme/trust-bundle", instead);
    }

    /// Answers whatever begins so with something else than it would, or with its own answer again.
    pub fn answer(&self, begin: &'static str, instead: Option<Instead>) {
        let all = &mut self.tampering.lock().unwrap().instead;
        match instead {
            Some(instead) => all.insert(begin, instead),
            None => all.remove(begin),
        };
    }

    /// How often a path that begins so was asked for.
    pub fn asked(&self, begin: &str) -> usize {
        let tampering = self.tampering.lock().unwrap();
        let asked = tampering.asked.iter();
        asked
            .filter(|(path, _)| path.starts_with(begin))
            .map(|(_, count)| count)
            .sum()
    }

    /// The directory without one of its members.
    pub fn directory_without(&self, member: &str) -> String {
        let base = self.url.trim_end_matches("directory");
        let urls = [
            ("newNonce", "new-nonce"),
            ("newAccount", "new-account"),
            ("newOrder", "new-order"),
            ("revokeCert", "revoke-cert"),
            ("renewalInfo", "renewal-info"),
        ];
        let mut directory =
            serde_json::json!({"meta": {"trustBundle": format!("{base}trust-bundle")}});
        for (name, path) in urls.iter().filter(|(name, _)| *name != member) {
            directory[*name] = format!("{base}{path}").into();
        }
        directory.to_string()
    }

    /// Opens an incident about every certificate that there is.
    pub fn open_incident(&self, explanation_url: &str) {
        let open = OpenIncident {
            reach: Reach::issued_before(self.authority.now()),
            reason: "a test".to_owned(),
            explanation_url: Some(explanation_url.to_owned()),
            within: Duration::ZERO,
        };
        let opened = self.authority.open_incident(&Actor::Authority, open);
        self.runtime.block_on(opened).unwrap();
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
