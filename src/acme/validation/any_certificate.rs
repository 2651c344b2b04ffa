//! TLS to servers whose certificate is not judged by a root. Nothing but validations uses it.
//!
//! Behind a redirect to https stands who may not have a certificate yet, and http-01 proves control of what answers on
//! port 80, which already chose where to redirect (RFC 8555 section 8.3). With tls-alpn-01 the certificate is the
//! challenge's own, signed by itself, and what is in it is the proof (RFC 8737 section 3).
//!
//! That the server has the certificate's key is verified. webpki can't be asked to: it refuses a certificate with a
//! critical extension that it does not know, and `acmeIdentifier` is one.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature_with_raw_key},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use tokio_rustls::TlsConnector;
use x509_parser::{
    asn1_rs::Any,
    prelude::{FromDer as _, X509Certificate},
    x509::SubjectPublicKeyInfo,
};

/// A connector that takes any certificate, and offers these protocols. TLS 1.2 is the least (RFC 8737 section 4).
///
/// # Errors
/// When the provider lacks the protocol versions.
pub fn connector(protocols: &[&[u8]]) -> Result<TlsConnector, Error> {
    let provider = aws_lc_rs::default_provider();
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate { algorithms }))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
    // Each attempt must see the certificate that is there now.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

/// The certificate's key, of which nothing else was asked.
fn key_of<'a>(certificate: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfo<'a>, Error> {
    let (_, certificate) = X509Certificate::from_der(certificate)
        .map_err(|_| Error::from(CertificateError::BadEncoding))?;
    Ok(certificate.tbs_certificate.subject_pki)
}

/// The contents of the first of some DER values.
fn contents(der: &[u8]) -> Option<&[u8]> {
    let (_, value) = Any::from_der(der).ok()?;
    Some(value.data)
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    /// A scheme of TLS 1.2 names the kind of key only, so it may stand for several algorithms; the one for such a key
    /// is taken.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = key_of(certificate)?;
        // rustls has the contents of the AlgorithmIdentifier, the first part of the key's information.
        let kind = contents(key.raw).and_then(contents);
        self.algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signed.scheme)
            .flat_map(|(_, algorithms)| algorithms.iter())
            .filter(|algorithm| Some(algorithm.public_key_alg_id().as_ref()) == kind)
            .find(|algorithm| {
                algorithm
                    .verify_signature(&key.subject_public_key.data, message, signed.signature())
                    .is_ok()
            })
            .map(|_| HandshakeSignatureValid::assertion())
            .ok_or_else(|| CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key_of(certificate)?.raw);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
