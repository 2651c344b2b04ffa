//! The profiles of an authority: those of the configuration, and for every kind the one without configuration.

use std::{collections::BTreeMap, sync::Arc};

use portcullis_ca::{
    key::PublicKey,
    name::GeneralName,
    profile::{Profile, ProfileKind},
};

use super::{AuthorityError, Issuer};
use crate::domain::{
    principal::{Principal, PrincipalKind},
    profile::ProfileName,
};

/// All profiles, by name. There is always one for each kind, under the kind's name.
#[derive(Debug, Clone)]
pub struct Profiles {
    by_name: BTreeMap<ProfileName, Arc<Profile>>,
    own: Arc<Profile>,
    descriptions: BTreeMap<ProfileName, String>,
}

impl Default for Profiles {
    fn default() -> Self {
        Self::new([])
    }
}

impl Profiles {
    /// These profiles, and those of the kinds whose names are not among them.
    #[must_use]
    pub fn new(configured: impl IntoIterator<Item = (ProfileName, Profile)>) -> Self {
        let mut by_name: BTreeMap<ProfileName, Arc<Profile>> = ProfileKind::ALL
            .into_iter()
            .map(|kind| (kind.into(), Profile::default_for(kind).into()))
            .collect();
        by_name.extend(
            configured
                .into_iter()
                .map(|(name, profile)| (name, Arc::new(profile))),
        );
        let server = &by_name[&ProfileName::from(ProfileKind::Server)];
        let own = Profile {
            lifetime: server.lifetime,
            backdate: server.backdate,
            ..Profile::default_for(ProfileKind::Server)
        };
        Self {
            own: own.into(),
            by_name,
            descriptions: BTreeMap::new(),
        }
    }

    /// The same with what the operator says that some are for.
    #[must_use]
    pub fn with_descriptions(
        mut self,
        descriptions: impl IntoIterator<Item = (ProfileName, String)>,
    ) -> Self {
        self.descriptions.extend(descriptions);
        self
    }

    /// What a profile is for, in a sentence or as the address of a page.
    #[must_use]
    pub fn description(&self, name: &ProfileName, profile: &Profile) -> String {
        if let Some(description) = self.descriptions.get(name) {
            return description.clone();
        }
        match profile.kind {
            ProfileKind::Server => {
                "A server that is known by its names; it proves no principal.".to_owned()
            }
            ProfileKind::Device
            | ProfileKind::Service
            | ProfileKind::Root
            | ProfileKind::CrossRoot
            | ProfileKind::Intermediate
            | ProfileKind::OcspResponder => {
                format!(
                    "A {} that was invited, and proves its principal.",
                    profile.kind
                )
            }
        }
    }

    /// The profile of this name.
    #[must_use]
    pub fn get(&self, name: &ProfileName) -> Option<&Arc<Profile>> {
        self.by_name.get(name)
    }

    /// The profile that a kind's name stands for.
    #[must_use]
    pub fn of_kind(&self, kind: ProfileKind) -> &Arc<Profile> {
        &self.by_name[&ProfileName::from(kind)]
    }

    /// What the authority's own front gets: a server that nobody enrolled, so that lists of names and keys for others
    /// don't shut it out.
    #[must_use]
    pub fn own_server(&self) -> &Arc<Profile> {
        &self.own
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ProfileName, &Arc<Profile>)> {
        self.by_name.iter()
    }

    /// Whether verifiers would accept what an issuer is to issue: those profiles that it names, or all that somebody
    /// enrols for.
    ///
    /// # Errors
    /// `Invalid` with the profile and the extended key usage that the issuer lacks.
    pub(super) fn check_issuer(&self, issuer: &Issuer) -> Result<(), AuthorityError> {
        let named = &issuer.record.profiles;
        let meant = |name: &ProfileName, profile: &Profile| {
            profile.kind.is_enrolled()
                && (named.is_empty() || named.iter().any(|it| it == name.as_str()))
        };
        for (name, profile) in self.iter().filter(|(name, profile)| meant(name, profile)) {
            if let Some(usage) = issuer.certificate.forbids(profile) {
                return Err(AuthorityError::Invalid(format!(
                    "{} can't issue the profile {name}: its own extended key usages lack {usage}, so that nobody would \
                     accept its certificates; take it in for other profiles only (--profile), or get it another certificate",
                    issuer.name()
                )));
            }
        }
        Ok(())
    }

