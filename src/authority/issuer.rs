//! Issuers in service: certificates, keys, and where their certificates and lists are to be had. [`IssuerSet`] is all of
//! them at one moment; a change puts another set in its place.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest;
use portcullis_ca::{
    certificate::{IssuerCertificate, to_pem},
    issuer_key_id::IssuerKeyId,
    key::Signer,
};

use super::AuthorityError;
use crate::domain::{
    event::KnownIssuers,
    issuer::{IssuerName, IssuerRecord, IssuerState, KeyId, KeyPlace},
};

/// A CA of ours that has its certificate.
pub struct Issuer {
    /// What is remembered of it.
    pub record: IssuerRecord,
    /// Its certificate.
    pub certificate: IssuerCertificate,
    signer: Option<Arc<dyn Signer>>,
    public_url: String,
}

impl Issuer {
    /// An issuer whose certificate and lists are served below `public_url`. Without a signer its key is offline.
    ///
    /// # Errors
    /// `Internal` when the record's certificate can't be an issuer's, or the signer is another key.
    pub fn new(
        record: IssuerRecord,
        signer: Option<Arc<dyn Signer>>,
        public_url: &str,
    ) -> Result<Self, AuthorityError> {
        let broken = |what: &dyn fmt::Display| {
            AuthorityError::Internal(format!("the issuer {}: {what}", record.name))
        };
        let certificate =
            IssuerCertificate::from_der(&record.certificate).map_err(|error| broken(&error))?;
        if signer
            .as_ref()
            .is_some_and(|signer| signer.public_key() != certificate.public_key())
        {
            return Err(broken(&format_args!(
                "{} is not the key of its certificate; restore both from the same backup",
                record.key
            )));
        }
        Ok(Self {
            record,
            certificate,
            signer,
            public_url: public_url.to_owned(),
        })
    }

    /// What it is known by.
    #[must_use]
    pub fn id(&self) -> IssuerKeyId {
        self.record.id
    }

    /// What operators call it.
    #[must_use]
    pub fn name(&self) -> &IssuerName {
        &self.record.name
    }

    /// How far its life has come.
    #[must_use]
    pub fn state(&self) -> IssuerState {
        self.record.state
    }

    /// Its key.
    ///
    /// # Errors
    /// `KeyOffline` when it is not here.
    pub fn signer(&self) -> Result<&Arc<dyn Signer>, AuthorityError> {
        self.signer
            .as_ref()
            .ok_or_else(|| AuthorityError::KeyOffline(self.record.name.to_string()))
    }

    /// Over how many lists its certificates are spread.
    #[must_use]
    pub fn shards(&self) -> u32 {
        self.record.list_shards
    }

    /// Where the list of one of its shards is.
    #[must_use]
    pub fn list_url(&self, shard: u32) -> String {
        list_url(&self.public_url, &self.id(), shard)
    }

    /// Where its certificate is.
    #[must_use]
    pub fn certificate_url(&self) -> String {
        issuer_certificate_url(&self.public_url, &self.id())
    }

    /// Its certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        to_pem(self.certificate.der())
    }
}

/// Where the list of an issuer's shard is, below the status server's public URL.
#[must_use]
pub fn list_url(public_url: &str, issuer: &IssuerKeyId, shard: u32) -> String {
    format!(
        "{}/crl/{}/{shard}.crl",
        public_url.trim_end_matches('/'),
        issuer.short()
    )
}

/// Where an issuer's certificate is, below the status server's public URL.
#[must_use]
pub fn issuer_certificate_url(public_url: &str, issuer: &IssuerKeyId) -> String {
    format!(
        "{}/issuer/{}.crt",
        public_url.trim_end_matches('/'),
        issuer.short()
    )
}

/// All issuers at one moment, oldest first.
#[derive(Default)]
pub struct IssuerSet {
    issuers: Vec<Arc<Issuer>>,
    requested: Vec<IssuerRecord>,
}

impl IssuerSet {
    /// These issuers, and those that still wait for a certificate.
    #[must_use]
    pub fn new(issuers: Vec<Arc<Issuer>>, requested: Vec<IssuerRecord>) -> Self {
        Self { issuers, requested }
    }

