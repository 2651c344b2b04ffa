//! `portcullis serve`.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{Failure, Outcome};
use crate::{
    app::{ServeError, StateDir, SystemClock, serve},
    domain::Clock,
};

/// How `serve` is to run.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// Write the log as JSON, a line an event
    #[arg(long)]
    log_json: bool,
    /// What to log, as in RUST_LOG: error, warn, info, debug, or per module
    #[arg(
        long,
        env = "PORTCULLIS_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    log: String,
    /// Make trouble on purpose, to test ACME clients: refuse good nonces, be slow, be busy, answer in another order. Never
    /// in production, and on a loopback address only
    #[arg(long)]
    chaos: bool,
    /// With --chaos: what happens is drawn from this number; a random one is printed otherwise
    #[arg(long, value_name = "NUMBER", requires = "chaos")]
    chaos_seed: Option<u64>,
    /// For tests: be so many seconds ahead of the system's clock
    #[arg(long, hide = true, default_value_t = 0)]
    test_clock_ahead: u64,
    /// For tests: stop at this place in the life of an order
    #[cfg(debug_assertions)]
    #[arg(long, hide = true, value_name = "PLACE")]
    test_stop_at: Option<crate::authority::crash_point::CrashPoint>,
}

pub(super) fn run(args: &ServeArgs, state: &StateDir) -> Outcome {
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|error| Failure::usage(format!("--log {}: {error}", args.log)))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    if args.log_json {
        log.json().init();
    } else {
        log.with_target(false).init();
    }
    if args.test_clock_ahead > 0 {
        tracing::warn!(
            seconds = args.test_clock_ahead,
            "the clock is ahead, for a test"
        );
    }
    #[cfg(debug_assertions)]
    if let Some(point) = args.test_stop_at {
        crate::authority::crash_point::stop_at(point);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::ahead_by(Duration::from_secs(
        args.test_clock_ahead,
    )));
    let chaos = match (args.chaos, args.chaos_seed) {
        (false, _) => None,
        (true, Some(seed)) => Some(seed),
        (true, None) => Some(random_seed()?),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::new)?;
    runtime.block_on(async {
        let server = serve(state, clock, chaos)
            .await
            .map_err(|error: ServeError| Failure {
                code: error.exit_code(),
                message: error.to_string(),
            })?;
        let settings = server.settings();
        if let Some(seed) = chaos {
            tracing::warn!(
                seed,
                "CHAOS: this server makes trouble on purpose, for every ACME client; it is for testing clients only"
            );
            say!("CHAOS: trouble on purpose for every ACME client; never in production");
            say!("  again   portcullis serve --chaos --chaos-seed {seed}");
        }
        say!("portcullis is ready");
        say!("  ACME    {}", server.directory());
        say!("  gate    https://{}", server.gate_address());
        say!("  status  http://{}", settings.status_listen);
        say!("  admin   {}", settings.admin_socket.display());
        let (mut term, mut int) = (
            signal(SignalKind::terminate()).map_err(Failure::new)?,
            signal(SignalKind::interrupt()).map_err(Failure::new)?,
        );
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("ending: what is under way may finish");
        server.shut_down().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// A seed that can be typed.
fn random_seed() -> Result<u64, Failure> {
    let mut octets = [0; 4];
    aws_lc_rs::rand::fill(&mut octets)
        .map_err(|_| Failure::new("the system gives no random bytes for --chaos"))?;
    Ok(u32::from_be_bytes(octets).into())
}
