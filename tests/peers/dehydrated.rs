//! dehydrated, a client in bash. It can't change an account's key, and knows neither profiles nor renewal information.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use super::{
    folder,
    program::{fails, program, succeeds},
    site::{Binding, Obtained, Site},
};

struct Dehydrated<'a> {
    site: &'a Site,
    folder: PathBuf,
}

impl<'a> Dehydrated<'a> {
    /// Where it isn't installed there is none. It takes its options from a file.
    fn new(site: &'a Site, binding: Option<&Binding>) -> Self {
        let folder = site.server.scratch("dehydrated");
        fs::create_dir(folder.join("challenges")).unwrap();
        let mut config = format!(
            "CA=\"{}\"\nBASEDIR=\"{}\"\nWELLKNOWN=\"{}\"\nCONTACT_EMAIL=ada@fleet.test\n",
            site.server.directory_url(),
            folder.display(),
            folder.join("challenges").display()
        );
        if let Some(Binding { kid, mac_key }) = binding {
            config += &format!("EAB_KID=\"{kid}\"\nEAB_HMAC_KEY=\"{mac_key}\"\n");
        }
        fs::write(folder.join("config"), config).unwrap();
        Self { site, folder }
    }

    fn command(&self) -> Option<Command> {
        let mut dehydrated = program("dehydrated")?;
        dehydrated.env("CURL_CA_BUNDLE", self.site.server.root_pem_path());
        dehydrated.arg("--config").arg(self.folder.join("config"));
        Some(dehydrated)
    }

    fn got(&self, name: &str) -> Obtained {
        let certificates = self.folder.join("certs").join(name);
        Obtained {
            chain: certificates.join("fullchain.pem"),
            key: certificates.join("privkey.pem"),
        }
    }

    fn registers(&self) -> Option<()> {
        succeeds(self.command()?.args(["--register", "--accept-terms"]));
        Some(())
    }

    fn orders(&self, more: &[&str]) {
        let mut order = self.command().expect("it is there");
        succeeds(order.arg("--cron").args(more));
    }

    fn revokes(&self, name: &str) {
        let mut revoke = self.command().expect("it is there");
        let leaf = self.folder.join("certs").join(name).join("cert.pem");
        succeeds(revoke.arg("--revoke").arg(leaf));
    }
}

#[test]
fn it_issues_renews_and_revokes_by_http_01() {
    let site = Site::start();
    let dehydrated = Dehydrated::new(&site, None);
    if dehydrated.registers().is_none() {
        return;
    }
    folder::serve(site.http_port, dehydrated.folder.join("challenges"));
    let domains = ["--domain", "www.fleet.test", "--domain", "api.fleet.test"];
    let names = ["DNS:api.fleet.test", "DNS:www.fleet.test"];
    dehydrated.orders(&domains);
    let got = dehydrated.got("www.fleet.test");
    let first = site.server_certificate(&got, &names);
    dehydrated.orders(&[&domains[..], &["--force"]].concat());
    let second = site.server_certificate(&got, &names);
    assert_ne!(first, second);
    dehydrated.revokes("www.fleet.test");
    site.is_revoked(&second, "unspecified");
    let mut deactivate = dehydrated.command().expect("it is there");
    succeeds(deactivate.arg("--deactivate"));
}

#[test]
fn it_issues_a_wildcard_by_dns_01() {
    let site = Site::start();
    let dehydrated = Dehydrated::new(&site, None);
    if dehydrated.registers().is_none() {
        return;
    }
    let hook = dehydrated.folder.join("hook");
    let records = site.dns.records().display();
    fs::write(
        &hook,
        format!("#!/bin/sh\ncase \"$1\" in\n  deploy_challenge) echo \"$4\" >> \"{records}/_acme-challenge.$2\" ;;\n  clean_challenge) rm -f \"{records}/_acme-challenge.$2\" ;;\nesac\n"),
    )
    .unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let hook = hook.to_str().expect("text");
    dehydrated.orders(&[
        "--domain",
        "*.fleet.test",
        "--alias",
        "wild",
        "--challenge",
        "dns-01",
        "--hook",
        hook,
    ]);
    site.server_certificate(&dehydrated.got("wild"), &["DNS:*.fleet.test"]);
}

#[test]
fn it_issues_renews_and_revokes_with_a_binding() {
    let site = Site::with("[acme]\nexternal_account = \"required\"");
    let without = Dehydrated {
        folder: site.server.scratch("without"),
        site: &site,
    };
    fs::write(
        without.folder.join("config"),
        format!(
            "CA=\"{}\"\nBASEDIR=\"{}\"\n",
            site.server.directory_url(),
            without.folder.display()
        ),
    )
    .unwrap();
    let Some(mut register) = without.command() else {
        return;
    };
    fails(register.args(["--register", "--accept-terms"]));

    let binding = site.invite("service:billing/etl", "etl.fleet.test");
    let dehydrated = Dehydrated::new(&site, Some(&binding));
    dehydrated.registers();
    dehydrated.orders(&["--domain", "etl.fleet.test"]);
    let got = dehydrated.got("etl.fleet.test");
    let first = site.principals_certificate(&got, "service:billing/etl");
    dehydrated.orders(&["--domain", "etl.fleet.test", "--force"]);
    let second = site.principals_certificate(&got, "service:billing/etl");
    assert_ne!(first, second);
    dehydrated.revokes("etl.fleet.test");
    site.is_revoked(&second, "unspecified");
}
