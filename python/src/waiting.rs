//! How Python waits for Rust: without the interpreter's lock, and awake for Ctrl-C.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use provenv_workspace::Caller;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

use crate::errors::{Problem, Result};

/// How often Python is asked whether a signal came.
const PATIENCE: Duration = Duration::from_millis(50);

/// The threads that futures run on, and the process that they are of: a process that was forked has none of them.
static RUNTIME: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);

/// This process's runtime. It lives as long as the process: Python's objects may be used until its very end.
pub fn runtime() -> Result<&'static Runtime> {
    let process = std::process::id();
    let mut known = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, runtime)) = *known
        && of == process
    {
        return Ok(runtime);
    }
    let built = Builder::new_multi_thread().worker_threads(2).thread_name("provenv").enable_all().build();
    let built = built.map_err(|error| Problem::io("could not start threads", &error))?;
    let runtime = &*Box::leak(Box::new(built));
    *known = Some((process, runtime));
    Ok(runtime)
}

/// Waits for what `doing` does. Other threads of Python go on meanwhile. A signal that Python raises an exception for ends the waiting
/// with it: a command that runs is handed it and may end by itself, a build is put on record as canceled, and all else is
/// dropped where it stands, as if the process had been killed. A second one waits for nothing.
pub fn wait<T, F>(python: Python<'_>, doing: F) -> PyResult<T>
where
    // The future is made where it is waited for: what it borrows keeps it from being sent.
    F: AsyncFnOnce() -> Result<T> + Send,
    T: Send,
{
    let runtime = runtime()?;
    let caller = Caller::default();
    python.detach(|| {
        // What is dropped where it stands may end tasks of the runtime, and looks for it.
        let _context = runtime.enter();
        let mut future = pin!(caller.scope(doing()));
        let mut raised: Option<PyErr> = None;
        loop {
            let turn = runtime.block_on(async {
                tokio::select! {
                    done = &mut future => Some(Ok(done)),
                    () = caller.given_up() => Some(Err(())),
                    () = tokio::time::sleep(PATIENCE) => None,
                }
            });
            match (turn, raised.take()) {
                (Some(_), Some(error)) => return Err(error),
                (Some(Ok(done)), None) => return Ok(done?),
                (Some(Err(())) | None, waiting) => {
                    raised = waiting;
                    let Err(error) = Python::attach(|python| python.check_signals()) else { continue };
                    if !caller.interrupt() || raised.is_some() {
                        return Err(error);
                    }
                    raised = Some(error);
                }
            }
        }
    })
}
