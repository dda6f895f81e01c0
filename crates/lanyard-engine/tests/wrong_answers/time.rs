//! Time that passes as it does outside, and at once while there is nothing to wait for but
//! somebody's patience.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lanyard_engine::clock::Clock;
use lanyard_testkit::conformance::between::Between;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The interval at which the time moves.
const TICK: Duration = Duration::from_millis(1);
/// The distance that the time moves with a tick while requests hang and nothing else is under way.
const LEAP: Duration = Duration::from_millis(500);

/// From now on the time of this runtime moves so.
pub(crate) fn flow(between: Between) {
    tokio::time::pause();
    let (tick, mut ticks) = tokio::sync::mpsc::channel(1);
    // While this runs, tokio does not move the time by itself: a real server would have no time to
    // answer.
    tokio::task::spawn_blocking(move || {
        while tick.blocking_send(()).is_ok() {
            std::thread::sleep(TICK);
        }
    });
    tokio::spawn(async move {
        while ticks.recv().await.is_some() {
            let leaps = between.only_hangs();
            tokio::time::advance(if leaps { LEAP } else { TICK }).await;
        }
    });
}

/// The broker's clock: right at the start, and then as far ahead as a test takes it.
pub(crate) struct Ahead {
    started: Timestamp,
    at: Instant,
    ahead: Mutex<Duration>,
}

impl Ahead {
    #[expect(
        clippy::disallowed_methods,
        reason = "a real server has the real clock"
    )]
    pub(crate) fn start() -> Arc<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Arc::new(Self {
            started: Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap()),
            at: Instant::now(),
            ahead: Mutex::default(),
        })
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.ahead.lock() += by;
    }

    /// Returns the time since it was started.
    pub(crate) fn passed(&self) -> Duration {
        self.now().since(self.started)
    }
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.started + self.at.elapsed() + *self.ahead.lock()
    }
}
