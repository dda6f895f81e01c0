//! Threads for work that occupies a core for a while, such as reading plans and timelines. They
//! have a lower priority than the serving threads, so that one agent's plan does not delay
//! everybody else's credential.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinError;

/// The number of threads: one for each plan that is judged at a time, and as many for other
/// reading.
const THREADS: usize = 4;
/// The nice(1) value of the threads, which gives them a third of a busy core beside the serving
/// threads.
const NICE: i32 = 5;

/// The threads that run apart.
#[derive(Debug)]
pub(crate) struct Apart(Option<Runtime>);

impl Apart {
    /// Prepares the threads; none runs before there is work.
    ///
    /// # Errors
    /// As of the operating system.
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .thread_name("apart")
            .max_blocking_threads(THREADS)
            .on_thread_start(yield_to_others)
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs work on the threads, after earlier work.
    ///
    /// # Errors
    /// When the work panics.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let work = match &self.0 {
            Some(runtime) => runtime.spawn_blocking(work),
            None => tokio::task::spawn_blocking(work),
        };
        work.await
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Nothing waits for it, and a runtime must not wait inside another one.
            runtime.shutdown_background();
        }
    }
}

/// Lowers the priority of the calling thread, or of its process.
pub(crate) fn yield_to_others() {
    // On Linux the caller's own thread is meant. It can be lowered once and not raised again, so
    // the threads are their own.
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "a thread keeps the usual priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_runs_at_a_lower_priority_than_the_threads_that_serve() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let here = priority();
        let apart = Apart::new().unwrap();
        assert_eq!(apart.run(priority).await.unwrap(), here + NICE);
        assert_eq!(priority(), here);
    }
}
