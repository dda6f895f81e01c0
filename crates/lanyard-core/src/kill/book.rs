//! The book of kill orders, and the ways to find one without a look at all of them.
//!
//! An order over a task or a lease leaves the book some time after what it covers has left the
//! books: from then on nothing that it matches can be live. A broader order leaves long after
//! people have lifted all of it, once nothing in the books is older than the order. An order that
//! answers what may be said again (a loss, a signal, a ticket) stays.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use lanyard_vocabulary::id::{KillId, LeaseId};
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::{Facets, Scope};
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::places::{Places, later};
use super::{Actor, EngagedOrder, KillOrder, Lifted, RearmStage};
use crate::task::Task;

/// The time for which an order over a task or a lease stays, for those who ask after it, once
/// nothing of it can be live.
///
/// # Limit
/// - for: a kill order over a task or a lease
/// - unit: after the task or the lease left the books
/// - beyond: the order leaves memory and snapshots; the history still has it
/// - test: `s08_an_order_over_a_task_goes_when_the_task_is_gone`
pub const KILL_ORDER_REMEMBERED: Duration = Duration::from_secs(3600);

/// The time for which an order that is broader than a task stays once it is wholly lifted.
///
/// # Limit
/// - for: a wholly lifted kill order of a person, an agent or a breaker over more than a task
/// - unit: after it was lifted, and after all that is older than the order left the books
/// - beyond: the order leaves memory and snapshots; the history still has it
/// - test: `s28_a_lifted_order_goes_once_nothing_older_is_in_the_books`
pub const LIFTED_ORDER_REMEMBERED: Duration = Duration::from_secs(30 * 86400);

/// Every kill order that can still matter.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct KillBook {
    orders: BTreeMap<Seq, EngagedOrder>,
    by_id: HashMap<KillId, Seq>,
    by_key: BTreeMap<String, Seq>,
    by_scope: Places,
    /// The orders that still stop something.
    engaged: Places,
    /// The orders under which nothing can be live, with the time since when.
    idle: BTreeSet<(Timestamp, Seq)>,
    /// The wholly lifted orders over more than a task that may be forgotten, with the time of
    /// lifting.
    lifted: BTreeSet<(Timestamp, Seq)>,
    /// The number of engaged orders.
    count_engaged: usize,
    /// The newest order's record, also if that order was forgotten.
    epoch: Seq,
    changes: OrderChanges,
}

/// The number of changes made to the kill orders. What was read from them holds while this number
/// does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrderChanges(u64);

// A book that was read from a snapshot has seen other changes and holds the same.
impl PartialEq for KillBook {
    fn eq(&self, other: &Self) -> bool {
        self.orders == other.orders && self.epoch == other.epoch
    }
}

impl Eq for KillBook {}

/// The serializable form of the kill orders.
#[derive(Serialize, Deserialize)]
struct Written {
    orders: Vec<EngagedOrder>,
    #[serde(default)]
    epoch: Seq,
}

impl From<KillBook> for Written {
    fn from(book: KillBook) -> Self {
        Self {
            orders: book.orders.into_values().collect(),
            epoch: book.epoch,
        }
    }
}

impl From<Written> for KillBook {
    fn from(written: Written) -> Self {
        let mut book = Self {
            epoch: written.epoch,
            ..Self::default()
        };
        written.orders.into_iter().for_each(|it| book.insert(it));
        book
    }
}

impl KillBook {
    /// The number of changes made so far.
    #[must_use]
    pub const fn changes(&self) -> OrderChanges {
        self.changes
    }

