//! Something of the broker's that is kept for a while and fetched again, by one request at a time.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Clock;

/// What is kept, and when it was last asked for.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    held: Mutex<Held<T>>,
    /// Whoever fetches has it; all others wait for what comes of that.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Held<T> {
    value: Option<Arc<T>>,
    asked: Option<Duration>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        let (value, asked) = (None, None);
        Self {
            held: Mutex::new(Held { value, asked }),
            flight: tokio::sync::Mutex::default(),
        }
    }
}

impl<T> Kept<T> {
    /// What is kept, where that will do. Else it is fetched again, unless that was tried less than a `pause` ago; and where
    /// it could not be, what is kept is given all the same: how old it may be, the caller decides.
    pub(crate) async fn get<F>(
        &self,
        clock: &dyn Clock,
        pause: impl Fn(Option<&T>) -> Duration,
        will_do: impl Fn(&T) -> bool,
        fetch: impl FnOnce(Option<Arc<T>>) -> F,
    ) -> Option<Arc<T>>
    where
        F: Future<Output = Option<T>>,
    {
        let held = || self.held.lock().value.clone();
        if let Some(value) = held().filter(|value| will_do(value)) {
            return Some(value);
        }
        let _flight = self.flight.lock().await;
        let before = held();
        if let Some(value) = before.clone().filter(|value| will_do(value)) {
            return Some(value);
        }
        let asked = self.held.lock().asked;
        if asked.is_some_and(|asked| clock.running() < asked + pause(before.as_deref())) {
            return before;
        }
        let fetched = fetch(before).await;
        let mut held = self.held.lock();
        // From the answer on, so that those who waited for it do not each wait as long.
        held.asked = Some(clock.running());
        if let Some(value) = fetched {
            held.value = Some(Arc::new(value));
        }
        held.value.clone()
    }
}
