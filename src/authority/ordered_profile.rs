//! Which profiles an account may order (draft-ietf-acme-profiles). All of it is decided here, when an order is placed and
//! again when it is finalized.

use std::sync::Arc;

use portcullis_ca::profile::{Profile, ProfileKind};

use super::{Authority, AuthorityError};
use crate::domain::{directory::Directory, enrolment::Enrolment, profile::ProfileName};

impl Authority {
    /// The profiles that are ordered in a directory, by name; not every account may order each of them.
    pub fn profiles_of<'a>(
        &'a self,
        directory: &'a Directory,
    ) -> impl Iterator<Item = (&'a ProfileName, &'a Arc<Profile>)> {
        self.profiles()
            .iter()
            .filter(|(name, profile)| profile.kind.is_enrolled() && directory.allows_profile(name))
    }

    /// The directories whose `issuer` is nobody who is active and issues one of their profiles: nothing can be had there.
    #[must_use]
    pub fn directories_without_issuer(&self) -> Vec<&Directory> {
        let issuers = self.issuers();
        self.directories()
            .iter()
            .map(|directory| &**directory)
            .filter(|directory| {
                let named = directory.issuer.as_deref();
                named.is_some()
                    && !self
                        .profiles_of(directory)
                        .any(|(name, _)| issuers.chosen(named, name.as_str()).is_ok())
            })
            .collect()
    }

    /// The profile of an order that asks for one, or leaves it to the account: then it is that of its enrolment, else
    /// `server`, or the first of that kind that the directory has.
    ///
    /// # Errors
    /// `InvalidProfile` with those that the account may order.
    pub(super) fn ordered_profile(
        &self,
        directory: &Directory,
        enrolment: Option<&Enrolment>,
        wanted: Option<ProfileName>,
    ) -> Result<ProfileName, AuthorityError> {
        let orderable: Vec<&ProfileName> = self
            .profiles_of(directory)
            .filter(|(name, profile)| may_order(enrolment, name, profile))
            .map(|(name, _)| name)
            .collect();
        // The invitation's own order of its profiles counts: the first one that is to be had here.
        let usual = match enrolment {
            Some(enrolment) => enrolment
                .grant
                .profiles()
                .find(|name| orderable.contains(name))
                .unwrap_or(&enrolment.grant.profile)
                .clone(),
            None => ProfileKind::Server.into(),
        };
        let chosen = match &wanted {
            Some(wanted) => orderable.iter().find(|name| **name == wanted),
            None => orderable
                .iter()
                .find(|name| **name == &usual)
                .or(orderable.first()),
        };
        if let Some(chosen) = chosen {
            return Ok((*chosen).clone());
        }
        let wanted = wanted.unwrap_or(usual);
        let names: Vec<&str> = orderable.iter().map(|name| name.as_str()).collect();
        let instead = match names.as_slice() {
            [] => "there is none that it may order; ask the operator".to_owned(),
            names => format!("order one of {}, or leave it out", names.join(", ")),
        };
        let why = match self
            .profiles_of(directory)
            .find(|(name, _)| **name == wanted)
        {
            None => format!(
                "there is no profile {wanted} in the directory {}",
                directory.name
            ),
            Some((_, profile)) if enrolment.is_none() && profile.kind != ProfileKind::Server => {
                format!(
                    "the profile {wanted} is for what is {} and was invited, and this account was opened without an \
                     invitation",
                    profile.kind
                )
            }
            Some(_) => format!("this account's invitation is not for the profile {wanted}"),
        };
        Err(AuthorityError::InvalidProfile(format!("{why}; {instead}")))
    }

    /// Whether an order may still be finalized by the profile that it was placed with.
    ///
    /// # Errors
    /// `InvalidProfile` when the configuration or the enrolment no longer has it.
    pub(super) fn check_ordered_profile(
        &self,
        directory: &Directory,
        enrolment: Option<&Enrolment>,
        ordered: &ProfileName,
    ) -> Result<(), AuthorityError> {
        self.ordered_profile(directory, enrolment, Some(ordered.clone()))
            .map(drop)
            .map_err(|_| {
                AuthorityError::InvalidProfile(format!(
                    "the order was placed for the profile {ordered}, which can't be ordered any more: the configuration of \
                     this server has changed; place a new order"
                ))
            })
    }
}

/// Whether an account may order a profile. What a certificate proves comes from the invitation, so without one there are
/// certificates for servers only, which prove no principal.
fn may_order(enrolment: Option<&Enrolment>, name: &ProfileName, profile: &Profile) -> bool {
    match enrolment {
        Some(enrolment) => enrolment.grant.profiles().any(|granted| granted == name),
        None => profile.kind == ProfileKind::Server,
    }
}
