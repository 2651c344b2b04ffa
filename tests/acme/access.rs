//! Every way in times every endpoint: what isn't listed as allowed is denied, and an endpoint that isn't listed at all fails
//! the test (step-ca CVE-2025-44005: an ignored "unsupported" error; CVE-2026-30836: an unlisted message type).

use std::{collections::BTreeSet, time::Duration};

use axum::http::Method;
use portcullis::{
    acme::AcmeConfig,
    authority::Invite,
    domain::{audit::Actor, identifier::Identifier, invitation::Needs},
};
use portcullis_ca::revocation::RevocationReason;
use serde_json::{Value, json};

use super::{
    client::{Client, Key, encode, send},
    enrolment_keys::{enrol, enrolment_of, id_of},
    order::{csr, finalized, first_of, order, ready},
    server::{Invitation, Server},
};

/// The ways in: how an account was opened, and what has become of it since.
const WAYS: [&str; 10] = [
    // Opened without a key.
    "open",
    // Opened with a key that vouches, needs a challenge, or needs an approval that nobody gave yet, or refused.
    "vouch",
    "challenge",
    "waiting",
    "rejected",
    // Opened with a key that vouches, whose certificate was revoked; that was taken back; that was taken back with its
    // accounts.
    "ended",
    "withdrawn",
    "stopped",
    // Gave itself up.
    "deactivated",
    // Of another directory.
    "elsewhere",
];

