//! certbot, Debian's and the current one, as somebody calls it who has an ACME server of their own.
//!
//! Its account keys are RSA of 2048 bits, signing with RS256. It can't change an account's key, and does no tls-alpn-01.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use super::{
    openssl::serial,
    program::{fails, program, succeeds},
    site::{Binding, Obtained, Site},
};

const DEBIAN: &str = "certbot";
const CURRENT: &str = "certbot-current";

struct Certbot<'a> {
    program: &'a str,
    site: &'a Site,
    folder: PathBuf,
}

impl<'a> Certbot<'a> {
    fn new(program: &'a str, site: &'a Site) -> Self {
        Self {
            program,
            site,
            folder: site.server.scratch("certbot"),
        }
    }

    /// Where it isn't installed there is none.
    fn command(&self, verb: &str) -> Option<Command> {
        let mut certbot = program(self.program)?;
        certbot.env("REQUESTS_CA_BUNDLE", self.site.server.root_pem_path());
        certbot.args([verb, "--non-interactive"]);
        certbot.args(["--server", &self.site.server.directory_url()]);
        for (option, folder) in [
            ("--config-dir", "config"),
            ("--work-dir", "work"),
            ("--logs-dir", "logs"),
        ] {
            certbot.arg(option).arg(self.folder.join(folder));
        }
        Some(certbot)
    }

    fn certonly(&self) -> Option<Command> {
        let mut certbot = self.command("certonly")?;
        certbot.args(["--agree-tos", "--register-unsafely-without-email"]);
        Some(certbot)
    }

    fn by_http_01(&self, certbot: &mut Command) {
        certbot.args(["--standalone", "--preferred-challenges", "http"]);
        certbot.args(["--http-01-address", "127.0.0.1"]);
        certbot.args(["--http-01-port", &self.site.http_port.to_string()]);
    }

    fn with_binding(&self, certbot: &mut Command, binding: &Binding) {
        certbot.args(["--eab-kid", &binding.kid]);
        certbot.args(["--eab-hmac-key", &binding.mac_key]);
    }

    /// The certificate that it keeps under a name.
    fn live(&self, name: &str) -> Obtained {
        let live = self.folder.join("config/live").join(name);
        Obtained {
            chain: live.join("fullchain.pem"),
            key: live.join("privkey.pem"),
        }
    }
}

#[test]
fn debians_issues_renews_and_revokes_by_http_01() {
    lives_by_http_01(DEBIAN);
}

#[test]
fn the_current_one_issues_renews_and_revokes_by_http_01() {
    lives_by_http_01(CURRENT);
}

fn lives_by_http_01(program: &str) {
    let site = Site::start();
    let certbot = Certbot::new(program, &site);
    let Some(mut certonly) = certbot.certonly() else {
        return;
    };
    certbot.by_http_01(&mut certonly);
    succeeds(certonly.args(["--domain", "www.fleet.test", "--domain", "api.fleet.test"]));
    let names = ["DNS:api.fleet.test", "DNS:www.fleet.test"];
    let first = site.server_certificate(&certbot.live("www.fleet.test"), &names);

    let mut renew = certbot.command("renew").expect("it is there");
    succeeds(
        renew
            .arg("--force-renewal")
            .arg("--no-random-sleep-on-renew"),
    );
    let second = site.server_certificate(&certbot.live("www.fleet.test"), &names);
    assert_ne!(first, second);

    // By the account that ordered it.
    let mut revoke = certbot.command("revoke").expect("it is there");
    revoke.args([
        "--cert-name",
        "www.fleet.test",
        "--reason",
        "cessationofoperation",
    ]);
    succeeds(revoke.arg("--no-delete-after-revoke"));
    site.is_revoked(&second, "cessationOfOperation");
}

#[test]
fn the_certificates_own_key_revokes_it() {
    let site = Site::start();
    let certbot = Certbot::new(DEBIAN, &site);
    let Some(mut certonly) = certbot.certonly() else {
        return;
    };
    certbot.by_http_01(&mut certonly);
    succeeds(certonly.args(["--domain", "www.fleet.test"]));
    let live = certbot.live("www.fleet.test");
    let serial = site.server_certificate(&live, &["DNS:www.fleet.test"]);
    let elsewhere = Certbot {
        folder: site.server.scratch("elsewhere"),
        ..certbot
    };
    let mut revoke = elsewhere.command("revoke").expect("it is there");
    revoke.arg("--cert-path").arg(&live.chain);
    revoke.arg("--key-path").arg(&live.key);
    succeeds(revoke.args(["--reason", "keycompromise", "--no-delete-after-revoke"]));
    site.is_revoked(&serial, "keyCompromise");
}

