//! Configuration to running process; the only wiring, and the only one that names a backend of the store.

mod audit;
mod backup;
mod ca_keys;
mod clock;
mod config;
mod doctor_config;
mod fetch;
mod high_water;
mod init;
mod keeping_error;
mod metrics;
mod own_certificate;
mod passphrase;
mod reconcile;
mod restore;
mod serve;
mod serve_error;
mod state_dir;
mod store_config;
#[cfg_attr(not(feature = "pkcs11"), path = "no_token.rs")]
mod token;
mod trust;

/// The store's file in a state directory.
const STORE_FILE: &str = "portcullis.db";
/// The high-water mark's file in a state directory, where the configuration names no other.
const MARK_FILE: &str = "high-water";
/// The file that says that a state directory was restored and not yet reconciled.
const RESTORED_FILE: &str = "restored";

pub use audit::{VerifiedTrail, audit_key, verify_audit};
pub use backup::{Manifest, ManifestFile, backup};
pub use ca_keys::StoredKeys;
pub use clock::SystemClock;
pub use config::{
    CaConfig, CaSettings, Config, ConfigError, Settings, TokenChoice, TokenConfig, TokenSettings,
    is_plain_http,
};
pub use doctor_config::DoctorConfig;
pub use high_water::{MarkFileError, read_mark, write_mark};
pub use init::{Init, InitError, Initialised, SAMPLE_CONFIG, SAMPLE_POLICY, init};
pub use keeping_error::KeepingError;
pub use metrics::MetricsConfig;
use own_certificate::OwnCertificate;
pub use own_certificate::OwnCertificateError;
pub use passphrase::{Passphrase, PassphraseError, PassphraseSource};
pub use reconcile::{Reconciliation, Sources, reconcile_state};
pub use restore::{Restored, restore};
pub use serve::{Server, read_settings, serve};
pub use serve_error::ServeError;
pub use state_dir::{StateDir, StateError};
pub use store_config::{StoreConfig, StoreSettings};
pub use token::TokenKeys;
use trust::{anchors, keep_trust_current};
