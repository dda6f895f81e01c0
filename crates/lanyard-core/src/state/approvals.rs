//! The approvals, indexed by the agent that asked and by the people who approved.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::ApprovalId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::seq::Seq;

use super::behind;
use crate::approval::Approval;

/// An agent under a charter, as the asker of approvals.
type Asking = (Name, AgentName);

/// Every approval that has not been forgotten.
#[derive(Debug, Clone, Default)]
pub(super) struct Approvals {
    all: BTreeMap<ApprovalId, Approval>,
    asking: HashMap<ApprovalId, Asking>,
    by_asking: HashMap<Asking, BTreeSet<ApprovalId>>,
    by_person: HashMap<Identity, BTreeSet<ApprovalId>>,
    by_seq: BTreeSet<(Seq, ApprovalId)>,
}

impl Approvals {
    pub(super) fn get(&self, id: ApprovalId) -> Option<&Approval> {
        self.all.get(&id)
    }

    /// All approvals, ordered by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Approval> {
        self.all.values()
    }

    /// The approvals after this id, ordered by id.
    pub(super) fn after(&self, after: Option<ApprovalId>) -> impl Iterator<Item = &Approval> {
        self.all.range(behind(after)).map(|(_, approval)| approval)
    }

    /// The approvals that this agent asked for under this charter.
    pub(super) fn asked_by(&self, asking: &Asking) -> impl Iterator<Item = &Approval> {
        let own = self.by_asking.get(asking).into_iter().flatten();
        own.filter_map(|id| self.all.get(id))
    }

    /// The approvals that this person gave.
    pub(super) fn of_person(&self, person: &Identity) -> impl Iterator<Item = &Approval> {
        let own = self.by_person.get(person).into_iter().flatten();
        own.filter_map(|id| self.all.get(id))
    }

    /// The record of the oldest approval.
    pub(super) fn oldest(&self) -> Option<Seq> {
        self.by_seq.first().map(|(seq, _)| *seq)
    }

    pub(super) fn insert(&mut self, approval: Approval, asking: Option<Asking>) {
        self.remove(approval.id);
        if let Some(asking) = asking {
            let own = self.by_asking.entry(asking.clone()).or_default();
            own.insert(approval.id);
            self.asking.insert(approval.id, asking);
        }
        for consent in &approval.consents {
            let own = self.by_person.entry(consent.operator.identity.clone());
            own.or_default().insert(approval.id);
        }
        self.by_seq.insert((approval.seq, approval.id));
        self.all.insert(approval.id, approval);
    }

    /// Changes an approval and updates the indexes.
    pub(super) fn update(&mut self, id: ApprovalId, change: impl FnOnce(&mut Approval)) {
        let Some(approval) = self.all.get_mut(&id) else {
            return;
        };
        for consent in &approval.consents {
            take_out(&mut self.by_person, &consent.operator.identity, id);
        }
        change(approval);
        for consent in &approval.consents {
            let own = self.by_person.entry(consent.operator.identity.clone());
            own.or_default().insert(id);
        }
    }

    pub(super) fn remove(&mut self, id: ApprovalId) {
        let Some(approval) = self.all.remove(&id) else {
            return;
        };
        self.by_seq.remove(&(approval.seq, id));
        if let Some(asking) = self.asking.remove(&id) {
            take_out(&mut self.by_asking, &asking, id);
        }
        for consent in &approval.consents {
            take_out(&mut self.by_person, &consent.operator.identity, id);
        }
    }
}

fn take_out<K: std::hash::Hash + Eq>(
    index: &mut HashMap<K, BTreeSet<ApprovalId>>,
    key: &K,
    id: ApprovalId,
) {
    if let Some(own) = index.get_mut(key) {
        own.remove(&id);
        if own.is_empty() {
            index.remove(key);
        }
    }
}
