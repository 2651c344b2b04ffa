//! Several lists, asked as one.

use std::collections::HashMap;

use rustls_pki_types::UnixTime;

use super::RevocationList;
use crate::{
    chain::{PathCertificate, RevocationStatus, Status},
    issuer_key_id::IssuerKeyId,
};

/// The lists that somebody has: of several issuers, and of several shards of one.
#[derive(Debug, Clone, Default)]
pub struct ListSet(HashMap<IssuerKeyId, Vec<RevocationList>>);

impl ListSet {
    /// Adds a list. It does not replace another; where two lists cover a certificate, being on one is enough to be
    /// revoked.
    pub fn insert(&mut self, list: RevocationList) {
        self.0.entry(list.issuer()).or_default().push(list);
    }

    /// Every list.
    pub fn iter(&self) -> impl Iterator<Item = &RevocationList> {
        self.0.values().flatten()
    }
}

impl RevocationStatus for ListSet {
    /// [`Status::Unknown`] unless a list that covers the certificate and is current at the time `at` does not have it.
    fn status(&self, certificate: &PathCertificate, at: UnixTime) -> Status {
        let lists = self
            .0
            .get(&certificate.issuer)
            .map_or(&[][..], Vec::as_slice);
        if let Some(reason) = lists.iter().find_map(|list| list.reason(certificate)) {
            return Status::Revoked(reason);
        }
        if lists
            .iter()
            .any(|list| list.covers(certificate) && list.is_current(at))
        {
            Status::Good
        } else {
            Status::Unknown
        }
    }
}

impl FromIterator<RevocationList> for ListSet {
    fn from_iter<T: IntoIterator<Item = RevocationList>>(lists: T) -> Self {
        let mut set = Self::default();
        lists.into_iter().for_each(|list| set.insert(list));
        set
    }
}
