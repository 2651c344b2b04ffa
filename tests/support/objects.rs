//! Certificates of every kind and for every kind of key, made through the public face of `portcullis_ca` as the authority
//! makes them: for other programs to judge.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use portcullis_ca::{
    certificate::{Draft, IssuerCertificate},
    key::{KeyAlgorithm, Signer, SigningKey},
    name::GeneralName,
    profile::{
        ExtendedKeyUsage, ExtraExtension, KeyUsage, NameConstraints, Profile, ProfileKind, Subject,
        SubjectRule,
    },
    serial::Serial,
};

/// Where the lists, issuers and responders of these objects would be.
pub const URL: &str = "http://ca.example.internal:8445";

/// A CA that signs.
pub struct Ca {
    /// Its certificate.
    pub certificate: IssuerCertificate,
    /// Its key.
    pub key: Arc<SigningKey>,
    /// The certificates above it, the next one first, the root last.
    pub above: Vec<Vec<u8>>,
}

/// A certificate, and all that it takes to verify it.
pub struct Object {
    /// What it is, as a file would be called: `rsa3072-by-p256-device`.
    pub name: String,
    /// What it is for.
    pub kind: ProfileKind,
    /// Its key's algorithm.
    pub key: KeyAlgorithm,
    /// Its issuer's key's algorithm.
    pub by: KeyAlgorithm,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// Its private key.
    pub private_key: Arc<SigningKey>,
    /// The certificates above it, the next one first, the root last; empty for a root.
    pub above: Vec<Vec<u8>>,
}

/// The CAs and leaves of one kind of CA key.
pub struct Hierarchy {
    /// Self-signed.
    pub root: Ca,
    /// Below it.
    pub intermediate: Ca,
    /// Below it, with name constraints on DNS names and addresses.
    pub constrained: Ca,
    /// Its OCSP responder, delegated by the intermediate.
    pub responder: Object,
    /// Every certificate, those of the CAs too.
    pub objects: Vec<Object>,
}

/// One key of each algorithm for leaves: RSA takes its time.
pub struct LeafKeys(Vec<Arc<SigningKey>>);

impl LeafKeys {
    /// Makes them.
    pub fn generate(algorithms: &[KeyAlgorithm]) -> Self {
        let key = |algorithm| SigningKey::generate(algorithm).expect("a key").into();
        Self(algorithms.iter().copied().map(key).collect())
    }
}

/// Keys in memory sign at once.
pub fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the key is in memory"),
    }
}

/// A key of ours where rcgen wants one; its own reader knows no ML-DSA.
pub struct RcgenKey<'k>(pub &'k SigningKey);

impl rcgen::PublicKeyData for RcgenKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().bits()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        rcgen::PublicKeyData::algorithm(self.0.public_key())
    }
}

impl rcgen::SigningKey for RcgenKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(at_once(self.0.sign(message)).expect("a signature"))
    }
}

