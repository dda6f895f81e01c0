//! A cached credential: how long it is handed out, and when it is renewed. Callers pass the time.

use std::time::Duration;

use lanyard_proto::v1;
use lanyard_proto::v1::credential::Kind;
use zeroize::Zeroize as _;

use crate::monotonic::MonotonicTime;

/// A credential is no longer handed out in its last ten seconds, or in the last tenth of a short
/// life: the caller needs time to use it.
const UNUSED_BEFORE_END: Duration = Duration::from_secs(10);
/// Longest pause after a failed attempt.
///
/// # No limit
/// The pause between two attempts grows up to this value; the attempts never end.
const RETRY_INTERVAL_CAP: Duration = Duration::from_secs(30);
/// Pause after the first failed attempt.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// A credential and its lease. Dropping the value wipes the secret.
pub struct Held {
    /// Id of the lease, as kill orders and the journal name it.
    pub lease_id: String,
    /// The secret. Callers should not store the secret; [`crate::Task::credential`] returns the
    /// current one.
    pub credential: v1::Credential,
    /// The journal record that the lease began with.
    pub(crate) record: u64,
    pub(crate) ends: MonotonicTime,
    pub(crate) renew: MonotonicTime,
    spent: MonotonicTime,
}

/// The remaining use of a cached credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usability {
    /// Handed out to callers.
    Good,
    /// Handed out, while another is requested.
    Aging,
    /// No longer handed out.
    Spent,
}

impl Held {
    /// Caches a credential that was issued at `now`. `share` (0 to 1) spreads renewals, so that the
    /// holders of many credentials do not all renew at once. `None` if the answer has no credential
    /// or no lifetime.
    pub(crate) fn new(
        issued: v1::IssueCredentialResponse,
        now: MonotonicTime,
        share: f64,
    ) -> Option<Self> {
        let credential = issued.credential.filter(|it| it.kind.is_some())?;
        let life = Duration::try_from(issued.lifetime?).ok()?;
        let ends = now.after(life);
        // Renewal falls between 7/12 and 9/12 of the life: late enough to halve the load at most,
        // early enough to retry for a quarter of the life.
        let renew = now.after(life.mul_f64((7.0 + 2.0 * share.clamp(0.0, 1.0)) / 12.0));
        Some(Self {
            lease_id: issued.lease_id,
            credential,
            record: issued.record,
            ends,
            renew,
            spent: ends.before(UNUSED_BEFORE_END.min(life / 10)),
        })
    }

    pub(crate) fn usability(&self, now: MonotonicTime) -> Usability {
        if now >= self.spent {
            Usability::Spent
        } else if now >= self.renew {
            Usability::Aging
        } else {
            Usability::Good
        }
    }

    /// Returns the lifetime that is left.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.ends.since(MonotonicTime::now())
    }

    /// Returns the time until renewal begins.
    #[must_use]
    pub fn renewal(&self) -> Duration {
        self.renew.since(MonotonicTime::now())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        match self.credential.kind.as_mut() {
            Some(Kind::Token(token)) => token.jwt.zeroize(),
            Some(Kind::Aws(aws)) => {
                aws.secret_access_key.zeroize();
                aws.session_token.zeroize();
            }
            Some(Kind::Kubernetes(kubernetes)) => kubernetes.token.zeroize(),
            Some(Kind::Vault(vault)) => vault.token.zeroize(),
            Some(Kind::VaultSecret(secret)) => secret.data.values_mut().for_each(String::zeroize),
            Some(Kind::Github(github)) => github.token.zeroize(),
            Some(Kind::Other(other)) => other.secrets.values_mut().for_each(String::zeroize),
            None => {}
        }
    }
}

// The credential is a secret, so `Debug` leaves it out (T49).
impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held")
            .field("lease_id", &self.lease_id)
            .finish_non_exhaustive()
    }
}

/// The pause after failed attempts, and the last error.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    until: Option<MonotonicTime>,
    why: String,
}

