//! Certificate requests (PKCS#10, RFC 2986): a public key, the proof that its holder has the private half, and the
//! names that it asks for. Nothing else of a request is ever looked at, so nothing else can get into a certificate.

use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName as ParsedName, ParsedExtension},
    prelude::FromDer,
};

use crate::{
    certificate::{ca_and_usages, distinguished_name, name_constraints, seal, to_be_signed},
    der,
    key::{KeyError, PublicKey, Signer, SignerError},
    name::{DnsName, GeneralName},
    profile::{Profile, Subject},
};

/// The most octets that a request may have; ours have under 500.
pub const MAX_REQUEST_OCTETS: usize = 16 * 1024;

/// A request whose proof of possession was verified and whose key the key policy allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    public_key: PublicKey,
    names: Vec<GeneralName>,
    common_names: Vec<String>,
}

impl CertificateRequest {
    /// Reads a DER request, checks its key against the key policy and verifies its signature with that very key.
    ///
    /// # Errors
    /// [`RequestError`] says what is wrong and what would be right.
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > MAX_REQUEST_OCTETS {
            return Err(RequestError::TooLong(der.len()));
        }
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|_| RequestError::NotPkcs10)?;
        if !rest.is_empty() {
            return Err(RequestError::TrailingData(rest.len()));
        }
        let info = &request.certification_request_info;
        let public_key = PublicKey::from_subject_public_key_info(info.subject_pki.raw)
            .map_err(RequestError::Key)?;
        public_key
            .verify(
                &request.signature_algorithm.algorithm.to_id_string(),
                info.raw,
                &request.signature_value.data,
            )
            .map_err(|error| {
                if error == KeyError::BadSignature {
                    RequestError::ProofOfPossession
                } else {
                    RequestError::Key(error)
                }
            })?;
        let mut names = Vec::new();
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(san) = extension {
                for name in &san.general_names {
                    names.push(general_name(name)?);
                }
            }
        }
        names.sort();
        names.dedup();
        let common_names = info
            .subject
            .iter_common_name()
            .map(|name| name.as_str().unwrap_or("(not text)").to_owned())
            .collect();
        Ok(Self {
            public_key,
            names,
            common_names,
        })
    }

    /// The key that the certificate will be about.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The subject alternative names that the request asks for, sorted, each once.
    #[must_use]
    pub fn names(&self) -> &[GeneralName] {
        &self.names
    }

    /// The common names of the request's subject. RFC 8555 section 7.4 lets a client write one of its DNS names here.
    #[must_use]
    pub fn common_names(&self) -> &[String] {
        &self.common_names
    }
}

/// Makes a DER request of our own, for a CA key: `subject` to the byte, and as requested extensions (RFC 2985 section
/// 5.4.2) what `profile` says of a CA. Whoever signs it decides what becomes of them.
///
/// # Errors
/// [`SignerError`] when the subject can't be written or the key can't sign.
pub async fn request(
    subject: &Subject,
    profile: &Profile,
    signer: &dyn Signer,
) -> Result<Vec<u8>, SignerError> {
    let public_key = signer.public_key();
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = distinguished_name(subject).map_err(SignerError)?;
    ca_and_usages(&mut parameters, profile, public_key);
    if !profile.name_constraints.is_empty() {
        parameters.custom_extensions = vec![name_constraints(profile)];
    }
    let mut octets = to_be_signed(public_key, |capture| {
        parameters.serialize_request(capture).map(drop)
    })
    .map_err(SignerError)?;
    if let Subject::Raw(name) = subject {
        // version, subject (RFC 2986 section 4.1).
        octets = der::replace_element(&octets, 1, name)
            .ok_or_else(|| SignerError("the subject does not fit".to_owned()))?;
    }
    let request = seal(&octets, public_key, signer).await?;
    // Read back with the parser that reads everybody's.
    CertificateRequest::from_der(&request).map_err(|error| SignerError(error.to_string()))?;
    Ok(request)
}

