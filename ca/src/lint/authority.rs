//! What makes a CA: basicConstraints, name constraints, key identifiers (RFC 5280 sections 4.2.1.1, 4.2.1.2, 4.2.1.9,
//! 4.2.1.10).

use x509_parser::extensions::ParsedExtension;

use super::{
    Examined, Findings,
    extensions::{
        AUTHORITY_KEY_IDENTIFIER, BASIC_CONSTRAINTS, NAME_CONSTRAINTS, SUBJECT_KEY_IDENTIFIER,
    },
};
use crate::{certificate::ReadConstraints, profile::ProfileKind};

pub(super) fn check(findings: &mut Findings, it: &Examined<'_>) {
    let (draft, profile) = (it.draft, &it.draft.profile);
    let kind = profile.kind;
    findings.require(
        it.issuer.is_none() == (kind == ProfileKind::Root),
        "RFC 5280 3.2: a root signs itself, and nothing else does",
        || kind.to_string(),
    );
    if let Some(ParsedExtension::BasicConstraints(constraints)) = it.extension(BASIC_CONSTRAINTS) {
        findings.require(
            constraints.ca == kind.is_ca()
                && constraints.path_len_constraint == profile.path_length.map(u32::from)
                && (kind.is_ca() || constraints.path_len_constraint.is_none()),
            "RFC 5280 4.2.1.9: basicConstraints are the profile's",
            || format!("{constraints:?}"),
        );
        // Below a limit of 1 stand CAs with a limit of 0; without one of its own, a CA has what the issuer leaves it.
        let room = it.issuer.and_then(|issuer| issuer.path_length());
        findings.require(
            !constraints.ca
                || room.is_none_or(|room| room > constraints.path_len_constraint.unwrap_or(0)),
            "RFC 5280 4.2.1.9: the issuer's path length has room for a CA",
            || format!("{constraints:?} below {room:?}"),
        );
    }
    if let Some(ParsedExtension::NameConstraints(constraints)) = it.extension(NAME_CONSTRAINTS) {
        let read = ReadConstraints::read(constraints);
        findings.require(
            read.as_ref().is_some_and(|read| {
                read.known == profile.name_constraints && !read.uris && !read.directory_names
            }),
            "RFC 5280 4.2.1.10: the name constraints are the profile's",
            || format!("{read:?}"),
        );
    }
    if let Some(ParsedExtension::SubjectKeyIdentifier(identifier)) =
        it.extension(SUBJECT_KEY_IDENTIFIER)
    {
        findings.require(
            identifier.0 == draft.key_identifier() && !identifier.0.is_empty(),
            "RFC 5280 4.2.1.2, RFC 7093 2: the subject key identifier is the key's",
            || hex::encode(identifier.0),
        );
    }
    if let Some(ParsedExtension::AuthorityKeyIdentifier(identifier)) =
        it.extension(AUTHORITY_KEY_IDENTIFIER)
    {
        findings.require(
            identifier.key_identifier.as_ref().map(|id| id.0)
                == it.issuer.map(|issuer| issuer.key_identifier())
                && identifier.authority_cert_issuer.is_none()
                && identifier.authority_cert_serial.is_none(),
            "RFC 5280 4.2.1.1: the authority key identifier is the issuer's, and nothing else",
            || format!("{identifier:?}"),
        );
    }
}
