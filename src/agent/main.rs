//! The agent as a program. Its clock is made here.

use std::process::ExitCode;

use clap::Parser;
use portcullis::agent::{arguments::Arguments, clock::Clock, program};

fn main() -> ExitCode {
    #[expect(
        clippy::disallowed_methods,
        reason = "the agent's clock is made here and handed to everybody else"
    )]
    let clock = Clock::new(time::OffsetDateTime::now_utc);
    program::main(Arguments::parse(), clock)
}
