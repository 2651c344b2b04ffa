//! Subjects: what a profile lets stand there, and what a draft says.

use std::str::FromStr;

/// The subject of one certificate (RFC 5280 section 4.1.2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// No attribute at all; the subject alternative names are critical then.
    Empty,
    /// A common name and nothing else.
    CommonName(String),
    /// Some attributes.
    Attributes(SubjectAttributes),
    /// A Name in DER that goes in to the byte: that of a CA which is there already.
    Raw(Vec<u8>),
}

/// The attributes of a subject that we write, each at most once, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubjectAttributes {
    /// countryName: two letters of ISO 3166.
    pub country: Option<String>,
    /// organizationName.
    pub organization: Option<String>,
    /// organizationalUnitName.
    pub organizational_unit: Option<String>,
    /// commonName.
    pub common_name: Option<String>,
}

/// What a profile lets stand in the subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubjectRule {
    /// Where the common name comes from.
    pub common_name: CommonNameRule,
    /// Fixed for all certificates of the profile.
    pub country: Option<String>,
    /// Fixed for all certificates of the profile.
    pub organization: Option<String>,
    /// Fixed for all certificates of the profile.
    pub organizational_unit: Option<String>,
}

impl SubjectRule {
    /// The most characters of an organization, an organizational unit and a common name (RFC 5280 appendix A.1).
    pub const MAX_CHARACTERS: usize = 64;

    /// The subject with a common name, where there is one.
    #[must_use]
    pub fn subject(&self, common_name: Option<String>) -> Subject {
        let attributes = SubjectAttributes {
            country: self.country.clone(),
            organization: self.organization.clone(),
            organizational_unit: self.organizational_unit.clone(),
            common_name,
        };
        match attributes {
            SubjectAttributes {
                country: None,
                organization: None,
                organizational_unit: None,
                common_name,
            } => common_name.map_or(Subject::Empty, Subject::CommonName),
            attributes => Subject::Attributes(attributes),
        }
    }
}

/// Where a leaf's common name comes from. It is decoration: nothing takes it for an identity (RFC 9525 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CommonNameRule {
    /// The first DNS name, else the principal's path. certbot and lego take a common name for a domain when they renew.
    #[default]
    Names,
    /// The principal's path.
    Principal,
    /// There is none.
    None,
}

impl CommonNameRule {
    /// Every rule.
    pub const ALL: [Self; 3] = [Self::Names, Self::Principal, Self::None];

    /// The name in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Names => "names",
            Self::Principal => "principal",
            Self::None => "none",
        }
    }
}

impl FromStr for CommonNameRule {
    type Err = UnknownCommonNameRule;

    fn from_str(text: &str) -> Result<Self, UnknownCommonNameRule> {
        Self::ALL
            .into_iter()
            .find(|rule| rule.name() == text)
            .ok_or_else(|| UnknownCommonNameRule(text.to_owned()))
    }
}

/// The text names no rule for common names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no rule for common names; one of names, principal, none")]
pub struct UnknownCommonNameRule(String);