    /// What somebody enrols for.
    ///
    /// # Errors
    /// `Unauthorized` for one that is not configured any more, or that nobody enrols for.
    pub fn enrolled(&self, name: &ProfileName) -> Result<&Arc<Profile>, AuthorityError> {
        self.get(name)
            .filter(|profile| profile.kind.is_enrolled())
            .ok_or_else(|| {
                AuthorityError::Unauthorized(format!(
                    "there is no profile {name} to enrol for; the operator of this server must put [profiles.{name}] into \
                     portcullis.toml, or invite anew"
                ))
            })
    }

    /// The profile that an invitation of this principal is for.
    ///
    /// # Errors
    /// `Invalid` for users, for a profile that there isn't, and for one of another kind than the principal's.
    pub fn for_principal(
        &self,
        principal: &Principal,
        wanted: Option<ProfileName>,
    ) -> Result<ProfileName, AuthorityError> {
        let kind = match principal.kind() {
            PrincipalKind::Device => ProfileKind::Device,
            PrincipalKind::Service => ProfileKind::Service,
            PrincipalKind::User => {
                return Err(AuthorityError::Invalid(
                    "devices and services enrol for certificates; users hold API keys".to_owned(),
                ));
            }
        };
        let Some(name) = wanted else {
            return Ok(kind.into());
        };
        let of_kind = |(name, profile): (&ProfileName, &Arc<Profile>)| {
            (profile.kind == kind).then(|| name.to_string())
        };
        let fitting: Vec<String> = self.iter().filter_map(of_kind).collect();
        let fitting = fitting.join(", ");
        match self.get(&name) {
            Some(profile) if profile.kind == kind => Ok(name),
            Some(profile) => Err(AuthorityError::Invalid(format!(
                "the profile {name} is for what is {}, and {principal} is a {kind}; one of {fitting}",
                profile.kind
            ))),
            None => Err(AuthorityError::Invalid(format!(
                "there is no profile {name}; for a {kind} one of {fitting}"
            ))),
        }
    }
}

/// Whether a profile certifies a key.
///
/// # Errors
/// `BadRequest` with the kinds that it certifies.
pub(super) fn check_key(profile: &Profile, key: &PublicKey) -> Result<(), AuthorityError> {
    if profile.keys.contains(&key.algorithm()) {
        return Ok(());
    }
    let keys: Vec<&str> = profile.keys.iter().map(|key| key.name()).collect();
    Err(AuthorityError::BadRequest(format!(
        "the CSR's key is {}, and the profile {} certifies {}",
        key.algorithm(),
        profile.name,
        keys.join(", ")
    )))
}

/// Whether a name may stand in a certificate of a profile, from an issuer if there is one.
///
/// # Errors
/// `RejectedIdentifier` with the rule.
pub(super) fn check_name(
    profile: &Profile,
    issuer: Option<&Issuer>,
    name: &GeneralName,
) -> Result<(), AuthorityError> {
    let rejected = |reason: String| {
        Err(AuthorityError::RejectedIdentifier {
            identifier: name.to_string(),
            reason,
        })
    };
    if let Err(refused) = profile.names.check(name) {
        return rejected(format!(
            "the profile {} does not certify it: {}",
            profile.name, refused.reason
        ));
    }
    match issuer {
        Some(issuer) if !issuer.certificate.name_constraints().allow(name) => rejected(format!(
            "it is outside of the name constraints of {}",
            issuer.name()
        )),
        Some(_) | None => Ok(()),
    }
}
