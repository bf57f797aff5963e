//! Waiting for a command: signals are handed on, and who does not listen is killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use provenv_compute::{Exit, Running, Signal};
use tokio::signal::unix::{SignalKind, signal};

use crate::Result;
use crate::error::IoContext;

/// How a supervised command ended.
pub(crate) struct Ended {
    pub exit: Exit,
    /// Whether it was asked to stop.
    pub stopped: bool,
}

/// How long a command has to end after it was asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// The signals that are handed on to a command. They are kept from the moment this is made, which is before the command
/// starts and before its run is on record: one that came between would end this process, and the run would be lost.
pub(crate) struct Signals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
    hangup: Option<tokio::signal::unix::Signal>,
}

/// Whether a command gets the signals.
static SUPERVISED: AtomicBool = AtomicBool::new(false);

/// Whether a command gets the signals, or is about to.
pub(crate) fn is_supervised() -> bool {
    SUPERVISED.load(Ordering::SeqCst)
}

impl Signals {
    /// For a command, which gets them from here on.
    pub fn listen() -> Result<Self> {
        let signals = Self::listen_only()?;
        SUPERVISED.store(true, Ordering::SeqCst);
        Ok(signals)
    }

    pub fn listen_only() -> Result<Self> {
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            () = heard(&mut self.interrupt) => Signal::SIGINT,
            () = heard(&mut self.terminate) => Signal::SIGTERM,
            () = heard(&mut self.hangup) => Signal::SIGHUP,
        }
    }
}

/// Waits for the end of a command, handing on the signals that this process gets meanwhile. When the command ends, all that
/// it started ends with it.
pub(crate) async fn supervise(mut running: Running, mut signals: Signals) -> Result<Ended> {
    let handle = running.handle();
    let mut waiting = tokio::task::spawn_blocking(move || running.wait());
    let mut asked: Option<tokio::time::Instant> = None;
    let mut killed = false;
    loop {
        let deadline = asked.filter(|_| !killed).map(|at| at + GRACE);
        let signal = tokio::select! {
            ended = &mut waiting => return Ok(Ended { exit: ended??, stopped: asked.is_some() }),
            () = until(deadline) => { handle.kill_tree()?; killed = true; continue }
            signal = signals.next() => signal,
        };
        if asked.is_some() {
            // Asked twice: no more patience.
            handle.kill_tree()?;
        } else {
            handle.signal(signal)?;
            asked = Some(tokio::time::Instant::now());
        }
    }
}

/// `None` for a signal that this process was started to ignore, by `nohup` or as a job in a shell's background: to listen
/// would be to heed it.
fn listen(kind: SignalKind) -> Result<Option<tokio::signal::unix::Signal>> {
    if is_ignored(kind) {
        return Ok(None);
    }
    signal(kind).map(Some).doing(|| "could not listen for signals".to_owned())
}

fn is_ignored(kind: SignalKind) -> bool {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (kind.as_raw_value() - 1) & 1 == 1
}

async fn heard(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
