//! The linter: what we never sign. It reads the very octets that are about to be signed, with another parser than the
//! one that wrote them, and compares them with what was meant. Each rule carries its source.

use x509_parser::{
    certificate::TbsCertificate,
    extensions::{DistributionPointName, GeneralName as ParsedName, ParsedExtension},
    prelude::FromDer,
};

use crate::certificate::{Draft, IssuerCertificate};

mod authority;
mod extensions;
mod fields;
mod names;
mod revocation;
mod subject;
mod usages;
mod validity;

/// A rule that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule, with its source.
    pub rule: &'static str,
    /// What was seen.
    pub detail: String,
}

/// The findings of one object.
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    pub(crate) fn require(
        &mut self,
        holds: bool,
        rule: &'static str,
        seen: impl FnOnce() -> String,
    ) {
        if !holds {
            self.0.push(Finding {
                rule,
                detail: seen(),
            });
        }
    }
}

/// Reads a TBSCertificate and compares it with its draft. No finding means that it may be signed.
#[must_use]
pub fn certificate(
    to_be_signed: &[u8],
    draft: &Draft,
    issuer: Option<&IssuerCertificate>,
) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    match TbsCertificate::from_der(to_be_signed) {
        Ok(([], parsed)) => {
            let it = Examined {
                to_be_signed,
                parsed: &parsed,
                draft,
                issuer,
            };
            fields::check(&mut findings, &it);
            validity::check(&mut findings, &it);
            subject::check(&mut findings, &it);
            extensions::check(&mut findings, &it);
            authority::check(&mut findings, &it);
            usages::check(&mut findings, &it);
            names::check(&mut findings, &it);
            revocation::check(&mut findings, &it);
        }
        Ok(_) | Err(_) => findings.require(false, "RFC 5280 4.1: it is a TBSCertificate", || {
            "it can't be parsed".to_owned()
        }),
    }
    findings.0
}

/// The first URI of a certificate's CRL distribution points.
pub(crate) fn distribution_point(certificate: &TbsCertificate<'_>) -> Option<String> {
    certificate.extensions().iter().find_map(|extension| {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else {
            return None;
        };
        points.points.iter().find_map(|point| {
            let Some(DistributionPointName::FullName(names)) = &point.distribution_point else {
                return None;
            };
            names.iter().find_map(|name| {
                if let ParsedName::URI(uri) = name {
                    Some((*uri).to_owned())
                } else {
                    None
                }
            })
        })
    })
}

/// What is looked at: the octets, what another parser reads in them, and what was meant.
struct Examined<'a> {
    to_be_signed: &'a [u8],
    parsed: &'a TbsCertificate<'a>,
    draft: &'a Draft,
    /// Nothing for what signs itself.
    issuer: Option<&'a IssuerCertificate>,
}

impl<'a> Examined<'a> {
    /// The extension with this identifier, if there is one, as the parser reads it.
    fn extension(&self, oid: &[u8]) -> Option<&'a ParsedExtension<'a>> {
        self.parsed
            .extensions()
            .iter()
            .find(|extension| extension.oid.as_bytes() == oid)
            .map(|extension| extension.parsed_extension())
    }
}

#[cfg(test)]
mod tests;