#[test]
fn debians_issues_renews_and_revokes_with_a_binding() {
    lives_with_a_binding(DEBIAN);
}

#[test]
fn the_current_one_issues_renews_and_revokes_with_a_binding() {
    lives_with_a_binding(CURRENT);
}

fn lives_with_a_binding(program: &str) {
    let site = Site::with("[acme]\nexternal_account = \"required\"");
    let binding = site.invite("service:billing/etl", "etl.fleet.test");
    let certbot = Certbot::new(program, &site);
    let Some(mut certonly) = certbot.certonly() else {
        return;
    };
    // Nothing answers there: the invitation vouches for the name.
    certbot.by_http_01(&mut certonly);
    certonly.args(["--domain", "etl.fleet.test"]);
    let said = fails(&mut certonly);
    assert!(said.contains("external account binding"), "{said}");
    certbot.with_binding(&mut certonly, &binding);
    succeeds(&mut certonly);
    let live = certbot.live("etl.fleet.test");
    let first = site.principals_certificate(&live, "service:billing/etl");
    let mut renew = certbot.command("renew").expect("it is there");
    succeeds(
        renew
            .arg("--force-renewal")
            .arg("--no-random-sleep-on-renew"),
    );
    let second = site.principals_certificate(&live, "service:billing/etl");
    assert_ne!(first, second);
    let mut revoke = certbot.command("revoke").expect("it is there");
    revoke.args(["--cert-name", "etl.fleet.test", "--no-delete-after-revoke"]);
    succeeds(&mut revoke);
    site.is_revoked(&second, "unspecified");
}

#[test]
fn a_wildcard_is_issued_by_dns_01() {
    let site = Site::start();
    let certbot = Certbot::new(DEBIAN, &site);
    let Some(mut certonly) = certbot.certonly() else {
        return;
    };
    let hook = certbot.folder.join("hook");
    let records = site.dns.records().display();
    fs::write(
        &hook,
        format!("#!/bin/sh\necho \"$CERTBOT_VALIDATION\" >> \"{records}/_acme-challenge.$CERTBOT_DOMAIN\"\n"),
    )
    .unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    certonly.args(["--manual", "--preferred-challenges", "dns"]);
    certonly.arg("--manual-auth-hook").arg(&hook);
    succeeds(certonly.args(["--domain", "*.fleet.test", "--domain", "fleet.test"]));
    site.server_certificate(
        &certbot.live("fleet.test"),
        &["DNS:*.fleet.test", "DNS:fleet.test"],
    );
}

#[test]
fn an_address_and_a_profile_are_ordered_by_the_current_one() {
    let site = Site::with("[profiles.short]\nkind = \"server\"\nlifetime = \"1h\"");
    let certbot = Certbot::new(CURRENT, &site);
    let Some(mut certonly) = certbot.certonly() else {
        return;
    };
    certbot.by_http_01(&mut certonly);
    certonly.args(["--ip-address", "127.0.0.1", "--cert-name", "address"]);
    succeeds(certonly.args(["--required-profile", "short"]));
    let live = certbot.live("address");
    let serial = serial(&live.chain).expect("openssl");
    let shown = site.shown(&serial);
    assert_eq!(shown["profile"], "short", "{shown}");
    assert_eq!(super::site::names_of(&live.chain), ["IP Address:127.0.0.1"]);
}

#[test]
fn the_current_one_renews_when_the_server_asks_for_it() {
    let site = Site::start();
    let certbot = Certbot::new(CURRENT, &site);
    let Some(mut certonly) = certbot.certonly() else {
        return;
    };
    certbot.by_http_01(&mut certonly);
    succeeds(certonly.args(["--domain", "www.fleet.test"]));
    let live = certbot.live("www.fleet.test");
    let names = ["DNS:www.fleet.test"];
    let first = site.server_certificate(&live, &names);
    let renew = || {
        let mut renew = certbot.command("renew").expect("it is there");
        succeeds(renew.arg("--no-random-sleep-on-renew"));
    };
    renew();
    assert_eq!(site.server_certificate(&live, &names), first);
    // By renewal information only (RFC 9773): nothing else tells certbot that the certificate should go.
    site.server
        .json(&["cert", "revoke", &first, "--reason", "superseded"]);
    renew();
    assert_ne!(serial(&live.chain), Some(first));
}
