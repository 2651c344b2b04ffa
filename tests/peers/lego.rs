//! lego, as Debian has it: no renewal information, no profiles and no change of keys yet.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use super::{
    program::{program, succeeds},
    site::{Binding, Obtained, Site},
};

struct Lego<'a> {
    site: &'a Site,
    folder: PathBuf,
}

impl<'a> Lego<'a> {
    fn new(site: &'a Site) -> Self {
        Self {
            site,
            folder: site.server.scratch("lego"),
        }
    }

    fn command(&self, names: &[&str]) -> Option<Command> {
        let mut lego = program("lego")?;
        lego.env("LEGO_CA_CERTIFICATES", self.site.server.root_pem_path());
        lego.arg("--path").arg(&self.folder).args([
            "--server",
            &self.site.server.directory_url(),
            "--accept-tos",
            // lego won't begin without one.
            "--email",
            "ada@fleet.test",
        ]);
        for name in names {
            lego.args(["--domains", name]);
        }
        Some(lego)
    }

    fn with_binding(lego: &mut Command, binding: &Binding) {
        lego.args(["--eab", "--kid", &binding.kid, "--hmac", &binding.mac_key]);
    }

    fn got(&self, name: &str) -> Obtained {
        let certificates = self.folder.join("certificates");
        Obtained {
            chain: certificates.join(format!("{name}.crt")),
            key: certificates.join(format!("{name}.key")),
        }
    }

    /// Issues, renews and revokes one certificate.
    fn lives(&self, prove: impl Fn(&mut Command)) {
        let lego = |verb: &[&str]| {
            let mut lego = self.command(&["www.fleet.test", "api.fleet.test"])?;
            prove(&mut lego);
            succeeds(lego.args(verb));
            Some(())
        };
        if lego(&["run"]).is_none() {
            return;
        }
        let names = ["DNS:api.fleet.test", "DNS:www.fleet.test"];
        let first = self
            .site
            .server_certificate(&self.got("www.fleet.test"), &names);
        lego(&["renew", "--days", "100000", "--no-random-sleep"]);
        let second = self
            .site
            .server_certificate(&self.got("www.fleet.test"), &names);
        assert_ne!(first, second);
        lego(&["revoke", "--keep", "--reason", "4"]);
        self.site.is_revoked(&second, "superseded");
    }
}

#[test]
fn it_issues_renews_and_revokes_by_http_01() {
    let site = Site::start();
    Lego::new(&site).lives(|lego| {
        let port = format!("127.0.0.1:{}", site.http_port);
        lego.args(["--http", "--http.port", &port]);
    });
}

#[test]
fn it_issues_renews_and_revokes_by_tls_alpn_01() {
    let site = Site::start();
    Lego::new(&site).lives(|lego| {
        let port = format!("127.0.0.1:{}", site.tls_port);
        lego.args(["--tls", "--tls.port", &port]);
    });
}

#[test]
fn it_issues_renews_and_revokes_by_dns_01() {
    let site = Site::start();
    let lego = Lego::new(&site);
    // lego's provider "exec": present|cleanup, the name with a dot at its end, the value.
    let hook = lego.folder.join("hook");
    let records = site.dns.records().display();
    fs::write(
        &hook,
        format!("#!/bin/sh\nname=${{2%.}}\nif [ \"$1\" = present ]; then echo \"$3\" >> \"{records}/$name\"; else rm -f \"{records}/$name\"; fi\n"),
    )
    .unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    lego.lives(|command| {
        command.env("EXEC_PATH", &hook);
        command.env("EXEC_POLLING_INTERVAL", "1");
        command.env("EXEC_SEQUENCE_INTERVAL", "1");
        command.args(["--dns", "exec", "--dns.disable-cp"]);
        command.args(["--dns.resolvers", &site.dns.address().to_string()]);
    });
}

#[test]
fn it_issues_renews_and_revokes_with_a_binding() {
    let site = Site::with("[acme]\nexternal_account = \"required\"");
    let binding = site.invite("service:billing/etl", "etl.fleet.test");
    let lego = Lego::new(&site);
    let run = |verb: &[&str]| {
        let mut command = lego.command(&["etl.fleet.test"])?;
        Lego::with_binding(&mut command, &binding);
        // Nothing listens there: the invitation vouches for the name.
        command.args(["--http", "--http.port", "127.0.0.1:9"]);
        succeeds(command.args(verb));
        Some(())
    };
    if run(&["run"]).is_none() {
        return;
    }
    let got = lego.got("etl.fleet.test");
    let first = site.principals_certificate(&got, "service:billing/etl");
    run(&["renew", "--days", "100000", "--no-random-sleep"]);
    let second = site.principals_certificate(&got, "service:billing/etl");
    assert_ne!(first, second);
    run(&["revoke", "--keep", "--reason", "1"]);
    site.is_revoked(&second, "keyCompromise");
}
