//! Passes over all leases, tasks or approvals that leave room for a kill order: each reading of the
//! state covers one page, and the ledger's writer runs between two pages.

use std::collections::BTreeSet;

use lanyard_core::approval::Approval;
use lanyard_core::kill::{EngagedOrder, KillOrder};
use lanyard_core::lease::Lease;
use lanyard_core::ledger::CommitError;
use lanyard_core::state::State;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::seq::Seq;

use crate::context::Context;

/// Leases, open tasks or approvals that one look at the state passes over: the state is locked for
/// as long as a look takes.
///
/// # Limit
/// - for: a pass over all of them
/// - unit: leases
/// - beyond: the pass gives the lock back, and goes on with the next page; kill orders go between
///   two pages
/// - test: `s28_a_pass_over_all_leases_gives_the_lock_back_after_each_page`
pub const MAX_LEASES_PER_LOOK: usize = 1024;

impl Context {
    /// Calls `visit` for each lease, in the order of the intents. Leases that are added during the
    /// pass are visited; a lease that changes is visited once, before or after the change.
    pub fn pass(&self, mut visit: impl FnMut(&State, &Lease)) {
        self.pages(|state, after: Option<Seq>| {
            let mut seen = Vec::new();
            for lease in state.leases().listed(None, after).take(MAX_LEASES_PER_LOOK) {
                visit(state, lease);
                seen.push(lease.intent);
            }
            seen
        });
    }

    /// Calls `visit` for each lease that the order covers, whatever its role.
    pub(crate) fn pass_in_reach(&self, order: &KillOrder, mut visit: impl FnMut(&State, &Lease)) {
        match &order.scope {
            Scope::Lease(id) => self.peek(|state| {
                if let Some(lease) = state.leases().get(*id) {
                    visit(state, lease);
                }
            }),
            // A task keeps its place while a lease of it, or a task below it, is in the books.
            Scope::Task(id) => {
                for task in self.peek(|state| state.task_and_those_below(*id)) {
                    self.peek(|state| {
                        let leases = state.leases().of_task(task);
                        leases.for_each(|lease| visit(state, lease));
                    });
                }
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

    /// Calls `visit` for each approval, ordered by id.
    pub fn pass_approvals(&self, mut visit: impl FnMut(&State, &Approval)) {
        self.pages(|state, after| {
            let page = state.approvals(after).take(MAX_LEASES_PER_LOOK);
            let seen = page.map(|approval| {
                visit(state, approval);
                approval.id
            });
            seen.collect()
        });
    }

    /// Calls `visit` for each kill order, newest first. Visited orders are in effect on return.
    pub async fn pass_orders(&self, mut visit: impl FnMut(&State, &EngagedOrder) + Send) {
        self.pages(|state, before| {
            let page = state.kills().before(before).take(MAX_LEASES_PER_LOOK);
            let seen = page.map(|engaged| {
                visit(state, engaged);
                engaged.seq
            });
            seen.collect()
        });
        // Where the ledger takes nothing more, what is stopped is told all the same.
        self.in_effect(|_| ()).await;
    }

    /// The identities that an order covers: those with open tasks, and those with leases in the
    /// ledger.
    ///
    /// # Errors
    /// When what was found will not be durable.
    pub async fn identities_in_reach(
        &self,
        order: &KillOrder,
    ) -> Result<BTreeSet<Identity>, CommitError> {
        let mut found = BTreeSet::new();
        let by_lease = match &order.scope {
            Scope::Target(_) | Scope::Lease(_) => true,
            Scope::All
            | Scope::Environment(_)
            | Scope::Charter(_)
            | Scope::Agent(_)
            | Scope::Task(_) => false,
        };
        if !by_lease {
            self.pages(|state, after| {
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
        self.pass_in_reach(order, |state, lease| {
            let entry = state.task(lease.task.id);
            if by_lease || entry.is_some_and(|entry| entry.is_open(order.at)) {
                found.insert(lease.task.identity.clone());
            }
        });
        self.settle().await?;
        Ok(found)
    }

    /// Reads page after page. Each reading returns the places that it saw, and the next one begins
    /// after the last of them.
    pub fn pages<P: Copy>(&self, mut look: impl FnMut(&State, Option<P>) -> Vec<P>) {
        let mut after = None;
        loop {
            let seen = self.peek(|state| look(state, after));
            match seen.last() {
                Some(last) if seen.len() >= MAX_LEASES_PER_LOOK => after = Some(*last),
                Some(_) | None => return,
            }
        }
    }
}
