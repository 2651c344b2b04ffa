//! `scripts/bench acme [--count N] [--rounds N] [--workers N] [SERVER...]`: complete certificates over ACME (newOrder,
//! authorization, http-01, finalize with a fresh key, download) a second, and what each costs the server: this one
//! beside Pebble, Caddy and step-ca, those of them that are installed.
//!
//! All of it runs in a network namespace of its own, where every name is 127.0.0.1 and port 80 is free. Servers have
//! core 1, the load has core 0; one server at a time, in turn, a few rounds; medians count. Every server keeps its files
//! on the disk, but for Pebble, which keeps none. Rates depend on the disk and on who else uses the machine: compare the
//! CPU each, and look at what a sync cost meanwhile.
//!
//! Pebble and Caddy are Debian's packages; `STEP_CA` names step-ca's program where it isn't in the path, and `PORTCULLIS`
//! another build of this one.
#![allow(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::{
    env, fs,
    io::Write as _,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, exit},
    time::{Duration, Instant},
};

mod client;
mod load;
mod pki;
mod servers;
mod world;

use load::{Load, Outcome};
use servers::{Kind, Running};

/// Set where the namespace is entered already.
const INSIDE: &str = "PORTCULLIS_BENCH_INSIDE";

fn main() {
    let arguments = Arguments::read();
    if env::var_os(INSIDE).is_none() {
        enter_namespace();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, run(&arguments));
}

struct Arguments {
    count: usize,
    rounds: usize,
    workers: usize,
    dir: Option<String>,
    servers: Vec<Kind>,
}

impl Arguments {
    fn read() -> Self {
        let mut read = Self {
            count: 2000,
            rounds: 3,
            workers: 16,
            dir: None,
            servers: Vec::new(),
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_default();
            let number = |text: String| text.parse().unwrap_or_else(|_| usage());
            match argument.as_str() {
                // Cargo's own.
                "--bench" => {}
                "--count" => read.count = number(value()),
                "--rounds" => read.rounds = number(value()),
                "--workers" => read.workers = number(value()),
                "--dir" => read.dir = Some(value()),
                name => read
                    .servers
                    .push(Kind::from_name(name).unwrap_or_else(|| usage())),
            }
        }
        if read.count == 0 || read.rounds == 0 || read.workers == 0 {
            usage();
        }
        if read.servers.is_empty() {
            read.servers = Kind::ALL
                .into_iter()
                .filter(|kind| kind.is_installed())
                .collect();
        }
        read
    }
}

fn usage() -> ! {
    let names = Kind::ALL.map(Kind::name).join(", ");
    eprintln!(
        "usage: scripts/bench acme [--count N] [--rounds N] [--workers N] [--dir DIR] [SERVER...]\n\
         N certificates are measured in each round (2000), in so many rounds (3), by so many workers at once (16).\n\
         The servers keep their files below DIR (the system's directory for temporary files).\n\
         SERVER is one of: {names}; without it, all that are installed"
    );
    exit(64)
}

/// Runs this program again in namespaces of its own, with loopback only, on core 0 where there is another one.
fn enter_namespace() -> ! {
    let resolv_conf = tempfile::NamedTempFile::new().expect("a file");
    fs::write(resolv_conf.path(), "nameserver 127.0.0.1\n").expect("written");
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount"]);
    if fs::metadata("/proc/self").is_ok_and(|it| it.uid() != 0) {
        command.arg("--map-root-user");
    }
    command
        .args([
            "sh",
            "-c",
            "set -e; ip link set lo up; mount --bind \"$0\" /etc/resolv.conf; exec \"$@\"",
        ])
        .arg(resolv_conf.path());
    if servers::has_two_cores() {
        command.args(["taskset", "--cpu-list", "0"]);
    }
    command
        .arg(env::current_exe().expect("this program"))
        .args(env::args().skip(1))
        .env(INSIDE, "1");
    // The file must outlive this process, which becomes the other one.
    let (_, path) = resolv_conf.keep().expect("kept");
    let error = command.exec();
    let _ = fs::remove_file(path);
    eprintln!("unshare, ip and taskset are needed (util-linux, iproute2): {error}");
    exit(69)
}

