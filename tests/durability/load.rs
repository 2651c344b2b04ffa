//! Clients that get certificates over ACME without pause, and remember each one that they received.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use instant_acme::{Account, ExternalAccountKey, Identifier, NewAccount, NewOrder, RetryPolicy};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use x509_parser::pem::Pem;

/// What a client needs to issue without a challenge: a binding key, and the DNS name that its invitation vouches for.
#[derive(Clone)]
pub struct Client {
    pub kid: String,
    pub mac_key: Vec<u8>,
    pub name: String,
}

/// The clients at work, each on its own connection and with its own account, which it opens at the start.
pub struct Load {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<String>>,
    last_failure: Mutex<String>,
    stopping: AtomicBool,
}

impl Load {
    /// Opens the accounts, then issues until [`Load::stop`]. What fails meanwhile, a dead server say, is tried again.
    pub fn start(directory_url: &str, root_pem: &Path, clients: &[Client]) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = Arc::clone(&shared);
            let (directory_url, root_pem) = (directory_url.to_owned(), root_pem.to_path_buf());
            let clients = clients.to_vec();
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let mut tasks = Vec::new();
                    for client in clients {
                        tasks.push(tokio::spawn(issue_until(
                            client,
                            directory_url.clone(),
                            root_pem.clone(),
                            Arc::clone(&shared),
                        )));
                    }
                    for task in tasks {
                        task.await.expect("a client panicked");
                    }
                });
            })
        };
        Self { shared, thread }
    }

    /// How many certificates the clients have.
    pub fn count(&self) -> usize {
        self.shared.received.lock().unwrap().len()
    }

    /// What went wrong last; where nothing did, nothing.
    pub fn last_failure(&self) -> String {
        self.shared.last_failure.lock().unwrap().clone()
    }

    /// Ends the clients and hands over the serial numbers, in hexadecimal, of all that they received.
    pub fn stop(self) -> Vec<String> {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.thread.join().expect("the clients' thread");
        let received = self.shared.received.lock().unwrap();
        received.clone()
    }
}

async fn issue_until(
    client: Client,
    directory_url: String,
    root_pem: PathBuf,
    shared: Arc<Shared>,
) {
    let mut account = None;
    while !shared.stopping.load(Ordering::SeqCst) {
        // A request that was on its way when the server was killed may hang: no longer than this.
        let turn = tokio::time::timeout(Duration::from_secs(10), async {
            if account.is_none() {
                account = Some(open_account(&client, &directory_url, &root_pem).await?);
            }
            match &account {
                Some(account) => issue(account, &client.name).await,
                None => Err(instant_acme::Error::Str("no account")),
            }
        });
        match turn.await {
            Ok(Ok(serial)) => {
                shared.received.lock().unwrap().push(serial);
                continue;
            }
            Ok(Err(error)) => *shared.last_failure.lock().unwrap() = format!("{error:?}"),
            Err(_) => "no answer in time".clone_into(&mut shared.last_failure.lock().unwrap()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn open_account(
    client: &Client,
    directory_url: &str,
    root_pem: &Path,
) -> Result<Account, instant_acme::Error> {
    let binding = ExternalAccountKey::new(client.kid.clone(), &client.mac_key);
    let new_account = NewAccount {
        contact: &[],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let builder = Account::builder_with_root(root_pem)?;
    let (account, _) = builder
        .create(&new_account, directory_url.to_owned(), Some(&binding))
        .await?;
    Ok(account)
}

async fn issue(account: &Account, name: &str) -> Result<String, instant_acme::Error> {
    let identifiers = [Identifier::Dns(name.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let key = KeyPair::generate().expect("a key");
    let mut request = CertificateParams::new([name.to_owned()]).expect("a DNS name");
    request.distinguished_name = DistinguishedName::new();
    let request = request.serialize_request(&key).expect("a request");
    order.finalize_csr(request.der()).await?;
    let patience = RetryPolicy::new().initial_delay(Duration::from_millis(10));
    let chain = order.poll_certificate(&patience).await?;
    Ok(serial(&chain))
}

/// The serial number of a chain's first certificate, in hexadecimal without leading zero octets.
fn serial(chain: &str) -> String {
    let leaf = Pem::iter_from_buffer(chain.as_bytes())
        .next()
        .expect("a PEM block")
        .expect("a well-formed PEM block");
    let leaf = leaf.parse_x509().expect("a certificate");
    let octets = leaf.raw_serial();
    let leading = octets.iter().take_while(|octet| **octet == 0).count();
    hex::encode(&octets[leading..])
}
