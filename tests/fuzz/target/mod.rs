//! What is fuzzed: each target with its share, its corpus, its mutations and what must hold of it.

mod attestation;
mod binding;
mod certificate;
mod crl;
mod csr;
mod jwk;
mod jws;
mod ocsp;
mod payload;
mod signer;

use super::{corpus::Entry, random::Random};

/// What a target said to an input. What breaks a property panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Refused,
}

/// A reader of one kind of input.
pub trait Target {
    /// As its folder is called.
    fn name(&self) -> &'static str;

    /// Its files.
    fn corpus(&self) -> &[Entry];

    /// Another input.
    fn mutated(&self, random: &mut Random) -> Vec<u8>;

    /// Reads an input, and panics if what must hold does not.
    fn check(&self, input: &[u8]) -> Verdict;
}

/// A target that is not open yet.
pub struct Kind {
    pub name: &'static str,
    /// Its share of all inputs, in hundredths.
    share: u64,
    pub open: fn() -> Box<dyn Target>,
    /// Makes valid inputs for its corpus, each with its name.
    #[allow(dead_code, reason = "`soak.rs` uses it")]
    pub valid: fn() -> Vec<(String, Vec<u8>)>,
}

/// Every target.
pub const TARGETS: &[Kind] = &[
    Kind {
        name: "jws",
        share: 20,
        open: || Box::new(jws::JwsTarget::open()),
        valid: jws::valid,
    },
    Kind {
        name: "jwk",
        share: 20,
        open: || Box::new(jwk::JwkTarget::open()),
        valid: jwk::valid,
    },
    Kind {
        name: "binding",
        share: 8,
        open: || Box::new(binding::BindingTarget::open()),
        valid: binding::valid,
    },
    Kind {
        name: "payload",
        share: 4,
        open: || Box::new(payload::PayloadTarget::open()),
        valid: payload::valid,
    },
    Kind {
        name: "csr",
        share: 14,
        open: || Box::new(csr::CsrTarget::open()),
        valid: csr::valid,
    },
    Kind {
        name: "attestation",
        share: 12,
        open: || Box::new(attestation::AttestationTarget::open()),
        valid: attestation::valid,
    },
    Kind {
        name: "certificate",
        share: 6,
        open: || Box::new(certificate::CertificateTarget::open()),
        valid: certificate::valid,
    },
    Kind {
        name: "crl",
        share: 6,
        open: || Box::new(crl::CrlTarget::open()),
        valid: crl::valid,
    },
    Kind {
        name: "ocsp",
        share: 10,
        open: || Box::new(ocsp::OcspTarget::open()),
        valid: ocsp::valid,
    },
];

impl Kind {
    /// The target of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|kind| kind.name == name)
    }

    /// Its share of so many inputs.
    pub fn of(&self, inputs: u64) -> u64 {
        inputs * self.share / 100
    }
}
