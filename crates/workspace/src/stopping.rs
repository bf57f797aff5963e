//! A build that is asked to stop: on record as canceled before the process ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Result;
use crate::build_log::BuildLog;
use crate::catalogue::Catalogue;
use crate::supervise::{Signals, is_supervised};

/// A build that a signal ends. Whoever has once listened for a signal must heed it ever after: what comes when the build has
/// ended and no command has begun ends the process, too.
pub(crate) struct Stoppable {
    building: Arc<AtomicBool>,
    /// What listens for a caller, and need not do so ever after.
    listening: Option<tokio::task::AbortHandle>,
}

impl Stoppable {
    pub fn begin(catalogue: Catalogue, id: String, log: Arc<BuildLog>) -> Result<Self> {
        let mut signals = Signals::listen_only()?;
        let building = Arc::new(AtomicBool::new(true));
        let running = Arc::clone(&building);
        let caller = signals.caller();
        let is_called = caller.is_some();
        let task = tokio::spawn(async move {
            let signal = signals.next().await;
            if caller.is_none() && is_supervised() {
                return;
            }
            if running.load(Ordering::SeqCst) {
                log.line(&format!("canceled by {signal}"));
                // What cannot be written is found as lost.
                let _ = catalogue.cancel_build(&id).await;
            }
            match caller {
                Some(caller) => caller.give_up(),
                None => std::process::exit(128 + signal as i32),
            }
        });
        let listening = is_called.then(|| task.abort_handle());
        Ok(Self { building, listening })
    }

    /// The build has ended by itself.
    pub fn end(self) {
        self.building.store(false, Ordering::SeqCst);
        if let Some(task) = self.listening {
            task.abort();
        }
    }
}