impl Hierarchy {
    /// Makes root, intermediates, cross-certificate and responder with keys of one algorithm, and leaves of every kind for
    /// every leaf key. `now` is in seconds since the epoch.
    pub fn make(by: KeyAlgorithm, leaf_keys: &LeafKeys, now: i64) -> Self {
        let mut maker = Maker {
            by,
            now,
            objects: Vec::new(),
        };
        let root = maker.ca(ProfileKind::Root, "Root", None, |_| {});
        let other = maker.ca(ProfileKind::Root, "Other Root", None, |_| {});
        maker.cross(&root, &other);
        maker.cross(&other, &root);
        let intermediate = maker.ca(ProfileKind::Intermediate, "Issuing CA", Some(&root), |_| {});
        let constrained = maker.ca(
            ProfileKind::Intermediate,
            "Constrained CA",
            Some(&root),
            |profile| {
                profile.subject.organization = Some("Example".to_owned());
                profile.subject.country = Some("DE".to_owned());
                profile.name_constraints = NameConstraints {
                    permitted_dns: vec!["example.internal".parse().expect("a subtree")],
                    excluded_dns: vec!["secret.example.internal".parse().expect("a subtree")],
                    permitted_ip: vec!["10.0.0.0/8".parse().expect("a network")],
                    excluded_ip: vec!["::/0".parse().expect("a network")],
                };
            },
        );
        for key in &leaf_keys.0 {
            for kind in [
                ProfileKind::Server,
                ProfileKind::Device,
                ProfileKind::Service,
            ] {
                maker.leaf(kind, "", &intermediate, key, |_| {});
            }
            maker.leaf(
                ProfileKind::Server,
                "-constrained",
                &constrained,
                key,
                |_| {},
            );
            maker.leaf(
                ProfileKind::Device,
                "-no-rev-avail",
                &intermediate,
                key,
                |profile| {
                    profile.lifetime = Duration::from_secs(1800);
                    profile.no_revocation_below = Some(Duration::from_secs(3600));
                },
            );
            maker.leaf(
                ProfileKind::Service,
                "-full",
                &intermediate,
                key,
                |profile| {
                    profile.key_usages =
                        vec![KeyUsage::DigitalSignature, KeyUsage::KeyEncipherment];
                    profile.subject = SubjectRule {
                        organization: Some("Example".to_owned()),
                        organizational_unit: Some("Services".to_owned()),
                        country: Some("DE".to_owned()),
                        ..SubjectRule::default()
                    };
                    profile.extended_key_usages.push(ExtendedKeyUsage::Other(
                        "1.3.6.1.4.1.55738.10".parse().expect("an OID"),
                    ));
                    profile.extensions = vec![
                        ExtraExtension::new(
                            "1.3.6.1.4.1.55738.11".parse().expect("an OID"),
                            false,
                            vec![0x0c, 2, b'h', b'i'],
                        )
                        .expect("an extension"),
                    ];
                },
            );
        }
        maker.leaf(
            ProfileKind::OcspResponder,
            "",
            &intermediate,
            &Arc::new(SigningKey::generate(by).expect("a key")),
            |_| {},
        );
        let at = maker.objects.len() - 1;
        let responder = maker.objects[at].duplicate();
        Self {
            root,
            intermediate,
            constrained,
            responder,
            objects: maker.objects,
        }
    }
}

impl Object {
    fn duplicate(&self) -> Self {
        Self {
            name: self.name.clone(),
            der: self.der.clone(),
            private_key: Arc::clone(&self.private_key),
            above: self.above.clone(),
            ..*self
        }
    }
}

struct Maker {
    by: KeyAlgorithm,
    now: i64,
    objects: Vec<Object>,
}

impl Maker {
    fn ca(
        &mut self,
        kind: ProfileKind,
        name: &str,
        parent: Option<&Ca>,
        change: impl FnOnce(&mut Profile),
    ) -> Ca {
        let key = Arc::new(SigningKey::generate(self.by).expect("a key"));
        let mut profile = Profile::default_for(kind).with_key(self.by);
        change(&mut profile);
        // A new CA key gets a new name.
        let end = hex::encode(&key.public_key().fingerprint()[..4]);
        let subject = profile
            .subject
            .subject(Some(format!("Example {name} {end}")));
        let mut draft = self.draft(profile, &key, parent);
        draft.subject = subject;
        draft.revocation_list = Some(format!("{URL}/crl/{end}/0.crl"));
        draft.issuer_certificate = parent.map(|_| format!("{URL}/issuer/{end}.crt"));
        let name = name.to_lowercase().replace(' ', "-");
        let der = self.sign(draft, parent, &key, &name);
        Ca {
            certificate: IssuerCertificate::from_der(&der).expect("an issuer"),
            key,
            above: chain(parent),
        }
    }

