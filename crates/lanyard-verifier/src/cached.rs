//! A cached document of the broker, fetched again by one request at a time.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Clock;

/// A cached value, and the time of the last attempt to fetch it.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    held: Mutex<CachedValue<T>>,
    /// Locked by the request that fetches; the others wait for its result instead of fetching
    /// themselves.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct CachedValue<T> {
    value: Option<Arc<T>>,
    asked: Option<Duration>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        let (value, asked) = (None, None);
        Self {
            held: Mutex::new(CachedValue { value, asked }),
            flight: tokio::sync::Mutex::default(),
        }
    }
}

impl<T> Cached<T> {
    /// Returns the cached value if `will_do` accepts it. Otherwise fetches it again, unless the
    /// last attempt is less than `pause` ago. Where fetching fails, the old value is returned, and
    /// the caller decides whether it is too old.
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
        // Look again under the lock: the request before may have fetched the value.
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
        // Take the time of the answer, not of the request: otherwise each request that waited for
        // this one would fetch too.
        held.asked = Some(clock.running());
        if let Some(value) = fetched {
            held.value = Some(Arc::new(value));
        }
        held.value.clone()
    }
}
