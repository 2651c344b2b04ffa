//! `[store]` of the configuration, as read and as checked.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::domain::duration::WrittenDuration;

/// `[store]` as read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Where the high-water mark is kept, relative to the state directory: best on another disk.
    pub high_water_mark: Option<PathBuf>,
    /// How long certificates are kept after they expired.
    pub keep_expired: Option<WrittenDuration>,
}

/// `[store]` as checked.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Where the high-water mark is kept.
    pub high_water_mark: PathBuf,
    /// How long certificates are kept after they expired.
    pub keep_expired: Duration,
}

impl StoreConfig {
    /// Checks it.
    ///
    /// # Errors
    /// The key at fault, and what would be right.
    pub(super) fn checked(self, state_dir: &Path) -> Result<StoreSettings, (&'static str, String)> {
        const DAY: Duration = Duration::from_secs(86_400);
        let keep_expired = self
            .keep_expired
            .map_or(90 * DAY, |WrittenDuration(keep)| keep);
        if keep_expired < Duration::from_secs(3600) {
            return Err((
                "keep_expired",
                "certificates are kept for at least an hour after they expired".to_owned(),
            ));
        }
        let mark = self
            .high_water_mark
            .unwrap_or_else(|| PathBuf::from(super::MARK_FILE));
        Ok(StoreSettings {
            high_water_mark: state_dir.join(mark),
            keep_expired,
        })
    }
}
