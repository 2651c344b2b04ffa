//! The server on the other side: one that isn't ours, or ours when it makes trouble on purpose. The same tests hold
//! against both.

use std::{fs, path::Path, process::Output};

use parking_lot::Mutex;
use portcullis::agent::{
    account::StoredAccount, certificate::Certificate, state::StateDirectory, token::InvitationToken,
};

use super::pebble::{Pebble, Way, agent, text};
use crate::support::Server;

/// Against whom a test runs.
#[derive(Clone, Copy)]
pub enum Against {
    /// Pebble, which refuses some good nonces.
    Pebble,
    /// Our own server with `--chaos`.
    Chaos,
}

/// Whether our own server makes trouble on purpose.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    OnPurpose,
}

/// The seed of the trouble.
pub const SEED: u64 = 7;

impl Trouble {
    /// A real server, with or without it.
    pub fn server(self) -> Server {
        match self {
            Self::None => Server::start(),
            Self::OnPurpose => Server::builder()
                .serve(&["--chaos", "--chaos-seed", &SEED.to_string()])
                .start(),
        }
    }
}

/// The name that invitations are for.
const NAME: &str = "sensor-42.example";

/// A running server.
pub enum OtherSide {
    Pebble(Box<Pebble>),
    Chaos {
        server: Box<Server>,
        root: Box<Certificate>,
        tokens: Box<Mutex<[Option<InvitationToken>; 2]>>,
    },
}

impl OtherSide {
    /// Starts one whose certificates live for `validity` seconds, or a little longer.
    pub fn start(against: Against, validity: u32) -> Self {
        match against {
            Against::Pebble => Self::Pebble(Box::new(Pebble::start(validity, 20))),
            Against::Chaos => {
                // A device's certificates live for ten seconds at least.
                let lifetime = validity.max(10);
                let server = Server::builder()
                    .config(&format!(
                        "[profiles.device]\nlifetime = \"{lifetime}s\"\nbackdate = \"0s\""
                    ))
                    .serve(&["--chaos", "--chaos-seed", &SEED.to_string()])
                    .start();
                let pem = fs::read(server.root_pem_path()).unwrap();
                Self::Chaos {
                    server: Box::new(server),
                    root: Box::new(Certificate::chain_from_pem(&pem).unwrap().remove(0)),
                    tokens: Box::default(),
                }
            }
        }
    }

    /// The URL of its directory, by the name in its certificate.
    pub fn directory_url(&self) -> String {
        match self {
            Self::Pebble(pebble) => pebble.directory_url(),
            Self::Chaos { server, .. } => server.directory_url(),
        }
    }

