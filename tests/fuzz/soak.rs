//! `scripts/soak` and `scripts/bench fuzz`: many inputs, on every core that it is given.
//!
//! ```text
//! fuzz [--inputs N] [--seed S] [--threads T] [TARGET...]   run so many inputs, by the targets' shares
//! fuzz --input NUMBER --seed S TARGET                      make one input again, print it, and run it
//! fuzz --write-corpus [TARGET...]                          make new valid inputs for the corpus
//! ```
#![allow(missing_docs)]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "as in the tests, of which these are some more"
)]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../acme/authority.rs"]
mod authority;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "mod.rs"]
mod fuzz;

/// Where the tests have these.
mod acme {
    pub(crate) use crate::authority;
}

use std::{io::Write as _, process::ExitCode, thread, time::Instant};

use fuzz::{
    corpus, run,
    run::Tally,
    target::{Kind, TARGETS},
};

/// As much as a thread of the server's runtime has: who recurses deeper there, ends here.
const STACK: usize = 2 * 1024 * 1024;
/// So many inputs of a target are run between two lines of progress.
const STEP: u64 = 100_000;

struct Arguments {
    inputs: u64,
    seed: u64,
    threads: u64,
    input: Option<u64>,
    write_corpus: bool,
    targets: Vec<&'static Kind>,
}

fn main() -> ExitCode {
    let arguments = arguments();
    if arguments.write_corpus {
        for kind in arguments.targets {
            for (name, octets) in (kind.valid)() {
                corpus::write(kind.name, &name, &octets);
            }
        }
        return ExitCode::SUCCESS;
    }
    if let Some(number) = arguments.input {
        for kind in arguments.targets {
            let target = (kind.open)();
            let input = run::input(&*target, arguments.seed, number);
            std::io::stdout().write_all(&input).unwrap();
            println!("\n{:?}", target.check(&input));
        }
        return ExitCode::SUCCESS;
    }
    println!("{} inputs of seed {}", arguments.inputs, arguments.seed);
    let mut harmful = 0;
    let mut all = 0;
    for kind in &arguments.targets {
        let inputs = kind.of(arguments.inputs);
        let begun = Instant::now();
        let tally = on_all_threads(kind, &arguments, inputs);
        let each = begun.elapsed().as_nanos() as u64 / inputs.max(1);
        println!(
            "{:<12} {tally}, {} s, {}.{} us each",
            kind.name,
            begun.elapsed().as_secs(),
            each / 1000,
            each % 1000 / 100
        );
        harmful += tally.harmful.len();
        all += inputs;
    }
    println!("{all} inputs, {harmful} harmful");
    ExitCode::from(u8::from(harmful > 0))
}

fn on_all_threads(kind: &'static Kind, arguments: &Arguments, inputs: u64) -> Tally {
    let (seed, threads) = (arguments.seed, arguments.threads);
    let workers: Vec<_> = (0..threads)
        .map(|worker| {
            let (from, to) = (inputs * worker / threads, inputs * (worker + 1) / threads);
            thread::Builder::new()
                .stack_size(STACK)
                .spawn(move || {
                    let target = (kind.open)();
                    let mut all = Tally::default();
                    let mut at = from;
                    while at < to {
                        let end = to.min(at + STEP);
                        // What ends the process ends it within these.
                        eprintln!("{} {at}..{end} of seed {seed}", kind.name);
                        let tally = run::range(&*target, seed, at..end);
                        all.accepted += tally.accepted;
                        all.refused += tally.refused;
                        all.harmful.extend(tally.harmful);
                        at = end;
                    }
                    all
                })
                .unwrap()
        })
        .collect();
    let mut all = Tally::default();
    for worker in workers {
        let tally = worker.join().expect("panics were caught");
        all.accepted += tally.accepted;
        all.refused += tally.refused;
        all.harmful.extend(tally.harmful);
    }
    all
}

fn arguments() -> Arguments {
    let mut arguments = Arguments {
        inputs: 100_000,
        seed: 1,
        threads: 1,
        input: None,
        write_corpus: false,
        targets: Vec::new(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut number = || {
            given
                .next()
                .and_then(|text| text.parse().ok())
                .expect("a number")
        };
        match argument.as_str() {
            "--inputs" => arguments.inputs = number(),
            "--seed" => arguments.seed = number(),
            "--threads" => arguments.threads = number(),
            "--input" => arguments.input = Some(number()),
            "--write-corpus" => arguments.write_corpus = true,
            // Cargo says this to every benchmark.
            "--bench" => {}
            name => arguments.targets.push(Kind::named(name).expect("a target")),
        }
    }
    if arguments.targets.is_empty() {
        arguments.targets = TARGETS.iter().collect();
    }
    arguments
}
