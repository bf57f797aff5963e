//! Waiting for a command: signals are handed on, and who does not listen is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use provenv_compute::{Exit, Running, Signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

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

tokio::task_local! {
    static CALLER: Caller;
}

/// A program that has use cases done within it and keeps its signals for itself, as an interpreter does: it interrupts what
/// it has begun instead, and nothing ends its process.
#[derive(Clone)]
pub struct Caller {
    asked: watch::Sender<u32>,
    given_up: watch::Sender<bool>,
}

impl Default for Caller {
    fn default() -> Self {
        Self { asked: watch::Sender::new(0), given_up: watch::Sender::new(false) }
    }
}

impl Caller {
    /// What is done for it.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        CALLER.scope(self.clone(), future).await
    }

    /// Asks what is being done to stop, as ctrl-c would; says whether anything minds. What does not may be dropped.
    pub fn interrupt(&self) -> bool {
        self.asked.send_modify(|times| *times += 1);
        self.asked.receiver_count() > 0
    }

    /// Waits until what was interrupted is on record as such, and may be dropped.
    pub async fn given_up(&self) {
        // It cannot be closed while it is held here.
        let _ = self.given_up.subscribe().wait_for(|given_up| *given_up).await;
    }

    /// Says so.
    pub(crate) fn give_up(&self) {
        self.given_up.send_replace(true);
    }
}

/// The signals that are handed on to a command. They are kept from the moment this is made, which is before the command
/// starts and before its run is on record: one that came between would end this process, and the run would be lost.
pub(crate) enum Signals {
    OfProcess {
        interrupt: Option<tokio::signal::unix::Signal>,
        terminate: Option<tokio::signal::unix::Signal>,
        hangup: Option<tokio::signal::unix::Signal>,
    },
    OfCaller(watch::Receiver<u32>, Arc<Caller>),
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
        if matches!(signals, Self::OfProcess { .. }) {
            SUPERVISED.store(true, Ordering::SeqCst);
        }
        Ok(signals)
    }

    pub fn listen_only() -> Result<Self> {
        if let Ok(caller) = CALLER.try_with(Clone::clone) {
            return Ok(Self::OfCaller(caller.asked.subscribe(), Arc::new(caller)));
        }
        Ok(Self::OfProcess {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Whoever keeps the signals, where that is not this process as a whole.
    pub fn caller(&self) -> Option<Arc<Caller>> {
        match self {
            Self::OfProcess { .. } => None,
            Self::OfCaller(_, caller) => Some(Arc::clone(caller)),
        }
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        match self {
            Self::OfProcess { interrupt, terminate, hangup } => tokio::select! {
                () = heard(interrupt) => Signal::SIGINT,
                () = heard(terminate) => Signal::SIGTERM,
                () = heard(hangup) => Signal::SIGHUP,
            },
            Self::OfCaller(asked, _) => {
                // The sender is held beside it.
                let _ = asked.changed().await;
                Signal::SIGINT
            }
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