    /// The orders, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &EngagedOrder> {
        self.orders.values()
    }

    /// The number of orders that stop something other than the canary of a drill.
    #[must_use]
    pub const fn count_engaged(&self) -> usize {
        self.count_engaged
    }

    /// The orders before this record, newest first; all of them if no record is given.
    pub fn before(&self, seq: Option<Seq>) -> impl Iterator<Item = &EngagedOrder> {
        let before = (
            Bound::Unbounded,
            seq.map_or(Bound::Unbounded, Bound::Excluded),
        );
        self.orders.range(before).rev().map(|(_, engaged)| engaged)
    }

    /// The orders after this record, oldest first.
    pub fn after(&self, seq: Seq) -> impl DoubleEndedIterator<Item = &EngagedOrder> {
        let behind = (Bound::Excluded(seq), Bound::Unbounded);
        self.orders.range(behind).map(|(_, engaged)| engaged)
    }

    /// The order with this id.
    #[must_use]
    pub fn get(&self, id: KillId) -> Option<&EngagedOrder> {
        self.orders.get(self.by_id.get(&id)?)
    }

    /// The order with this idempotency key.
    #[must_use]
    pub fn of_key(&self, key: &str) -> Option<&EngagedOrder> {
        self.orders.get(self.by_key.get(key)?)
    }

    /// The orders of exactly this scope, newest first.
    pub fn of_scope<'a>(
        &'a self,
        scope: &Scope,
    ) -> impl Iterator<Item = &'a EngagedOrder> + use<'a> {
        let places = self.by_scope.of(scope).into_iter();
        let places = places.flat_map(|places| places.iter().rev());
        places.filter_map(|seq| self.orders.get(seq))
    }

    /// The orders that answer a repeatable event, oldest first. Their keys are the event's name and
    /// a number.
    pub fn numbered(&self, name: &str) -> impl Iterator<Item = &EngagedOrder> {
        let name = format!("{name} #");
        let from = (Bound::Included(name.clone()), Bound::Unbounded);
        let keys = self.by_key.range::<String, _>(from);
        let own = keys.take_while(|(key, _)| key.starts_with(&name));
        let by_age: BTreeSet<Seq> = own.map(|(_, seq)| *seq).collect();
        by_age.into_iter().filter_map(|seq| self.orders.get(&seq))
    }

    /// The key for the next order that answers this event. The number of a forgotten order is not
    /// used again.
    #[must_use]
    pub fn next_key(&self, name: &str) -> String {
        let numbers = self.numbered(name).filter_map(|engaged| {
            let key = engaged.order.key.as_deref()?;
            let (_, number) = key.rsplit_once('#')?;
            number.parse::<u64>().ok()
        });
        let last = numbers.max().unwrap_or_default();
        format!("{name} #{}", last.saturating_add(1))
    }

    /// The newest order's record. While it does not change, there is no new order to look at.
    #[must_use]
    pub const fn epoch(&self) -> Seq {
        self.epoch
    }

    /// The newest order that covers something with these facts, recorded at `since`. The answer is
    /// final, whether or not the order is lifted later.
    #[must_use]
    pub fn killer(&self, facets: &Facets<'_>, since: Seq) -> Option<&EngagedOrder> {
        if self.epoch <= since {
            return None;
        }
        let reaching = |places| self.newest(places, Some(since), |it| it.order.reaches(facets));
        let found = self.by_scope.covering(facets).filter_map(reaching);
        found.max_by_key(|engaged| engaged.seq)
    }

    /// The oldest such order, which is the one that stops it.
    #[must_use]
    pub fn first_killer(&self, facets: &Facets<'_>, since: Seq) -> Option<&EngagedOrder> {
        if self.epoch <= since {
            return None;
        }
        let oldest = |places| {
            let later = later(places, Some(since)).rev();
            let mut orders = later.filter_map(|seq| self.orders.get(&seq));
            orders.find(|engaged| engaged.order.reaches(facets))
        };
        let found = self.by_scope.covering(facets).filter_map(oldest);
        found.min_by_key(|engaged| engaged.seq)
    }

    /// The newest engaged order that stops new credentials with these facts.
    #[must_use]
    pub fn stopper(&self, facets: &Facets<'_>) -> Option<&EngagedOrder> {
        let stops =
            |it: &EngagedOrder| it.order.roles.reaches(facets.role) && it.stops(facets.role);
        let found = self.engaged.covering(facets);
        let found = found.filter_map(|places| self.newest(places, None, stops));
        found.max_by_key(|engaged| engaged.seq)
    }

    /// True if an order after this record, lifted or not, covers the task with everything in it,
    /// for this role.
    #[must_use]
    pub fn kills_task(&self, task: &Task, role: Role, since: Seq) -> bool {
        let kills = |it: &EngagedOrder| it.order.roles.reaches(role) && it.order.covers_task(task);
        let mut places = self.by_scope.covering_whole(task);
        places.any(|places| self.newest(places, Some(since), kills).is_some())
    }

    /// The orders that are not wholly lifted and cover the task with everything in it, newest
    /// first.
    pub fn over_task<'a>(&'a self, task: &'a Task) -> impl Iterator<Item = &'a EngagedOrder> {
        let places = self.engaged.covering_whole(task);
        let places: BTreeSet<Seq> = places.flatten().copied().collect();
        let newest_first = places.into_iter().rev();
        newest_first.filter_map(|seq| self.orders.get(&seq))
    }

    fn newest(
        &self,
        places: &BTreeSet<Seq>,
        than: Option<Seq>,
        wanted: impl Fn(&EngagedOrder) -> bool,
    ) -> Option<&EngagedOrder> {
        let mut orders = later(places, than).filter_map(|seq| self.orders.get(&seq));
        orders.find(|engaged| wanted(engaged))
    }

    /// Adds an order, newer than every other. `idle` is true if nothing can be live under it from
    /// the beginning, because its task or lease is not in the ledger.
    pub(crate) fn engage(&mut self, order: KillOrder, seq: Seq, idle: bool) {
        self.insert(EngagedOrder {
            idle_since: idle.then_some(order.at),
            order,
            seq,
            lifted: Lifted::Nothing,
            lifted_at: None,
        });
    }

    fn insert(&mut self, engaged: EngagedOrder) {
        let (seq, order) = (engaged.seq, &engaged.order);
        self.epoch = self.epoch.max(seq);
        self.by_id.insert(order.id, seq);
        if let Some(key) = &order.key {
            self.by_key.entry(key.clone()).or_insert(seq);
        }
        self.changes.0 += 1;
        self.by_scope.insert(order, seq);
        if engaged.lifted != Lifted::Everything {
            self.engaged.insert(order, seq);
        }
        if let Some(since) = engaged.idle_since {
            self.idle.insert((since, seq));
        }
        if let Some(at) = forgettable(&engaged) {
            self.lifted.insert((at, seq));
        }
        self.count_engaged += usize::from(engaged.is_engaged());
        self.orders.insert(seq, engaged);
    }

    fn remove(&mut self, seq: Seq) -> Option<EngagedOrder> {
        let engaged = self.orders.remove(&seq)?;
        let order = &engaged.order;
        self.by_id.remove(&order.id);
        if let Some(key) = &order.key
            && self.by_key.get(key) == Some(&seq)
        {
            self.by_key.remove(key);
        }
        self.changes.0 += 1;
        self.by_scope.remove(order, seq);
        self.engaged.remove(order, seq);
        if let Some(since) = engaged.idle_since {
            self.idle.remove(&(since, seq));
        }
        if let Some(at) = forgettable(&engaged) {
            self.lifted.remove(&(at, seq));
        }
        self.count_engaged -= usize::from(engaged.is_engaged());
        Some(engaged)
    }

    /// Forgets the drill's order that stopped this lease: each target has one drill a day.
    pub(crate) fn forget_drill(&mut self, lease: LeaseId) -> Option<KillId> {
        let is_drill = |engaged: &&EngagedOrder| engaged.order.is_drill();
        let seq = self.of_scope(&Scope::Lease(lease)).find(is_drill)?.seq;
        Some(self.remove(seq)?.order.id)
    }

    /// Notes that the task or lease of this scope has left the ledger.
    pub(crate) fn idle(&mut self, scope: &Scope, at: Timestamp) {
        for seq in self.by_scope.of(scope).cloned().unwrap_or_default() {
            if let Some(engaged) = self.orders.get_mut(&seq)
                && engaged.idle_since.is_none()
            {
                engaged.idle_since = Some(at);
                self.idle.insert((at, seq));
            }
        }
    }

    /// Forgets the orders under which nothing has been live for long enough.
    pub(crate) fn forget_idle(&mut self, now: Timestamp) -> Vec<KillId> {
        let mut forgotten = Vec::new();
        while let Some((since, seq)) = self.idle.first().copied() {
            if since + KILL_ORDER_REMEMBERED > now {
                break;
            }
            self.idle.pop_first();
            forgotten.extend(self.remove(seq).map(|engaged| engaged.order.id));
        }
        forgotten
    }

    /// Forgets the lifted orders that nobody needs to see any more. Every record in the ledger is
    /// newer than `oldest`.
    pub(crate) fn forget_lifted(&mut self, now: Timestamp, oldest: Option<Seq>) -> Vec<KillId> {
        let mut forgotten = Vec::new();
        while let Some((at, seq)) = self.lifted.first().copied() {
            // What an order makes dead is older than the order, and may be in the books for longer.
            if at + LIFTED_ORDER_REMEMBERED > now || oldest.is_some_and(|oldest| oldest < seq) {
                break;
            }
            self.lifted.pop_first();
            forgotten.extend(self.remove(seq).map(|engaged| engaged.order.id));
        }
        forgotten
    }

    /// Lifts an order by one step.
    pub(crate) fn lift(&mut self, id: KillId, stage: RearmStage, at: Timestamp) {
        let seq = self.by_id.get(&id).copied();
        let Some(engaged) = seq.and_then(|seq| self.orders.get_mut(&seq)) else {
            return;
        };
        let (was_engaged, was_forgettable) = (engaged.is_engaged(), forgettable(engaged));
        engaged.lifted = match stage {
            RearmStage::Plan => Lifted::Plan,
            RearmStage::Apply => Lifted::Everything,
        };
        engaged.lifted_at = Some(at);
        self.changes.0 += 1;
        if engaged.lifted == Lifted::Everything {
            self.engaged.remove(&engaged.order, engaged.seq);
        } else {
            self.engaged.insert(&engaged.order, engaged.seq);
        }
        match (was_engaged, engaged.is_engaged()) {
            (true, false) => self.count_engaged -= 1,
            (false, true) => self.count_engaged += 1,
            (true, true) | (false, false) => {}
        }
        if let Some(at) = was_forgettable {
            self.lifted.remove(&(at, engaged.seq));
        }
        if let Some(at) = forgettable(engaged) {
            self.lifted.insert((at, engaged.seq));
        }
    }
}

