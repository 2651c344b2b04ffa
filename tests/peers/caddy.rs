//! Caddy as a client, Debian's and the current one: it gets the certificate of the site that it serves, and renews it.
//!
//! It revokes nothing by itself. Debian's (2.6) knows neither profiles nor renewal information.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Child, Stdio},
};

use super::{
    program::program,
    site::{Binding, Obtained, Site},
};
use crate::support::eventually;

const DEBIAN: &str = "caddy";
const CURRENT: &str = "caddy-current";

/// A running Caddy that serves `www.fleet.test`.
struct Caddy {
    child: Child,
    folder: PathBuf,
    directory: String,
}

/// Where the challenge is answered.
#[derive(Clone, Copy)]
enum Proof {
    Http01,
    TlsAlpn01,
}

impl Caddy {
    /// Where it isn't installed there is none.
    fn start(name: &str, site: &Site, proof: Proof, binding: Option<&Binding>) -> Option<Self> {
        let mut caddy = program(name)?;
        let folder = site.server.scratch("caddy");
        let binding = binding.map_or_else(String::new, |Binding { kid, mac_key }| {
            format!("acme_eab {{\nkey_id {kid}\nmac_key {mac_key}\n}}\n")
        });
        let other = match proof {
            Proof::Http01 => "disable_tlsalpn_challenge",
            Proof::TlsAlpn01 => "disable_http_challenge",
        };
        let config = format!(
            "{{
                admin off
                storage file_system \"{storage}\"
                http_port {http}
                https_port {https}
                auto_https disable_redirects
                renew_interval 1s
                email ada@fleet.test
                {binding}
            }}
            www.fleet.test {{
                bind 127.0.0.1
                tls {{
                    issuer acme {{
                        dir \"{directory}\"
                        trusted_roots \"{root}\"
                        {other}
                        alt_http_port {http}
                        alt_tlsalpn_port {https}
                    }}
                }}
                respond hello
            }}
            http://other.fleet.test {{
                bind 127.0.0.1
                respond hello
            }}",
            storage = folder.join("storage").display(),
            http = site.http_port,
            https = site.tls_port,
            directory = site.server.directory_url(),
            root = site.server.root_pem_path().display(),
        );
        let file = folder.join("Caddyfile");
        fs::write(&file, config).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = caddy
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&file)
            .env("HOME", &folder)
            .env("XDG_CONFIG_HOME", folder.join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        eventually("Caddy listens", || {
            TcpStream::connect(("127.0.0.1", site.tls_port)).is_ok()
        });
        let directory = site.server.directory_url();
        Some(Self {
            child,
            folder,
            directory,
        })
    }

    /// Where it keeps the certificate; it writes the key first.
    fn got(&self) -> Obtained {
        // Its name for the server: everything that a file's name can't have becomes a dash.
        let server: String = self
            .directory
            .trim_start_matches("https://")
            .replace([':', '/'], "-");
        let site = self
            .folder
            .join("storage/certificates")
            .join(server)
            .join("www.fleet.test");
        Obtained {
            chain: site.join("www.fleet.test.crt"),
            key: site.join("www.fleet.test.key"),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn has_its_certificate(&self) -> Obtained {
        let got = self.got();
        eventually("Caddy has its certificate", || {
            got.chain.exists() && super::openssl::serial(&got.chain).is_some()
        });
        got
    }
}

impl Drop for Caddy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- Caddy's log ---\n{}", self.log());
        }
    }
}

#[test]
fn debians_issues_by_http_01() {
    issues(DEBIAN, Proof::Http01);
}

#[test]
fn debians_issues_by_tls_alpn_01() {
    issues(DEBIAN, Proof::TlsAlpn01);
}

#[test]
fn the_current_one_issues_by_http_01() {
    issues(CURRENT, Proof::Http01);
}

#[test]
fn the_current_one_issues_by_tls_alpn_01() {
    issues(CURRENT, Proof::TlsAlpn01);
}

fn issues(name: &str, proof: Proof) {
    let site = Site::start();
    let Some(caddy) = Caddy::start(name, &site, proof, None) else {
        return;
    };
    let got = caddy.has_its_certificate();
    site.server_certificate(&got, &["DNS:www.fleet.test"]);
}

/// Certificates of 95 seconds, of which 60 lie before the moment of issuing: they are due at once.
const SHORT: &str = "[profiles.server]\nlifetime = \"95s\"\nbackdate = \"60s\"";

#[test]
fn debians_renews_when_two_thirds_are_over() {
    let site = Site::with(SHORT);
    let Some(caddy) = Caddy::start(DEBIAN, &site, Proof::TlsAlpn01, None) else {
        return;
    };
    let got = caddy.has_its_certificate();
    let first = super::openssl::serial(&got.chain).expect("openssl");
    site.replaced(&got.chain, &first);
}

#[test]
fn the_current_one_renews_in_the_window_that_the_server_suggests() {
    let site = Site::with(SHORT);
    let Some(caddy) = Caddy::start(CURRENT, &site, Proof::TlsAlpn01, None) else {
        return;
    };
    let got = caddy.has_its_certificate();
    let first = super::openssl::serial(&got.chain).expect("openssl");
    site.replaced(&got.chain, &first);
    // RFC 9773 section 4.2. The first renewal may come before that was read; each one is followed by another.
    eventually("a renewal comes by renewal information", || {
        caddy.log().contains("renewal based on ARI window")
    });
}

#[test]
fn it_issues_with_a_binding() {
    for name in [DEBIAN, CURRENT] {
        let site = Site::with("[acme]\nexternal_account = \"required\"");
        let binding = site.invite("service:web/front", "www.fleet.test");
        let Some(caddy) = Caddy::start(name, &site, Proof::TlsAlpn01, Some(&binding)) else {
            return;
        };
        let got = caddy.has_its_certificate();
        site.principals_certificate(&got, "service:web/front");
    }
}
