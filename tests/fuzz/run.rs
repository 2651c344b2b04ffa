//! Runs inputs through a target, and keeps what did harm.

use std::{
    fmt,
    ops::Range,
    panic::{self, AssertUnwindSafe},
};

use super::{
    corpus,
    random::Random,
    target::{Target, Verdict},
};

/// What became of the inputs.
#[derive(Default)]
pub struct Tally {
    pub accepted: u64,
    pub refused: u64,
    /// The files that hold what made the target panic, or broke what must hold of it.
    pub harmful: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} inputs, {} accepted, {} refused, {} harmful",
            self.accepted + self.refused + self.harmful.len() as u64,
            self.accepted,
            self.refused,
            self.harmful.len()
        )
    }
}

/// The files of the corpus, unchanged.
pub fn corpus(target: &dyn Target) {
    for entry in target.corpus() {
        let verdict = target.check(&entry.octets);
        let expected = match entry.name.split('-').next() {
            Some("valid") => Some(Verdict::Accepted),
            Some("bad") => Some(Verdict::Refused),
            Some(_) | None => None,
        };
        assert!(
            expected.is_none_or(|expected| expected == verdict),
            "{}/{}: {verdict:?}",
            target.name(),
            entry.name
        );
    }
}

/// The inputs with these numbers.
pub fn range(target: &dyn Target, seed: u64, numbers: Range<u64>) -> Tally {
    let mut tally = Tally::default();
    for number in numbers {
        let input = input(target, seed, number);
        match panic::catch_unwind(AssertUnwindSafe(|| target.check(&input))) {
            Ok(Verdict::Accepted) => tally.accepted += 1,
            Ok(Verdict::Refused) => tally.refused += 1,
            Err(_) => {
                let name = format!("found-{seed}-{number}");
                corpus::write(target.name(), &name, &input);
                eprintln!(
                    "{}: input {number} of seed {seed} does harm: corpus/{}/{name}",
                    target.name(),
                    target.name()
                );
                tally.harmful.push(name);
            }
        }
    }
    tally
}

/// One input.
pub fn input(target: &dyn Target, seed: u64, number: u64) -> Vec<u8> {
    target.mutated(&mut Random::of(seed, number))
}
