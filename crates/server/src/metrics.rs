//! What is counted, in Prometheus' text format. docs/how-to/watch-a-server.md says what each is good for.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::database::{Database, EndedJob, Result, Waiting};

/// How long after its end a job may come to be seen: the transaction that says it takes a while.
const LATE: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
/// Seconds of answers: from a look-up to a registration that resolves.
const ANSWERS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];
/// Seconds of builds.
const BUILDS: [f64; 12] = [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0];

/// What a request was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    /// The pattern of the path, so that names do not make a series each.
    path: String,
    status: u16,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: String,
    path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Connections {
    database: &'static str,
    state: &'static str,
}

type Histograms<Label> = Family<Label, Histogram, fn() -> Histogram>;

/// What is counted.
pub(crate) struct Metrics {
    registry: Registry,
    /// Names that every process has, without our own before them.
    process: Registry,
    requests: Family<Request, Counter>,
    durations: Histograms<Route>,
    in_flight: Gauge<i64>,
    ended: Family<Status, Counter>,
    took: Histograms<Status>,
    waited: Histogram,
    jobs: Family<Status, Gauge<i64>>,
    oldest: Gauge<f64, AtomicU64>,
    connections: Family<Connections, Gauge<i64>>,
    memory: Gauge<i64>,
    files: Gauge<i64>,
    seen: tokio::sync::Mutex<Seen>,
}

/// The jobs that are counted.
struct Seen {
    since: jiff::Timestamp,
    jobs: HashSet<String>,
}

/// A request that is being answered; it is counted as long as this is there.
pub(crate) struct InFlight(Gauge<i64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn answers() -> Histogram {
    Histogram::new(ANSWERS)
}

fn builds() -> Histogram {
    Histogram::new(BUILDS)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("provenv");
        let requests = Family::default();
        registry.register("http_requests", "Requests that were answered", requests.clone());
        let durations: Histograms<Route> = Family::new_with_constructor(answers);
        let what = "How long it took until an answer began";
        registry.register_with_unit("http_request_duration", what, Unit::Seconds, durations.clone());
        let in_flight: Gauge<i64> = Gauge::default();
        registry.register("http_requests_in_flight", "Requests that are being answered", in_flight.clone());
        let ended = Family::default();
        let what = "Builds that ended since this server began, whoever built them";
        registry.register("jobs_ended", what, ended.clone());
        let took: Histograms<Status> = Family::new_with_constructor(builds);
        let what = "How long builds took from their first beginning to their end";
        registry.register_with_unit("job_duration", what, Unit::Seconds, took.clone());
        let waited = builds();
        let what = "How long builds waited for a worker";
        registry.register_with_unit("job_wait", what, Unit::Seconds, waited.clone());
        let jobs: Family<Status, Gauge<i64, AtomicI64>> = Family::default();
        registry.register("jobs", "Builds that have not ended", jobs.clone());
        let oldest: Gauge<f64, AtomicU64> = Gauge::default();
        let what = "For how long a build has been due that no worker has taken, the longest";
        registry.register_with_unit("job_oldest_wait", what, Unit::Seconds, oldest.clone());
        let connections: Family<Connections, Gauge<i64>> = Family::default();
        let what = "Connections to the databases, in use and idle, and how many there may be";
        registry.register("database_connections", what, connections.clone());
        let info: Family<Vec<(String, String)>, Gauge<u64, AtomicU64>> = Family::default();
        info.get_or_create(&vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        registry.register("build_info", "The version that runs", info);
        let mut process = Registry::default();
        let (memory, files): (Gauge<i64>, Gauge<i64>) = Default::default();
        let what = "Memory that is in use";
        process.register_with_unit("process_resident_memory", what, Unit::Bytes, memory.clone());
        process.register("process_open_fds", "Files that are open", files.clone());
        let seen = Seen { since: jiff::Timestamp::now(), jobs: HashSet::new() };
        Self {
            registry,
            process,
            requests,
            durations,
            in_flight,
            ended,
            took,
            waited,
            jobs,
            oldest,
            connections,
            memory,
            files,
            seen: tokio::sync::Mutex::new(seen),
        }
    }
}

impl Metrics {
    /// A request begins.
    pub fn asked(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// A request was answered.
    pub fn answered(&self, method: &str, path: &str, status: u16, took: Duration) {
        let (method, path) = (method.to_owned(), path.to_owned());
        self.durations
            .get_or_create(&Route { method: method.clone(), path: path.clone() })
            .observe(took.as_secs_f64());
        self.requests.get_or_create(&Request { method, path, status }).inc();
    }

    /// Reads from the database what others did too: whichever server is asked, the queue is the same.
    pub async fn look(&self, database: &Database) -> Result<()> {
        let mut seen = self.seen.lock().await;
        let now = jiff::Timestamp::now();
        let Waiting { queued, running, oldest } = database.waiting_jobs().await?;
        self.jobs.get_or_create(&Status { status: "queued".to_owned() }).set(queued);
        self.jobs.get_or_create(&Status { status: "running".to_owned() }).set(running);
        self.oldest.set(oldest.map_or(0.0, |due| now.duration_since(due).as_secs_f64().max(0.0)));
        let ended = database.ended_jobs(seen.since).await?;
        for job in ended.iter().filter(|job| !seen.jobs.contains(&job.id)) {
            self.ended(job);
        }
        // Those that a later look may still find are kept in mind.
        let from = seen.since.max(now - LATE);
        seen.jobs = ended.into_iter().filter(|job| job.ended_at >= from).map(|job| job.id).collect();
        seen.since = from;
        let (open, idle, most) = database.connections();
        for (state, count) in [("idle", idle), ("used", open.saturating_sub(idle)), ("most", most)] {
            self.connections(&Connections { database: "server", state }, count);
        }
        Ok(())
    }

    fn ended(&self, job: &EndedJob) {
        let status = Status { status: job.status.as_str().to_owned() };
        self.ended.get_or_create(&status).inc();
        if let Some(began) = job.started_at {
            self.took
                .get_or_create(&status)
                .observe(job.ended_at.duration_since(began).as_secs_f64().max(0.0));
            self.waited.observe(began.duration_since(job.created_at).as_secs_f64().max(0.0));
        }
    }

    /// The connections to the catalogues of all workspaces that are open here: in use or idle, idle, at most.
    pub fn catalogues(&self, all: impl IntoIterator<Item = (u32, u32, u32)>) {
        let (open, idle, most) =
            all.into_iter().fold((0, 0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2));
        for (state, count) in [("idle", idle), ("used", open.saturating_sub(idle)), ("most", most)] {
            self.connections(&Connections { database: "catalogues", state }, count);
        }
    }

    fn connections(&self, which: &Connections, count: u32) {
        self.connections.get_or_create(which).set(i64::from(count));
    }

    /// All of it.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        // Where there is no /proc they stay what they were.
        if let Some(bytes) = resident() {
            self.memory.set(bytes);
        }
        if let Ok(files) = fs_err::read_dir("/proc/self/fd") {
            self.files.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &self.process)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// Bytes, where the kernel says it.
fn resident() -> Option<i64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let text = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = text.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes.saturating_mul(1024))
}
