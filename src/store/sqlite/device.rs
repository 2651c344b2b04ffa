//! Devices that enrolled themselves, in SQLite.

use portcullis_ca::revocation::RevocationReason;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{SqliteStore, enrolment, failed, find, from_json, invitation, to_json};
use crate::{
    domain::{
        Timestamp,
        device::{Device, DeviceCandidate, DeviceRefused, DeviceState},
        id::EnrolmentId,
        identifier::Identifier,
        principal::Principal,
    },
    store::{Answer, Devices, StoreError},
};

impl Devices for SqliteStore {
    fn device<'a>(&'a self, enrolment: &'a EnrolmentId) -> Answer<'a, Option<Device>> {
        let id = enrolment.clone();
        self.look_up(move |connection| by_enrolment(connection, &id))
    }

    fn admit_device(
        &self,
        candidate: DeviceCandidate,
        now: Timestamp,
    ) -> Answer<'_, Result<Option<Device>, DeviceRefused>> {
        self.look_up(move |connection| admit(connection, &candidate, now))
    }
}

pub(super) fn by_enrolment(
    connection: &Connection,
    enrolment: &EnrolmentId,
) -> rusqlite::Result<Option<Device>> {
    find(
        connection,
        "SELECT body FROM devices WHERE enrolment = ?",
        [enrolment.as_str()],
    )
}

fn of_principal(connection: &Connection, principal: &Principal) -> rusqlite::Result<Vec<Device>> {
    connection
        .prepare_cached("SELECT body FROM devices WHERE principal = ?")?
        .query_map([principal.to_string()], |row| from_json(row, 0))?
        .collect()
}

fn by_identity(connection: &Connection, identity: &Identifier) -> rusqlite::Result<Option<Device>> {
    let enrolment: Option<String> = connection
        .prepare_cached("SELECT enrolment FROM device_identities WHERE identity = ?")?
        .query_row([identity.to_string()], |row| row.get(0))
        .optional()?;
    match enrolment {
        Some(enrolment) => by_enrolment(connection, &EnrolmentId::from_text(enrolment)),
        None => Ok(None),
    }
}

/// Whether a statement alone is enough for a candidate; the answer is the device that it is already, if it is one.
fn admit(
    connection: &Connection,
    candidate: &DeviceCandidate,
    now: Timestamp,
) -> rusqlite::Result<Result<Option<Device>, DeviceRefused>> {
    let principal = &candidate.principal;
    let mut known: Option<Device> = None;
    for identity in &candidate.identities {
        let Some(device) = by_identity(connection, identity)? else {
            continue;
        };
        if let Err(ended) = device.check_active() {
            return Ok(Err(ended.into()));
        }
        if device.principal != *principal {
            return Ok(Err(DeviceRefused::OtherPrincipal {
                principal: device.principal,
                device: identity.to_string(),
            }));
        }
        known = Some(device);
    }
    for device in of_principal(connection, principal)? {
        if let Err(ended) = device.check_active() {
            return Ok(Err(ended.into()));
        }
        if known
            .as_ref()
            .is_none_or(|known| known.enrolment != device.enrolment)
        {
            let names: Vec<String> = device.identities.iter().map(ToString::to_string).collect();
            return Ok(Err(DeviceRefused::OtherDevice {
                principal: principal.clone(),
                device: names.join(", "),
            }));
        }
    }
    if !enrolment::of_principal(connection, principal)?.is_empty()
        || invitation::is_invited(connection, principal, now)?
    {
        return Ok(Err(DeviceRefused::Invited(principal.clone())));
    }
    Ok(Ok(known))
}

/// Lets a device have a certificate: writes it, if it is new, or finds that it is the one that is known and goes on.
pub(super) fn enrol(
    connection: &Connection,
    device: &Device,
    now: Timestamp,
) -> Result<(), StoreError> {
    let candidate = DeviceCandidate {
        principal: device.principal.clone(),
        identities: device.identities.clone(),
    };
    let known = admit(connection, &candidate, now).map_err(failed)??;
    match known {
        Some(known) if known.enrolment == device.enrolment => put(connection, device),
        Some(_) => Err(StoreError::Conflict(
            "the device has enrolled in the meantime; finalize the order again",
        )),
        None if by_enrolment(connection, &device.enrolment)
            .map_err(failed)?
            .is_some() =>
        {
            Err(StoreError::Conflict(
                "the device has changed in the meantime; place a new order",
            ))
        }
        None => put(connection, device),
    }
}

/// Writes a device, new or changed, and all that it is called.
fn put(connection: &Connection, device: &Device) -> Result<(), StoreError> {
    let body = to_json(device)?;
    connection
        .prepare_cached(
            "INSERT INTO devices (enrolment, principal, body) VALUES (?, ?, ?)
             ON CONFLICT (enrolment) DO UPDATE SET body = excluded.body",
        )
        .and_then(|mut put| {
            put.execute(params![
                device.enrolment.as_str(),
                device.principal.to_string(),
                body
            ])
        })
        .map_err(failed)?;
    for identity in &device.identities {
        connection
            .prepare_cached(
                "INSERT INTO device_identities (identity, enrolment) VALUES (?, ?)
                 ON CONFLICT (identity) DO NOTHING",
            )
            .and_then(|mut put| {
                put.execute(params![identity.to_string(), device.enrolment.as_str()])
            })
            .map_err(failed)?;
    }
    Ok(())
}

/// Ends the device whose lineage this is, if it is one. The answer is how many ended.
pub(super) fn end(
    connection: &Connection,
    enrolment: &EnrolmentId,
    reason: RevocationReason,
    at: Timestamp,
) -> Result<usize, StoreError> {
    let device = by_enrolment(connection, enrolment).map_err(failed)?;
    let reason = format!("a certificate of it was revoked: {reason}");
    end_all(connection, device.into_iter(), at, &reason)
}

/// Ends every device of a principal. The answer is how many ended.
pub(super) fn end_of_principal(
    connection: &Connection,
    principal: &Principal,
    at: Timestamp,
    reason: &str,
) -> Result<usize, StoreError> {
    let devices = of_principal(connection, principal).map_err(failed)?;
    end_all(connection, devices.into_iter(), at, reason)
}

fn end_all(
    connection: &Connection,
    devices: impl Iterator<Item = Device>,
    at: Timestamp,
    reason: &str,
) -> Result<usize, StoreError> {
    let mut ended = 0;
    for mut device in devices.filter(|device| device.check_active().is_ok()) {
        device.state = DeviceState::Ended {
            at,
            reason: reason.to_owned(),
        };
        put(connection, &device)?;
        ended += 1;
    }
    Ok(ended)
}
