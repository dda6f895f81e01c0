//! The memory of a target's revocation worker between its rounds. Nothing here has to survive a
//! restart, because revocations are idempotent.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use lanyard_core::lease::Lease;
use lanyard_core::provider::ProviderError;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::time::{Skew, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The first wait after a failure. Waits double up to [`RETRY_INTERVAL_CAP`], and tries never end.
pub(crate) const FIRST: Duration = Duration::from_millis(200);
/// The longest wait after a failure.
///
/// # No limit
/// The wait between two tries grows up to this, and tries never end.
pub(crate) const RETRY_INTERVAL_CAP: Duration = Duration::from_secs(30);
/// The smallest batch of one revocation call, in leases.
const FEWEST: usize = 16;

/// The revocation state of one target.
#[derive(Debug, Default)]
pub(crate) struct RevocationQueue {
    /// Notified when there is something to revoke.
    pub(crate) wake: Notify,
    /// Notified when there is something that must not wait for the backoff.
    pub(crate) urgent: Notify,
    /// Notified when the target's clock has to be read again.
    pub(crate) retime: Notify,
    /// Notified when the target has been reconciled.
    looked: Notify,
    state: Mutex<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    /// Consecutive rounds that failed as a whole.
    failures: u32,
    /// The size of a batch, once a call was too large.
    batch: Option<usize>,
    /// Leases that nothing more can be done about and no check proves dead, with the time since
    /// when, by [`Clock::steady`](crate::clock::Clock::steady).
    unproved: HashMap<LeaseId, Duration>,
    /// Stopping leases whose mint was given up without an answer, with the time since when this is
    /// known, by the same clock.
    unanswered: HashMap<LeaseId, Duration>,
    /// Leases that no kill order covers and for which the provider has no room. They end by
    /// themselves.
    resting: HashSet<LeaseId>,
    /// Leases whose own revocation failed.
    attempts: HashMap<LeaseId, Attempt>,
    /// The reason why the provider could not be reconciled since the start. Nothing is minted there
    /// until it was.
    unseen: Option<String>,
    /// The provider's failure as a whole, since the last successful round.
    fault: Option<Trouble>,
    /// The call under way, with its start and its leases.
    asking: Option<(Timestamp, HashSet<LeaseId>)>,
    /// The target's clock skew at the last reading.
    skew: Option<Skew>,
}

#[derive(Debug)]
struct Attempt {
    next: Timestamp,
    trouble: Trouble,
}

/// The kinds of failing revocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The provider does not answer, or something else answers in its place.
    Silent,
    /// The provider asks for fewer calls.
    Throttled,
    /// The provider refuses the call.
    Refused,
    /// An earlier operation has to end first.
    Pending,
    /// The broker cannot record its own progress.
    Own,
}

impl Kind {
    pub(crate) const fn of(error: &ProviderError) -> Self {
        match error {
            ProviderError::Ambiguous { .. } => Self::Silent,
            ProviderError::Throttled { .. } => Self::Throttled,
            ProviderError::Pending { .. } => Self::Pending,
            ProviderError::Refused { .. } | ProviderError::Excessive { .. } => Self::Refused,
        }
    }
}

/// Consecutive failures of one kind, which a report shows instead of *requested*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    kind: Kind,
    since: Timestamp,
    times: u32,
    why: String,
}

impl Trouble {
    /// Counts one more failure. A failure of another kind begins a new run.
    fn after(before: Option<&Self>, kind: Kind, why: String, now: Timestamp) -> Self {
        let same = before.filter(|before| before.kind == kind);
        Self {
            kind,
            since: same.map_or(now, |before| before.since),
            times: same.map_or(1, |before| before.times.saturating_add(1)),
            why,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            since,
            times,
            why,
        } = self;
        match kind {
            Kind::Silent => write!(f, "no answer since {since}, tried {times} times: {why}"),
            Kind::Throttled => write!(f, "throttled since {since}, tried {times} times: {why}"),
            Kind::Refused => write!(f, "refused since {since}, tried {times} times: {why}"),
            Kind::Pending => write!(f, "waits since {since}: {why}"),
            Kind::Own => write!(f, "held up by this broker since {since}: {why}"),
        }
    }
}

/// The wait after this many failures, which doubles with each.
pub(crate) fn backoff(failures: u32) -> Duration {
    FIRST
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(RETRY_INTERVAL_CAP)
}

impl RevocationQueue {
    /// Wakes the worker for a kill order, also during the backoff after a failure.
    pub(crate) fn rouse(&self) {
        self.wake.notify_one();
        self.urgent.notify_one();
    }

    /// True if the lease may be tried now.
    pub(crate) fn is_ready(&self, lease: LeaseId, now: Timestamp) -> bool {
        let state = self.state.lock();
        let attempt = state.attempts.get(&lease);
        attempt.is_none_or(|attempt| attempt.next <= now)
    }

    /// Notes that the provider has no room for the lease. The lease is not tried again unless a
    /// kill order covers it.
    pub(crate) fn rest(&self, lease: LeaseId) {
        let mut state = self.state.lock();
        state.attempts.remove(&lease);
        state.resting.insert(lease);
    }

