//! Certificates of every kind, good and bad.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SerialNumber, SigningKey,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use time::OffsetDateTime;

use crate::{der, issuer_key_id::IssuerKeyId, serial::Serial};

/// 2027-01-15T08:00:00Z.
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn at(seconds: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(
        u64::try_from(seconds).expect("after 1970"),
    ))
}

pub(crate) fn date(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).expect("a date")
}

/// A CA: a root, or an intermediate.
pub(crate) struct Authority {
    pub(crate) params: CertificateParams,
    pub(crate) key: KeyPair,
    pub(crate) der: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn root(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = ca(name);
        change(&mut params);
        let der = params.self_signed(&key).expect("signed").der().clone();
        Self { params, key, der }
    }

    pub(crate) fn intermediate(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = ca(name);
        change(&mut params);
        let der = self.issue(&params, &key);
        Self { params, key, der }
    }

    /// A certificate for `authority`'s name and key, from this one.
    pub(crate) fn cross_sign(&self, authority: &Self) -> CertificateDer<'static> {
        self.issue(&authority.params, &authority.key)
    }

    pub(crate) fn leaf(
        &self,
        change: impl FnOnce(&mut CertificateParams),
    ) -> CertificateDer<'static> {
        let mut params = client();
        change(&mut params);
        self.issue(&params, &KeyPair::generate().expect("a key"))
    }

    pub(crate) fn issue(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
    ) -> CertificateDer<'static> {
        params
            .signed_by(key, &Issuer::from_params(&self.params, &self.key))
            .expect("signed")
            .der()
            .clone()
    }

    /// A certificate of this CA with `from` in its signed part replaced by `to`, of the same length, and signed anew.
    pub(crate) fn alter(
        &self,
        certificate: &CertificateDer<'_>,
        from: &[u8],
        to: &[u8],
    ) -> CertificateDer<'static> {
        let (_, contents, _) = der::split(certificate).expect("a SEQUENCE");
        let (signed, _, rest) = der::split(contents).expect("tbsCertificate");
        let (algorithm, _, _) = der::split(rest).expect("signatureAlgorithm");
        let mut signed = signed.to_vec();
        let start = signed
            .windows(from.len())
            .position(|octets| octets == from)
            .expect("it is in there");
        signed[start..start + to.len()].copy_from_slice(to);
        let signature = self.key.sign(&signed).expect("signed");
        let signature = der::encode(der::tag::BIT_STRING, &[&[0], &signature]);
        der::encode(der::tag::SEQUENCE, &[&signed, algorithm, &signature]).into()
    }

    pub(crate) fn key_id(&self) -> IssuerKeyId {
        IssuerKeyId::of(&self.key.subject_public_key_info())
    }
}

fn ca(name: &str) -> CertificateParams {
    let mut params = subject(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A client with the serial 0a0b0c.
pub(crate) fn client() -> CertificateParams {
    let mut params = subject("a client");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![uri("spiffe://example.internal/device/fra/1")];
    params.serial_number = Some(SerialNumber::from_slice(&[10, 11, 12]));
    params
}

pub(crate) const CLIENT_SERIAL: &str = "0a0b0c";

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.to_owned().try_into().expect("ASCII"))
}

fn subject(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, NOW - 1000, NOW + 100_000);
    params
}

pub(crate) fn valid(params: &mut CertificateParams, from: i64, until: i64) {
    params.not_before = date(from);
    params.not_after = date(until);
}

/// An extension that nobody knows, critical.
pub(crate) fn add_unknown_critical_extension(params: &mut CertificateParams) {
    let mut extension =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 55738, 666, 1], vec![5, 0]);
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
}

pub(crate) const UNKNOWN_EXTENSION: &str = "1.3.6.1.4.1.55738.666.1";

pub(crate) fn serial(text: &str) -> Serial {
    text.parse().expect("a serial")
}