/// A request's DER as a PEM block (RFC 7468 section 7).
#[must_use]
pub fn to_pem(der: &[u8]) -> String {
    // The label is constant and the input bounded, so that encoding has nothing to fail at.
    pkcs8::der::pem::encode_string("CERTIFICATE REQUEST", pkcs8::der::pem::LineEnding::LF, der)
        .unwrap_or_default()
}

fn general_name(name: &ParsedName<'_>) -> Result<GeneralName, RequestError> {
    let refused = |kind| Err(RequestError::NameKind(kind));
    match name {
        ParsedName::DNSName(dns) => Ok(GeneralName::Dns(
            dns.parse::<DnsName>()
                .map_err(|error| RequestError::Name(error.to_string()))?,
        )),
        ParsedName::IPAddress(octets) => {
            if let Ok(v4) = <[u8; 4]>::try_from(*octets) {
                Ok(GeneralName::Ip(v4.into()))
            } else if let Ok(v6) = <[u8; 16]>::try_from(*octets) {
                Ok(GeneralName::Ip(v6.into()))
            } else {
                Err(RequestError::Name(
                    "an iPAddress has 4 or 16 octets".to_owned(),
                ))
            }
        }
        // An IA5String (RFC 5280 section 4.2.1.6), which the parser does not hold it to.
        ParsedName::URI(uri) if !uri.is_ascii() => Err(RequestError::Name(
            "a uniformResourceIdentifier has characters outside of ASCII".to_owned(),
        )),
        ParsedName::URI(uri) => Ok(GeneralName::Uri((*uri).to_owned())),
        ParsedName::OtherName(..) => refused("otherName"),
        ParsedName::RFC822Name(_) => refused("rfc822Name"),
        ParsedName::X400Address(_) => refused("x400Address"),
        ParsedName::DirectoryName(_) => refused("directoryName"),
        ParsedName::EDIPartyName(_) => refused("ediPartyName"),
        ParsedName::RegisteredID(_) => refused("registeredID"),
        ParsedName::Invalid(..) => refused("malformed name"),
    }
}

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is longer than any honest request.
    #[error("the CSR has {0} octets; at most {MAX_REQUEST_OCTETS} are read")]
    TooLong(usize),
    /// It is no PKCS#10.
    #[error("the CSR is no DER-encoded PKCS#10 request (RFC 2986)")]
    NotPkcs10,
    /// Something follows it.
    #[error("{0} octets follow the CSR")]
    TrailingData(usize),
    /// The key is not one that we certify.
    #[error("the CSR's key: {0}")]
    Key(KeyError),
    /// The signature is not by the key in it.
    #[error(
        "the CSR's signature does not verify with the key in it: the requester must hold the private key"
    )]
    ProofOfPossession,
    /// It asks for a kind of name that we never issue.
    #[error(
        "the CSR asks for a subject alternative name of the kind {0}; dNSName, iPAddress and URI are read"
    )]
    NameKind(&'static str),
    /// It asks for a name that is malformed.
    #[error("the CSR's subject alternative name: {0}")]
    Name(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyAlgorithm, SigningKey};

    fn request(pair: &rcgen::KeyPair, names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).expect("names");
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        // Asked for, and never looked at: a CA, with every usage.
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        parameters
            .serialize_request(pair)
            .expect("a request")
            .der()
            .to_vec()
    }

    #[test]
    fn a_request_gives_its_key_and_names_only() {
        for algorithm in KeyAlgorithm::ALL {
            use rcgen::RsaKeySize::{_2048, _3072, _4096};
            let rsa = |size| rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
            let pair = match algorithm {
                KeyAlgorithm::Rsa2048 => rsa(_2048),
                KeyAlgorithm::Rsa3072 => rsa(_3072),
                KeyAlgorithm::Rsa4096 => rsa(_4096),
                KeyAlgorithm::P256
                | KeyAlgorithm::P384
                | KeyAlgorithm::Ed25519
                | KeyAlgorithm::MlDsa44
                | KeyAlgorithm::MlDsa65
                | KeyAlgorithm::MlDsa87 => rcgen::KeyPair::generate_for(algorithm.rcgen()),
            }
            .expect("a key");
            let read = CertificateRequest::from_der(&request(
                &pair,
                &["b.example", "10.0.0.1", "a.example"],
            ))
            .expect("a good request");
            assert_eq!(read.public_key().algorithm(), algorithm);
            let names: Vec<String> = read.names().iter().map(ToString::to_string).collect();
            assert_eq!(names, ["dns:a.example", "dns:b.example", "ip:10.0.0.1"]);
        }
    }

    #[test]
    fn our_own_request_asks_for_a_ca_under_its_very_name() {
        use crate::profile::ProfileKind;
        use std::{
            future::Future as _,
            pin::pin,
            task::{Context, Poll, Waker},
        };

        let key = SigningKey::generate(KeyAlgorithm::P384).expect("a key");
        // CN=é, in an encoding that we would not choose (TeletexString).
        let name = hex::decode("300c310a300806035504031401e9").expect("hexadecimal");
        let profile = Profile::default_for(ProfileKind::Intermediate);
        let subject = Subject::Raw(name.clone());
        let Poll::Ready(made) = pin!(super::request(&subject, &profile, &key))
            .poll(&mut Context::from_waker(Waker::noop()))
        else {
            panic!("the key is in memory");
        };
        let made = made.expect("a request");
        let (_, parsed) = X509CertificationRequest::from_der(&made).expect("parsed");
        assert_eq!(parsed.certification_request_info.subject.as_raw(), name);
        let asked: Vec<String> = parsed
            .requested_extensions()
            .into_iter()
            .flatten()
            .map(|extension| format!("{extension:?}"))
            .collect();
        assert_eq!(
            asked,
            [
                "KeyUsage(KeyUsage { flags: 96 })",
                "BasicConstraints(BasicConstraints { ca: true, path_len_constraint: Some(0) })"
            ]
        );
    }

    #[test]
    fn a_request_signed_by_another_key_is_refused() {
        let pair = rcgen::KeyPair::generate().expect("a key");
        let other = rcgen::KeyPair::generate().expect("a key");
        let (mut good, bad) = (
            request(&pair, &["a.example"]),
            request(&other, &["a.example"]),
        );
        // Same length of body: put the other's signature behind this one's body.
        let (_, parsed) = X509CertificationRequest::from_der(&bad).expect("parsed");
        let body = parsed.certification_request_info.raw.to_vec();
        let (_, mine) = X509CertificationRequest::from_der(&good).expect("parsed");
        let my_body = mine.certification_request_info.raw.to_vec();
        let at = good
            .windows(my_body.len())
            .position(|window| window == my_body)
            .expect("the body");
        good.splice(at..at + my_body.len(), body);
        assert_eq!(
            CertificateRequest::from_der(&good),
            Err(RequestError::ProofOfPossession)
        );
    }

    #[test]
    fn what_is_no_request_is_told_apart() {
        let pair = rcgen::KeyPair::generate().expect("a key");
        let good = request(&pair, &["a.example"]);
        let mut trailing = good.clone();
        trailing.push(0);
        assert_eq!(
            CertificateRequest::from_der(&trailing),
            Err(RequestError::TrailingData(1))
        );
        for cut in 0..good.len() {
            assert_eq!(
                CertificateRequest::from_der(&good[..cut]),
                Err(RequestError::NotPkcs10),
                "cut at {cut}"
            );
        }
        assert_eq!(
            CertificateRequest::from_der(&vec![0x30; MAX_REQUEST_OCTETS + 1]),
            Err(RequestError::TooLong(MAX_REQUEST_OCTETS + 1))
        );
        let p521 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).expect("a key");
        assert_eq!(
            CertificateRequest::from_der(&request(&p521, &["a.example"])),
            Err(RequestError::Key(KeyError::NotAllowed(
                "an EC key on another curve"
            )))
        );
    }
}
