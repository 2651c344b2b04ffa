//! `[[attestation]]`: as read, and as the rules by which devices prove themselves. Its files are read when it is checked, so
//! that one that is missing or broken stops the start.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use portcullis_ca::{
    attestation::{AttestationFormat, DeviceIdentity, Roots, SecurityLevel},
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde::Deserialize;

use super::{ConfigError, Source};
use crate::{
    authority::Profiles,
    domain::{
        ProfileName,
        attestation::{
            AttestationRule, AttestationRules, DeviceList, Makers, Proof, Proves, VerifiedBoot,
        },
        principal::PrincipalPattern,
    },
};

/// The most octets of a file with roots or devices.
const MAX_FILE_OCTETS: u64 = 64 * 1024 * 1024;

/// `[[attestation]]` as read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationConfig {
    /// Names the rule.
    pub name: String,
    /// The format of the statements.
    pub format: String,
    /// A PEM file with the makers' root certificates.
    pub roots: PathBuf,
    /// The devices that are meant.
    #[serde(default)]
    pub devices: Vec<String>,
    /// A file with more of them, one a line.
    pub devices_file: Option<PathBuf>,
    /// Who made them.
    #[serde(default)]
    pub vendors: Vec<String>,
    /// Which models; without it, all of the vendors'.
    pub models: Option<Vec<String>>,
    /// The numbers of FIDO models.
    #[serde(default)]
    pub aaguids: Vec<String>,
    /// What must keep an Android device's key at least.
    pub security_level: Option<String>,
    /// Whether an Android device must have started its maker's system.
    pub verified_boot: Option<String>,
    /// Which principal a device is.
    pub proves: Option<String>,
    /// Which principals it may be.
    #[serde(default)]
    pub may_prove: Vec<String>,
    /// The profile of its certificates.
    pub profile: Option<String>,
}

pub(super) fn check(
    rules: Vec<AttestationConfig>,
    profiles: &Profiles,
    source: &Source<'_>,
    state_dir: &Path,
) -> Result<AttestationRules, ConfigError> {
    let mut names = HashSet::new();
    let mut checked = Vec::with_capacity(rules.len());
    for (index, rule) in rules.into_iter().enumerate() {
        let place = Place {
            index,
            source,
            state_dir,
        };
        let is_plain = (1..=40).contains(&rule.name.len())
            && rule
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_plain {
            return Err(place.fault(
                "name",
                "a rule's name is 1 to 40 lower-case letters, digits and hyphens",
            ));
        }
        if !names.insert(rule.name.clone()) {
            return Err(place.fault("name", format!("there is a rule {} already", rule.name)));
        }
        checked.push(rule.check(profiles, &place)?);
    }
    Ok(AttestationRules::new(checked))
}

/// A rule's place in the file.
struct Place<'a> {
    index: usize,
    source: &'a Source<'a>,
    state_dir: &'a Path,
}

impl Place<'_> {
    fn fault(&self, key: &str, message: impl std::fmt::Display) -> ConfigError {
        self.source
            .fault(&format!("attestation.{}.{key}", self.index), message)
    }

    fn read(&self, key: &str, file: &Path) -> Result<String, ConfigError> {
        let file = self.state_dir.join(file);
        let length = fs::metadata(&file).map(|metadata| metadata.len());
        if length
            .as_ref()
            .is_ok_and(|length| *length > MAX_FILE_OCTETS)
        {
            return Err(self.fault(key, format!("{} is too large", file.display())));
        }
        length
            .and_then(|_| fs::read_to_string(&file))
            .map_err(|error| self.fault(key, format!("{} can't be read: {error}", file.display())))
    }
}

impl AttestationConfig {
    fn check(self, profiles: &Profiles, place: &Place<'_>) -> Result<AttestationRule, ConfigError> {
        let format: AttestationFormat = self
            .format
            .parse()
            .map_err(|error| place.fault("format", error))?;
        self.check_fits(format, place)?;
        Ok(AttestationRule {
            roots: self.roots(place)?,
            devices: self.device_list(place)?,
            makers: self.makers(format, place)?,
            security_level: match self.security_level.as_deref() {
                None | Some("trusted-environment") => SecurityLevel::TrustedEnvironment,
                Some("strongbox") => SecurityLevel::StrongBox,
                Some(_) => {
                    return Err(place.fault(
                        "security_level",
                        "it is trusted-environment (the default) or strongbox",
                    ));
                }
            },
            verified_boot: match self.verified_boot.as_deref() {
                None | Some("required") => VerifiedBoot::Required,
                Some("ignored") => VerifiedBoot::Ignored,
                Some(_) => {
                    return Err(
                        place.fault("verified_boot", "it is required (the default) or ignored")
                    );
                }
            },
            proves: self.proof(profiles, place)?,
            name: self.name,
            format,
        })
    }

