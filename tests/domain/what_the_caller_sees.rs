//! The table "What the caller sees", once with a certificate and once with an API key of the same principal: the same
//! permissions, so the same decision about scopes.

use std::net::IpAddr;

use portcullis::domain::{
    ApiKeyCredential, ApiKeyKind, ApiKeyToken, CertificateCredential, Denial, DenialReason, Labels,
    NormalisedPath, Permit, Policy, PolicyContext, Presented, Principal, PrincipalState, Scope,
    Timestamp, api_key::ApiKeyFault, decide, mapping::MappingError,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const HERE: &str = "192.0.2.7";

const POLICY: &str = r#"
[[role]]
name = "sensor"
allow = ["telemetry:write@devices/{self}/**", "config:read@devices/{self}", "site:read@{label.site}"]

[[role]]
name = "maintenance"
allow = ["config:delete@devices/**"]

[[bind]]
role = "sensor"
to = "device:fra/**"

[[bind]]
role = "maintenance"
to = "device:fra/**"
until = "2027-01-15T08:00:10Z"

[[deny]]
to = "device:fra/**"
scope = "config:delete@devices/fra/b/**"

[[route]]
host = "api.example"
path = "/v1/devices/{device...}/telemetry"
methods = ["POST"]
auth = ["certificate", "api-key"]
scope = "telemetry:write@devices/{device...}"
upstream = "http://127.0.0.1:9000"

[[route]]
host = "api.example"
path = "/v1/devices/{device...}/config"
methods = ["DELETE"]
auth = ["api-key", "certificate"]
scope = "config:delete@devices/{device...}"
upstream = "http://127.0.0.1:9000"

[[route]]
host = "api.example"
path = "/v1/me"
methods = ["GET"]
auth = ["certificate", "api-key"]
scope = "config:read@devices/{self}"
upstream = "http://127.0.0.1:9000"

[[route]]
host = "api.example"
path = "/v1/site"
methods = ["GET"]
auth = ["certificate", "api-key"]
scope = "site:read@{label.site}"
upstream = "http://127.0.0.1:9000"

[[route]]
host = "api.example"
path = "/certificates-only"
methods = ["GET"]
scope = "config:read@devices/{self}"
upstream = "http://127.0.0.1:9000"

[[route]]
host = "api.example"
path = "/keys-only"
methods = ["GET"]
auth = ["api-key"]
scope = "config:read@devices/{self}"
upstream = "http://127.0.0.1:9000"

[[route]]
host = "api.example"
path = "/closed"
methods = ["GET"]
auth = ["certificate", "api-key"]
upstream = "http://127.0.0.1:9000"
"#;

fn policy() -> Policy {
    let context = PolicyContext {
        trust_domain: "home.example".parse().unwrap(),
        local_admins: vec![Principal::local_user(0)],
    };
    Policy::compile(POLICY, &context).expect("the policy of this test")
}

fn certificate(principal: &str) -> CertificateCredential {
    CertificateCredential {
        principal: principal.parse().unwrap(),
        anchor: portcullis::domain::AnchorId::internal(),
        serial: "0a".parse().unwrap(),
        thumbprint: [1; 32],
        not_after: NOW + std::time::Duration::from_secs(3600),
        only: None,
    }
}

fn api_key(principal: &str) -> ApiKeyCredential {
    ApiKeyCredential {
        id: ApiKeyToken::mint(ApiKeyKind::Standard, &[1; 32]).id(),
        principal: principal.parse().unwrap(),
        only: None,
        cidrs: Vec::new(),
        expires_at: None,
        bound_certificate: None,
    }
}

#[derive(Clone, Default)]
struct Case {
    certificate: Option<CertificateCredential>,
    api_key: Option<ApiKeyCredential>,
    state: PrincipalState,
    from: Option<&'static str>,
}

impl Case {
    fn ask(&self, request: &str) -> Result<Permit, Denial> {
        let (method, path) = request.split_once(' ').expect("METHOD PATH");
        let policy = policy();
        let path = NormalisedPath::new(path).expect("a path");
        let target = policy.target(&"api.example".parse().unwrap(), method, &path);
        let presented = Presented {
            certificate: self.certificate.clone(),
            api_key: self.api_key.clone(),
            peer: self.from.unwrap_or(HERE).parse::<IpAddr>().unwrap(),
        };
        decide(
            &presented,
            &target,
            &policy,
            &|_| self.state.clone(),
            7,
            NOW,
        )
    }

    /// The outcome in a line: the permit's scope and rule, or the denial's status, type, rule and header.
    fn outcome(&self, request: &str) -> String {
        match self.ask(request) {
            Ok(permit) => format!("permit {} by {}", permit.scope(), permit.rule()),
            Err(denial) => {
                let header = denial.www_authenticate("home").unwrap_or_default();
                format!(
                    "{} {} by {}; {header}",
                    denial.http_status(),
                    denial.reason().type_name(),
                    denial.rule()
                )
            }
        }
    }
}

/// The same principal, once with each credential.
fn both(principal: &str) -> [Case; 2] {
    let with_certificate = Case {
        certificate: Some(certificate(principal)),
        ..Case::default()
    };
    let with_api_key = Case {
        api_key: Some(api_key(principal)),
        ..Case::default()
    };
    [with_certificate, with_api_key]
}

#[test]
fn a_certificate_and_a_key_of_the_same_principal_have_the_same_permissions() {
    for (principal, request, outcome) in [
        (
            "device:fra/a",
            "POST /v1/devices/fra/a/telemetry",
            "permit telemetry:write@devices/fra/a by role \"sensor\" via bind[0]",
        ),
        (
            "device:fra/a",
            "POST /v1/devices/fra/a/b/telemetry",
            "permit telemetry:write@devices/fra/a/b by role \"sensor\" via bind[0]",
        ),
        (
            "device:fra/a",
            "GET /v1/me",
            "permit config:read@devices/fra/a by role \"sensor\" via bind[0]",
        ),
        (
            "device:fra/a",
            "DELETE /v1/devices/x/config",
            "permit config:delete@devices/x by role \"maintenance\" via bind[1]",
        ),
        (
            "device:fra/a",
            "POST /v1/devices/fra/b/telemetry",
            "403 insufficient_scope by default deny; Bearer realm=\"home\", error=\"insufficient_scope\", \
             scope=\"telemetry:write@devices/fra/b\"",
        ),
        (
            "device:muc/a",
            "POST /v1/devices/muc/a/telemetry",
            "403 insufficient_scope by default deny; Bearer realm=\"home\", error=\"insufficient_scope\", \
             scope=\"telemetry:write@devices/muc/a\"",
        ),
        (
            "device:fra/a",
            "DELETE /v1/devices/fra/b/c/config",
            "403 insufficient_scope by deny[0]; Bearer realm=\"home\", error=\"insufficient_scope\", \
             scope=\"config:delete@devices/fra/b/c\"",
        ),
        (
            "device:fra/a",
            "GET /closed",
            "403 insufficient_scope by route[6] without a scope; Bearer realm=\"home\", error=\"insufficient_scope\"",
        ),
        // Trap 3: neither a path nor a label turns into a pattern; a label that is missing gives nothing.
        (
            "device:fra/a",
            "POST /v1/devices/fra/*/telemetry",
            "403 insufficient_scope by default deny; Bearer realm=\"home\", error=\"insufficient_scope\"",
        ),
        (
            "device:fra/a",
            "GET /v1/site",
            "403 insufficient_scope by default deny; Bearer realm=\"home\", error=\"insufficient_scope\"",
        ),
        (
            "device:fra/a",
            "GET /elsewhere",
            "404 no-route by default deny; ",
        ),
        (
            "device:fra/a",
            "PUT /v1/me",
            "405 method-not-allowed by default deny; ",
        ),
    ] {
        for case in both(principal) {
            assert_eq!(case.outcome(request), outcome, "{principal} {request}");
        }
    }
}

#[test]
fn only_narrows_a_certificate_as_it_narrows_a_key() {
    let only = |scopes: &[&str]| -> Option<Vec<Scope>> {
        Some(scopes.iter().map(|scope| scope.parse().unwrap()).collect())
    };
    for scopes in [&["config:read@devices/{self}"][..], &["orders:read"], &[]] {
        for (mut case, kind) in both("device:fra/a")
            .into_iter()
            .zip(["certificate", "API key"])
        {
            if let Some(certificate) = &mut case.certificate {
                certificate.only = only(scopes);
            }
            if let Some(key) = &mut case.api_key {
                key.only = only(scopes);
            }
            let refused = format!("by `only` of the {kind};");
            assert!(
                case.outcome("POST /v1/devices/fra/a/telemetry")
                    .contains(&refused)
            );
            let permitted = case.outcome("GET /v1/me").starts_with("permit");
            assert_eq!(permitted, scopes == ["config:read@devices/{self}"]);
        }
    }
    // Two credentials narrow both.
    let [mut case, key] = both("device:fra/a");
    case.api_key = key.api_key;
    assert!(case.outcome("GET /v1/me").starts_with("permit"));
    case.certificate.as_mut().unwrap().only = only(&[]);
    assert!(
        case.outcome("GET /v1/me")
            .contains("`only` of the certificate")
    );
}

#[test]
fn a_label_opens_what_names_it_and_no_more() {
    for (site, permitted) in [
        ("fra", true),
        ("*", false),
        ("fra/a", false),
        ("{self}", false),
    ] {
        for mut case in both("device:fra/a") {
            let labels = [("site".parse().unwrap(), site.parse().unwrap())];
            case.state.labels = labels.into_iter().collect::<Labels>();
            let outcome = case.outcome("GET /v1/site");
            assert_eq!(
                outcome.starts_with("permit site:read@fra "),
                permitted,
                "{outcome}"
            );
        }
    }
}

#[test]
fn without_the_credential_that_a_route_accepts_there_is_no_permit() {
    let nobody = Case::default();
    let [with_certificate, with_api_key] = both("device:fra/a");
    for (case, request, outcome) in [
        (
            &nobody,
            "GET /v1/me",
            "401 no-credential by check of the credentials; Bearer realm=\"home\"",
        ),
        (
            &nobody,
            "GET /keys-only",
            "401 no-credential by check of the credentials; Bearer realm=\"home\"",
        ),
        (
            &nobody,
            "GET /certificates-only",
            "403 client-certificate-required by check of the credentials; ",
        ),
        (
            &with_api_key,
            "GET /certificates-only",
            "403 client-certificate-required by check of the credentials; ",
        ),
        (
            &with_certificate,
            "GET /keys-only",
            "401 no-credential by check of the credentials; Bearer realm=\"home\"",
        ),
        (
            &with_certificate,
            "GET /certificates-only",
            "permit config:read@devices/fra/a by role \"sensor\" via bind[0]",
        ),
        (
            &with_api_key,
            "GET /keys-only",
            "permit config:read@devices/fra/a by role \"sensor\" via bind[0]",
        ),
    ] {
        assert_eq!(case.outcome(request), outcome, "{request}");
    }
}

#[test]
fn two_credentials_prove_the_same_principal_or_the_key_is_bound_to_that_certificate() {
    let mut case = Case {
        certificate: Some(certificate("service:proxy")),
        api_key: Some(api_key("device:fra/a")),
        ..Case::default()
    };
    let disagree = "403 credentials-disagree by check of the credentials; ";
    assert_eq!(case.outcome("GET /v1/me"), disagree);
    assert_eq!(case.outcome("GET /keys-only"), disagree);
    // The key's header is not read there, so the certificate speaks alone.
    assert!(
        case.outcome("GET /certificates-only")
            .contains("insufficient_scope by default deny")
    );

    case.api_key.as_mut().unwrap().bound_certificate = Some([1; 32]);
    let permit = case
        .ask("GET /v1/me")
        .expect("bound to that very certificate");
    assert_eq!(permit.principal().to_string(), "device:fra/a");
    assert_eq!(permit.certificate_thumbprint(), Some(&[1; 32]));

    let invalid = "401 invalid_token by check of the credentials; Bearer realm=\"home\", error=\"invalid_token\"";
    case.api_key.as_mut().unwrap().bound_certificate = Some([2; 32]);
    assert_eq!(case.outcome("GET /v1/me"), invalid);
    case.certificate = None;
    assert_eq!(case.outcome("GET /v1/me"), invalid);
}

#[test]
fn a_key_is_good_only_in_its_networks_and_its_time() {
    let mut case = both("device:fra/a")[1].clone();
    let key = case.api_key.as_mut().unwrap();
    key.cidrs = vec![
        "192.0.2.0/28".parse().unwrap(),
        "2001:db8::/32".parse().unwrap(),
    ];
    for (from, permitted) in [
        ("192.0.2.7", true),
        ("::ffff:192.0.2.7", true),
        ("2001:db8::1", true),
        ("192.0.2.16", false),
        ("::ffff:192.0.2.16", false),
        ("2001:db9::1", false),
    ] {
        case.from = Some(from);
        let outcome = case.outcome("GET /v1/me");
        let denied = "403 outside-network by check of the credentials; ";
        assert_eq!(outcome.starts_with("permit"), permitted, "{from}");
        assert_eq!(outcome == denied, !permitted, "{from}");
    }
    case.from = None;
    case.api_key.as_mut().unwrap().expires_at = Some(NOW);
    assert!(case.outcome("GET /v1/me").starts_with("401 invalid_token"));
}

#[test]
fn a_suspended_or_expired_caller_gets_401_and_its_certificate_closes_the_connection() {
    let [mut with_certificate, mut with_api_key] = both("device:fra/a");
    with_certificate.state.suspended = true;
    with_api_key.state.suspended = true;
    let denial = with_certificate.ask("GET /v1/me").unwrap_err();
    assert_eq!(denial.reason(), DenialReason::PrincipalSuspended);
    assert!(denial.reason().closes_connection());
    let denial = with_api_key.ask("GET /v1/me").unwrap_err();
    assert_eq!(denial.reason(), DenialReason::InvalidToken);
    assert!(!denial.reason().closes_connection());

    let [mut case, _] = both("device:fra/a");
    // The second of notAfter still belongs to the certificate (RFC 5280 section 4.1.2.5).
    case.certificate.as_mut().unwrap().not_after = NOW;
    assert!(case.outcome("GET /v1/me").starts_with("permit"));
    case.certificate.as_mut().unwrap().not_after =
        Timestamp::from_unix_millis(NOW.unix_millis() - 1);
    let denial = case.ask("GET /v1/me").unwrap_err();
    assert_eq!(
        (denial.http_status(), denial.reason()),
        (401, DenialReason::CertificateExpired)
    );
    assert!(denial.reason().closes_connection() && denial.www_authenticate("home").is_some());
    // An expired certificate is not left out in favour of a good key: there is no falling back.
    case.api_key = Some(api_key("device:fra/a"));
    assert!(
        case.outcome("GET /keys-only")
            .starts_with("401 certificate-expired")
    );
}

#[test]
fn a_permit_says_when_it_must_be_decided_again() {
    let [with_certificate, with_api_key] = both("device:fra/a");
    let until = |case: &Case, request: &str| {
        let permit = case.ask(request).expect("a permit");
        assert_eq!((permit.epoch(), permit.decided_at()), (7, NOW));
        permit.valid_until().map(|until| until.since(NOW).as_secs())
    };
    assert_eq!(until(&with_api_key, "GET /v1/me"), None);
    assert_eq!(until(&with_certificate, "GET /v1/me"), Some(3601));
    assert_eq!(
        until(&with_api_key, "DELETE /v1/devices/x/config"),
        Some(10)
    );
    assert_eq!(
        until(&with_certificate, "DELETE /v1/devices/x/config"),
        Some(10)
    );
}

#[test]
fn what_is_refused_before_the_decision_has_its_row_too() {
    let cases: [(Denial, u16, &str); 8] = [
        (
            MappingError::Unmapped(None).into(),
            403,
            "unmapped-certificate",
        ),
        (
            MappingError::Ambiguous(2).into(),
            403,
            "ambiguous-certificate",
        ),
        (ApiKeyFault::WrongSecret.into(), 401, "invalid_token"),
        (
            Denial::certificate_revoked("serial 0a"),
            401,
            "certificate-revoked",
        ),
        (
            Denial::invalid_request("a key twice"),
            400,
            "invalid_request",
        ),
        (
            Denial::misdirected_request("SNI a, host b"),
            421,
            "misdirected-request",
        ),
        (
            Denial::too_many_requests(std::time::Duration::from_secs(3)),
            429,
            "too-many-requests",
        ),
        (
            Denial::standing_stale("list of 2026"),
            503,
            "standing-stale",
        ),
    ];
    for (denial, status, name) in cases {
        assert_eq!(
            (denial.http_status(), denial.reason().type_name()),
            (status, name)
        );
    }
}