/// Endpoint, request, and what each way in gets: the status, and the state of an order or the type of the problem.
type Row = (&'static str, &'static str, [&'static str; 10]);

const OK: &str = "200";
const NONE: &str = "-";
const DENIED: &str = "403 unauthorized";
const REJECTED: &str = "403 rejectedIdentifier";
const WAIT: &str = "403 userActionRequired";
const NOBODY: &str = "400 accountDoesNotExist";
const READY: &str = "201 ready";
const PENDING: &str = "201 pending";
const VALID: &str = "201 valid";

/// In the order in which they are sent: what changes something comes last. Who has proved its name for the order that is its
/// own has it ready at once.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    //                                                     open      vouch     challenge waiting  rejected ended    withdrawn stopped deactivated elsewhere
    ("directory", "read",                                  [OK,       OK,       OK,       OK,      OK,      OK,      OK,       OK,      OK,      OK]),
    ("directory", "read, signed",                          [OK,       OK,       OK,       OK,      OK,      OK,      OK,       DENIED,  DENIED,  NOBODY]),
    ("new-nonce", "get",                                   ["204",    "204",    "204",    "204",   "204",   "204",   "204",    "204",   "204",   "204"]),
    ("new-account", "find by its key",                     [OK,       OK,       OK,       OK,      OK,      OK,      OK,       DENIED,  DENIED,  NOBODY]),
    ("new-account", "again with its spent key",            [OK,       OK,       OK,       OK,      OK,      OK,      OK,       DENIED,  DENIED,  DENIED]),
    ("account/{account}", "read its own",                  [OK,       OK,       OK,       OK,      OK,      OK,      OK,       DENIED,  DENIED,  NOBODY]),
    ("account/{account}", "read another's",                [DENIED,   DENIED,   DENIED,   DENIED,  DENIED,  DENIED,  DENIED,   DENIED,  DENIED,  NOBODY]),
    ("account/{account}/orders", "its own",                [OK,       OK,       OK,       OK,      OK,      OK,      OK,       DENIED,  DENIED,  NOBODY]),
    ("account/{account}/orders", "another's",              [DENIED,   DENIED,   DENIED,   DENIED,  DENIED,  DENIED,  DENIED,   DENIED,  DENIED,  NOBODY]),
    ("new-order", "dns that its key allows",               [READY,    READY,    READY,    WAIT,     DENIED,   DENIED,   READY,    DENIED,   DENIED,   NOBODY]),
    ("new-order", "dns that another's key allows",         [PENDING,  REJECTED, REJECTED, WAIT,    DENIED,  DENIED,  REJECTED, DENIED,  DENIED,  NOBODY]),
    ("new-order", "both",                                  [PENDING,  REJECTED, REJECTED, WAIT,    DENIED,  DENIED,  REJECTED, DENIED,  DENIED,  NOBODY]),
    ("new-order", "ip that its key allows",                [PENDING,  READY,    PENDING,  WAIT,    DENIED,  DENIED,  READY,    DENIED,  DENIED,  NOBODY]),
    ("new-order", "ip beside that",                        [PENDING,  REJECTED, REJECTED, WAIT,    DENIED,  DENIED,  REJECTED, DENIED,  DENIED,  NOBODY]),
    ("new-order", "its own permanent identifier",          [REJECTED, READY,    REJECTED, WAIT,    DENIED,  DENIED,  READY,    DENIED,  DENIED,  NOBODY]),
    ("new-order", "another's permanent identifier",        [REJECTED, REJECTED, REJECTED, WAIT,    DENIED,  DENIED,  REJECTED, DENIED,  DENIED,  NOBODY]),
    ("new-order", "hardware module",                       [REJECTED, REJECTED, REJECTED, WAIT,    DENIED,  DENIED,  REJECTED, DENIED,  DENIED,  NOBODY]),
    ("new-order", "the profile of a device",               ["400 invalidProfile",READY,    READY,    WAIT,     DENIED,   DENIED,   READY,    DENIED,   DENIED,   NOBODY]),
    ("new-order", "the profile of a server",               [READY,    "400 invalidProfile","400 invalidProfile",WAIT,     DENIED,   DENIED,   "400 invalidProfile",DENIED,   DENIED,   NOBODY]),
    ("new-authz", "dns that its key allows",               [PENDING,  VALID,    PENDING,  WAIT,    DENIED,  DENIED,  VALID,    DENIED,  DENIED,  NOBODY]),
    ("new-authz", "dns that another's key allows",         [PENDING,  REJECTED, REJECTED, WAIT,    DENIED,  DENIED,  REJECTED, DENIED,  DENIED,  NOBODY]),
    ("new-authz", "its own permanent identifier",          [REJECTED, VALID,    REJECTED, WAIT,    DENIED,  DENIED,  VALID,    DENIED,  DENIED,  NOBODY]),
    ("order/{order}", "its own",                           [OK,       OK,       OK,       NONE,    NONE,    OK,      OK,       DENIED,  DENIED,  NOBODY]),
    ("order/{order}", "another's",                         [DENIED,   DENIED,   DENIED,   DENIED,  DENIED,  DENIED,  DENIED,   DENIED,  DENIED,  NOBODY]),
    ("order/{order}/finalize", "another's",                [DENIED,   DENIED,   DENIED,   DENIED,  DENIED,  DENIED,  DENIED,   DENIED,  DENIED,  NOBODY]),
    ("authorization/{authorization}", "its own",           [OK,       OK,       OK,       NONE,    NONE,    OK,      OK,       DENIED,  DENIED,  NOBODY]),
    ("authorization/{authorization}", "another's",         [DENIED,   DENIED,   DENIED,   DENIED,  DENIED,  DENIED,  DENIED,   DENIED,  DENIED,  NOBODY]),
    ("authorization/{authorization}", "give up another's", [DENIED,   DENIED,   DENIED,   DENIED,  DENIED,  DENIED,  DENIED,   DENIED,  DENIED,  NOBODY]),
    ("challenge/{authorization}/{kind}", "another's",      [DENIED,   DENIED,   DENIED,   DENIED,  DENIED,  DENIED,  DENIED,   DENIED,  DENIED,  NOBODY]),
    ("certificate/{serial}", "its own",                    [OK,       OK,       OK,       NONE,    NONE,    OK,      OK,       DENIED,  DENIED,  NOBODY]),
    ("certificate/{serial}", "another's",                  [DENIED,   DENIED,   DENIED,   DENIED,  DENIED,  DENIED,  DENIED,   DENIED,  DENIED,  NOBODY]),
    ("certificate/{serial}/alternate/{number}", "another's", [DENIED, DENIED,   DENIED,   DENIED,  DENIED,  DENIED,  DENIED,   DENIED,  DENIED,  NOBODY]),
    ("trust-bundle", "read",                               [OK,       OK,       OK,       OK,      OK,      OK,      OK,       DENIED,  DENIED,  NOBODY]),
    ("renewal-info/{certificate}", "of any certificate",   [OK,       OK,       OK,       OK,      OK,      OK,      OK,       OK,      OK,      OK]),
    ("revoke-cert", "another's",                           [DENIED,   DENIED,   DENIED,   DENIED,  DENIED,  DENIED,  DENIED,   DENIED,  DENIED,  NOBODY]),
    ("order/{order}/finalize", "its own, ready",           [OK,       OK,       OK,       NONE,    NONE,    DENIED,  OK,       DENIED,  DENIED,  NOBODY]),
    ("key-change", "to a fresh key",                       [OK,       OK,       OK,       OK,      OK,      OK,      OK,       DENIED,  DENIED,  NOBODY]),
    ("account/{account}", "give up another's",             [DENIED,   DENIED,   DENIED,   DENIED,  DENIED,  DENIED,  DENIED,   DENIED,  DENIED,  NOBODY]),
    ("revoke-cert", "its own",                             [OK,       OK,       OK,       NONE,    NONE,    "400 alreadyRevoked", OK, DENIED, DENIED, NOBODY]),
    ("account/{account}", "give up its own",               [OK,       OK,       OK,       OK,      OK,      OK,      OK,       DENIED,  DENIED,  NOBODY]),
    ("{*rest}", "no such thing",                           ["404 malformed"; 10]),
];

/// What an account has from before something became of it.
struct Own {
    order: String,
    finalize: String,
    authorization: String,
    certificate: String,
    der: String,
}

/// An account that came in one way, with its invitation.
struct Way {
    name: &'static str,
    client: Client,
    invitation: Option<Invitation>,
    own: Option<Own>,
}

fn dns(name: &str) -> String {
    format!("{name}.example")
}

fn identifier(kind: &str, value: &str) -> Value {
    json!({"type": kind, "value": value})
}

async fn way(server: &Server, name: &'static str) -> Way {
    let needs = match name {
        "challenge" => Needs::Challenge,
        "waiting" | "rejected" => Needs::Approval,
        _ => Needs::Nothing,
    };
    if name == "open" {
        let client = Client::registered(&server.base).await;
        let own = Some(own(server, &client, name).await);
        return Way {
            name,
            client,
            invitation: None,
            own,
        };
    }
    let invitation = server
        .invite_to(Invite {
            identifiers: vec![Identifier::parse("dns", &dns(name)).unwrap()],
            patterns: vec!["ip:192.0.2.0/24".parse().unwrap()],
            needs,
            life: Duration::from_secs(3600),
            ..Invite::of(format!("device:{name}").parse().unwrap())
        })
        .await;
    let directory = if name == "elsewhere" { "factory/" } else { "" };
    let (client, opened) = enrol(server, &invitation, directory).await;
    opened.ok();
    let own = match name {
        "waiting" | "rejected" => None,
        _ => Some(own(server, &client, name).await),
    };
    Way {
        name,
        client,
        invitation: Some(invitation),
        own,
    }
}

/// A ready order, and a certificate, of an account's own.
async fn own(server: &Server, client: &Client, name: &str) -> Own {
    let place = async || -> (String, Value) {
        match name {
            "open" | "challenge" => ready(server, client, &[&dns(name)]).await,
            "elsewhere" => {
                let wanted = json!({"identifiers": [identifier("dns", &dns(name))]});
                let placed = client.post(&client.url("factory/new-order"), wanted).await;
                let placed = placed.ok();
                (placed.location(), placed.json())
            }
            _ => {
                let placed = order(client, &[&dns(name)]).await.ok();
                (placed.location(), placed.json())
            }
        }
    };
    let (_, spent) = place().await;
    let done = finalized(client, &spent, &csr(&[&dns(name)]).0)
        .await
        .ok()
        .json();
    let certificate = done["certificate"].as_str().unwrap().to_owned();
    let pem = client.get(&certificate).await.ok();
    let (location, kept) = place().await;
    Own {
        order: location,
        finalize: kept["finalize"].as_str().unwrap().to_owned(),
        authorization: kept["authorizations"][0].as_str().unwrap().to_owned(),
        certificate,
        der: encode(first_of(&pem.body)),
    }
}

/// What becomes of an account after it was opened.
async fn fate(server: &Server, way: &Way) {
    let actor = Actor::Authority;
    let authority = &server.authority;
    match way.name {
        "rejected" => {
            let enrolment = enrolment_of(server, way.invitation.as_ref().unwrap()).await;
            let rejected = authority.reject(&actor, &enrolment.id, "not ours").await;
            rejected.unwrap();
        }
        "ended" => {
            let mut issued = server.certificates().await;
            issued.retain(|record| {
                record
                    .principal
                    .as_ref()
                    .is_some_and(|it| it.path() == "ended")
            });
            let reason = RevocationReason::CessationOfOperation;
            let revoked = authority
                .revoke_certificates(&actor, &[issued[0].serial], reason)
                .await;
            revoked.unwrap();
        }
        "withdrawn" | "stopped" => {
            let id = id_of(way.invitation.as_ref().unwrap());
            let stop = way.name == "stopped";
            authority.revoke_invitation(&actor, id, stop).await.unwrap();
        }
        "deactivated" => {
            let account = way.client.account.as_ref().unwrap();
            let payload = json!({"status": "deactivated"});
            way.client.post(account, payload).await.ok();
        }
        _ => {}
    }
}

/// The one whose things are not for others: opened without a key, so that it has a challenge too.
struct Victim {
    way: Way,
    pending: String,
    challenge: String,
}

async fn victim(server: &Server) -> Victim {
    let way = way(server, "victim").await;
    // In the same account there is nothing to prove, so another one has the challenge.
    let prover = Client::registered(&server.base).await;
    let placed = order(&prover, &["victim.example"]).await.ok().json();
    let pending = placed["authorizations"][0].as_str().unwrap().to_owned();
    let shown = prover.get(&pending).await.ok().json();
    let challenge = shown["challenges"][0]["url"].as_str().unwrap().to_owned();
    Victim {
        way,
        pending,
        challenge,
    }
}

/// An identifier of a certificate for renewal information (RFC 9773 section 4.1).
fn certificate_id(der: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use x509_parser::{
        certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer as _,
    };
    let der = URL_SAFE_NO_PAD.decode(der).unwrap();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    let authority_key = parsed.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityKeyIdentifier(it) = extension.parsed_extension() else {
            return None;
        };
        it.key_identifier.as_ref().map(|it| it.0.to_vec())
    });
    format!(
        "{}.{}",
        encode(authority_key.unwrap()),
        encode(parsed.raw_serial())
    )
}

