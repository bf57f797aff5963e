//! Work on a thread of its own: resolving is one deep future, and goes on to its end where the browser goes away.

use std::future::Future;

use super::refused::Result;
use crate::problem::Problem;
use crate::trace;

/// How large the stack of such a thread may become.
const STACK: usize = 32 * 1024 * 1024;

/// Does `work` there.
pub(super) async fn apart<T, F>(work: impl FnOnce() -> F + Send + 'static) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let runtime = tokio::runtime::Handle::current();
    let (tell, hear) = tokio::sync::oneshot::channel();
    let carrier = trace::Carrier::here();
    let run = move || {
        // A browser that went away hears nothing of it.
        let _ = tell.send(runtime.block_on(carrier.carry(work())));
    };
    let thread = std::thread::Builder::new().name("page".to_owned()).stack_size(STACK);
    thread.spawn(run).map_err(|error| Problem::fault(&error))?;
    Ok(hear.await.map_err(|error| Problem::fault(&error))?)
}