/// The time from which an order over more than a task may be forgotten, as far as the order itself
/// decides it. An order that answers a loss, a signal or a ticket stays, because the same event may
/// come again after people lifted it.
fn forgettable(engaged: &EngagedOrder) -> Option<Timestamp> {
    let is_broad = match engaged.order.scope {
        Scope::All
        | Scope::Environment(_)
        | Scope::Target(_)
        | Scope::Charter(_)
        | Scope::Agent(_) => true,
        Scope::Task(_) | Scope::Lease(_) => false,
    };
    let is_said_once = match engaged.order.by {
        Actor::Operator(_) | Actor::Agent(_) | Actor::Breaker { .. } => true,
        Actor::Ticket { .. }
        | Actor::BreakGlass { .. }
        | Actor::Local
        | Actor::Signal { .. }
        | Actor::Broker => false,
    };
    let is_lifted = engaged.lifted == Lifted::Everything;
    engaged
        .lifted_at
        .filter(|_| is_broad && is_said_once && is_lifted)
}

#[cfg(test)]
mod tests {
    use lanyard_vocabulary::agent::AgentName;
    use lanyard_vocabulary::id::TaskId;
    use lanyard_vocabulary::identity::Identity;
    use lanyard_vocabulary::lineage::Above;
    use lanyard_vocabulary::name::Name;
    use lanyard_vocabulary::scope::RoleFilter;
    use proptest::prelude::*;