/// Sends the request of a row. Nothing: this way in has no such thing.
async fn attempt(
    way: &mut Way,
    victim: &Victim,
    endpoint: &str,
    request: &str,
) -> Option<super::client::Reply> {
    if (endpoint, request) == ("key-change", "to a fresh key") {
        return Some(change_key(&mut way.client).await);
    }
    let client = &way.client;
    let account = client.account.clone().unwrap();
    let theirs = victim.way.own.as_ref().unwrap();
    let their_account = victim.way.client.account.clone().unwrap();
    let (mine, other) = (dns(way.name), dns("somebody-else"));
    // What an account of another directory has is looked for below this one's path.
    let here = |url: &str| url.replace("/acme/factory/", "/acme/");
    let ordered = async |identifiers: Vec<Value>| {
        let wanted = json!({"identifiers": identifiers});
        client.post(&client.url("new-order"), wanted).await
    };
    let profiled = async |profile: &str| {
        let wanted = json!({"identifiers": [identifier("dns", &mine)], "profile": profile});
        client.post(&client.url("new-order"), wanted).await
    };
    let authorized = async |kind: &str, value: &str| {
        let wanted = json!({"identifier": identifier(kind, value)});
        client.post(&client.url("new-authz"), wanted).await
    };
    let give_up = json!({"status": "deactivated"});
    let a_csr = json!({"csr": csr(&[&mine]).0});
    Some(match (endpoint, request) {
        ("directory", "read") => send(Method::GET, &client.url("directory"), None, vec![]).await,
        ("directory", "read, signed") => client.get(&client.url("directory")).await,
        ("new-nonce", "get") => send(Method::GET, &client.url("new-nonce"), None, vec![]).await,
        ("new-account", "find by its key") => {
            let payload = json!({"onlyReturnExisting": true}).to_string();
            client
                .post_with_key(&client.url("new-account"), &payload)
                .await
        }
        ("new-account", "again with its spent key") => {
            let url = client.url("new-account");
            let payload = match &way.invitation {
                None => json!({}),
                Some(it) => json!({
                    "externalAccountBinding":
                        super::client::binding(&it.key_id, &it.mac_key, &client.key, &url),
                }),
            };
            client.post_with_key(&url, &payload.to_string()).await
        }
        ("account/{account}", "read its own") => client.get(&here(&account)).await,
        ("account/{account}", "read another's") => client.get(&their_account).await,
        ("account/{account}", "give up its own") => client.post(&here(&account), give_up).await,
        ("account/{account}", "give up another's") => client.post(&their_account, give_up).await,
        ("account/{account}/orders", "its own") => {
            client.get(&here(&format!("{account}/orders"))).await
        }
        ("account/{account}/orders", "another's") => {
            client.get(&format!("{their_account}/orders")).await
        }
        ("new-order", "dns that its key allows") => ordered(vec![identifier("dns", &mine)]).await,
        ("new-order", "dns that another's key allows") => {
            ordered(vec![identifier("dns", &other)]).await
        }
        ("new-order", "both") => {
            ordered(vec![identifier("dns", &mine), identifier("dns", &other)]).await
        }
        ("new-order", "ip that its key allows") => {
            ordered(vec![identifier("ip", "192.0.2.7")]).await
        }
        ("new-order", "ip beside that") => ordered(vec![identifier("ip", "192.0.3.7")]).await,
        ("new-order", "its own permanent identifier") => {
            ordered(vec![identifier("permanent-identifier", way.name)]).await
        }
        ("new-order", "another's permanent identifier") => {
            ordered(vec![identifier("permanent-identifier", "somebody-else")]).await
        }
        ("new-order", "hardware module") => {
            ordered(vec![identifier("hardware-module", "SN-1/1.2.3")]).await
        }
        ("new-order", "the profile of a device") => profiled("device").await,
        ("new-order", "the profile of a server") => profiled("server").await,
        ("new-authz", "dns that its key allows") => authorized("dns", &mine).await,
        ("new-authz", "dns that another's key allows") => authorized("dns", &other).await,
        ("new-authz", "its own permanent identifier") => {
            authorized("permanent-identifier", way.name).await
        }
        ("order/{order}", "its own") => client.get(&here(&way.own.as_ref()?.order)).await,
        ("order/{order}", "another's") => client.get(&theirs.order).await,
        ("order/{order}/finalize", "its own, ready") => {
            client.post(&here(&way.own.as_ref()?.finalize), a_csr).await
        }
        ("order/{order}/finalize", "another's") => client.post(&theirs.finalize, a_csr).await,
        ("authorization/{authorization}", "its own") => {
            client.get(&here(&way.own.as_ref()?.authorization)).await
        }
        ("authorization/{authorization}", "another's") => client.get(&victim.pending).await,
        ("authorization/{authorization}", "give up another's") => {
            client.post(&victim.pending, give_up).await
        }
        ("challenge/{authorization}/{kind}", "another's") => {
            client.post(&victim.challenge, json!({})).await
        }
        ("certificate/{serial}", "its own") => {
            client.get(&here(&way.own.as_ref()?.certificate)).await
        }
        ("certificate/{serial}", "another's") => client.get(&theirs.certificate).await,
        ("certificate/{serial}/alternate/{number}", "another's") => {
            client
                .get(&format!("{}/alternate/1", theirs.certificate))
                .await
        }
        ("trust-bundle", "read") => client.get(&client.url("trust-bundle")).await,
        ("renewal-info/{certificate}", "of any certificate") => {
            let url = client.url(&format!("renewal-info/{}", certificate_id(&theirs.der)));
            send(Method::GET, &url, None, vec![]).await
        }
        ("revoke-cert", "its own") => {
            let payload = json!({"certificate": way.own.as_ref()?.der});
            client.post(&client.url("revoke-cert"), payload).await
        }
        ("revoke-cert", "another's") => {
            let payload = json!({"certificate": theirs.der});
            client.post(&client.url("revoke-cert"), payload).await
        }
        ("{*rest}", "no such thing") => client.get(&client.url("no-such-thing")).await,
        _ => panic!("{endpoint}, {request}: no such request"),
    })
}

