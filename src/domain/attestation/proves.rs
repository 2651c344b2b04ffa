//! From a device's identifier to the principal that it is: `device:factory/{id}`.

use std::{fmt, str::FromStr};

use portcullis_ca::attestation::DeviceIdentity;

use super::super::principal::{Principal, PrincipalKind};

/// A principal with `{id}` in its path, once: there the device's own identifier goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proves {
    before: String,
    behind: String,
    kind: PrincipalKind,
}

const PLACE: &str = "{id}";

impl Proves {
    /// The kind of principal.
    #[must_use]
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// The principal that a device is: what its maker calls it stands in it as it is.
    ///
    /// # Errors
    /// What can't stand in a principal's path, in words. Nothing is replaced or left out.
    pub fn of(&self, identity: &DeviceIdentity) -> Result<Principal, String> {
        let text = format!("{}{}{}", self.before, identity.bare(), self.behind);
        // Principals are read strictly: no pattern, no dot segment, no further segment (identifiers have no slash).
        text.parse()
            .map_err(|error: super::super::principal::PrincipalError| error.to_string())
    }
}

impl FromStr for Proves {
    type Err = InvalidProves;

    fn from_str(text: &str) -> Result<Self, InvalidProves> {
        let invalid = || InvalidProves(text.chars().take(200).collect());
        let (before, behind) = text.split_once(PLACE).ok_or_else(invalid)?;
        // With a letter in the place of every device, it is a principal.
        let example: Principal = format!("{before}a{behind}")
            .parse()
            .map_err(|_| invalid())?;
        match example.kind() {
            PrincipalKind::Device | PrincipalKind::Service => Ok(Self {
                before: before.to_owned(),
                behind: behind.to_owned(),
                kind: example.kind(),
            }),
            PrincipalKind::User => Err(invalid()),
        }
    }
}

impl fmt::Display for Proves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PLACE}{}", self.before, self.behind)
    }
}

/// Text that makes no principal of a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} makes no principal of a device: write a device or a service with {{id}} once in its path, where the device's own identifier goes, as in device:factory/{{id}}"
)]
pub struct InvalidProves(String);

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap 3: a pattern character inside a templated identity (OpenBao GHSA-59w7-v8rr-pr4p).
    #[test]
    fn what_can_not_stand_in_a_path_makes_no_principal() {
        let proves: Proves = "device:factory/{id}".parse().expect("a template");
        for (value, principal) in [
            ("SN-1", Some("device:factory/SN-1")),
            ("SN-1/1.2.3", Some("device:factory/SN-1")),
            ("a.b", Some("device:factory/a.b")),
            ("..", None),
            (".", None),
            ("00:1a", None),
        ] {
            let identity = DeviceIdentity::parse_permanent(value).expect("a device");
            let made = proves.of(&identity).ok().map(|made| made.to_string());
            assert_eq!(made.as_deref(), principal, "{value}");
        }
    }

    #[test]
    fn a_template_is_a_principal_with_one_place_for_the_device() {
        for (text, good) in [
            ("device:factory/{id}", true),
            ("service:s-{id}/agent", true),
            ("device:factory/gateway", false),
            ("device:{id}/{id}", false),
            ("user:{id}", false),
            ("device:factory/*/{id}", false),
            ("device:../{id}", false),
            ("{id}", false),
            ("device:factory//{id}", false),
        ] {
            let read = text.parse::<Proves>();
            assert_eq!(read.is_ok(), good, "{text}");
            assert!(read.is_err() || read.is_ok_and(|it| it.to_string() == text));
        }
    }
}
