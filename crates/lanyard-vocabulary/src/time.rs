//! Times and durations, in whole milliseconds and seconds. Values only: this module reads no clock.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The start of Unix time, 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// A time after every event.
    pub const NEVER: Self = Self(u64::MAX);

    /// Makes a time from milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Makes a time from seconds since the epoch.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The duration from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Parses the `Date` header of an HTTP response (RFC 9110 section 5.6.7), in whole seconds.
    #[must_use]
    pub fn from_http_date(text: &str) -> Option<Self> {
        let said = jiff::fmt::rfc2822::parse(text).ok()?;
        u64::try_from(said.timestamp().as_second())
            .ok()
            .map(Self::from_secs)
    }

    /// Moves the time by a signed number of milliseconds. [`Timestamp::NEVER`] does not move.
    const fn moved(self, millis: i64) -> Self {
        if self.0 == u64::MAX {
            return self;
        }
        Self(self.0.saturating_add_signed(millis))
    }

    /// The time `span` before `self`, but not before the epoch.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

impl Add<Ttl> for Timestamp {
    type Output = Self;

    fn add(self, ttl: Ttl) -> Self {
        self + ttl.as_duration()
    }
}

/// Written in RFC 3339, in UTC with whole seconds; `never` for [`Timestamp::NEVER`].
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.as_secs()).ok();
        match seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()) {
            Some(at) => f.pad(&at.to_string()),
            None => f.pad("never"),
        }
    }
}

/// The time by which another clock is ahead of the broker's, in milliseconds; negative if it is
/// behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skew(i64);

impl Skew {
    /// Two clocks that agree.
    pub const NONE: Self = Self(0);

    /// Computes the skew from one moment read on both clocks.
    #[must_use]
    pub fn between(own: Timestamp, theirs: Timestamp) -> Self {
        let apart = i128::from(theirs.0) - i128::from(own.0);
        Self(i64::try_from(apart).unwrap_or(if apart > 0 { i64::MAX } else { i64::MIN }))
    }

    /// The size of the skew, whatever its direction.
    #[must_use]
    pub const fn size(self) -> Duration {
        Duration::from_millis(self.0.unsigned_abs())
    }

    /// The skew in seconds, positive if the other clock is ahead.
    #[must_use]
    pub const fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Converts a time of the other clock to the broker's.
    #[must_use]
    pub const fn to_own(self, theirs: Timestamp) -> Timestamp {
        theirs.moved(self.0.saturating_neg())
    }

    /// Converts a time of the broker's clock to the other's.
    #[must_use]
    pub const fn to_theirs(self, own: Timestamp) -> Timestamp {
        own.moved(self.0)
    }
}

/// Written as `12 s ahead of` or `3 s behind`, said of the other clock before the broker's.
impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.0 < 0 { "behind" } else { "ahead of" };
        write!(f, "{} s {direction}", self.size().as_secs())
    }
}

/// A trusted wall-clock reading beside the time since the machine booted. A later reading during
/// the same boot shows whether the wall clock was set meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootClock {
    /// The id of the boot, from the operating system.
    pub boot: String,
    /// The wall clock minus the time since the boot, in milliseconds.
    pub offset_millis: i64,
    /// The same difference for a time that is certainly past, whatever the wall clock said when the
    /// machine booted.
    pub sure_millis: i64,
}

/// The lifetime of a credential, in whole seconds; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Ttl(u32);

/// The error of a lifetime of zero seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a lifetime must be at least one second")]
pub struct ZeroTtl;

impl Ttl {
    /// Makes a lifetime of this many seconds.
    ///
    /// # Errors
    /// When `secs` is zero.
    pub const fn from_secs(secs: u32) -> Result<Self, ZeroTtl> {
        if secs == 0 {
            Err(ZeroTtl)
        } else {
            Ok(Self(secs))
        }
    }

    /// Makes a lifetime of `secs` seconds, but at least 1.
    #[must_use]
    pub const fn at_least_a_second(secs: u32) -> Self {
        if secs == 0 { Self(1) } else { Self(secs) }
    }

    /// Returns the lifetime in seconds.
    #[must_use]
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// Returns the lifetime as a [`Duration`].
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl TryFrom<u32> for Ttl {
    type Error = ZeroTtl;

    fn try_from(secs: u32) -> Result<Self, Self::Error> {
        Self::from_secs(secs)
    }
}

impl From<Ttl> for u32 {
    fn from(ttl: Ttl) -> Self {
        ttl.0
    }
}

/// Written in the largest unit that divides it: `90s`, `10m`, `2h`.
impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            secs if secs % 3600 == 0 => write!(f, "{}h", secs / 3600),
            secs if secs % 60 == 0 => write!(f, "{}m", secs / 60),
            secs => write!(f, "{secs}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_rfc_3339() {
        assert_eq!(
            Timestamp::from_secs(1_800_000_000).to_string(),
            "2027-01-15T08:00:00Z"
        );
        assert_eq!(Timestamp::NEVER.to_string(), "never");
    }

    #[test]
    fn s27_a_skew_translates_between_clocks_and_leaves_never_alone() {
        let own = Timestamp::from_secs(1_800_000_000);
        let skew = Skew::between(own, own + Duration::from_secs(12));
        assert_eq!(skew.to_own(own + Duration::from_secs(12)), own);
        assert_eq!(skew.to_theirs(own), own + Duration::from_secs(12));
        assert_eq!(skew.to_own(Timestamp::NEVER), Timestamp::NEVER);
        assert_eq!(format!("{skew} the broker's"), "12 s ahead of the broker's");
        let behind = Skew::between(own, own.before(Duration::from_secs(3)));
        assert_eq!(
            (behind.to_string().as_str(), behind.size().as_secs()),
            ("3 s behind", 3)
        );
        assert_eq!(
            Timestamp::from_http_date("Fri, 15 Jan 2027 08:00:00 GMT"),
            Some(own)
        );
        assert_eq!(Timestamp::from_http_date("yesterday"), None);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::NEVER + Duration::from_secs(1), Timestamp::NEVER);
        assert_eq!(
            Timestamp::EPOCH.before(Duration::from_secs(1)),
            Timestamp::EPOCH
        );
        assert_eq!(Timestamp::EPOCH.since(Timestamp::NEVER), Duration::ZERO);
    }
}
