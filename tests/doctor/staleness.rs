//! A clock that walks through nextUpdate while the signer fails.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use portcullis::{
    app::{StateDir, StoredKeys},
    authority::{Authority, Check, Profiles, Severity, Watch},
    domain::{Clock, Timestamp, audit::Actor},
    metrics::{GateFigures, Sources, text},
};

use super::failing_signer::FailingKeys;
use crate::acme::authority::{found, open_with};

const BEGIN: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// What was logged since the last time.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock())).expect("text")
    }
}

fn metric(authority: &Authority, name: &str) -> Option<i64> {
    let sources = Sources {
        authority: authority.clone(),
        gate: Arc::new(GateFigures::default),
    };
    let text = text(&sources);
    assert!(text.ends_with("# EOF\n"), "{text}");
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Let's Encrypt 2023: lists were eleven days stale, and nobody knew. Here nothing can be signed for two days.
#[test]
fn a_list_that_cannot_be_renewed_is_told_twice_before_it_is_stale() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    let _here = tracing::subscriber::set_default(subscriber);
    runtime.block_on(async {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(TestClock(AtomicI64::new(BEGIN)));
        let state = StateDir::new(directory.path().join("state"));
        found(&state, clock.now()).await;
        let is_broken = Arc::new(AtomicBool::new(false));
        let keys = FailingKeys {
            keys: StoredKeys::new(state.clone(), None),
            is_broken: Arc::clone(&is_broken),
        };
        let authority = open_with(
            &state,
            Arc::clone(&clock) as Arc<dyn Clock>,
            Profiles::default(),
            Arc::new(keys),
        )
        .await;
        authority
            .publish_lists(&Actor::Authority)
            .await
            .expect("published");
        authority.renew_due_responders().await.expect("renewed");
        let mut watch = Watch::default();
        let report = watch.look(&authority).await;
        assert_eq!(report.severity(), Severity::Ok, "{report:#?}");
        assert!(!log.take().contains("alarm"));

        is_broken.store(true, Ordering::SeqCst);
        let stale_at = authority.lists()[0].next_update;
        assert_eq!(stale_at, Timestamp::from_unix_seconds(BEGIN + 24 * HOUR));
        let mut seen = Vec::new();
        for quarter in 0..=(26 * 4) {
            clock.0.store(BEGIN + quarter * HOUR / 4, Ordering::SeqCst);
            // As the jobs do; while the signer fails, it comes to nothing.
            let _ = authority.publish_due_lists().await;
            log.take();
            let severity = watch.look(&authority).await.severity_of(Check::List);
            let told = log.take();
            let number = metric(&authority, "portcullis_check{check=\"list\"}");
            assert_eq!(number, Some(i64::from(severity.number())), "{quarter}");
            if seen.last().map(|(_, severity)| *severity) == Some(severity) {
                assert!(!told.contains("alarm=\"list\""), "told once: {told}");
                continue;
            }
            if severity != Severity::Ok {
                let word = format!("severity=\"{severity}\"");
                assert!(
                    told.contains("alarm=\"list\"") && told.contains(&word),
                    "{told}"
                );
            }
            seen.push((quarter * HOUR / 4, severity));
        }
        // Due at half of its life; an hour's grace; critical six hours before anybody refuses it.
        assert_eq!(
            seen,
            [
                (0, Severity::Ok),
                (13 * HOUR, Severity::Warning),
                (18 * HOUR, Severity::Critical)
            ]
        );
        let left = metric(
            &authority,
            "portcullis_list_next_update_seconds{issuer=\"intermediate\",shard=\"0\"}",
        );
        assert_eq!(left, Some(-2 * HOUR));
        assert!(metric(&authority, "portcullis_failures_total{of=\"signer\"}") > Some(0));

        is_broken.store(false, Ordering::SeqCst);
        authority.publish_due_lists().await.expect("published");
        let severity = watch.look(&authority).await.severity_of(Check::List);
        assert_eq!(severity, Severity::Ok);
        assert!(log.take().contains("it is well again"));

        // The clock is set back behind what was recorded.
        clock.0.store(BEGIN - 600, Ordering::SeqCst);
        let report = watch.look(&authority).await;
        assert_eq!(report.severity_of(Check::Clock), Severity::Critical);
        assert!(log.take().contains("alarm=\"clock\""));

        // The OCSP responder renews itself, too, or it is told.
        let responder = authority.ocsp_responders();
        let active = responder.values().next().expect("a responder");
        let day = Duration::from_secs(86_400);
        let after = |moment: Timestamp| clock.0.store(moment.unix_seconds(), Ordering::SeqCst);
        after(active.renew_at() + day / 2);
        is_broken.store(true, Ordering::SeqCst);
        let _ = authority.renew_due_responders().await;
        let report = watch.look(&authority).await;
        assert_eq!(report.severity_of(Check::OcspResponder), Severity::Warning);
        after(active.not_after().earlier_by(day));
        let report = watch.look(&authority).await;
        assert_eq!(report.severity_of(Check::OcspResponder), Severity::Critical);
        is_broken.store(false, Ordering::SeqCst);
        authority.renew_due_responders().await.expect("renewed");
        let report = watch.look(&authority).await;
        assert_eq!(report.severity_of(Check::OcspResponder), Severity::Ok);
    });
}
