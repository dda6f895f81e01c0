//! Time: what is due is ended, what nobody took is ended, what cannot be live any more is forgotten.

use std::collections::BTreeSet;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lanyard_core::charter::{Charter, Name};
use lanyard_core::command::Command;
use lanyard_core::id::{LeaseId, TaskId};
use lanyard_core::identity::Identity;
use lanyard_core::lease::{Awaits, Lease, LeaseRef, Stage, StopCause};
use lanyard_core::time::Timestamp;

use crate::engine::Engine;
use crate::mint::IssueError;

/// How many leases one record ends.
const BATCH: usize = 4096;

/// What one look at the clock found.
#[derive(Debug, Default)]
struct Due {
    unconfirmed: Vec<LeaseId>,
    expired: Vec<LeaseId>,
    over: Vec<LeaseId>,
    targets: BTreeSet<Name>,
}

impl Engine {
    /// Ends what is due now; says whether anything was.
    pub async fn expire_due(&self) -> bool {
        let now = self.now();
        let Some(due) = self.peek(|state| {
            let mut due = Due::default();
            state
                .leases()
                .due(now)
                .take(BATCH)
                .for_each(|lease| self.sort(lease, now, &mut due));
            due
        }) else {
            return false;
        };
        let something =
            !(due.unconfirmed.is_empty() && due.expired.is_empty() && due.over.is_empty());
        self.stop_all(due.unconfirmed, StopCause::Unconfirmed).await;
        self.stop_all(due.expired, StopCause::Expired).await;
        self.forget(due.over).await;
        due.targets.iter().for_each(|target| self.wake(target));
        something
    }

    fn sort(&self, lease: &Lease, now: Timestamp, due: &mut Due) {
        match lease.stage {
            Stage::Intent => due.unconfirmed.push(lease.id),
            Stage::Issued { .. } => due.expired.push(lease.id),
            Stage::Stopping { progress, .. } => {
                let provider = self.providers().get(&lease.entry.target);
                // What is known to be dead may go by any clock. Of what is not, the end has to be past by a clock that did
                // not jump since the lease was asked for (S50).
                let from = self.timed_from.load(Ordering::SeqCst);
                let target = &lease.entry.target;
                let by = if progress.is_confirmed() {
                    now
                } else if lease.intent.0 >= from {
                    // A broker that is ahead of the target says "expired" of nothing that lives (S27).
                    self.by_both(target, now)
                } else {
                    self.by_both(target, self.parts.clock.surely())
                };
                // Without an answer to its mint, only the provider's own word that it ends by itself lets a lease go.
                let ends = provider.is_some_and(|it| it.ends_itself(&LeaseRef::from(lease), by));
                if progress.is_due() && !lease.confirmed && !ends {
                    return;
                }
                let leeway =
                    provider.map_or(std::time::Duration::ZERO, |p| p.capabilities().leeway);
                if lease.over() + leeway <= by {
                    due.over.push(lease.id);
                }
                return;
            }
        }
        due.targets.insert(lease.entry.target.clone());
    }

    /// Closes the tasks of charters that have ended, and those that have had all that they may have.
    pub async fn close_tasks(&self) {
        let now = self.now();
        let ended = |charter: &Arc<Charter>| charter.expires.is_some_and(|end| end.when <= now);
        let ended: BTreeSet<Name> = self
            .charters()
            .all()
            .iter()
            .filter(|charter| ended(charter))
            .map(|charter| charter.name.clone())
            .collect();
        let over = self.peek(|state| {
            let mut over: Vec<TaskId> = state.spent_tasks(now).collect();
            if !ended.is_empty() {
                let open = state.tasks().filter(|entry| entry.is_open(now));
                let of_ended = open.filter(|entry| ended.contains(&entry.task.charter));
                over.extend(of_ended.map(|entry| entry.task.id));
            }
            over.truncate(BATCH);
            over
        });
        for task in over.unwrap_or_default() {
            tracing::info!(%task, "a task is closed: its charter has ended, or its budget is spent");
            self.journal(Command::CloseTask { task }).await;
            self.wake_all_targets();
        }
    }

    /// Leases that are proved dead and that no kill asks after leave the state before their time.
    pub async fn forget_dead(&self) {
        let dead = self.peek(|state| {
            state
                .leases()
                .stopping_targets()
                .flat_map(|target| state.leases().awaiting(target, Awaits::Nothing))
                .map(|lease| lease.id)
                .take(BATCH)
                .collect()
        });
        self.forget(dead.unwrap_or_default()).await;
    }

    /// Writes down which secrets were handed over, and ends the leases of those that were not.
    pub async fn settle_deliveries(&self) {
        let delivered = std::mem::take(&mut *self.delivered.lock());
        let undelivered = std::mem::take(&mut *self.undelivered.lock());
        if !delivered.is_empty() {
            let leases = delivered.clone();
            if let Err(error) = self.commit(Command::Delivered { leases }).await {
                // Told again once the ledger takes it: a start that does not know of it ends leases that are in use.
                tracing::debug!(%error, "a hand-over could not be journaled");
                self.delivered.lock().extend(delivered);
            }
        }
        let targets = self.peek(|state| {
            undelivered
                .iter()
                .filter_map(|id| state.leases().get(*id))
                .map(|lease| lease.entry.target.clone())
                .collect::<BTreeSet<_>>()
        });
        self.stop_all(undelivered, StopCause::Undelivered).await;
        targets
            .unwrap_or_default()
            .iter()
            .for_each(|target| self.wake(target));
    }

    /// Gives back the lease of a credential that was shown; one that is over is over.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn give_back(&self, id: LeaseId) -> Result<(), IssueError> {
        let owner = self.query(|state| {
            let lease = state.leases().get(id)?;
            Some(lease.task.identity.clone())
        });
        match owner.await.map_err(IssueError::Commit)? {
            Some(owner) => self.release_lease(&owner, id).await,
            None => Ok(()),
        }
    }

    /// Gives a lease back before its time.
    ///
    /// # Errors
    /// The same for another agent's lease and for one that never was.
    pub async fn release_lease(&self, identity: &Identity, id: LeaseId) -> Result<(), IssueError> {
        let found = self.query(|state| {
            let lease = state
                .leases()
                .get(id)
                .filter(|lease| lease.task.identity == *identity)?;
            Some(lease.entry.target.clone())
        });
        let target = found
            .await
            .map_err(IssueError::Commit)?
            .ok_or(IssueError::NotFound("lease"))?;
        self.commit(Command::Stop {
            leases: vec![id],
            cause: StopCause::Released,
        })
        .await
        .map_err(IssueError::Commit)?;
        self.wake(&target);
        Ok(())
    }

    pub(crate) async fn stop_all(&self, leases: Vec<LeaseId>, cause: StopCause) {
        if !leases.is_empty() {
            self.journal(Command::Stop { leases, cause }).await;
        }
    }

    async fn forget(&self, leases: Vec<LeaseId>) {
        if !leases.is_empty() {
            self.journal(Command::Forget { leases }).await;
        }
    }

    async fn journal(&self, command: Command) {
        if let Err(error) = self.commit(command).await {
            tracing::error!(%error, "a transition could not be journaled");
        }
    }
}