impl Backoff {
    /// Returns how long to wait before the next attempt. `None` if an attempt may start now.
    pub(crate) fn pause(&self, now: MonotonicTime) -> Option<Duration> {
        let left = self.until?.since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Returns the error of the last attempt.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    pub(crate) fn failed(&mut self, now: MonotonicTime, share: f64, why: &str) {
        why.clone_into(&mut self.why);
        let doubled = SHORTEST_PAUSE.saturating_mul(1 << self.failures.min(10));
        let pause = doubled.min(RETRY_INTERVAL_CAP);
        // Half of the pause is certain, the other half random, so that many clients do not return
        // together.
        let pause = pause.mul_f64(f64::midpoint(1.0, share.clamp(0.0, 1.0)));
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now.after(pause));
    }

    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(seconds: i64) -> v1::IssueCredentialResponse {
        let token = v1::TokenCredential {
            jwt: "canary".into(),
        };
        v1::IssueCredentialResponse {
            lease_id: "L-1".into(),
            lifetime: Some(prost_types::Duration { seconds, nanos: 0 }),
            credential: Some(v1::Credential {
                kind: Some(Kind::Token(token)),
            }),
            ..Default::default()
        }
    }

    fn held(seconds: i64, share: f64) -> Held {
        Held::new(issued(seconds), MonotonicTime::at(0), share).unwrap()
    }

    #[test]
    fn a_credential_is_renewed_in_time_and_never_handed_out_at_its_end() {
        let five_minutes = held(300, 0.0);
        let usability = |held: &Held, secs: u64| held.usability(MonotonicTime::at(secs * 1000));
        assert_eq!(usability(&five_minutes, 174), Usability::Good);
        assert_eq!(usability(&five_minutes, 175), Usability::Aging);
        assert_eq!(usability(&five_minutes, 289), Usability::Aging);
        assert_eq!(usability(&five_minutes, 290), Usability::Spent);
        assert_eq!(usability(&held(300, 1.0), 224), Usability::Good);
        assert_eq!(usability(&held(300, 1.0), 225), Usability::Aging);
        // The tenth of the life bounds a short one.
        assert_eq!(usability(&held(10, 1.0), 8), Usability::Aging);
        assert_eq!(usability(&held(10, 1.0), 9), Usability::Spent);
        assert_eq!(usability(&held(0, 1.0), 0), Usability::Spent);
    }

    #[test]
    fn an_answer_without_a_credential_or_a_lifetime_is_none() {
        let now = MonotonicTime::at(0);
        let without = v1::IssueCredentialResponse {
            credential: None,
            ..issued(1)
        };
        assert!(Held::new(without, now, 0.5).is_none());
        let timeless = v1::IssueCredentialResponse {
            lifetime: None,
            ..issued(1)
        };
        assert!(Held::new(timeless, now, 0.5).is_none());
        assert!(Held::new(issued(-1), now, 0.5).is_none());
    }

    // T49
    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", held(300, 0.0));
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn pauses_grow_to_half_a_minute_and_end_with_an_answer() {
        let now = MonotonicTime::at(0);
        let mut backoff = Backoff::default();
        assert_eq!(backoff.pause(now), None);
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            backoff.failed(now, 1.0, "it does not answer");
            let pause = backoff.pause(now).unwrap();
            assert!(pause >= last && pause <= RETRY_INTERVAL_CAP, "{pause:?}");
            last = pause;
        }
        assert_eq!(last, RETRY_INTERVAL_CAP);
        backoff.failed(now, 0.0, "it does not answer");
        assert_eq!(backoff.why(), "it does not answer");
        assert_eq!(backoff.pause(now), Some(RETRY_INTERVAL_CAP / 2));
        assert_eq!(backoff.pause(MonotonicTime::at(15_000)), None);
        backoff.succeeded();
        assert_eq!(backoff.pause(now), None);
    }
}