    use lanyard_vocabulary::scope::TaskFacets;

    use super::*;

    fn name(number: u8) -> Name {
        format!("n{number}").parse().unwrap()
    }

    fn agent(number: u8) -> AgentName {
        AgentName(format!("a{number}"))
    }

    fn identity(number: u8) -> Identity {
        Identity {
            issuer: "https://agents.example".to_owned(),
            subject: format!("agent:{number}"),
        }
    }

    fn scopes() -> impl Strategy<Value = Scope> {
        prop_oneof![
            Just(Scope::All),
            (0..3u8).prop_map(|it| Scope::Environment(name(it))),
            (0..3u8).prop_map(|it| Scope::Target(name(it))),
            (0..3u8).prop_map(|it| Scope::Charter(name(it))),
            (0..3u8).prop_map(|it| Scope::Agent(agent(it))),
            (0..3u8).prop_map(|it| Scope::Agent(AgentName(identity(it).to_string()))),
            (0..3u8).prop_map(|it| Scope::Agent(AgentName(format!("AGENT:{it}")))),
            (0..3u8).prop_map(|it| Scope::Agent(AgentName(it.to_string()))),
            (0..3u128).prop_map(|it| Scope::Task(TaskId::from_bits(it))),
            (0..3u128).prop_map(|it| Scope::Lease(LeaseId::from_bits(it))),
        ]
    }

