//! How often one identity may call, and for how long it is not listened to after it was refused too
//! often. Both are looked at before anything that costs: another system's answer, the disk, a
//! provider.
//!
//! What fails at its form or its signature is not counted against anybody: whoever forges a token
//! chooses its name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use lanyard_engine::records::RecordLimits;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

/// The most identities that are watched; beyond that the oldest windows go.
///
/// # Limit
/// - for: all identities together
/// - unit: identities
/// - beyond: the windows that are over go; where none is, all of them
/// - test: `so_many_identities_are_watched_and_no_more`
const MAX_WATCHED_IDENTITIES: usize = 100_000;
/// The time over which refusals are counted, and for which a lockout lasts.
const LOCKOUT: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Calls of one identity that are served at a time, where the configuration says nothing else;
/// watches are not among them.
///
/// # Limit
/// - for: an identity
/// - unit: calls
/// - beyond: the call waits for those of the same identity that were there before;
///   `quotas.calls_at_once` moves the bound
/// - test: `s07_calls_of_one_identity_wait_for_a_turn`
const MAX_CALLS_AT_ONCE: usize = 8;

/// The bounds of what one identity may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuotaConfig {
    /// Calls of one identity in each second.
    pub(crate) calls_per_second: u32,
    /// Calls of one identity that are served at a time; watches are not among them.
    pub(crate) calls_at_once: usize,
    /// Refusals of one identity from one address within a minute.
    pub(crate) refusals_per_minute: u32,
    /// The records that identities may cause to be journaled.
    pub(crate) records: RecordLimits,
}

impl Default for QuotaConfig {
    fn default() -> Self {
        Self {
            calls_per_second: 5_000,
            calls_at_once: MAX_CALLS_AT_ONCE,
            refusals_per_minute: 20,
            records: RecordLimits::default(),
        }
    }
}

/// Too much of one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// The time until another try is worth it.
    pub(crate) wait: Duration,
    /// The name of what is limited, for a sentence.
    pub(crate) what: &'static str,
    /// The limit, by its name in the configuration or in docs/limits.md.
    pub(crate) limit: &'static str,
    /// The value of the limit.
    pub(crate) most: u32,
}

/// A window that begins in the future is of a clock that was set back since: nobody waits for that
/// one.
fn is_within(since: Timestamp, span: Duration, now: Timestamp) -> bool {
    since <= now && now <= since + span
}

#[derive(Default)]
struct Windows<K>(HashMap<K, (Timestamp, u32)>);

impl<K: std::hash::Hash + Eq> Windows<K> {
    /// Counts one, and says how many there are in the window that is open.
    fn count(&mut self, key: K, span: Duration, now: Timestamp) -> u32 {
        if self.0.len() >= MAX_WATCHED_IDENTITIES {
            self.0.retain(|_, (since, _)| is_within(*since, span, now));
        }
        if self.0.len() >= MAX_WATCHED_IDENTITIES {
            self.0.clear();
        }
        let window = self.0.entry(key).or_insert((now, 0));
        if !is_within(window.0, span, now) {
            *window = (now, 0);
        }
        window.1 = window.1.saturating_add(1);
        window.1
    }
}

/// The identities that called and those that were refused lately.
#[derive(Default)]
pub(crate) struct Quotas {
    config: QuotaConfig,
    calls: Mutex<Windows<String>>,
    refusals: Mutex<Windows<(String, Option<IpAddr>)>>,
}

impl Quotas {
    pub(crate) fn new(config: QuotaConfig) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// Tells if this identity is listened to now. Counts the call.
    pub(crate) fn admit(
        &self,
        identity: &str,
        peer: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), TooMany> {
        let refused = self.refusals.lock();
        if let Some((since, count)) = refused.0.get(&(identity.to_owned(), peer))
            && *count >= self.config.refusals_per_minute
            && is_within(*since, LOCKOUT, now)
        {
            return Err(TooMany {
                wait: (*since + LOCKOUT).since(now),
                what: "refusals of one identity from one address within a minute",
                limit: "quotas.refusals_per_minute",
                most: self.config.refusals_per_minute,
            });
        }
        drop(refused);
        let calls = self.calls.lock().count(identity.to_owned(), SECOND, now);
        if calls > self.config.calls_per_second {
            return Err(TooMany {
                wait: SECOND,
                what: "calls of one identity within a second",
                limit: "quotas.calls_per_second",
                most: self.config.calls_per_second,
            });
        }
        Ok(())
    }

    /// Counts a refusal of an identity that showed something signed.
    pub(crate) fn refused(&self, identity: &str, peer: Option<IpAddr>, now: Timestamp) {
        let key = (identity.to_owned(), peer);
        self.refusals.lock().count(key, LOCKOUT, now);
    }
}

