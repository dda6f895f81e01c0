//! One credential at hand: how long it is handed out, and from when on another is asked for. The time is a value here.

use std::time::Duration;

use lanyard_proto::v1;
use lanyard_proto::v1::credential::Kind;
use zeroize::Zeroize as _;

use crate::moment::Moment;

/// Nothing is handed out that ends within this time, or within a tenth of its life.
const LEAST: Duration = Duration::from_secs(10);
/// The longest that is waited between two attempts that failed.
///
/// # No limit
/// The pause between two attempts grows up to this, and attempts never end.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The shortest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// A credential, and its lease. The secret is wiped when this is dropped.
pub struct Held {
    /// The lease that the credential belongs to, as kill orders and the journal name it.
    pub lease_id: String,
    /// The secret. It is not to be kept: ask the task again.
    pub credential: v1::Credential,
    /// The record of the journal that the lease began with.
    pub(crate) record: u64,
    pub(crate) ends: Moment,
    pub(crate) renew: Moment,
    spent: Moment,
}

/// What can be done with a credential at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It is handed out.
    Good,
    /// It is handed out, and another is asked for.
    Aging,
    /// It is not handed out any more.
    Spent,
}

impl Held {
    /// One that was issued a moment ago. `share` in 0..=1 moves the renewal, so that holders of many do not all come at once.
    pub(crate) fn new(
        issued: v1::IssueCredentialResponse,
        now: Moment,
        share: f64,
    ) -> Option<Self> {
        let credential = issued.credential.filter(|it| it.kind.is_some())?;
        let life = Duration::try_from(issued.lifetime?).ok()?;
        let ends = now.after(life);
        // Between seven and nine twelfths of its life.
        let renew = now.after(life.mul_f64((7.0 + 2.0 * share.clamp(0.0, 1.0)) / 12.0));
        Some(Self {
            lease_id: issued.lease_id,
            credential,
            record: issued.record,
            ends,
            renew,
            spent: ends.before(LEAST.min(life / 10)),
        })
    }

    pub(crate) fn worth(&self, now: Moment) -> Worth {
        if now >= self.spent {
            Worth::Spent
        } else if now >= self.renew {
            Worth::Aging
        } else {
            Worth::Good
        }
    }

    /// How long it is good for yet.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.ends.since(Moment::now())
    }

    /// How long until another is asked for.
    #[must_use]
    pub fn renewal(&self) -> Duration {
        self.renew.since(Moment::now())
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
            None => {}
        }
    }
}

// What is inside is a secret: this shows nothing of it (T49).
impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held")
            .field("lease_id", &self.lease_id)
            .finish_non_exhaustive()
    }
}

/// When to ask again after the broker did not answer.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    until: Option<Moment>,
    why: String,
}

impl Backoff {
    /// How long nothing is asked yet.
    pub(crate) fn pause(&self, now: Moment) -> Option<Duration> {
        let left = self.until?.since(now);
        (!left.is_zero()).then_some(left)
    }

    /// What was said the last time.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    pub(crate) fn failed(&mut self, now: Moment, share: f64, why: &str) {
        why.clone_into(&mut self.why);
        let doubled = SHORTEST_PAUSE.saturating_mul(1 << self.failures.min(10));
        let pause = doubled.min(LONGEST_PAUSE);
        // Half of it for certain, and up to all of it.
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
        Held::new(issued(seconds), Moment::at(0), share).unwrap()
    }

    #[test]
    fn it_is_renewed_in_good_time_and_never_handed_out_at_its_end() {
        let five_minutes = held(300, 0.0);
        let worth = |held: &Held, secs: u64| held.worth(Moment::at(secs * 1000));
        assert_eq!(worth(&five_minutes, 174), Worth::Good);
        assert_eq!(worth(&five_minutes, 175), Worth::Aging);
        assert_eq!(worth(&five_minutes, 289), Worth::Aging);
        assert_eq!(worth(&five_minutes, 290), Worth::Spent);
        assert_eq!(worth(&held(300, 1.0), 224), Worth::Good);
        assert_eq!(worth(&held(300, 1.0), 225), Worth::Aging);
        // A short one, too.
        assert_eq!(worth(&held(10, 1.0), 8), Worth::Aging);
        assert_eq!(worth(&held(10, 1.0), 9), Worth::Spent);
        assert_eq!(worth(&held(0, 1.0), 0), Worth::Spent);
    }

    #[test]
    fn an_answer_without_a_credential_or_a_lifetime_is_none() {
        let now = Moment::at(0);
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
        let now = Moment::at(0);
        let mut backoff = Backoff::default();
        assert_eq!(backoff.pause(now), None);
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            backoff.failed(now, 1.0, "it does not answer");
            let pause = backoff.pause(now).unwrap();
            assert!(pause >= last && pause <= LONGEST_PAUSE, "{pause:?}");
            last = pause;
        }
        assert_eq!(last, LONGEST_PAUSE);
        backoff.failed(now, 0.0, "it does not answer");
        assert_eq!(backoff.why(), "it does not answer");
        assert_eq!(backoff.pause(now), Some(LONGEST_PAUSE / 2));
        assert_eq!(backoff.pause(Moment::at(15_000)), None);
        backoff.succeeded();
        assert_eq!(backoff.pause(now), None);
    }
}
