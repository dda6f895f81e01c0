//! Expiry: leases at their end are stopped, unanswered mints are revoked, and leases that cannot be
//! live are forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lanyard_charter::Charter;
use lanyard_core::command::Command;
use lanyard_core::lease::{Awaits, Lease, LeaseRef, Stage, StopCause};
use lanyard_core::state::State;
use lanyard_vocabulary::id::{LeaseId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;

use crate::context::Context;
use crate::issue::IssueError;

/// Leases that one record ends.
///
/// # Limit
/// - for: a record of the journal
/// - unit: leases
/// - beyond: the rest is ended by the next record, at once
/// - test: `s12_leases_that_are_stuck_hold_up_no_expiry`
pub const MAX_LEASES_PER_RECORD: usize = 4096;

/// The leases found due at one moment, of each kind as many as one record holds.
#[derive(Debug, Default)]
struct Due {
    unconfirmed: Vec<LeaseId>,
    expired: Vec<LeaseId>,
    over: Vec<LeaseId>,
    targets: BTreeSet<Name>,
}

/// Ends leases and tasks that are due, or given back.
pub struct Expiry {
    pub(crate) context: Arc<Context>,
}

impl Expiry {
    /// Ends what is due, and returns true if there may be more. What the journal does not accept
    /// waits for the next call.
    pub async fn expire_due(&self) -> bool {
        let now = self.context.now();
        let due = self.context.peek(|state| self.due(state, now));
        let full = [&due.unconfirmed, &due.expired, &due.over];
        let full = full.iter().any(|some| some.len() == MAX_LEASES_PER_RECORD);
        let unconfirmed = self
            .context
            .stop_all(due.unconfirmed, StopCause::Unconfirmed)
            .await;
        let expired = self.context.stop_all(due.expired, StopCause::Expired).await;
        let forgotten = self.forget(due.over).await;
        due.targets
            .iter()
            .for_each(|target| self.context.targets.wake(target));
        full && unconfirmed && expired && forgotten
    }

    fn due(&self, state: &State, now: Timestamp) -> Due {
        let (leases, mut due) = (state.leases(), Due::default());
        for lease in leases.given_up(now).take(MAX_LEASES_PER_RECORD) {
            due.unconfirmed.push(lease.id);
            due.targets.insert(lease.entry.target.clone());
        }
        for lease in leases.expired(now).take(MAX_LEASES_PER_RECORD) {
            due.expired.push(lease.id);
            due.targets.insert(lease.entry.target.clone());
        }
        let targets = leases.ending_targets();
        let over = targets.flat_map(|target| leases.over(target, now));
        let over = over.chain(leases.unanswered(now));
        let gone = over.filter(|lease| self.may_go(lease, now));
        let over = gone.take(MAX_LEASES_PER_RECORD);
        due.over = over.map(|lease| lease.id).collect();
        due
    }

    /// True if a stopping lease can be forgotten.
    fn may_go(&self, lease: &Lease, now: Timestamp) -> bool {
        let Stage::Stopping { progress, .. } = lease.stage else {
            return false;
        };
        let target = &lease.entry.target;
        let provider = self.context.targets.providers.get(target);
        // What is known to be dead may go by any clock. Of what is not, the end has to be past by a
        // clock that did not jump since the lease was asked for (S50).
        let from = self.context.timed_from.load(Ordering::SeqCst);
        let by = if progress.is_confirmed() {
            now
        } else if lease.intent.0 >= from {
            // A broker that is ahead of the target says "expired" of nothing that lives (S27).
            self.context.targets.by_both(target, now)
        } else {
            self.context
                .targets
                .by_both(target, self.context.clock.surely())
        };
        // Without an answer to its mint, only the provider's own word that it ends by itself lets a
        // lease go.
        let ends = provider.is_some_and(|it| it.needs_no_revocation(&LeaseRef::from(lease), by));
        if progress.is_due() && !lease.confirmed && !ends {
            return false;
        }
        let leeway = provider.map_or(Duration::ZERO, |it| it.capabilities().leeway);
        lease.retained_until() + leeway <= by
    }

    /// Closes the tasks of charters that have ended, and tasks whose budget is used up.
    pub async fn close_tasks(&self) {
        let now = self.context.now();
        let ended = |charter: &Arc<Charter>| charter.expires.is_some_and(|end| end.when <= now);
        let ended: BTreeSet<Name> = self
            .context
            .charters
            .all()
            .iter()
            .filter(|charter| ended(charter))
            .map(|charter| charter.name.clone())
            .collect();
        let over = self.context.peek(|state| {
            let of_ended = ended.iter().flat_map(|name| state.open_tasks_under(name));
            let of_ended = of_ended.map(|entry| entry.task.id);
            let over = state.spent_tasks().chain(of_ended);
            over.take(MAX_LEASES_PER_RECORD).collect::<Vec<TaskId>>()
        });
        for task in over {
            tracing::info!(%task, "a task is closed: its charter has ended, or its budget is spent");
            if !self.context.journal(Command::CloseTask { task }).await {
                return;
            }
            self.context.targets.wake_all();
        }
    }

    /// Forgets leases that are proved dead and that no kill order covers, before their natural end.
    pub async fn forget_dead(&self) {
        let dead = self.context.peek(|state| {
            state
                .leases()
                .stopping_targets()
                .flat_map(|target| state.leases().awaiting(target, Awaits::Nothing))
                .map(|lease| lease.id)
                .take(MAX_LEASES_PER_RECORD)
                .collect()
        });
        self.forget(dead).await;
    }

    /// Releases the lease of a credential that was shown. Releasing an ended lease succeeds.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn give_back(&self, id: LeaseId) -> Result<(), IssueError> {
        let owner = self.context.query(|state| {
            let lease = state.leases().get(id)?;
            Some(lease.task.identity.clone())
        });
        match owner.await.map_err(IssueError::Commit)? {
            Some(owner) => self.release(&owner, id).await,
            None => Ok(()),
        }
    }

    /// Releases a lease early.
    ///
    /// # Errors
    /// The same for another agent's lease as for one that does not exist.
    pub async fn release(&self, identity: &Identity, id: LeaseId) -> Result<(), IssueError> {
        let found = self.context.query(|state| {
            let lease = state
                .leases()
                .get(id)
                .filter(|lease| lease.task.identity == *identity)?;
            let stopping = matches!(lease.stage, Stage::Stopping { .. });
            Some((lease.entry.target.clone(), stopping))
        });
        let (target, stopping) = found
            .await
            .map_err(IssueError::Commit)?
            .ok_or(IssueError::NotFound("lease"))?;
        if stopping {
            // Given back twice, it is given back once: no record a call.
            return Ok(());
        }
        self.context
            .commit(Command::Stop {
                leases: vec![id],
                cause: StopCause::Released,
            })
            .await
            .map_err(IssueError::Commit)?;
        self.context.targets.wake(&target);
        Ok(())
    }

    async fn forget(&self, leases: Vec<LeaseId>) -> bool {
        leases.is_empty() || self.context.journal(Command::Forget { leases }).await
    }
}
