//! The locks of the writer's queue: parking_lot's, and under the feature `model` those of loom,
//! which tries every order in which threads can meet at them.

#[cfg(feature = "model")]
pub(crate) use model::{Condvar, Mutex};
#[cfg(not(feature = "model"))]
pub(crate) use parking_lot::{Condvar, Mutex};

#[cfg(feature = "model")]
mod model {
    #![expect(clippy::unwrap_used, reason = "a guard is only away while it waits")]

    use std::ops::{Deref, DerefMut};
    use std::time::Duration;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    pub(crate) struct Guard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

    impl<T> Mutex<T> {
        pub(crate) fn lock(&self) -> Guard<'_, T> {
            Guard(self.0.lock().ok())
        }
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().unwrap()
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().unwrap()
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn wait<T>(&self, guard: &mut Guard<'_, T>) {
            guard.0 = self.0.wait(guard.0.take().unwrap()).ok();
        }

        /// Waits without a time limit: loom has no clock, and no modelled thread relies on the
        /// limit.
        pub(crate) fn wait_for<T>(&self, guard: &mut Guard<'_, T>, _: Duration) {
            self.wait(guard);
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }
    }
}
