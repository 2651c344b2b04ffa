//! Pebble, Let's Encrypt's small ACME server, as the other side: with external account binding, and with the
//! authorizations that an invitation would vouch for.

use std::{
    fs,
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use instant_acme::{Account, ChallengeType, NewOrder, RetryPolicy};
use portcullis::agent::{
    account::StoredAccount, certificate::Certificate, identifier::Identifier,
    token::InvitationToken,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Far more than anything takes, so that only a fault reaches it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A running Pebble, with a root of its own for TLS.
pub struct Pebble {
    directory: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
    reject_nonces: u8,
    validity: u32,
    root: Certificate,
}

impl Pebble {
    /// Starts one whose certificates live for `validity` seconds, and which refuses `reject_nonces` percent of good
    /// nonces.
    pub fn start(validity: u32, reject_nonces: u8) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_certificate = root.self_signed(&root_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &Issuer::new(root, root_key))
            .unwrap();
        let chain = certificate.pem() + &root_certificate.pem();
        fs::write(directory.path().join("chain.pem"), chain).unwrap();
        fs::write(directory.path().join("key.pem"), key.serialize_pem()).unwrap();
        fs::write(directory.path().join("root.pem"), root_certificate.pem()).unwrap();
        let mut pebble = Self {
            directory,
            port: free_port(),
            process: None,
            reject_nonces,
            validity,
            root: Certificate::from_der(root_certificate.der().clone()).unwrap(),
        };
        pebble.begin();
        pebble
    }

    /// Starts it, with the same names and keys, and without any memory of accounts.
    pub fn begin(&mut self) {
        let path = |name: &str| self.directory.path().join(name);
        let configuration = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{}", free_port()),
            "certificate": path("chain.pem"),
            "privateKey": path("key.pem"),
            "httpPort": 1, "tlsPort": 1,
            "externalAccountBindingRequired": true,
            "externalAccountMACKeys": {
                "inv-1": BASE64_URL_SAFE_NO_PAD.encode([1; 32]),
                "inv-2": BASE64_URL_SAFE_NO_PAD.encode([2; 32]),
            },
            "certificateValidityPeriod": self.validity,
        }});
        fs::write(path("pebble.json"), configuration.to_string()).unwrap();
        let log = fs::File::create(path("pebble.log")).unwrap();
        let process = Command::new("pebble")
            .arg("-config")
            .arg(path("pebble.json"))
            .env("PEBBLE_VA_ALWAYS_VALID", "1")
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "100")
            .env("PEBBLE_WFE_NONCEREJECT", self.reject_nonces.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("install Debian's package pebble");
        self.process = Some(process);
        eventually("pebble listens", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    /// Ends it.
    pub fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// The URL of its directory, by the name in its certificate.
    pub fn directory_url(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The file that holds its root certificate.
    pub fn root_file(&self) -> std::path::PathBuf {
        self.directory.path().join("root.pem")
    }

    /// The SHA-256 of its root certificate.
    pub fn pin(&self) -> [u8; 32] {
        self.root.sha256()
    }

    /// An invitation by the key `inv-NUMBER`.
    pub fn token(&self, number: u8) -> InvitationToken {
        InvitationToken::new(
            &self.directory_url(),
            &format!("inv-{number}"),
            &[number; 32],
            vec![Identifier::Dns("sensor-42.example".into())],
            self.pin(),
            None,
        )
        .unwrap()
    }

    /// Makes the authorization of the account valid, as an invitation of ours does by itself.
    pub fn vouch(&self, account: &StoredAccount) {
        // The library tries a refused nonce again only twice.
        let vouched = (0..50).any(|_| self.try_to_vouch(account).is_ok());
        assert!(vouched);
    }

    fn try_to_vouch(&self, account: &StoredAccount) -> Result<(), instant_acme::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let acme = Account::builder_with_root(self.root_file())
                .unwrap()
                .from_parts(
                    account.url.clone().unwrap(),
                    account.key(),
                    account.directory.clone(),
                )
                .await?;
            let identifiers: Vec<_> = account.identifiers.iter().map(Into::into).collect();
            let mut order = acme.new_order(&NewOrder::new(&identifiers)).await?;
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization = authorization?;
                let mut challenge = authorization.challenge(ChallengeType::Http01).unwrap();
                challenge.set_ready().await?;
            }
            order.poll_ready(&RetryPolicy::default()).await?;
            Ok(())
        })
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.end();
    }
}

/// A way to a server that can be closed: connections are then taken and dropped.
pub struct Way {
    port: u16,
    path: &'static str,
    open: Arc<AtomicBool>,
}

impl Way {
    /// An open one. It lasts as long as the test's process.
    pub fn to(address: &str, target: u16, path: &'static str) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(AtomicBool::new(true));
        let is_open = open.clone();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                if !is_open.load(Ordering::SeqCst) {
                    continue;
                }
                let far = TcpStream::connect(("127.0.0.1", target)).unwrap();
                for (mut from, mut to) in [
                    (near.try_clone().unwrap(), far.try_clone().unwrap()),
                    (far, near),
                ] {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        Self { port, path, open }
    }

    /// Closes or opens it.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
    }

    /// The URL of the directory by this way.
    pub fn directory_url(&self) -> String {
        format!("https://localhost:{}{}", self.port, self.path)
    }
}

/// The command `portcullis-agent` with a state directory.
pub fn command(state: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis-agent"));
    command
        .args(arguments)
        .env("PORTCULLIS_STATE_DIR", state)
        .env_remove("PORTCULLIS_TOKEN")
        .env_remove("PORTCULLIS_HOOK")
        .stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn agent(state: &Path, arguments: &[&str]) -> Output {
    command(state, arguments).output().unwrap()
}

/// All that it printed.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let pause = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    while !condition() {
        assert!(waited < DEADLINE, "not in time: {what}");
        std::thread::sleep(pause);
        waited += pause;
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
