//! Portcullis as a program.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis::cli::main()
}
