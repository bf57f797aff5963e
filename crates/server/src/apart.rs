//! Work on a thread of its own: resolving is one deep future, and goes on to its end where the client goes away.

use std::future::Future;

use crate::problem::{Problem, Result};
use crate::trace;

/// How large the stack of such a thread may become.
const STACK: usize = 32 * 1024 * 1024;

/// Does `work` there.
pub(crate) async fn apart<T, F>(work: impl FnOnce() -> F + Send + 'static) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let runtime = tokio::runtime::Handle::current();
    let (tell, hear) = tokio::sync::oneshot::channel();
    let carrier = trace::Carrier::here();
    let run = move || {
        // A client that went away hears nothing of it.
        let _ = tell.send(runtime.block_on(carrier.carry(work())));
    };
    let thread = std::thread::Builder::new().name("resolving".to_owned()).stack_size(STACK);
    thread.spawn(run).map_err(|error| Problem::fault(&error))?;
    hear.await.map_err(|error| Problem::fault(&error))
}