    /// The path of its directory.
    pub fn directory_path(&self) -> &'static str {
        match self {
            Self::Pebble(_) => "/dir",
            Self::Chaos { .. } => "/acme/directory",
        }
    }

    fn port(&self) -> u16 {
        let url: url::Url = self.directory_url().parse().unwrap();
        url.port().unwrap()
    }

    /// A way to it that can be closed.
    pub fn way(&self) -> Way {
        Way::to("127.0.0.1", self.port(), self.directory_path())
    }

    /// The address of a way to it that isn't in its certificate.
    pub fn wrong_name_url(&self) -> String {
        let way = Way::to("127.0.0.2", self.port(), self.directory_path());
        way.directory_url().replace("localhost", "127.0.0.2")
    }

    /// The file that holds its root certificate.
    pub fn root_file(&self) -> std::path::PathBuf {
        match self {
            Self::Pebble(pebble) => pebble.root_file(),
            Self::Chaos { server, .. } => server.root_pem_path(),
        }
    }

    /// The SHA-256 of its root certificate.
    pub fn pin(&self) -> [u8; 32] {
        match self {
            Self::Pebble(pebble) => pebble.pin(),
            Self::Chaos { root, .. } => root.sha256(),
        }
    }

    /// The first or the second invitation of the device.
    pub fn token(&self, number: u8) -> InvitationToken {
        match self {
            Self::Pebble(pebble) => pebble.token(number),
            Self::Chaos { server, tokens, .. } => {
                let token = &mut tokens.lock()[usize::from(number) - 1];
                let invite = || {
                    let invited =
                        server.invite("device:fra/sensor-42", &["--dns", NAME, "--uses", "9"]);
                    invited["token"].as_str().unwrap().parse().unwrap()
                };
                token.get_or_insert_with(invite).clone()
            }
        }
    }

    /// An invitation with another key id, MAC key or pin.
    pub fn changed(
        &self,
        number: u8,
        key_id: Option<&str>,
        mac: Option<[u8; 32]>,
        pin: [u8; 32],
    ) -> InvitationToken {
        let good = self.token(number);
        InvitationToken::new(
            good.directory(),
            key_id.unwrap_or(good.key_id()),
            mac.as_ref().map_or(good.mac_key(), |mac| &mac[..]),
            good.identifiers().to_vec(),
            pin,
            good.profile().map(str::to_owned),
        )
        .unwrap()
    }

    /// Enrols up to where there is an account and no certificate yet.
    pub fn register(&self, state: &Path, number: u8) -> StoredAccount {
        self.register_by(state, number, &self.directory_url())
    }

    fn register_by(&self, state: &Path, number: u8, url: &str) -> StoredAccount {
        let token = self.token(number).encode();
        let output = agent(state, &["enroll", &token, "--server", url]);
        let directory = StateDirectory::open(state).unwrap();
        match self {
            // Pebble wants a challenge, and the agent says that it does none; but its account is there by then.
            Self::Pebble(_) => {
                assert_eq!(output.status.code(), Some(4), "{}", text(&output));
                for part in ["wants a challenge", NAME] {
                    assert!(text(&output).contains(part), "{}", text(&output));
                }
                directory.pending_account().unwrap().unwrap()
            }
            // As if the power had gone before the certificate was there.
            Self::Chaos { .. } => {
                assert_eq!(output.status.code(), Some(0), "{}", text(&output));
                let account = directory.account().unwrap().unwrap();
                fs::remove_file(state.join("account.json")).unwrap();
                fs::remove_file(state.join("current")).unwrap();
                let lock = directory.lock().unwrap();
                directory.set_pending_account(&account, &lock).unwrap();
                account
            }
        }
    }

    /// Makes the authorization of the account valid, as an invitation of ours does by itself.
    pub fn vouch(&self, account: &StoredAccount) {
        match self {
            Self::Pebble(pebble) => pebble.vouch(account),
            Self::Chaos { .. } => {}
        }
    }

    /// That an invitation was taken, and all that goes with this server has been done.
    pub fn has_taken(&self, output: &Output) -> bool {
        match self {
            Self::Pebble(_) => text(output).contains("wants a challenge"),
            Self::Chaos { .. } => output.status.success(),
        }
    }

    /// Enrols with the agent as a program.
    pub fn enrol(&self, state: &Path, number: u8) {
        self.enrol_by(state, number, &self.directory_url());
    }

    /// The same, by another way to its directory.
    pub fn enrol_by(&self, state: &Path, number: u8, url: &str) {
        if let Self::Pebble(_) = self {
            let account = self.register_by(state, number, url);
            self.vouch(&account);
        }
        let token = self.token(number).encode();
        let output = agent(state, &["enroll", &token, "--server", url]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }

    /// Lets the device's account be of no use any more.
    pub fn forget_accounts(&mut self) {
        match self {
            // Pebble keeps its accounts in memory.
            Self::Pebble(pebble) => {
                pebble.end();
                pebble.begin();
            }
            Self::Chaos { server, .. } => {
                server.json(&["cert", "revoke", "device:fra/sensor-42", "--yes"]);
            }
        }
    }

    /// The identifier that invitations are for, as a certificate shows it.
    pub fn name() -> &'static str {
        NAME
    }
}
