//! Every kind of certificate, for every kind of key, from a CA with every kind of key.

use std::{collections::BTreeSet, fs, path::PathBuf};

use portcullis_ca::{
    certificate::to_pem,
    chain::{self, Anchor, Anchors, NoRevocationSource, Requirements, UnknownStatus},
    key::KeyAlgorithm,
    pki_types::{CertificateDer, UnixTime},
    profile::ProfileKind,
};

use crate::support::objects::{Hierarchy, LeafKeys};

/// 2027-01-15T08:00:00Z.
const NOW: i64 = 1_800_000_000;

/// The linter lets them through (it panics otherwise), and the gate's own path validation takes those of clients. With
/// `PORTCULLIS_OBJECTS` in the environment they are left there as PEM, each with its chain behind it, for other programs.
#[test]
fn certificates_of_every_kind_and_key_chain_up_to_their_root() {
    let leaf_keys = LeafKeys::generate(&KeyAlgorithm::ALL);
    let directory = std::env::var_os("PORTCULLIS_OBJECTS").map(PathBuf::from);
    let mut seen = BTreeSet::new();
    for by in KeyAlgorithm::ALL {
        let hierarchy = Hierarchy::make(by, &leaf_keys, NOW);
        for object in &hierarchy.objects {
            if let Some(directory) = &directory {
                let chain = std::iter::once(&object.der).chain(&object.above);
                let pem: String = chain.map(|der| to_pem(der)).collect();
                fs::create_dir_all(directory).expect("a directory");
                fs::write(directory.join(format!("{}.pem", object.name)), pem).expect("written");
            }
            seen.insert((object.kind, object.key, object.by));
            if !object.kind.proves_principal() {
                continue;
            }
            let owned = |der: &Vec<u8>| CertificateDer::from(der.clone());
            let (root, presented) = object.above.split_last().expect("a chain");
            let presented: Vec<_> = presented.iter().map(owned).collect();
            let anchors = Anchors::new(vec![Anchor {
                id: "root".to_owned(),
                certificate: owned(root),
            }])
            .expect("an anchor");
            let requirements = Requirements {
                unknown_status: UnknownStatus::Allow,
                ..Requirements::default()
            };
            let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW as u64));
            let path = chain::verify(
                &owned(&object.der),
                &presented,
                &anchors,
                &NoRevocationSource,
                &requirements,
                at,
            );
            assert!(path.is_ok(), "{}: {:?}", object.name, path.err());
        }
    }
    for by in KeyAlgorithm::ALL {
        for key in KeyAlgorithm::ALL {
            for kind in [
                ProfileKind::Server,
                ProfileKind::Device,
                ProfileKind::Service,
            ] {
                assert!(seen.contains(&(kind, key, by)), "{kind} {key} by {by}");
            }
        }
        for kind in [
            ProfileKind::Root,
            ProfileKind::CrossRoot,
            ProfileKind::Intermediate,
            ProfileKind::OcspResponder,
        ] {
            assert!(seen.contains(&(kind, by, by)), "{kind} by {by}");
        }
    }
}
