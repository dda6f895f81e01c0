//! The locks of the release gate: the standard library's, or loom's with the feature `model`, which
//! tries every interleaving of threads.

#[cfg(feature = "model")]
pub(crate) use model::RwLock;
#[cfg(not(feature = "model"))]
pub(crate) use parking_lot::RwLock;

#[cfg(feature = "model")]
mod model {
    #![expect(clippy::unwrap_used, reason = "nothing panics under a model's lock")]

    use loom::sync::MutexGuard;

    /// A lock that admits readers one by one. With one reader and one writer that is equivalent,
    /// and loom's own reader-writer lock is not sound.
    #[derive(Debug, Default)]
    pub(crate) struct RwLock<T>(loom::sync::Mutex<T>);

    impl<T> RwLock<T> {
        pub(crate) fn read(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }

        pub(crate) fn write(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}
