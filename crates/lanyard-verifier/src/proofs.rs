//! Checks that a caller holds the token's key: proofs of possession, each accepted once (RFC 9449),
//! and client certificates.

use std::collections::{BTreeSet, HashMap};

use lanyard_identity::RejectedToken;
use lanyard_identity::dpop::{self, Proof, Target};
use lanyard_identity::replay_cache::ProofId;
use lanyard_vocabulary::identity::Confirmation;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

use crate::refusal::Refusal;

/// Proofs of possession in the replay cache.
///
/// # Limit
/// - for: a verifier
/// - unit: proofs
/// - beyond: a proof is refused as busy until another has expired
/// - test: `a_full_replay_cache_refuses_proofs`
const MAX_PROOFS: usize = 200_000;
/// Proofs of possession of one key in the replay cache.
///
/// # Limit
/// - for: a key
/// - unit: proofs
/// - beyond: a proof of that key is refused as busy; proofs of other keys are accepted
/// - test: `one_key_does_not_use_up_the_room_of_the_others`
const MAX_PROOFS_PER_KEY: u32 = 20_000;

/// The replay cache: proofs that were shown, for as long as they could be accepted again (T12).
#[derive(Debug, Default)]
pub(crate) struct Proofs(Mutex<SeenProofs>);

#[derive(Debug, Default)]
struct SeenProofs {
    known: HashMap<ProofId, Confirmation>,
    ends: BTreeSet<(Timestamp, ProofId)>,
    of_key: HashMap<Confirmation, u32>,
}

impl Proofs {
    /// Checks that `proof` is for this request, token and key, and was not shown before.
    pub(crate) fn check(
        &self,
        proof: &str,
        (key, token): (&Confirmation, &str),
        target: &Target<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let proof = dpop::check(proof, target, Some(token), now).map_err(Refusal::Proof)?;
        if proof.key != *key {
            return Err(Refusal::Proof(RejectedToken::Possession));
        }
        self.0.lock().remember(proof, now)
    }
}

impl SeenProofs {
    fn remember(&mut self, proof: Proof, now: Timestamp) -> Result<(), Refusal> {
        self.forget(now);
        if self.known.contains_key(&proof.id) {
            return Err(Refusal::Replayed);
        }
        let own = self.of_key.get(&proof.key).copied().unwrap_or_default();
        if self.known.len() >= MAX_PROOFS || own >= MAX_PROOFS_PER_KEY {
            return Err(Refusal::Busy);
        }
        self.of_key.insert(proof.key.clone(), own + 1);
        self.ends.insert((proof.until, proof.id));
        self.known.insert(proof.id, proof.key);
        Ok(())
    }

    /// Drops proofs that could not be accepted again. A proof is valid up to and including its last
    /// second.
    fn forget(&mut self, now: Timestamp) {
        while let Some((until, id)) = self.ends.first().copied() {
            if until >= now {
                return;
            }
            self.ends.pop_first();
            let Some(key) = self.known.remove(&id) else {
                continue;
            };
            if let Some(count) = self.of_key.get_mut(&key) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.of_key.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn proof(key: &str, id: u32, until: Timestamp) -> Proof {
        Proof {
            key: Confirmation::Key(key.to_owned()),
            id: ProofId::of(&[key, &id.to_string()]),
            until,
        }
    }

    // T12
    #[test]
    fn t12_a_proof_is_accepted_once_until_it_expires() {
        let (mut shown, now) = (SeenProofs::default(), Timestamp::from_secs(100));
        let until = now + Duration::from_secs(90);
        let one = || proof("a", 1, until);
        assert_eq!(shown.remember(one(), now), Ok(()));
        assert_eq!(shown.remember(one(), now), Err(Refusal::Replayed));
        assert_eq!(shown.remember(one(), until), Err(Refusal::Replayed));
        let later = until + Duration::from_millis(1);
        assert_eq!(shown.remember(proof("b", 1, later), later), Ok(()));
        assert_eq!(
            (shown.known.len(), shown.of_key.len(), shown.ends.len()),
            (1, 1, 1)
        );
    }

    #[test]
    fn a_full_replay_cache_refuses_proofs() {
        let (mut shown, now) = (SeenProofs::default(), Timestamp::from_secs(100));
        for number in 0..u32::try_from(MAX_PROOFS).unwrap() {
            let key = (number / MAX_PROOFS_PER_KEY).to_string();
            assert_eq!(shown.remember(proof(&key, number, now), now), Ok(()));
        }
        let one_more = proof("another", 0, now);
        assert_eq!(shown.remember(one_more, now), Err(Refusal::Busy));
    }

    #[test]
    fn one_key_does_not_use_up_the_room_of_the_others() {
        let (mut shown, now) = (SeenProofs::default(), Timestamp::from_secs(100));
        for id in 0..MAX_PROOFS_PER_KEY {
            assert_eq!(shown.remember(proof("a", id, now), now), Ok(()));
        }
        let one_more = proof("a", MAX_PROOFS_PER_KEY, now);
        assert_eq!(shown.remember(one_more, now), Err(Refusal::Busy));
        assert_eq!(shown.remember(proof("b", 0, now), now), Ok(()));
    }
}