    /// A key that a format's statements could never meet would shut every device out, or nobody who thinks so.
    fn check_fits(&self, format: AttestationFormat, place: &Place<'_>) -> Result<(), ConfigError> {
        use AttestationFormat as F;
        for (key, is_there, formats) in [
            (
                "vendors",
                !self.vendors.is_empty(),
                &[F::Tpm, F::AndroidKey, F::Packed][..],
            ),
            ("models", self.models.is_some(), &[F::Tpm, F::AndroidKey]),
            ("aaguids", !self.aaguids.is_empty(), &[F::Packed]),
            (
                "security_level",
                self.security_level.is_some(),
                &[F::AndroidKey],
            ),
            (
                "verified_boot",
                self.verified_boot.is_some(),
                &[F::AndroidKey],
            ),
        ] {
            if is_there && !formats.contains(&format) {
                let names: Vec<&str> = formats.iter().map(|it| it.name()).collect();
                return Err(place.fault(
                    key,
                    format!(
                        "{format} statements say nothing about it; it is for {}",
                        names.join(" and ")
                    ),
                ));
            }
        }
        Ok(())
    }

    fn roots(&self, place: &Place<'_>) -> Result<Roots, ConfigError> {
        let text = place.read("roots", &self.roots)?;
        let fault = |error: &dyn std::fmt::Display| {
            place.fault("roots", format!("{}: {error}", self.roots.display()))
        };
        let certificates = CertificateDer::pem_slice_iter(text.as_bytes())
            .map(|certificate| certificate.map(CertificateDer::into_owned))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| fault(&error))?;
        Roots::new(certificates).map_err(|error| fault(&error))
    }

    fn device_list(&self, place: &Place<'_>) -> Result<DeviceList, ConfigError> {
        let named = DeviceList::new(self.devices.iter().map(String::as_str))
            .map_err(|error| place.fault("devices", error))?;
        let Some(file) = &self.devices_file else {
            return Ok(named);
        };
        let text = place.read("devices_file", file)?;
        let mut all = named;
        for (number, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            // One that was skipped would be a device that is missing, or worse, is there (trap 41).
            let more = DeviceList::new([entry]).map_err(|error| {
                let line = number + 1;
                place.fault(
                    "devices_file",
                    format!("{}, line {line}: {error}", file.display()),
                )
            })?;
            all = all.and(more);
        }
        Ok(all)
    }

    fn makers(&self, format: AttestationFormat, place: &Place<'_>) -> Result<Makers, ConfigError> {
        let mut vendors = self.vendors.clone();
        if format == AttestationFormat::Tpm {
            for vendor in &mut vendors {
                let digits = vendor
                    .strip_prefix("id:")
                    .filter(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
                    .ok_or_else(|| {
                        place.fault(
                            "vendors",
                            format!("{vendor:?} is no TPM vendor: write id: and eight hexadecimal digits (TCG's registry), as in id:53544D20"),
                        )
                    })?;
                *vendor = format!("id:{}", digits.to_ascii_uppercase());
            }
        }
        let aaguids = self
            .aaguids
            .iter()
            .map(|text| {
                let mut aaguid = [0; 16];
                hex::decode_to_slice(text.replace('-', ""), &mut aaguid).map_err(|_| {
                    place.fault(
                        "aaguids",
                        format!("{text:?} is no AAGUID: 32 hexadecimal digits, as in 2fc0579f-8113-47ea-b116-bb5a8db9202a"),
                    )
                })?;
                Ok(aaguid)
            })
            .collect::<Result<_, ConfigError>>()?;
        Ok(Makers {
            vendors,
            models: self.models.clone(),
            aaguids,
        })
    }

    fn proof(&self, profiles: &Profiles, place: &Place<'_>) -> Result<Option<Proof>, ConfigError> {
        let Some(text) = &self.proves else {
            for (key, is_there) in [
                ("may_prove", !self.may_prove.is_empty()),
                ("profile", self.profile.is_some()),
            ] {
                if is_there {
                    return Err(place.fault(
                        key,
                        "it goes with proves; without that, devices of this rule need an invitation, which says who they are",
                    ));
                }
            }
            return Ok(None);
        };
        let principal: Proves = text.parse().map_err(|error| place.fault("proves", error))?;
        let may_prove = self
            .may_prove
            .iter()
            .map(|pattern| {
                pattern
                    .parse::<PrincipalPattern>()
                    .map_err(|error| place.fault("may_prove", error))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if may_prove.is_empty() {
            return Err(place.fault(
                "proves",
                "name the principals that devices of this rule may be, too, as in may_prove = [\"device:factory/**\"]: what it does not name is never proved",
            ));
        }
        let wanted = self
            .profile
            .as_ref()
            .map(|name| name.parse::<ProfileName>())
            .transpose()
            .map_err(|error| place.fault("profile", error))?;
        // Any device does: the kind is what counts.
        let example = DeviceIdentity::parse_permanent("a")
            .map_err(|error| error.to_string())
            .and_then(|identity| principal.of(&identity))
            .map_err(|error| place.fault("proves", error))?;
        let profile = profiles
            .for_principal(&example, wanted)
            .map_err(|error| place.fault("profile", error))?;
        Ok(Some(Proof {
            principal,
            may_prove,
            profile,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    /// A PEM file with a root in it, and where it is.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("a root").pem();
        params.is_ca = rcgen::IsCa::ExplicitNoCa;
        let leaf = params.self_signed(&key).expect("a leaf").pem();
        for (name, contents) in [
            ("roots.pem", root.as_str()),
            ("leaf.pem", &leaf),
            ("empty.pem", ""),
            ("devices", "# the first batch\nSN-3\n\nSN-4 # spare\n"),
            ("bad-devices", "SN-3\nnot a device\n"),
        ] {
            fs::write(folder.path().join(name), contents).expect("written");
        }
        folder
    }

    fn read(folder: &Path, text: &str) -> Result<Settings, String> {
        Settings::from_toml(text, Path::new("portcullis.toml"), folder)
            .map_err(|error| error.to_string())
    }

    const RULE: &str =
        "\n[[attestation]]\nname = \"tpms\"\nformat = \"tpm\"\nroots = \"roots.pem\"\n";

    #[test]
    fn a_rule_names_devices_makers_and_what_they_prove() {
        let folder = folder();
        let text = format!(
            "{RULE}devices = [\"SN-1\", \"FRA-*\"]\ndevices_file = \"devices\"\nvendors = [\"id:53544d20\"]\nproves = \"device:factory/{{id}}\"\nmay_prove = [\"device:factory/**\"]\n{}",
            RULE.replace("tpms", "keys").replace("\"tpm\"", "\"step\"")
        );
        let settings = read(folder.path(), &text).expect("two rules");
        let rule = settings.attestation.get("tpms").expect("the rule");
        assert_eq!(rule.devices.len(), 4);
        assert_eq!(rule.makers.vendors, ["id:53544D20"]);
        let proof = rule.proves.as_ref().expect("it proves");
        assert_eq!(proof.profile.as_str(), "device");
        let other = settings.attestation.get("keys").expect("the other");
        assert!(other.proves.is_none() && other.devices.is_empty());
        assert!(
            read(folder.path(), "")
                .expect("none")
                .attestation
                .is_empty()
        );
    }

    /// Trap 37: a missing or broken CA file was swallowed (Caddy CVE-2026-27586); trap 41: malformed entries were skipped.
    #[test]
    fn a_fault_is_told_with_its_line() {
        let folder = folder();
        for (lines, place, words) in [
            ("roots = \"nowhere.pem\"", "line 5", "can't be read"),
            ("roots = \"empty.pem\"", "line 5", "no certificate in it"),
            ("roots = \"leaf.pem\"", "line 5", "can't be a root"),
            ("roots = \"devices\"", "line 5", "no certificate in it"),
            ("format = \"tmp\"", "line 4", "no format of statements"),
            ("name = \"Tpms\"", "line 3", "lower-case"),
            ("devices = [\"*\"]", "line 6", "names no device"),
            (
                "devices_file = \"bad-devices\"",
                "line 6",
                "line 2: \"not a device\"",
            ),
            ("devices_file = \"nowhere\"", "line 6", "can't be read"),
            ("vendors = [\"STM\"]", "line 6", "is no TPM vendor"),
            ("aaguids = [\"1\"]", "line 6", "it is for packed"),
            (
                "verified_boot = \"required\"",
                "line 6",
                "it is for android-key",
            ),
            ("proves = \"device:factory/{id}\"", "line 6", "may_prove"),
            (
                "may_prove = [\"device:factory/**\"]",
                "line 6",
                "goes with proves",
            ),
            (
                "may_prove = [\"device:**\"]\nproves = \"user:{id}\"",
                "line 7",
                "makes no principal",
            ),
            (
                "may_prove = [\"device:**\"]\nproves = \"device:{id}\"\nprofile = \"server\"",
                "line 8",
                "server",
            ),
            ("vendor = [\"STM\"]", "line 6", "did you mean `vendors`?"),
        ] {
            let key = lines.split(' ').next().expect("a key");
            let kept: String = RULE
                .lines()
                .map(|line| {
                    if line.starts_with(&format!("{key} =")) {
                        format!("{lines}\n")
                    } else {
                        format!("{line}\n")
                    }
                })
                .collect();
            let text = if kept.contains(lines) {
                kept
            } else {
                format!("{RULE}{lines}\n")
            };
            let error = read(folder.path(), &text).expect_err(lines);
            assert!(
                error.contains(place) && error.contains(words),
                "{lines}: {error}"
            );
        }
        let twice = format!("{RULE}{RULE}");
        let error = read(folder.path(), &twice).expect_err("twice");
        assert!(
            error.contains("line 8") && error.contains("already"),
            "{error}"
        );
    }
}
