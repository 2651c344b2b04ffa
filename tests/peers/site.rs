//! A server for the ACME clients of others, with what it validates against: names, and ports that clients answer at.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    dns::Dns,
    openssl::{Chain, extension, key_belongs_to, serial},
};
use crate::support::{Server, eventually, free_port};

/// The server, and where it looks.
pub struct Site {
    pub server: Server,
    pub dns: Dns,
    /// Where clients answer http-01, on 127.0.0.1.
    pub http_port: u16,
    /// Where clients answer tls-alpn-01, on 127.0.0.1.
    pub tls_port: u16,
}

/// What a client got.
pub struct Obtained {
    /// The leaf and what is above it, in PEM.
    pub chain: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// An external account binding: `kid`, and the MAC key in base64url.
pub struct Binding {
    pub kid: String,
    pub mac_key: String,
}

impl Site {
    /// With more configuration: whole sections.
    pub fn with(config: &str) -> Self {
        let dns = Dns::start();
        let (http_port, tls_port) = (free_port(), free_port());
        let server = Server::builder()
            .config(&format!(
                "[acme.validation]\nhttp_port = {http_port}\ntls_alpn_port = {tls_port}\nresolvers = [\"{}\"]\nallow_networks = [\"127.0.0.0/8\"]\n{config}",
                dns.address()
            ))
            .start();
        Self {
            server,
            dns,
            http_port,
            tls_port,
        }
    }

    /// With nothing else.
    pub fn start() -> Self {
        Self::with("")
    }

    /// Invites a principal whose binding vouches for a DNS name.
    pub fn invite(&self, principal: &str, name: &str) -> Binding {
        let invited = self.server.invite(principal, &["--dns", name]);
        let text = |field: &str| invited[field].as_str().expect("text").to_owned();
        Binding {
            kid: text("key_id"),
            mac_key: text("mac_key"),
        }
    }

    /// Checks a server certificate: openssl accepts it for servers and not for clients, its names are exactly these, the
    /// key is its, and the server knows it as good. The answer is its serial.
    pub fn server_certificate(&self, obtained: &Obtained, names: &[&str]) -> String {
        let root_pem = self.server.root_pem_path();
        let chain = |purpose| Chain {
            root_pem: &root_pem,
            chain: &obtained.chain,
            purpose,
        };
        chain("sslserver").is_accepted(None).expect("openssl");
        // Without an invitation a certificate proves no principal: no clientAuth, and no URI among its names.
        chain("sslclient").is_refused(None).expect("openssl");
        assert_eq!(names_of(&obtained.chain), names);
        assert_eq!(key_belongs_to(&obtained.key, &obtained.chain), Some(true));
        let serial = serial(&obtained.chain).expect("openssl");
        let shown = self.shown(&serial);
        assert_eq!(
            (&shown["status"], &shown["profile"], &shown["principal"]),
            (&"valid".into(), &"server".into(), &Value::Null),
            "{shown}"
        );
        serial
    }

    /// Checks a principal's certificate. The answer is its serial.
    pub fn principals_certificate(&self, obtained: &Obtained, principal: &str) -> String {
        let chain = Chain {
            root_pem: &self.server.root_pem_path(),
            chain: &obtained.chain,
            purpose: "sslclient",
        };
        chain.is_accepted(None).expect("openssl");
        let uri = format!(
            "URI:spiffe://portcullis.internal/{}",
            principal.replacen(':', "/", 1)
        );
        let names = names_of(&obtained.chain);
        assert!(names.contains(&uri), "{names:?}");
        assert_eq!(key_belongs_to(&obtained.key, &obtained.chain), Some(true));
        let serial = serial(&obtained.chain).expect("openssl");
        let shown = self.shown(&serial);
        assert_eq!(
            (&shown["status"], &shown["principal"]),
            (&"valid".into(), &principal.into()),
            "{shown}"
        );
        serial
    }

    /// Checks that a certificate was revoked, and why.
    pub fn is_revoked(&self, serial: &str, reason: &str) {
        let shown = self.shown(serial);
        assert_eq!(shown["status"], "revoked", "{shown}");
        assert!(
            shown.to_string().contains(reason),
            "not for {reason}: {shown}"
        );
    }

    /// Waits until a file holds another certificate than this one, and answers with its serial.
    pub fn replaced(&self, chain: &Path, before: &str) -> String {
        let mut now = String::new();
        eventually("the certificate was replaced", || {
            now = serial(chain).expect("openssl");
            now != before
        });
        now
    }

    /// What the server says of a certificate.
    pub fn shown(&self, serial: &str) -> Value {
        self.server.json(&["cert", "show", serial])
    }
}

/// All subject alternative names, as openssl writes them, sorted.
pub fn names_of(chain: &Path) -> Vec<String> {
    let said = extension(chain, "subjectAltName").expect("openssl");
    let names = said.lines().last().unwrap_or_default();
    let mut names: Vec<String> = names
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect();
    names.sort();
    names
}