    proptest! {
        /// The index returns the same orders as a comparison of every order.
        #[test]
        fn s08_orders_are_found_by_scope_as_by_a_look_at_all(
            given in proptest::collection::vec((scopes(), any::<bool>(), 0..3u8, 0..4u8), 0..12),
            facets in proptest::collection::vec(0..3u8, 10),
            since in 0..14u64,
        ) {
            let mut book = KillBook::default();
            for (seq, (scope, both, lifted, named)) in (1u64..).zip(given) {
                let id = KillId::from_bits(u128::from(seq));
                let roles = if both { RoleFilter::Both } else { RoleFilter::ApplyOnly };
                let order = KillOrder {
                    id, scope, roles, reason: String::new(), by: Actor::Local, at: Timestamp::EPOCH,
                    evidence: Vec::new(), key: None,
                    identities: (named < 3).then(|| identity(named)).into_iter().collect(), as_typed: named.is_multiple_of(2), reaches_nothing: false,
                };
                book.engage(order, Seq(seq), false);
                for stage in [RearmStage::Plan, RearmStage::Apply].into_iter().take(lifted.into()) {
                    book.lift(id, stage, Timestamp::EPOCH);
                }
            }
            let [e, t, c, a, task, c2, a2, l, i, i2] = facets[..] else { unreachable!() };
            let (own, over) = (identity(i), identity(i2));
            let names = (name(e), name(t), name(c), agent(a));
            let lineage = [Above { task: TaskId::from_bits(0), charter: name(c2), agent: agent(a2), identity: (i2 < 2).then_some(over) }];
            for role in [Role::Plan, Role::Apply] {
                let facets = Facets {
                    task: TaskFacets {
                        environment: &names.0, charter: &names.2, agent: &names.3, identity: &own,
                        id: TaskId::from_bits(task.into()), lineage: &lineage,
                    },
                    target: &names.1, lease: Some(LeaseId::from_bits(l.into())), role,
                };
                let killers = || book.iter().filter(|it| it.seq > Seq(since) && it.order.reaches(&facets));
                prop_assert_eq!(book.killer(&facets, Seq(since)), killers().next_back());
                prop_assert_eq!(book.first_killer(&facets, Seq(since)), killers().next());
                let mut stoppers = book.iter().rev();
                let stopper = stoppers.find(|it| it.order.reaches(&facets) && it.stops(role));
                prop_assert_eq!(book.stopper(&facets), stopper);
            }
            let written = serde_json::to_string(&book).unwrap();
            prop_assert_eq!(serde_json::from_str::<KillBook>(&written).unwrap(), book);
        }
    }

    #[test]
    fn orders_that_answer_one_thing_are_found_by_the_name_in_their_keys() {
        let mut book = KillBook::default();
        let keys = [
            "alert #1",
            "alert #2",
            "alert",
            "alert two #1",
            "alerts #1",
            "alert #10",
        ];
        for (bits, key) in (1u64..).zip(keys) {
            let order = KillOrder {
                id: KillId::from_bits(bits.into()),
                scope: Scope::All,
                roles: RoleFilter::Both,
                reason: String::new(),
                by: Actor::Local,
                at: Timestamp::EPOCH,
                evidence: Vec::new(),
                key: Some(key.to_owned()),
                identities: BTreeSet::new(),
                as_typed: false,
                reaches_nothing: false,
            };
            book.engage(order, Seq(bits), false);
        }
        let found = book.numbered("alert").map(|it| it.seq.0);
        assert_eq!(found.collect::<Vec<_>>(), [1, 2, 6]);
        assert_eq!(book.next_key("alert"), "alert #11");
        assert_eq!(book.next_key("unknown"), "unknown #1");
        assert_eq!(book.of_key("alert").map(|it| it.seq), Some(Seq(3)));
    }
}
