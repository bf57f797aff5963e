//! Writes that are asked for one by one and made together.
//!
//! What a transaction costs is its end: the disk has to have it before anybody is answered. Whoever asks while one is on its way
//! is in the next one, with all others who do; alone, nobody waits for anybody.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// The most of a transaction: whoever came first should not wait for long.
const MOST: usize = 64;

/// A queue of what is to be written. Clones share it.
pub struct Together<I, A>(Arc<Mutex<Queue<I, A>>>);

struct Queue<I, A> {
    waiting: Vec<(I, oneshot::Sender<A>)>,
    /// Whether somebody writes.
    is_written: bool,
}

impl<I, A> Clone for Together<I, A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I, A> Default for Together<I, A> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Queue { waiting: Vec::new(), is_written: false })))
    }
}

impl<I, A> std::fmt::Debug for Together<I, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Together").finish_non_exhaustive()
    }
}

impl<I: Send + 'static, A: Send + 'static> Together<I, A> {
    /// Writes `item` with those of others, by `write`, which is the same for all of a queue: it answers each of the items that it
    /// is given, in their order. It has its place when this returns, and goes on to its end though nobody waits for it. `None` where
    /// it was stopped in between.
    pub fn write<W>(&self, item: I, write: W) -> impl Future<Output = Option<A>> + use<W, I, A>
    where
        W: AsyncWriter<I, A>,
    {
        let (tell, hear) = oneshot::channel();
        let begins = {
            let mut queue = self.queue();
            queue.waiting.push((item, tell));
            !std::mem::replace(&mut queue.is_written, true)
        };
        if begins {
            tokio::spawn(Turn { queue: self.clone(), is_over: false }.work(write));
        }
        async { hear.await.ok() }
    }

    /// How many wait for those that are written now, and whether any are.
    pub fn waiting(&self) -> (usize, bool) {
        let queue = self.queue();
        (queue.waiting.len(), queue.is_written)
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue<I, A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes many at once.
pub trait AsyncWriter<I, A>: Send + 'static {
    /// Gives an answer for each of them.
    fn write(&self, items: Vec<I>) -> impl Future<Output = Vec<A>> + Send;
}

/// Held by whoever writes. Where it ends before its time, all who wait hear that nobody writes for them.
struct Turn<I: Send + 'static, A: Send + 'static> {
    queue: Together<I, A>,
    is_over: bool,
}

impl<I: Send + 'static, A: Send + 'static> Turn<I, A> {
    async fn work(mut self, writer: impl AsyncWriter<I, A>) {
        loop {
            let (items, tell): (Vec<I>, Vec<_>) = {
                let mut queue = self.queue.queue();
                if queue.waiting.is_empty() {
                    queue.is_written = false;
                    self.is_over = true;
                    return;
                }
                let count = queue.waiting.len().min(MOST);
                queue.waiting.drain(..count).unzip()
            };
            for (tell, answer) in tell.into_iter().zip(writer.write(items).await) {
                // Whoever does not listen has gone.
                let _ = tell.send(answer);
            }
        }
    }
}

impl<I: Send + 'static, A: Send + 'static> Drop for Turn<I, A> {
    fn drop(&mut self) {
        if !self.is_over {
            let mut queue = self.queue.queue();
            queue.is_written = false;
            queue.waiting.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::{AsyncWriter, Together};

    /// Writes when it is let, and says what it was given.
    #[derive(Clone)]
    struct Writer {
        may: Arc<Semaphore>,
        given: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    impl AsyncWriter<u32, u32> for Writer {
        async fn write(&self, items: Vec<u32>) -> Vec<u32> {
            self.may.acquire().await.unwrap().forget();
            self.given.lock().unwrap().push(items.clone());
            items.into_iter().map(|item| item * 2).collect()
        }
    }

    #[tokio::test]
    async fn who_comes_while_something_is_written_is_in_the_next() {
        let queue = Together::default();
        let writer = Writer { may: Arc::new(Semaphore::new(0)), given: Arc::default() };
        let asked = (0..100).map(|item| queue.write(item, writer.clone()));
        let first = async {
            // All of them have asked when the first is written: `join_all` asks in order before anything else runs.
            tokio::task::yield_now().await;
            writer.may.add_permits(100);
        };
        let (answers, ()) = tokio::join!(join_all(asked), first);
        let answers: Vec<u32> = answers.into_iter().map(Option::unwrap).collect();
        assert_eq!(answers, (0..100).map(|item| item * 2).collect::<Vec<_>>());
        let given = writer.given.lock().unwrap().clone();
        assert!(given.len() <= 3, "{given:?}");
        assert_eq!(given.concat(), (0..100).collect::<Vec<_>>());
        // It ends, and begins again.
        assert_eq!(queue.write(7, writer).await, Some(14));
    }
}
