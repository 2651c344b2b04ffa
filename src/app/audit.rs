//! Verifying the audit trail of a state directory, with a server on it or without.

use std::path::Path;

use super::{
    STORE_FILE, ServeError, StateDir,
    high_water::{MarkFileError, read_mark},
    read_settings,
};
use crate::{
    authority::Secrets,
    domain::{
        Timestamp,
        audit::{AuditPublicKey, TrailFault, TrailSummary, TrailVerification},
    },
    store::sqlite::SqliteReader,
};

/// How many entries are read at once.
const STEP: usize = 10_000;

/// What a verification found.
#[derive(Debug)]
pub struct VerifiedTrail {
    /// The key that the checkpoints were verified with.
    pub key: AuditPublicKey,
    /// When the high-water mark was written.
    pub marked_at: Option<Timestamp>,
    /// The first fault, or what was verified.
    pub verdict: Result<TrailSummary, TrailFault>,
}

/// The public key of a state directory's audit trail.
///
/// # Errors
/// The seed's file can't be read.
pub fn audit_key(state: &StateDir) -> Result<AuditPublicKey, ServeError> {
    Ok(Secrets::from_seed(&*state.seed()?).audit_key.public_key())
}

/// Walks the whole trail: every number, hash and checkpoint, and the high-water mark (another file's, with `mark`).
/// With `key`, the checkpoints must be of that key: one that was kept where nobody who can write here could change it.
///
/// # Errors
/// Something could not be read; the trail was not judged then.
pub fn verify_audit(
    state: &StateDir,
    key: Option<AuditPublicKey>,
    mark: Option<&Path>,
) -> Result<VerifiedTrail, ServeError> {
    let settings = read_settings(state)?;
    let secrets = Secrets::from_seed(&*state.seed()?);
    let key = key.unwrap_or_else(|| secrets.audit_key.public_key());
    let path = mark.unwrap_or(&settings.store.high_water_mark);
    // The mark first, then the checkpoints, then the entries: a server may be adding to them.
    let (mark, no_mark) = match read_mark(path, &secrets.mark_key) {
        Ok(Some(mark)) => (Some(mark), None),
        Ok(None) => (None, Some(format!("{} does not exist", path.display()))),
        Err(error @ MarkFileError::Unreadable { .. }) => (None, Some(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let reader = SqliteReader::open(&state.file(STORE_FILE))?;
    let checkpoints = reader.checkpoints()?;
    let mut verification =
        TrailVerification::begin(&key, checkpoints, mark.as_ref().map(|mark| &mark.level));
    let mut from = i64::MIN;
    let verdict = 'walk: loop {
        let entries = reader.audit_from(from, STEP)?;
        for entry in &entries {
            if let Err(fault) = verification.entry(entry) {
                break 'walk Err(fault);
            }
            from = entry.number.saturating_add(1);
        }
        if entries.len() < STEP {
            break verification.end();
        }
    };
    let verdict = match (verdict, no_mark) {
        (Ok(_), Some(why)) => Err(TrailFault::NoMark(why)),
        (verdict, _) => verdict,
    };
    Ok(VerifiedTrail {
        key,
        marked_at: mark.map(|mark| mark.at),
        verdict,
    })
}