    /// Every issuer that has its certificate, retired ones too.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.issuers.iter()
    }

    /// Those that verifiers count on: their lists go on, and their certificates are good.
    pub fn standing(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.iter().filter(|issuer| issuer.state().stands())
    }

    /// The roots that are trusted, the one that issues first.
    #[must_use]
    pub fn roots(&self) -> Vec<&Arc<Issuer>> {
        let mut roots: Vec<_> = self
            .standing()
            .filter(|issuer| issuer.record.is_root())
            .collect();
        roots.sort_by_key(|root| {
            (
                root.state() != IssuerState::Active,
                std::cmp::Reverse(root.record.state_since),
            )
        });
        roots
    }

    /// The record of every issuer, those without a certificate too.
    pub fn records(&self) -> impl Iterator<Item = &IssuerRecord> {
        self.issuers
            .iter()
            .map(|issuer| &issuer.record)
            .chain(&self.requested)
    }

    /// The issuer with this key.
    #[must_use]
    pub fn by_id(&self, id: &IssuerKeyId) -> Option<&Arc<Issuer>> {
        self.iter().find(|issuer| issuer.id() == *id)
    }

    /// The issuer of this name, or with this key id, or what it begins with (16 digits or more).
    ///
    /// # Errors
    /// `NotFound`.
    pub fn named(&self, text: &str) -> Result<&Arc<Issuer>, AuthorityError> {
        let by_id = |issuer: &&Arc<Issuer>| {
            text.len() >= 16
                && issuer
                    .id()
                    .to_string()
                    .starts_with(&text.to_ascii_lowercase())
        };
        self.iter()
            .find(|issuer| issuer.name().as_str() == text)
            .or_else(|| self.iter().find(by_id))
            .ok_or(AuthorityError::NotFound(
                "issuer; portcullis ca list shows them",
            ))
    }

    /// The active intermediate that issues a profile: one that names it before one that issues whatever is not named,
    /// the younger before the older.
    ///
    /// # Errors
    /// `Unavailable` when none is active.
    pub fn issuing(&self, profile: &str) -> Result<&Arc<Issuer>, AuthorityError> {
        self.iter()
            .filter(|issuer| !issuer.record.is_root() && issuer.state() == IssuerState::Active)
            .filter_map(|issuer| {
                let profiles = &issuer.record.profiles;
                let names = profiles.iter().any(|name| name == profile);
                (names || profiles.is_empty()).then_some((names, issuer.record.state_since, issuer))
            })
            .max_by_key(|(names, since, _)| (*names, *since))
            .map(|(_, _, issuer)| issuer)
            .ok_or_else(|| AuthorityError::NoIssuer(profile.to_owned()))
    }

    /// Who signs a profile in a directory: whoever issues it, or the issuer that the directory names, and after its
    /// rotation its successor (`iot`, then `iot-2`).
    ///
    /// # Errors
    /// `NoIssuer` when none is active.
    pub(super) fn chosen(
        &self,
        named: Option<&str>,
        profile: &str,
    ) -> Result<&Arc<Issuer>, AuthorityError> {
        let Some(named) = named else {
            return self.issuing(profile);
        };
        let is_meant = |name: &str| {
            name.strip_prefix(named).is_some_and(|rest| {
                rest.is_empty()
                    || rest.strip_prefix('-').is_some_and(|number| {
                        !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
                    })
            })
        };
        self.iter()
            .filter(|issuer| !issuer.record.is_root() && issuer.state() == IssuerState::Active)
            .filter(|issuer| is_meant(issuer.name().as_str()))
            .filter(|issuer| {
                let profiles = &issuer.record.profiles;
                profiles.is_empty() || profiles.iter().any(|name| name == profile)
            })
            .max_by_key(|issuer| issuer.record.state_since)
            .ok_or_else(|| AuthorityError::NoIssuer(format!("{profile} as {named}")))
    }

    /// What goes out after a leaf: the issuer's certificate, and what leads from there to every root that is trusted,
    /// without the roots (RFC 8555 section 9.1).
    #[must_use]
    pub fn chain(&self, issuer: &Issuer) -> Vec<Vec<u8>> {
        let mut chain = vec![issuer.certificate.der().to_vec()];
        match self.parent(issuer) {
            // For verifiers that trust only the root before, or only the one after.
            Some(root) => chain.extend(self.cross(root).map(|(_, der)| der.clone())),
            None => {
                let above = &issuer.record.above;
                chain.extend(
                    above
                        .iter()
                        .take(above.len().saturating_sub(1))
                        .map(|der| der.0.clone()),
                );
            }
        }
        chain
    }

    /// Every single path from an issuer to a root that is trusted, without the root, that is not what [`Self::chain`]
    /// gives (RFC 8555 section 7.4.2): while a root is replaced, one for each of the two.
    #[must_use]
    pub fn alternate_chains(&self, issuer: &Issuer) -> Vec<Vec<Vec<u8>>> {
        let Some(root) = self.parent(issuer) else {
            return Vec::new();
        };
        let usual = self.chain(issuer);
        let own = || vec![issuer.certificate.der().to_vec()];
        let crossed = self.cross(root).map(|(_, der)| {
            let mut path = own();
            path.push(der.clone());
            path
        });
        std::iter::once(own())
            .chain(crossed)
            .filter(|path| *path != usual)
            .collect()
    }

    /// The same, with the roots: for who knows only a root's fingerprint and must be shown it.
    #[must_use]
    pub fn chain_with_roots(&self, issuer: &Issuer) -> Vec<Vec<u8>> {
        let mut chain = self.chain(issuer);
        match self.parent(issuer) {
            Some(root) => {
                chain.push(root.certificate.der().to_vec());
                chain.extend(
                    self.cross(root)
                        .map(|(signer, _)| signer.certificate.der().to_vec()),
                );
            }
            None => chain.extend(issuer.record.above.last().map(|der| der.0.clone())),
        }
        chain
    }

    /// The root that an issuer stands below, DER; a root stands below itself.
    #[must_use]
    pub fn anchor(&self, issuer: &Issuer) -> Vec<u8> {
        let above = issuer.record.above.last().map(|der| der.0.clone());
        match self.parent(issuer) {
            Some(root) => root.certificate.der().to_vec(),
            None => above.unwrap_or_else(|| issuer.certificate.der().to_vec()),
        }
    }

    fn parent(&self, issuer: &Issuer) -> Option<&Arc<Issuer>> {
        let KeyId(id) = issuer.record.parent?;
        self.by_id(&id)
    }

    /// The cross certificates of a root whose signers still stand.
    fn cross<'a>(
        &'a self,
        root: &'a Issuer,
    ) -> impl Iterator<Item = (&'a Arc<Issuer>, &'a Vec<u8>)> {
        root.record.cross.iter().filter_map(|cross| {
            let signer = self.by_id(&cross.issuer)?;
            signer.state().stands().then_some((signer, &cross.der))
        })
    }

    /// What verifiers are to trust.
    #[must_use]
    pub fn bundle(&self) -> TrustBundle {
        let mut certificates: Vec<Vec<u8>> = self
            .roots()
            .iter()
            .map(|root| root.certificate.der().to_vec())
            .collect();
        for issuer in self.standing().filter(|issuer| !issuer.record.is_root()) {
            if let Some(anchor) = issuer.record.above.last()
                && issuer.record.parent.is_none()
                && !certificates.contains(&anchor.0)
            {
                certificates.push(anchor.0.clone());
            }
        }
        TrustBundle { certificates }
    }

    /// The issuers, as the gate is to know them.
    #[must_use]
    pub fn known(&self) -> KnownIssuers {
        let ids = |wanted: fn(&IssuerRecord) -> bool| {
            self.records()
                .filter(|record| wanted(record))
                .map(|record| record.id)
                .collect()
        };
        KnownIssuers {
            // A prepared one has issued nothing here; what an imported one issued before is not ours until it issues.
            of_leaves: ids(|record| {
                !record.is_root()
                    && matches!(record.state, IssuerState::Active | IssuerState::Retiring)
            }),
            retired: ids(|record| record.state == IssuerState::Retired),
        }
    }
}

impl fmt::Debug for IssuerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.records().map(|it| format!("{} {}", it.name, it.state)))
            .finish()
    }
}

/// The trust anchors of this authority, as agents and gates hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustBundle {
    /// DER, the root that issues first.
    pub certificates: Vec<Vec<u8>>,
}

impl TrustBundle {
    /// SHA-256 over its certificates in the order of their octets: the same anchors have the same id.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        let mut sorted: Vec<&[u8]> = self.certificates.iter().map(Vec::as_slice).collect();
        sorted.sort_unstable();
        let mut context = digest::Context::new(&digest::SHA256);
        for der in sorted {
            context.update(der);
        }
        let mut id = [0; 32];
        id.copy_from_slice(context.finish().as_ref());
        id
    }

    /// As PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificates.iter().map(|der| to_pem(der)).collect()
    }
}

/// Where a new CA key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHome {
    /// Into a file of the state directory.
    File,
    /// Into the token that the configuration names.
    Token,
}

impl KeyPlace {
    /// Whether the key is here, in whatever form.
    #[must_use]
    pub fn is_here(&self) -> bool {
        match self {
            Self::File(_) | Self::Token(_) => true,
            Self::Offline => false,
        }
    }
}
