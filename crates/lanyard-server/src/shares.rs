//! An amount shared by several owners, with a limit for all and one for each. A share is given back
//! when it is dropped. The module does not know what is counted.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

/// The limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("the caller already holds its share of {0}")]
    Owner(u64),
    #[error("all callers together hold the {0} that there are")]
    All(u64),
}

/// The amount, and how much of it each owner holds.
#[derive(Debug)]
pub(crate) struct Shares<K> {
    all: u64,
    of_an_owner: u64,
    held: Arc<Mutex<TakenShares<K>>>,
}

#[derive(Debug)]
struct TakenShares<K> {
    all: u64,
    by: HashMap<K, u64>,
}

impl<K> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self {
            held: Arc::clone(&self.held),
            ..*self
        }
    }
}

impl<K: Hash + Eq + Clone> Shares<K> {
    pub(crate) fn new(all: u64, of_an_owner: u64) -> Self {
        let held = TakenShares {
            all: 0,
            by: HashMap::new(),
        };
        Self {
            all,
            of_an_owner,
            held: Arc::new(Mutex::new(held)),
        }
    }

    /// An empty share, which [`Share::grow`] enlarges.
    pub(crate) fn of(&self, owner: K) -> Share<K> {
        Share {
            shares: self.clone(),
            owner,
            amount: 0,
        }
    }

    /// Takes this amount at once.
    ///
    /// # Errors
    /// The limit that is reached. Nothing is taken then.
    pub(crate) fn take(&self, owner: K, amount: u64) -> Result<Share<K>, Full> {
        let mut share = self.of(owner);
        share.grow(amount)?;
        Ok(share)
    }
}

/// The amount that one holder has, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share<K: Hash + Eq + Clone> {
    shares: Shares<K>,
    owner: K,
    amount: u64,
}

impl<K: Hash + Eq + Clone> Share<K> {
    /// The amount that all shares of this owner hold.
    pub(crate) fn of_owner(&self) -> u64 {
        let held = self.shares.held.lock();
        held.by.get(&self.owner).copied().unwrap_or(0)
    }

    /// Takes this much more.
    ///
    /// # Errors
    /// The limit that is reached. The share keeps what it held.
    pub(crate) fn grow(&mut self, more: u64) -> Result<(), Full> {
        let mut held = self.shares.held.lock();
        let of_owner = held.by.get(&self.owner).copied().unwrap_or(0);
        let (of_owner, all) = (of_owner.saturating_add(more), held.all.saturating_add(more));
        if of_owner > self.shares.of_an_owner {
            return Err(Full::Owner(self.shares.of_an_owner));
        }
        if all > self.shares.all {
            return Err(Full::All(self.shares.all));
        }
        held.all = all;
        held.by.insert(self.owner.clone(), of_owner);
        self.amount = self.amount.saturating_add(more);
        Ok(())
    }
}

impl<K: Hash + Eq + Clone> Drop for Share<K> {
    fn drop(&mut self) {
        let mut held = self.shares.held.lock();
        held.all = held.all.saturating_sub(self.amount);
        match held.by.get_mut(&self.owner) {
            Some(of_owner) if *of_owner > self.amount => *of_owner -= self.amount,
            Some(_) | None => drop(held.by.remove(&self.owner)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_gets_its_share_and_leaves_the_rest_to_others() {
        let shares = Shares::new(10, 6);
        let mut first = shares.take("a", 4).unwrap();
        let second = shares.take("a", 2).unwrap();
        assert_eq!(first.grow(1), Err(Full::Owner(6)));
        let other = shares.take("b", 4).unwrap();
        assert_eq!(shares.take("b", 1).unwrap_err(), Full::All(10));
        drop(second);
        first.grow(2).unwrap();
        assert_eq!((first.of_owner(), other.of_owner()), (6, 4));
        drop((first, other));
        let held = shares.held.lock();
        assert_eq!((held.all, held.by.len()), (0, 0));
    }
}
