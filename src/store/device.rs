//! Looking up devices that enrolled themselves.

use super::Answer;
use crate::domain::{
    Timestamp,
    device::{Device, DeviceCandidate, DeviceRefused},
    id::EnrolmentId,
};

/// Devices that no invitation let in.
pub trait Devices: Send + Sync {
    /// The device whose lineage of certificates this is.
    fn device<'a>(&'a self, enrolment: &'a EnrolmentId) -> Answer<'a, Option<Device>>;
    /// Whether a statement alone is enough for a candidate now; the answer is the device that it is already, if it is one.
    /// [`Commands::complete_order`](super::Commands::complete_order) asks again.
    fn admit_device(
        &self,
        candidate: DeviceCandidate,
        now: Timestamp,
    ) -> Answer<'_, Result<Option<Device>, DeviceRefused>>;
}