    /// True if the lease is left to its own end.
    pub(crate) fn rests(&self, lease: &Lease) -> bool {
        lease.killed_by().is_none() && self.state.lock().resting.contains(&lease.id)
    }

    /// The time at which the next failed lease may be tried.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let state = self.state.lock();
        state.attempts.values().map(|attempt| attempt.next).min()
    }

    /// The provider's failure as a whole.
    pub(crate) fn fault(&self) -> Option<String> {
        self.state.lock().fault.as_ref().map(Trouble::to_string)
    }

    /// Says why this lease is not further: its own failures, the provider's, or the call under way.
    pub(crate) fn why(&self, lease: LeaseId) -> Option<String> {
        let state = self.state.lock();
        let own = state.attempts.get(&lease).map(|attempt| &attempt.trouble);
        if let Some(trouble) = own.or(state.fault.as_ref()) {
            return Some(trouble.to_string());
        }
        let (since, leases) = state.asking.as_ref()?;
        Some(if leases.contains(&lease) {
            format!("asked at {since}, and not answered yet")
        } else {
            let others = leases.len();
            format!("not asked yet: a call for {others} other leases runs since {since}")
        })
    }

    /// Notes that a call for these leases begins.
    pub(crate) fn asks(&self, leases: impl Iterator<Item = LeaseId>, now: Timestamp) {
        self.state.lock().asking = Some((now, leases.collect()));
    }

    /// Notes that the call ended, whatever its result.
    pub(crate) fn answered(&self) {
        self.state.lock().asking = None;
    }

    /// Notes that a lease's own revocation failed. The lease is tried later and holds up no other
    /// (T67).
    pub(crate) fn failed(
        &self,
        lease: LeaseId,
        error: &ProviderError,
        now: Timestamp,
        jitter: impl FnOnce(Duration) -> Duration,
    ) {
        let mut state = self.state.lock();
        let before = state.attempts.get(&lease).map(|it| &it.trouble);
        let trouble = Trouble::after(before, Kind::of(error), error.to_string(), now);
        let next = now + jitter(backoff(trouble.times));
        state.attempts.insert(lease, Attempt { next, trouble });
    }

    /// The target's clock skew at the last measurement.
    pub(crate) fn skew(&self) -> Option<Skew> {
        self.state.lock().skew
    }

    pub(crate) fn set_skew(&self, skew: Skew) {
        self.state.lock().skew = Some(skew);
    }

    /// Restarts waits after the broker's clock was accepted anew, and has the target's clock read
    /// again.
    pub(crate) fn clock_was_set(&self) {
        self.retime.notify_one();
        let mut state = self.state.lock();
        state.skew = None;
        let attempts = state.attempts.values_mut();
        attempts.for_each(|attempt| attempt.next = Timestamp::EPOCH);
    }

    /// Forgets a lease that was revoked or has ended.
    pub(crate) fn done(&self, lease: LeaseId) {
        self.state.lock().attempts.remove(&lease);
    }

    /// Notes that nothing more can be done about the lease and no check proves it dead, so that
    /// only the settle time remains. Returns since when that holds.
    pub(crate) fn cannot_be_proved(&self, lease: LeaseId, now: Duration) -> Duration {
        *self.state.lock().unproved.entry(lease).or_insert(now)
    }

    /// Since when that holds; `None` if something can still be done.
    pub(crate) fn unproved_since(&self, lease: LeaseId) -> Option<Duration> {
        self.state.lock().unproved.get(&lease).copied()
    }

    /// Notes that the lease's mint was given up without an answer. Returns since when that is
    /// known.
    pub(crate) fn unanswered_since(&self, lease: LeaseId, now: Duration) -> Duration {
        *self.state.lock().unanswered.entry(lease).or_insert(now)
    }

    /// Notes that the provider as a whole failed, and returns the wait before the next round.
    pub(crate) fn round_failed(&self, kind: Kind, why: String, now: Timestamp) -> Duration {
        let mut state = self.state.lock();
        state.fault = Some(Trouble::after(state.fault.as_ref(), kind, why, now));
        state.failures = state.failures.saturating_add(1);
        backoff(state.failures)
    }

    /// Notes that a round succeeded.
    pub(crate) fn round_done(&self) {
        let mut state = self.state.lock();
        (state.failures, state.fault) = (0, None);
        state.batch = state.batch.map(|batch| batch.saturating_mul(2));
    }

    /// Forgets leases that no longer wait for a revocation. If none waits, the provider's failure
    /// is forgotten too.
    pub(crate) fn keep(&self, waits: impl Fn(LeaseId) -> bool, any: bool) {
        let mut state = self.state.lock();
        state.attempts.retain(|lease, _| waits(*lease));
        state.unproved.retain(|lease, _| waits(*lease));
        state.unanswered.retain(|lease, _| waits(*lease));
        state.resting.retain(|lease| waits(*lease));
        if !any {
            (state.failures, state.fault) = (0, None);
        }
    }

    /// True if revocations wait for a provider that is busy or does not answer.
    pub(crate) fn is_struggling(&self) -> bool {
        self.state.lock().failures > 0
    }

    /// Returns the number of leases at the head of the queue that this round skips. The number
    /// grows with each failed round, so that leases whose calls hang do not keep the others from
    /// being tried.
    pub(crate) fn passed_over(&self) -> usize {
        let failures = self.state.lock().failures;
        FEWEST.saturating_mul(usize::try_from(failures).unwrap_or(usize::MAX))
    }

    /// The size of the next batch, in leases.
    pub(crate) fn batch(&self, most: usize) -> usize {
        let batch = self.state.lock().batch;
        batch.map_or(most, |batch| batch.min(most))
    }

    /// Makes batches smaller after a call of this many leases did not end in time.
    pub(crate) fn too_many(&self, given: usize) {
        self.state.lock().batch = Some((given / 2).max(FEWEST));
    }

    /// Requires the target to be reconciled before anything is minted there.
    pub(crate) fn distrust(&self, why: String) {
        self.state.lock().unseen = Some(why);
    }

    /// Marks the target as reconciled.
    pub(crate) fn trust(&self) {
        self.state.lock().unseen = None;
        self.looked.notify_waiters();
    }

    /// Waits for a reconciliation that is under way, and returns true if the target is reconciled,
    /// so that agents do not notice a start.
    pub(crate) async fn looked_within(&self, most: Duration) -> bool {
        let looked = self.looked.notified();
        self.unseen().is_none() || tokio::time::timeout(most, looked).await.is_ok()
    }

    pub(crate) fn unseen(&self) -> Option<String> {
        self.state.lock().unseen.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_double_and_never_end() {
        assert_eq!(backoff(1), FIRST);
        assert_eq!(backoff(3), FIRST * 4);
        assert_eq!(backoff(u32::MAX), RETRY_INTERVAL_CAP);
    }

    #[test]
    fn a_call_that_was_too_large_is_made_smaller_and_grows_again() {
        let lane = RevocationQueue::default();
        assert_eq!(lane.batch(1000), 1000);
        lane.too_many(1000);
        assert_eq!(lane.batch(1000), 500);
        lane.too_many(20);
        assert_eq!(lane.batch(1000), FEWEST);
        lane.round_done();
        assert_eq!(lane.batch(1000), FEWEST * 2);
    }

    #[test]
    fn a_provider_that_failed_is_no_trouble_once_nothing_waits_for_it() {
        let lane = RevocationQueue::default();
        lane.round_failed(Kind::Silent, "down".to_owned(), Timestamp::EPOCH);
        lane.keep(|_| false, true);
        assert!(lane.is_struggling());
        lane.keep(|_| false, false);
        assert!(!lane.is_struggling() && lane.fault().is_none());
    }

    fn no() -> ProviderError {
        ProviderError::Refused {
            provider: "fake",
            operation: "revoke",
            code: "no".to_owned(),
        }
    }

    /// Tests the order of revocations (S53).
    #[test]
    fn s53_a_report_says_since_when_a_provider_hangs_throttles_or_refuses() {
        let lane = RevocationQueue::default();
        let at = |secs| Timestamp::from_secs(secs);
        let (asked, waiting) = (LeaseId::from_bits(1), LeaseId::from_bits(2));
        assert_eq!(lane.why(asked), None);
        lane.asks([asked].into_iter(), at(5));
        let why = |lease| lane.why(lease).unwrap();
        assert_eq!(
            why(asked),
            format!("asked at {}, and not answered yet", at(5))
        );
        assert_eq!(
            why(waiting),
            format!(
                "not asked yet: a call for 1 other leases runs since {}",
                at(5)
            )
        );
        lane.answered();
        for (kind, words) in [
            (Kind::Silent, "no answer since"),
            (Kind::Throttled, "throttled since"),
            (Kind::Refused, "refused since"),
        ] {
            lane.round_failed(kind, "why".to_owned(), at(10));
            lane.round_failed(kind, "why".to_owned(), at(70));
            let since = at(10);
            let told = format!("{words} {since}, tried 2 times: why");
            assert_eq!((why(asked), lane.fault()), (told.clone(), Some(told)));
        }
        lane.round_done();
        assert_eq!(lane.why(asked), None);
    }

    #[test]
    fn a_lease_that_failed_waits_alone() {
        let (lane, now) = (RevocationQueue::default(), Timestamp::from_secs(10));
        let (bad, good) = (LeaseId::from_bits(1), LeaseId::from_bits(2));
        lane.failed(bad, &no(), now, |wait| wait);
        assert!(!lane.is_ready(bad, now) && lane.is_ready(good, now));
        assert!(lane.is_ready(bad, now + FIRST));
        let why = format!("refused since {now}, tried 1 times: fake refused revoke: no");
        assert_eq!((lane.next(), lane.why(bad)), (Some(now + FIRST), Some(why)));
        lane.keep(|_| true, true);
        assert!(lane.next().is_some());
        lane.keep(|lease| lease != bad, true);
        assert_eq!((lane.next(), lane.why(bad)), (None, None));
    }
}
