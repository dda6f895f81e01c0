//! Passes over all leases, tasks or approvals that leave room for a kill order: each reading of the
//! state covers one page, and the ledger's writer runs between two pages.

use std::collections::BTreeSet;

use lanyard_core::approval::Approval;
use lanyard_core::identity::Identity;
use lanyard_core::kill::{EngagedOrder, KillOrder};
use lanyard_core::lease::{Lease, Seq};
use lanyard_core::ledger::CommitError;
use lanyard_core::scope::Scope;
use lanyard_core::state::State;

use crate::engine::{Engine, no_state};

/// Leases, open tasks or approvals that one look at the state passes over: the state is locked for as long as a look takes.
///
/// # Limit
/// - for: a pass over all of them
/// - unit: leases
/// - beyond: the pass gives the lock back, and goes on with the next page; kill orders go between two pages
/// - test: `s28_a_pass_over_all_leases_gives_the_lock_back_after_each_page`
pub const MAX_LEASES_PER_LOOK: usize = 1024;

impl Engine {
    /// Calls `visit` for each lease, in the order of the intents. Leases that are added during the
    /// pass are visited; a lease that changes is visited once, before or after the change. Returns
    /// true if the ledger answered.
    pub fn pass(&self, mut visit: impl FnMut(&State, &Lease)) -> bool {
        self.pages(|state, after: Option<Seq>| {
            let mut seen = Vec::new();
            for lease in state.leases().listed(None, after).take(MAX_LEASES_PER_LOOK) {
                visit(state, lease);
                seen.push(lease.intent);
            }
            seen
        })
    }

    /// Calls `visit` for each lease that the order covers, whatever its role.
    pub(crate) fn pass_in_reach(
        &self,
        order: &KillOrder,
        mut visit: impl FnMut(&State, &Lease),
    ) -> bool {
        match &order.scope {
            Scope::Lease(id) => {
                let look = |state: &State| state.leases().get(*id).map(|it| visit(state, it));
                self.peek(look).is_some()
            }
            // A task keeps its place while a lease of it, or a task below it, is in the books.
            Scope::Task(id) => {
                let tasks = self.peek(|state| state.task_and_those_below(*id));
                let mut tasks = tasks.into_iter().flatten();
                let look = |state: &State, task| {
                    let leases = state.leases().of_task(task);
                    leases.for_each(|lease| visit(state, lease));
                };
                let mut look = look;
                tasks.all(|task| self.peek(|state| look(state, task)).is_some())
            }
            Scope::All
            | Scope::Environment(_)
            | Scope::Target(_)
            | Scope::Charter(_)
            | Scope::Agent(_) => self.pass(|state, lease| {
                if order.covers(lease) {
                    visit(state, lease);
                }
            }),
        }
    }

    /// Calls `visit` for each approval, ordered by id. Returns true if the ledger answered.
    pub fn pass_approvals(&self, mut visit: impl FnMut(&State, &Approval)) -> bool {
        self.pages(|state, after| {
            let page = state.approvals(after).take(MAX_LEASES_PER_LOOK);
            let seen = page.map(|approval| {
                visit(state, approval);
                approval.id
            });
            seen.collect()
        })
    }

    /// Calls `visit` for each kill order, newest first. Visited orders are in effect on return.
    ///
    /// # Errors
    /// When the ledger cannot answer.
    pub async fn pass_orders(
        &self,
        mut visit: impl FnMut(&State, &EngagedOrder) + Send,
    ) -> Result<(), CommitError> {
        let answered = self.pages(|state, before| {
            let page = state.kills().before(before).take(MAX_LEASES_PER_LOOK);
            let seen = page.map(|engaged| {
                visit(state, engaged);
                engaged.seq
            });
            seen.collect()
        });
        if !answered {
            return Err(no_state());
        }
        // Where the ledger takes nothing more, what is stopped is told all the same.
        self.in_effect(|_| ()).await
    }

    /// The identities that an order covers: those with open tasks, and those with leases in the
    /// ledger.
    ///
    /// # Errors
    /// When the ledger cannot answer.
    pub async fn identities_in_reach(
        &self,
        order: &KillOrder,
    ) -> Result<BTreeSet<Identity>, CommitError> {
        let mut found = BTreeSet::new();
        let mut answered = true;
        let by_lease = match &order.scope {
            Scope::Target(_) | Scope::Lease(_) => true,
            Scope::All
            | Scope::Environment(_)
            | Scope::Charter(_)
            | Scope::Agent(_)
            | Scope::Task(_) => false,
        };
        if !by_lease {
            answered = self.pages(|state, after| {
                let open = state.open_tasks(after).take(MAX_LEASES_PER_LOOK);
                let seen = open.map(|(place, entry)| {
                    if entry.is_open(order.at) && order.covers_task(&entry.task) {
                        found.insert(entry.task.identity.clone());
                    }
                    place
                });
                seen.collect()
            });
        }
        // A task that ended since the order was engaged is not among the open ones any more.
        answered &= self.pass_in_reach(order, |state, lease| {
            let entry = state.task(lease.task.id);
            if by_lease || entry.is_some_and(|entry| entry.is_open(order.at)) {
                found.insert(lease.task.identity.clone());
            }
        });
        if !answered {
            return Err(no_state());
        }
        self.settle().await?;
        Ok(found)
    }

    /// Reads page after page. Each reading returns the places that it saw, and the next one begins
    /// after the last of them.
    pub fn pages<P: Copy>(&self, mut look: impl FnMut(&State, Option<P>) -> Vec<P>) -> bool {
        let mut after = None;
        loop {
            let Some(seen) = self.peek(|state| look(state, after)) else {
                return false;
            };
            match seen.last() {
                Some(last) if seen.len() >= MAX_LEASES_PER_LOOK => after = Some(*last),
                Some(_) | None => return true,
            }
        }
    }
}