    fn cross(&mut self, subject: &Ca, signer: &Ca) {
        let profile = Profile::default_for(ProfileKind::CrossRoot);
        let latest = signer.certificate.not_after();
        let mut draft = Draft::cross_certificate(
            profile.clone().into(),
            Serial::random().expect("randomness"),
            &subject.certificate,
            profile.validity(self.now, latest),
        );
        draft.revocation_list = Some(format!("{URL}/crl/other/0.crl"));
        draft.issuer_certificate = Some(format!("{URL}/issuer/other.crt"));
        let name = format!("cross-root-{}", self.objects.len());
        self.sign(draft, Some(signer), &subject.key, &name);
    }

    fn leaf(
        &mut self,
        kind: ProfileKind,
        what: &str,
        issuer: &Ca,
        key: &Arc<SigningKey>,
        change: impl FnOnce(&mut Profile),
    ) {
        let mut profile = Profile::default_for(kind).with_key(key.public_key().algorithm());
        change(&mut profile);
        let dns = "shop.example.internal";
        let common_name = match kind {
            ProfileKind::OcspResponder => "Example OCSP responder",
            ProfileKind::Device => "fra/sensor-42",
            ProfileKind::Server
            | ProfileKind::Service
            | ProfileKind::Root
            | ProfileKind::CrossRoot
            | ProfileKind::Intermediate => dns,
        };
        let subject = profile.subject.subject(Some(common_name.to_owned()));
        let mut draft = self.draft(profile, key, Some(issuer));
        draft.subject = subject;
        let dns = || GeneralName::Dns(dns.parse().expect("a name"));
        let uri = |path: &str| GeneralName::Uri(format!("spiffe://example.internal/{path}"));
        draft.names = match kind {
            ProfileKind::Server => vec![dns(), GeneralName::Ip([10, 20, 0, 1].into())],
            ProfileKind::Device => vec![uri("device/fra/sensor-42")],
            ProfileKind::Service => vec![dns(), uri("service/web/shop")],
            ProfileKind::Root
            | ProfileKind::CrossRoot
            | ProfileKind::Intermediate
            | ProfileKind::OcspResponder => Vec::new(),
        };
        if !kind.is_never_checked() && !draft.is_without_revocation() {
            draft.revocation_list = Some(format!("{URL}/crl/leaves/3.crl"));
            draft.ocsp = Some(format!("{URL}/ocsp"));
        }
        draft.issuer_certificate = Some(format!("{URL}/issuer/leaves.crt"));
        let name = format!("{kind}{what}");
        self.sign(draft, Some(issuer), key, &name);
    }

    fn draft(&self, profile: Profile, key: &SigningKey, issuer: Option<&Ca>) -> Draft {
        let latest = issuer.map_or(i64::MAX, |issuer| issuer.certificate.not_after());
        let validity = profile.validity(self.now, latest);
        Draft {
            subject: Subject::Empty,
            ..Draft::new(
                profile.into(),
                Serial::random().expect("randomness"),
                key.public_key().clone(),
                validity,
            )
        }
    }

    fn sign(
        &mut self,
        draft: Draft,
        issuer: Option<&Ca>,
        key: &Arc<SigningKey>,
        name: &str,
    ) -> Vec<u8> {
        let kind = draft.profile.kind;
        let checked = draft
            .check(issuer.map(|issuer| &issuer.certificate))
            .unwrap_or_else(|refused| panic!("{name}: {refused}"));
        let signer = issuer.map_or(&**key, |issuer| &*issuer.key);
        let der = at_once(checked.sign(signer)).expect("signed").into_der();
        let algorithm = key.public_key().algorithm();
        self.objects.push(Object {
            name: format!("{algorithm}-by-{}-{name}", self.by),
            kind,
            key: algorithm,
            by: self.by,
            der: der.clone(),
            private_key: Arc::clone(key),
            above: chain(issuer),
        });
        der
    }
}

fn chain(issuer: Option<&Ca>) -> Vec<Vec<u8>> {
    issuer.map_or_else(Vec::new, |issuer| {
        let mut chain = vec![issuer.certificate.der().to_vec()];
        chain.extend(issuer.above.iter().cloned());
        chain
    })
}
