//! `[doctor]` of the configuration, as read.

use serde::Deserialize;

use crate::authority::DoctorSettings;

/// `[doctor]` as read.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DoctorConfig {
    /// How many certificates the store may hold before the doctor speaks up.
    pub certificates: u64,
}

impl Default for DoctorConfig {
    fn default() -> Self {
        Self {
            certificates: DoctorSettings::default().certificates,
        }
    }
}

impl DoctorConfig {
    pub(super) fn checked(&self) -> DoctorSettings {
        DoctorSettings {
            certificates: self.certificates,
        }
    }
}