async fn run(arguments: &Arguments) {
    let world = world::World::start().await;
    let mut rows: Vec<(Kind, Vec<Measured>)> = arguments
        .servers
        .iter()
        .map(|kind| (*kind, Vec::new()))
        .collect();
    for round in 0..arguments.rounds {
        let count = rows.len();
        for index in 0..count {
            // There and back again, so that no server always comes after the same one.
            let index = if round % 2 == 0 {
                index
            } else {
                count - 1 - index
            };
            let (kind, measured) = &mut rows[index];
            let one = measure(*kind, arguments, &world).await;
            eprintln!(
                "round {}: {:<12} {:>6.0}/s  {:.3} ms CPU  p50 {:.1} ms  sync {:.2} ms",
                round + 1,
                kind.name(),
                one.rate,
                one.cpu_ms,
                one.p50_ms,
                one.sync_ms
            );
            measured.push(one);
        }
    }
    print(arguments, &mut rows);
}

/// What one run of one server showed.
struct Measured {
    rate: f64,
    cpu_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
    written_kib: f64,
    requests: f64,
    sync_ms: f64,
    failures: usize,
}

async fn measure(kind: Kind, arguments: &Arguments, world: &world::World) -> Measured {
    let parent = arguments
        .dir
        .as_ref()
        .map_or_else(env::temp_dir, |dir| Path::new(dir).to_owned());
    fs::create_dir_all(&parent).expect("a directory");
    let dir = tempfile::tempdir_in(parent).expect("a directory");
    let sync_ms = sync_cost(dir.path()).as_secs_f64() * 1000.0;
    let server = Running::start(kind, dir.path());
    let load = Load {
        directory: server.directory.clone(),
        roots: server.roots(),
        workers: arguments.workers,
        warm_up: arguments.workers * 4,
        count: arguments.count,
    };
    let Outcome {
        took,
        cpu,
        written,
        requests,
        mut latencies,
        failures,
    } = load.run(world, &server).await;
    if let Some(failure) = failures.first() {
        eprintln!("{}: {failure}", kind.name());
    }
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share).ceil() as usize;
        latencies
            .get(index.saturating_sub(1))
            .map_or(f64::NAN, |it| it.as_secs_f64() * 1000.0)
    };
    let count = latencies.len() as f64;
    Measured {
        rate: count / took.as_secs_f64(),
        cpu_ms: cpu.as_secs_f64() * 1000.0 / count,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        written_kib: written as f64 / 1024.0 / count,
        requests: requests as f64 / count,
        sync_ms,
        failures: failures.len(),
    }
}

/// What a durable write of 4 KiB costs there now; on a shared disk it changes by the minute.
fn sync_cost(dir: &Path) -> Duration {
    let mut file = tempfile::tempfile_in(dir).expect("a file");
    let mut took: Vec<Duration> = (0..21)
        .map(|_| {
            file.write_all(&[0; 4096]).expect("written");
            let begun = Instant::now();
            file.sync_data().expect("synced");
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[took.len() / 2]
}

fn print(arguments: &Arguments, rows: &mut [(Kind, Vec<Measured>)]) {
    println!(
        "\nComplete certificates, {} workers, {} in each of {} rounds; medians",
        arguments.workers, arguments.count, arguments.rounds
    );
    println!(
        "{:<12} {:>8} {:>12} {:>9} {:>9} {:>12} {:>9} {:>9} {:>7} {:>10} {:>10}",
        "",
        "each s",
        "CPU ms each",
        "p50 ms",
        "p99 ms",
        "written KiB",
        "requests",
        "sync ms",
        "failed",
        "rate ratio",
        "CPU ratio"
    );
    let mut ours: Option<(f64, f64)> = None;
    for (kind, measured) in rows {
        let median = |value: fn(&Measured) -> f64| {
            let mut values: Vec<f64> = measured.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (rate, cpu) = (median(|it| it.rate), median(|it| it.cpu_ms));
        let (our_rate, our_cpu) = *ours.get_or_insert((rate, cpu));
        println!(
            "{:<12} {:>8.0} {:>12.3} {:>9.1} {:>9.1} {:>12.1} {:>9.1} {:>9.2} {:>7} {:>10.2} {:>10.2}",
            kind.name(),
            rate,
            cpu,
            median(|it| it.p50_ms),
            median(|it| it.p99_ms),
            median(|it| it.written_kib),
            median(|it| it.requests),
            median(|it| it.sync_ms),
            measured.iter().map(|it| it.failures).sum::<usize>(),
            our_rate / rate,
            cpu / our_cpu,
        );
    }
    println!(
        "\nRatios are the first row's to the others': how many times as many certificates, and how many times less CPU."
    );
}
