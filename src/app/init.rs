//! `portcullis init`: root, intermediate, configuration and first policy, with no question asked and nothing overwritten.

use std::sync::Arc;

use portcullis_ca::{
    certificate::{Certificate, IssuerCertificate, to_pem},
    key::{KeyAlgorithm, PublicKey, Signer, SigningKey},
    profile::{Profile, ProfileKind},
};
use zeroize::Zeroizing;

use super::{
    MARK_FILE, MarkFileError, Passphrase, PassphraseSource, STORE_FILE, StateDir, StateError,
    TokenChoice, TokenKeys, TokenSettings, write_mark,
};
use crate::{
    authority::{CaKeyError, Founding, ListSchedule, Secrets, ca::CaDraft, found},
    domain::{Timestamp, TrustDomain, high_water::HighWaterMark, issuer::KeyPlace},
    store::{AuditTrail, StoreError, sqlite::SqliteStore},
};

/// The sample configuration, every key with its default and what it is for.
pub const SAMPLE_CONFIG: &str = include_str!("sample/portcullis.toml");
/// The first policy.
pub const SAMPLE_POLICY: &str = include_str!("sample/policy.toml");

/// What the new authority is to be.
#[derive(Debug)]
pub struct Init {
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// The algorithm of both CA keys.
    pub key_algorithm: KeyAlgorithm,
    /// What the keys are sealed with; where it came from is then named in the configuration.
    pub passphrase: Option<(PassphraseSource, Passphrase)>,
    /// The token that the intermediate's key goes into; it is then named in the configuration.
    pub token: Option<TokenSettings>,
    /// Where lists and issuer certificates are to be had.
    pub public_url: String,
}

/// What was made.
#[derive(Debug)]
pub struct Initialised {
    /// SHA-256 of the root's DER.
    pub root_sha256: [u8; 32],
    /// The last moment of the root's validity.
    pub root_not_after: Timestamp,
    /// The last moment of the intermediate's validity.
    pub intermediate_not_after: Timestamp,
}

/// Makes a new authority in a directory.
///
/// # Errors
/// [`InitError`]; a directory that holds one already is left as it is.
pub async fn init(state: &StateDir, init: &Init, now: Timestamp) -> Result<Initialised, InitError> {
    for name in [
        "portcullis.toml",
        "policy.toml",
        "root.pem",
        "intermediate.pem",
        "keys/root.key",
        "keys/intermediate.key",
        "keys/seed",
        "portcullis.db",
    ] {
        if state.file(name).exists() {
            return Err(InitError::Exists(state.file(name).display().to_string()));
        }
    }
    let token = init.token.as_ref().map(TokenKeys::new).transpose()?;
    let intermediate_key = NewKey::make(init.key_algorithm, token.as_ref()).await?;
    let in_token = intermediate_key.label().map(str::to_owned);
    let made = write(state, init, intermediate_key, now).await;
    if let (Err(_), Some(token), Some(label)) = (&made, &token, in_token) {
        // Nobody will ever use it. That it stays behind harms nobody.
        let _ = token.remove(&label).await;
    }
    made
}

async fn write(
    state: &StateDir,
    init: &Init,
    intermediate_key: NewKey,
    now: Timestamp,
) -> Result<Initialised, InitError> {
    let hierarchy = Hierarchy::make(init, intermediate_key, now).await?;
    let mut seed = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(seed.as_mut())
        .map_err(|_| InitError::Crypto("the system's random generator failed".to_owned()))?;

    state.create()?;
    let passphrase = init
        .passphrase
        .as_ref()
        .map(|(_, phrase)| phrase.as_slice());
    let sealed = |key: &SigningKey| {
        key.to_pkcs8_pem(passphrase)
            .map_err(|error| InitError::Crypto(error.to_string()))
    };
    state.write_new(
        "keys/root.key",
        0o600,
        sealed(&hierarchy.root_key)?.as_bytes(),
    )?;
    let intermediate_key = match &hierarchy.intermediate_key {
        NewKey::File(key) => {
            let name = "keys/intermediate.key";
            state.write_new(name, 0o600, sealed(key)?.as_bytes())?;
            KeyPlace::File(name.to_owned())
        }
        NewKey::Token(_, label) => KeyPlace::Token(label.clone()),
    };
    let seed_text = Zeroizing::new(format!("{}\n", hex::encode(seed.as_ref())));
    state.write_new("keys/seed", 0o600, seed_text.as_bytes())?;
    state.write_new("root.pem", 0o644, to_pem(hierarchy.root.der()).as_bytes())?;
    state.write_new(
        "intermediate.pem",
        0o644,
        to_pem(hierarchy.intermediate.der()).as_bytes(),
    )?;
    state.write_new("policy.toml", 0o644, SAMPLE_POLICY.as_bytes())?;
    // Made here and never by `serve`: a start without it would forget every revocation.
    let store = SqliteStore::open(&state.file(STORE_FILE))?;
    let issuer = |certificate: &Certificate| {
        IssuerCertificate::from_der(certificate.der())
            .map_err(|error| InitError::Crypto(error.to_string()))
    };
    let founding = Founding {
        root: issuer(&hierarchy.root)?,
        root_key: KeyPlace::File("keys/root.key".to_owned()),
        intermediate: issuer(&hierarchy.intermediate)?,
        intermediate_key,
        list_shards: ListSchedule::default().shards,
    };
    found(&store, founding, now)
        .await
        .map_err(|error| InitError::Crypto(error.to_string()))?;
    // From the first moment on: a start without it is refused once there is anything in the store.
    let mark = HighWaterMark {
        at: now,
        level: store.water_level().await?,
    };
    let mark_key = Secrets::from_seed(&seed).mark_key;
    write_mark(&state.file(MARK_FILE), &mark_key, &mark)?;
    drop(store);
    // Last, so that an interrupted init is not taken for an authority.
    state.write_new("portcullis.toml", 0o644, configuration(init).as_bytes())?;

    let read = |certificate: &Certificate| {
        IssuerCertificate::from_der(certificate.der())
            .map(|read| Timestamp::from_unix_seconds(read.not_after()))
            .map_err(|error| InitError::Crypto(error.to_string()))
    };
    let mut root_sha256 = [0; 32];
    root_sha256.copy_from_slice(
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, hierarchy.root.der()).as_ref(),
    );
    Ok(Initialised {
        root_sha256,
        root_not_after: read(&hierarchy.root)?,
        intermediate_not_after: read(&hierarchy.intermediate)?,
    })
}