/// Changes an account's key; from then on it signs with the new one.
async fn change_key(client: &mut Client) -> super::client::Reply {
    let new_key = Key::new();
    let url = client.url("key-change");
    let header = json!({"alg": new_key.algorithm(), "jwk": new_key.jwk(), "url": url});
    let payload = json!({"account": client.account, "oldKey": client.key.jwk()});
    let inner = new_key.jws(&header, &payload.to_string());
    let reply = client.post(&url, inner).await;
    if reply.status.is_success() {
        client.key = new_key;
    }
    reply
}

/// The status, the state of what was made, and the type of the problem.
fn outcome(reply: Option<&super::client::Reply>) -> String {
    let Some(reply) = reply else {
        return NONE.to_owned();
    };
    let status = reply.status.as_u16();
    if !reply.status.is_success() {
        return format!("{status} {}", reply.problem().1);
    }
    match serde_json::from_slice::<Value>(&reply.body) {
        Ok(object) if status == 201 => format!("{status} {}", object["status"].as_str().unwrap()),
        _ => status.to_string(),
    }
}

#[tokio::test]
async fn every_way_in_gets_at_every_endpoint_what_is_listed_and_nothing_else() {
    let config: AcmeConfig = toml::from_str("[directories.factory]").unwrap();
    let server = Server::with(config).await;
    let victim = victim(&server).await;
    let mut wrong = Vec::new();
    for (column, name) in WAYS.into_iter().enumerate() {
        let mut way = way(&server, name).await;
        fate(&server, &way).await;
        for (endpoint, request, expected) in ROWS {
            let reply = attempt(&mut way, &victim, endpoint, request).await;
            let found = outcome(reply.as_ref());
            if found != expected[column] {
                wrong.push(format!(
                    "{name}: {endpoint}, {request}: {found}, expected {}",
                    expected[column]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_endpoint_has_its_rows() {
    let source = include_str!("../../src/acme/routes.rs");
    let served: BTreeSet<&str> = source
        .split("path(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let listed: BTreeSet<&str> = ROWS.iter().map(|(endpoint, ..)| *endpoint).collect();
    assert_eq!(served, listed);
}