/// Calls that make the broker ask providers: few of one identity, and not many of all, since each
/// is several requests to systems whose own rates kills need.
const INSPECTIONS_PER_IDENTITY: u32 = 20;
/// The most inspections of all identities together: see [`INSPECTIONS_PER_IDENTITY`].
const INSPECTIONS_IN_ALL: u32 = 60;
/// The time over which inspections are counted.
const INSPECTION_WINDOW: Duration = Duration::from_secs(60);
/// The most inspections that are under way at once.
const INSPECTIONS_AT_ONCE: usize = 2;

/// The rate of inspections.
pub(crate) struct Inspections {
    own: Mutex<Windows<String>>,
    all: Mutex<Windows<()>>,
    turns: tokio::sync::Semaphore,
}

impl Default for Inspections {
    fn default() -> Self {
        Self {
            own: Mutex::default(),
            all: Mutex::default(),
            turns: tokio::sync::Semaphore::new(INSPECTIONS_AT_ONCE),
        }
    }
}

impl Inspections {
    /// A turn, if this identity and all of them together have not had too many.
    pub(crate) fn admit(
        &self,
        identity: &str,
        now: Timestamp,
    ) -> Result<tokio::sync::SemaphorePermit<'_>, TooMany> {
        let span = INSPECTION_WINDOW;
        // Its own count comes first: who is over it uses up nothing of the others'.
        let too_many = |wait, what, most| TooMany {
            wait,
            what,
            limit: "inspections",
            most,
        };
        if self.own.lock().count(identity.to_owned(), span, now) > INSPECTIONS_PER_IDENTITY {
            let what = "inspections of charters by one person within a minute";
            return Err(too_many(span, what, INSPECTIONS_PER_IDENTITY));
        }
        if self.all.lock().count((), span, now) > INSPECTIONS_IN_ALL {
            let what = "inspections of charters by all people within a minute";
            return Err(too_many(span, what, INSPECTIONS_IN_ALL));
        }
        let most = u32::try_from(INSPECTIONS_AT_ONCE).unwrap_or(u32::MAX);
        let turn = self.turns.try_acquire();
        turn.map_err(|_| too_many(SECOND, "inspections of charters at a time", most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_identities_are_watched_and_no_more() {
        let (mut windows, now) = (Windows::default(), Timestamp::from_secs(1_800_000_000));
        for place in 0..MAX_WATCHED_IDENTITIES {
            windows.count(place, SECOND, now);
        }
        assert_eq!(windows.0.len(), MAX_WATCHED_IDENTITIES);
        windows.count(MAX_WATCHED_IDENTITIES, SECOND, now);
        assert_eq!(windows.0.len(), 1);
    }

    #[test]
    fn who_is_refused_too_often_is_not_listened_to_for_a_minute_and_nobody_else_is_held_up() {
        let quotas = Quotas::new(QuotaConfig {
            calls_per_second: 2,
            refusals_per_minute: 3,
            ..QuotaConfig::default()
        });
        let (now, here) = (
            Timestamp::from_secs(1_800_000_000),
            Some(IpAddr::from([10, 0, 0, 1])),
        );
        for _ in 0..3 {
            quotas.refused("a", here, now);
        }
        let waits = |outcome: Result<(), TooMany>| outcome.err().map(|it| (it.limit, it.wait));
        let refused = Some(("quotas.refusals_per_minute", LOCKOUT));
        assert_eq!(waits(quotas.admit("a", here, now)), refused);
        assert_eq!(quotas.admit("a", None, now), Ok(()));
        assert_eq!(quotas.admit("b", here, now), Ok(()));
        let later = now + LOCKOUT + SECOND;
        assert_eq!(quotas.admit("a", here, later), Ok(()));
        assert_eq!(quotas.admit("a", here, later), Ok(()));
        let called = Some(("quotas.calls_per_second", SECOND));
        assert_eq!(waits(quotas.admit("a", here, later)), called);
    }

    #[test]
    fn s35_inspections_have_a_rate_for_each_identity_and_for_all() {
        let rates = Inspections::default();
        let now = Timestamp::from_secs(1_800_000_000);
        for _ in 0..INSPECTIONS_PER_IDENTITY {
            drop(rates.admit("a", now).unwrap());
        }
        for _ in 0..1000 {
            assert_eq!(
                rates.admit("a", now).err().map(|it| it.wait),
                Some(INSPECTION_WINDOW)
            );
        }
        // Who was refused has used up nothing of the others'.
        for name in ["b", "c"] {
            for _ in 0..INSPECTIONS_PER_IDENTITY {
                drop(rates.admit(name, now).unwrap());
            }
        }
        assert!(rates.admit("d", now).is_err(), "of all together");
        let later = now + INSPECTION_WINDOW + SECOND;
        let one = rates.admit("a", later).unwrap();
        let two = rates.admit("b", later).unwrap();
        let waits = rates.admit("c", later).err().map(|it| it.wait);
        assert_eq!(waits, Some(SECOND));
        drop((one, two));
        drop(rates.admit("c", later).unwrap());
    }
}
