//! Which devices a rule is about: each by name, or all whose names begin alike.

use std::collections::HashSet;

use portcullis_ca::attestation::DeviceIdentity;

/// A list of devices. An empty one has none.
#[derive(Debug, Clone, Default)]
pub struct DeviceList {
    /// As they print: the type, a colon, the value.
    named: HashSet<String>,
    beginnings: Vec<String>,
}

impl DeviceList {
    /// Reads entries: `SERIAL` or `SERIAL/OID` for a permanent identifier, `hardware-module:SERIAL/OID` for a module, and
    /// with `*` at the end, behind at least one character, all that begin so.
    ///
    /// # Errors
    /// [`InvalidDevice`] with the entry.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidDevice> {
        let mut list = Self::default();
        for entry in entries {
            list.add(entry)
                .ok_or_else(|| InvalidDevice(entry.chars().take(100).collect()))?;
        }
        Ok(list)
    }

    fn add(&mut self, entry: &str) -> Option<()> {
        let (is_module, value) = match entry.split_once(':') {
            Some(("hardware-module", value)) => (true, value),
            Some(("permanent-identifier", value)) => (false, value),
            // Serial numbers may have colons of their own.
            Some(_) | None => (false, entry),
        };
        if let Some(beginning) = value.strip_suffix('*') {
            // "*" alone would be every device of a maker, and a device that is let in must be named.
            let identity = DeviceIdentity::parse_permanent(beginning).ok()?;
            let kind = if is_module {
                "hardware-module"
            } else {
                identity.kind()
            };
            // Behind a slash there is an assigner, which nobody means to guess.
            if beginning.contains('/') {
                return None;
            }
            self.beginnings.push(format!("{kind}:{beginning}"));
        } else {
            let identity = if is_module {
                DeviceIdentity::parse_hardware_module(value)
            } else {
                DeviceIdentity::parse_permanent(value)
            };
            self.named.insert(identity.ok()?.to_string());
        }
        Some(())
    }

    /// Whether a device is in it.
    #[must_use]
    pub fn has(&self, identity: &DeviceIdentity) -> bool {
        let text = identity.to_string();
        self.named.contains(&text)
            || self
                .beginnings
                .iter()
                .any(|beginning| text.starts_with(beginning))
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.named.len() + self.beginnings.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes another list's entries in, too.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.named.extend(other.named);
        self.beginnings.extend(other.beginnings);
        self
    }
}

/// An entry that names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no device: write its identifier as its statement has it, as in C02XK1ABCDEF, ABC123/1.2.3.4 or hardware-module:ABC123/1.2.3.4, or the beginning of several, as in FRA-*; a * alone is not allowed"
)]
pub struct InvalidDevice(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_in_a_list_that_names_it() {
        let list = DeviceList::new([
            "SN-1",
            "SN-2/1.2.3",
            "00:1a",
            "FRA-*",
            "hardware-module:HW-1/1.2.3",
            "hardware-module:MOD*",
        ])
        .expect("a list");
        for (kind, value, has) in [
            ("permanent-identifier", "SN-1", true),
            ("permanent-identifier", "SN-1/1.2.3", false),
            ("permanent-identifier", "SN-2/1.2.3", true),
            ("permanent-identifier", "SN-2", false),
            ("permanent-identifier", "SN-11", false),
            ("permanent-identifier", "sn-1", false),
            ("permanent-identifier", "00:1a", true),
            ("permanent-identifier", "FRA-9", true),
            ("permanent-identifier", "FRA", false),
            ("permanent-identifier", "HW-1/1.2.3", false),
            ("hardware-module", "HW-1/1.2.3", true),
            ("hardware-module", "FRA-9/1.2.3", false),
            ("hardware-module", "MODULE/1.2.3", true),
        ] {
            let identity = match kind {
                "hardware-module" => DeviceIdentity::parse_hardware_module(value),
                _ => DeviceIdentity::parse_permanent(value),
            }
            .expect("a device");
            assert_eq!(list.has(&identity), has, "{identity}");
        }
        let empty = DeviceList::new([]).expect("a list");
        assert!(!empty.has(&DeviceIdentity::parse_permanent("SN-1").expect("a device")));
    }

    #[test]
    fn an_entry_that_names_nothing_or_everything_is_refused() {
        for entry in [
            "*",
            "",
            "a b",
            "FRA-*-1",
            "**",
            "/1.2.3*",
            "SN/1.2*",
            "SN/1.2.03",
            "hardware-module:HW-1",
            "hardware-module:*",
            "{id}",
        ] {
            assert!(DeviceList::new([entry]).is_err(), "{entry:?}");
        }
    }
}