/// The sample configuration with what was chosen.
fn configuration(init: &Init) -> String {
    // The intermediate carries it, so it must not follow a later change of `status.listen`.
    let mut changes = vec![(
        "public_url = \"http://127.0.0.1:8445\"".to_owned(),
        format!(
            "public_url = {}",
            toml::Value::from(init.public_url.as_str())
        ),
    )];
    changes.push((
        "trust_domain = \"portcullis.internal\"".to_owned(),
        format!("trust_domain = \"{}\"", init.trust_domain),
    ));
    if let Some((source, _)) = &init.passphrase {
        changes.push((
            "passphrase_file = \"keys/passphrase\"".to_owned(),
            line("passphrase", source),
        ));
    }
    if let Some(token) = &init.token {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        changes.extend([
            ("[ca.token]".to_owned(), "[ca.token]".to_owned()),
            (
                "module = \"/usr/lib/softhsm/libsofthsm2.so\"".to_owned(),
                format!("module = {}", quoted(&token.module.display().to_string())),
            ),
            (
                "label = \"portcullis\"".to_owned(),
                match &token.token {
                    TokenChoice::Label(label) => format!("label = {}", quoted(label)),
                    TokenChoice::Slot(slot) => format!("slot = {slot}"),
                },
            ),
        ]);
        if let Some(source) = &token.pin {
            changes.push(("pin_file = \"keys/pin\"".to_owned(), line("pin", source)));
        }
    }
    let mut text = SAMPLE_CONFIG.to_owned();
    for (default, chosen) in changes {
        text = text.replacen(&format!("# {default}"), &chosen, 1);
    }
    text
}

/// A source of passphrases or PINs as the configuration has it.
fn line(what: &str, source: &PassphraseSource) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    match source {
        PassphraseSource::File(path) => {
            format!("{what}_file = {}", quoted(&path.display().to_string()))
        }
        PassphraseSource::Credential(name) => format!("{what}_credential = {}", quoted(name)),
        PassphraseSource::Environment(name) => format!("{what}_env = {}", quoted(name)),
        PassphraseSource::Prompt => format!("{what}_prompt = true"),
    }
}

/// A key that was made just now.
enum NewKey {
    /// It is to be written to a file.
    File(SigningKey),
    /// It is in the token, under this label.
    Token(Arc<dyn Signer>, String),
}

impl NewKey {
    async fn make(algorithm: KeyAlgorithm, token: Option<&TokenKeys>) -> Result<Self, InitError> {
        match token {
            Some(token) => {
                let (signer, label) = token.generate(algorithm).await?;
                Ok(Self::Token(signer, label))
            }
            None => SigningKey::generate(algorithm)
                .map(Self::File)
                .map_err(|error| InitError::Crypto(error.to_string())),
        }
    }

    fn public_key(&self) -> &PublicKey {
        match self {
            Self::File(key) => key.public_key(),
            Self::Token(signer, _) => signer.public_key(),
        }
    }

    fn label(&self) -> Option<&str> {
        match self {
            Self::File(_) => None,
            Self::Token(_, label) => Some(label),
        }
    }
}

struct Hierarchy {
    root_key: SigningKey,
    root: Certificate,
    intermediate_key: NewKey,
    intermediate: Certificate,
}

impl Hierarchy {
    async fn make(
        init: &Init,
        intermediate_key: NewKey,
        now: Timestamp,
    ) -> Result<Self, InitError> {
        let crypto = |error: &dyn std::fmt::Display| InitError::Crypto(error.to_string());
        let root_key = SigningKey::generate(init.key_algorithm).map_err(|error| crypto(&error))?;
        let draft = |kind| CaDraft {
            profile: Profile::default_for(kind)
                .with_key(init.key_algorithm)
                .into(),
            trust_domain: &init.trust_domain,
            public_url: &init.public_url,
            now,
        };
        let root = draft(ProfileKind::Root)
            .self_signed(&root_key)
            .await
            .map_err(|error| crypto(&error))?;
        let issuer = IssuerCertificate::from_der(root.der()).map_err(|error| crypto(&error))?;
        let intermediate = draft(ProfileKind::Intermediate)
            .signed_by(intermediate_key.public_key(), &issuer, &root_key)
            .await
            .map_err(|error| crypto(&error))?;
        Ok(Self {
            root_key,
            root,
            intermediate_key,
            intermediate,
        })
    }
}

/// Why there is no new authority.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is one already.
    #[error(
        "{0} exists; init never overwrites. Choose another directory with --dir, or start this one: portcullis serve"
    )]
    Exists(String),
    /// A file can't be written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The store can't be made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The high-water mark can't be written.
    #[error(transparent)]
    Mark(#[from] MarkFileError),
    /// The token can't be used.
    #[error(transparent)]
    Token(#[from] CaKeyError),
    /// A key or a certificate can't be made.
    #[error("{0}")]
    Crypto(String),
}
