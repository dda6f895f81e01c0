//! The locks of the release gate: those of every day, and under the feature `model` those of loom, which tries every
//! order in which threads can meet at them.

#[cfg(feature = "model")]
pub(crate) use model::RwLock;
#[cfg(not(feature = "model"))]
pub(crate) use parking_lot::RwLock;

#[cfg(feature = "model")]
mod model {
    #![expect(clippy::unwrap_used, reason = "nothing panics under a model's lock")]

    use loom::sync::MutexGuard;

    /// Readers one by one: with one reader and one writer that is the same, and loom's own lock of this kind does not
    /// hold.
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
