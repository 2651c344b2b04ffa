//! instant-acme, the library of Rust programs (and our agent's): everything that it knows, in one life of an account:
//! profiles, addresses, dns-01, a change of key, renewal information and what is replaced, revocation.

use std::{fs, net::IpAddr, path::PathBuf, time::Duration};

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, RetryPolicy, RevocationReason, RevocationRequest,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{
    folder,
    openssl::serial,
    site::{Obtained, Site, names_of},
};

/// A client with the folder of files that it answers http-01 with.
struct Client<'a> {
    site: &'a Site,
    account: Account,
    challenges: PathBuf,
}

impl<'a> Client<'a> {
    async fn open(site: &'a Site, binding: Option<(&str, &[u8])>) -> Self {
        let challenges = site.server.scratch("challenges");
        folder::serve(site.http_port, challenges.clone());
        let binding = binding.map(|(kid, key)| ExternalAccountKey::new(kid.to_owned(), key));
        let new_account = NewAccount {
            contact: &["mailto:ada@fleet.test"],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let (account, _) = Account::builder_with_root(site.server.root_pem_path())
            .unwrap()
            .create(&new_account, site.server.directory_url(), binding.as_ref())
            .await
            .unwrap();
        Self {
            site,
            account,
            challenges,
        }
    }

    /// Places an order, proves its identifiers, and writes what it got below `name`.
    async fn obtains(&self, name: &str, order: &NewOrder<'_>, by: ChallengeType) -> Obtained {
        let patience = RetryPolicy::new().initial_delay(Duration::from_millis(50));
        let sans: Vec<SanType> = order.identifiers().iter().filter_map(san).collect();
        let mut order = self.account.new_order(order).await.unwrap();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.unwrap();
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let base_name = authorization.identifier().to_string();
            let base_name = base_name.trim_start_matches("*.").to_owned();
            let mut challenge = authorization.challenge(by.clone()).expect("it is offered");
            let answer = challenge.key_authorization();
            if by == ChallengeType::Dns01 {
                let record = format!("_acme-challenge.{base_name}");
                fs::write(self.site.dns.records().join(record), answer.dns_value()).unwrap();
            } else {
                fs::write(self.challenges.join(&challenge.token), answer.as_str()).unwrap();
            }
            challenge.set_ready().await.unwrap();
        }
        order.poll_ready(&patience).await.unwrap();
        let key = KeyPair::generate().unwrap();
        let mut request = CertificateParams::default();
        request.subject_alt_names = sans;
        request.distinguished_name = DistinguishedName::new();
        let request = request.serialize_request(&key).unwrap();
        order.finalize_csr(request.der()).await.unwrap();
        let chain = order.poll_certificate(&patience).await.unwrap();
        let folder = self.site.server.scratch(name);
        let obtained = Obtained {
            chain: folder.join("chain.pem"),
            key: folder.join("key.pem"),
        };
        fs::write(&obtained.chain, chain).unwrap();
        fs::write(&obtained.key, key.serialize_pem()).unwrap();
        obtained
    }
}

fn san(identifier: &Identifier) -> Option<SanType> {
    match identifier {
        Identifier::Dns(name) => Some(SanType::DnsName(name.as_str().try_into().unwrap())),
        Identifier::Ip(address) => Some(SanType::IpAddress(*address)),
        Identifier::PermanentIdentifier(_) | Identifier::HardwareModule(_) | _ => None,
    }
}

fn leaf(obtained: &Obtained) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&obtained.chain).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_all_that_it_knows() {
    let site = Site::with("[profiles.short]\nkind = \"server\"\nlifetime = \"1h\"");
    let mut client = Client::open(&site, None).await;

    let names = [
        Identifier::Dns("www.fleet.test".to_owned()),
        Identifier::Ip(IpAddr::from([127, 0, 0, 1])),
    ];
    let offered: Vec<&str> = client.account.profiles().map(|meta| meta.name).collect();
    assert!(offered.contains(&"short"), "{offered:?}");
    let short = NewOrder::new(&names).profile("short");
    let first = client.obtains("first", &short, ChallengeType::Http01).await;
    let shown = site.shown(&serial(&first.chain).expect("openssl"));
    assert_eq!(shown["profile"], "short", "{shown}");
    assert_eq!(
        names_of(&first.chain),
        ["DNS:www.fleet.test", "IP Address:127.0.0.1"]
    );

    let wildcard = [Identifier::Dns("*.fleet.test".to_owned())];
    let order = NewOrder::new(&wildcard);
    let wild = client.obtains("wild", &order, ChallengeType::Dns01).await;
    site.server_certificate(&wild, &["DNS:*.fleet.test"]);

    // RFC 8555 section 7.3.5: what follows is signed with the new key.
    let _credentials = client.account.update_key().await.unwrap();

    let leaf_of_first = leaf(&first);
    let id = CertificateIdentifier::try_from(&leaf_of_first).unwrap();
    let (info, retry_after) = client.account.renewal_info(&id).await.unwrap();
    assert!(info.suggested_window.start < info.suggested_window.end);
    assert!(retry_after > Duration::ZERO);
    let renewal = NewOrder::new(&names).replaces(id.clone());
    let second = client
        .obtains("second", &renewal, ChallengeType::Http01)
        .await;
    site.server_certificate(&second, &["DNS:www.fleet.test", "IP Address:127.0.0.1"]);
    // RFC 9773 section 5: once only.
    let again = NewOrder::new(&names).replaces(id);
    let refused = client.account.new_order(&again).await.err().unwrap();
    assert!(
        refused.to_string().contains("alreadyReplaced")
            || format!("{refused:?}").contains("alreadyReplaced"),
        "{refused:?}"
    );

    let certificate = leaf(&second);
    let request = RevocationRequest {
        certificate: &certificate,
        reason: Some(RevocationReason::KeyCompromise),
    };
    client.account.revoke(&request).await.unwrap();
    site.is_revoked(&serial(&second.chain).expect("openssl"), "keyCompromise");
    client.account.deactivate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_makes_it_a_principal() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let site = Site::with("[acme]\nexternal_account = \"required\"");
    let binding = site.invite("service:billing/etl", "etl.fleet.test");
    let key = URL_SAFE_NO_PAD.decode(&binding.mac_key).unwrap();
    let client = Client::open(&site, Some((&binding.kid, &key))).await;
    let names = [
        Identifier::Dns("etl.fleet.test".to_owned()),
        Identifier::PermanentIdentifier("billing/etl".to_owned()),
    ];
    let order = NewOrder::new(&names);
    let obtained = client.obtains("etl", &order, ChallengeType::Http01).await;
    site.principals_certificate(&obtained, "service:billing/etl");
}
