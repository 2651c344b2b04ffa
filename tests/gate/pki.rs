//! A small CA for these tests: a root and the certificates below it.

use std::{net::IpAddr, sync::Arc};

use portcullis_ca::{
    chain::{Anchor, Anchors},
    issuer_key_id::IssuerKeyId,
    key::SigningKey,
    serial::Serial,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use crate::support::objects::RcgenKey;

/// A certificate, its chain and its key.
#[derive(Clone)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: Arc<PrivatePkcs8KeyDer<'static>>,
    pub serial: Serial,
}

impl Identity {
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }
}

/// A root that signs leaves itself.
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    pub root: CertificateDer<'static>,
    pub issuer_key_id: IssuerKeyId,
    /// The middle of every validity.
    now: OffsetDateTime,
}

/// What is particular about a leaf.
pub struct Leaf<'l> {
    pub uris: &'l [&'l str],
    pub purposes: &'l [ExtendedKeyUsagePurpose],
    pub life: Duration,
}

impl Default for Leaf<'_> {
    fn default() -> Self {
        Self {
            uris: &[],
            purposes: &[ExtendedKeyUsagePurpose::ClientAuth],
            life: Duration::hours(24),
        }
    }
}

impl Pki {
    pub fn new(now: OffsetDateTime) -> Self {
        Self::named("test root", now)
    }

    pub fn named(name: &str, now: OffsetDateTime) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.not_before = now - Duration::days(1);
        params.not_after = now + Duration::days(365);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let root = params.self_signed(&key).unwrap().der().clone();
        let issuer_key_id = IssuerKeyId::of(&key.subject_public_key_info());
        Self {
            issuer: Issuer::new(params, key),
            root,
            issuer_key_id,
            now,
        }
    }

    pub fn anchors(&self, id: &str) -> Anchors {
        Anchors::new(vec![Anchor {
            id: id.to_owned(),
            certificate: self.root.clone(),
        }])
        .unwrap()
    }

    /// A client's certificate for the principal `kind/path` of the trust domain `home.example`.
    pub fn client(&self, principal: &str) -> Identity {
        self.leaf(&Leaf {
            uris: &[&format!("spiffe://home.example/{principal}")],
            ..Leaf::default()
        })
    }

    pub fn leaf(&self, leaf: &Leaf<'_>) -> Identity {
        let sans = leaf
            .uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()));
        self.issue(sans.collect(), leaf.purposes, leaf.life)
    }

    pub fn server(&self, names: &[&str]) -> Identity {
        let mut sans: Vec<_> = names
            .iter()
            .map(|name| SanType::DnsName((*name).try_into().unwrap()))
            .collect();
        sans.push(SanType::IpAddress(IpAddr::from([127, 0, 0, 1])));
        self.issue(
            sans,
            &[ExtendedKeyUsagePurpose::ServerAuth],
            Duration::days(30),
        )
    }

    /// The same for a key that there is already.
    pub fn client_with_key(&self, principal: &str, key: &SigningKey) -> Identity {
        let uri = format!("spiffe://home.example/{principal}");
        self.issue_to(
            &RcgenKey(key),
            key.to_pkcs8_der().to_vec(),
            vec![SanType::URI(uri.try_into().unwrap())],
            &[ExtendedKeyUsagePurpose::ClientAuth],
            Duration::hours(24),
        )
    }

    fn issue(
        &self,
        sans: Vec<SanType>,
        purposes: &[ExtendedKeyUsagePurpose],
        life: Duration,
    ) -> Identity {
        let key = KeyPair::generate().unwrap();
        self.issue_to(&key, key.serialize_der(), sans, purposes, life)
    }

    fn issue_to(
        &self,
        key: &impl PublicKeyData,
        pkcs8: Vec<u8>,
        sans: Vec<SanType>,
        purposes: &[ExtendedKeyUsagePurpose],
        life: Duration,
    ) -> Identity {
        let serial = Serial::random().unwrap();
        let mut params = CertificateParams::default();
        params.not_before = self.now - Duration::hours(1);
        params.not_after = self.now + life;
        params.serial_number = Some(SerialNumber::from_slice(serial.significant_octets()));
        params.subject_alt_names = sans;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = purposes.to_vec();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        Identity {
            chain: vec![certificate.der().clone()],
            key: Arc::new(PrivatePkcs8KeyDer::from(pkcs8)),
            serial,
        }
    }
}
