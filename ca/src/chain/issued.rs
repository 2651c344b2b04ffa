//! Whether one certificate was issued by another: name, key identifier and signature, and nothing of what they may do.

use rustls_pki_types::CertificateDer;

use super::{Facts, error::Fault, verify_signature};
use crate::der;

/// Verifies that `certificate` names `issuer` as its issuer and carries a signature of its key (RFC 5280 section 6.1.3
/// (a) (1) and (4)). A self-signed certificate is issued by itself.
///
/// # Errors
/// [`Fault::Malformed`], [`Fault::UnknownIssuer`] when it names another, [`Fault::BadSignature`],
/// [`Fault::UnsupportedAlgorithm`].
pub fn is_issued_by(
    certificate: &CertificateDer<'_>,
    issuer: &CertificateDer<'_>,
) -> Result<(), Fault> {
    let (below, above) = (Facts::read(certificate)?, Facts::read(issuer)?);
    if below.certificate.issuer().as_raw() != above.subject() {
        return Err(Fault::UnknownIssuer);
    }
    let malformed = || Fault::Malformed("its outer structure".to_owned());
    let (_, contents, _) = der::split(certificate).ok_or_else(malformed)?;
    let (to_be_signed, _, rest) = der::split(contents).ok_or_else(malformed)?;
    let (_, identifier, _) = der::split(rest).ok_or_else(malformed)?;
    verify_signature(
        above.subject_public_key_info(),
        identifier,
        to_be_signed,
        &below.certificate.signature_value.data,
    )
}
