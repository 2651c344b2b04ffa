//! The program: carries out a command line, and says how it went.

use std::{
    io::{IsTerminal, Write as _},
    process::ExitCode,
};

use super::{
    arguments::{Arguments, Command, EnrollArguments, LogFormat, StatusArguments},
    clock::Clock,
    enroll::{Enrolled, enroll},
    error::AgentError,
    run::run,
    status::Status,
};

/// Carries out a command line at the time that `clock` says.
pub fn main(arguments: Arguments, clock: Clock) -> ExitCode {
    start_log(arguments.log_format);
    let outcome = match arguments.command {
        Command::Enroll(arguments) => block_on(enroll_and_tell(&arguments, &clock)),
        Command::Run(arguments) => {
            block_on(run(arguments.into(), clock)).map(|()| ExitCode::SUCCESS)
        }
        Command::Status(arguments) => tell_status(&arguments, &clock),
    };
    outcome.unwrap_or_else(|error| {
        tracing::error!("{error}");
        ExitCode::from(&error)
    })
}

/// One thread is enough, and small.
fn block_on<T>(future: impl Future<Output = Result<T, AgentError>>) -> Result<T, AgentError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| AgentError::System {
            what: "can't start",
            error,
        })?
        .block_on(future)
}

async fn enroll_and_tell(
    arguments: &EnrollArguments,
    clock: &Clock,
) -> Result<ExitCode, AgentError> {
    let options = arguments.options()?;
    let enrolled = enroll(&options, clock).await?;
    let status = Status::read(&options.state_dir, clock.now())?;
    if !arguments.json {
        println!(
            "{}",
            match enrolled {
                Enrolled::Now => "This device is enrolled.",
                Enrolled::Before => "This device was enrolled with this invitation before.",
            }
        );
    }
    tell(&status, arguments.json);
    if !arguments.json {
        println!(
            "\nKeep it fresh: portcullis-agent run --state-dir {}",
            options.state_dir.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_status(arguments: &StatusArguments, clock: &Clock) -> Result<ExitCode, AgentError> {
    let status = Status::read(&arguments.state.state_dir, clock.now())?;
    tell(&status, arguments.json);
    Ok(if status.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell(status: &Status, json: bool) {
    if json {
        let text = serde_json::to_string_pretty(status)
            .expect("strings and lists of strings always become JSON");
        say(&format!("{text}\n"));
    } else {
        say(&status.to_string());
    }
}

/// Prints it; whoever stopped reading has what they wanted (`portcullis-agent status | head -1`).
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn start_log(format: LogFormat) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(tracing::Level::INFO)
        .with_target(false);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
