//! The counts of circuit breakers, made from the records so that a restart forgets nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use lanyard_charter::{BreakerRule, Event, Per, Then};
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{ApprovalId, LeaseId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::{Facets, RoleFilter};
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::State;
use crate::action::Report;
use crate::command::{Command, Intent};
use crate::decide::Rule;
use crate::kill::{Actor, Lifted};
use crate::lease::StopCause;
use crate::task::Task;
use crate::trip::{Counted, EVIDENCE, Trip};

/// The time for which an agent's targets are remembered after its last credential.
///
/// # Limit
/// - for: an agent under a charter with a breaker on new targets
/// - unit: after its last credential
/// - beyond: every target is new to the agent again
/// - test: `s28_the_targets_of_an_agent_that_is_gone_are_forgotten`
const REACHED_REMEMBERED: Duration = Duration::from_secs(90 * 86400);

/// The number of windows of one circuit breaker from which ended windows are searched and dropped.
const MANY: usize = 1024;

/// The circuit breakers of the charters in force, their counts, and those that tripped.
#[derive(Debug, Clone, Default)]
pub(super) struct Breakers {
    watched: BTreeMap<Name, Vec<Watch>>,
    tripped: Vec<Trip>,
    /// The targets that each agent has used, by charter, with the time of its last credential.
    reached: BTreeMap<(Name, AgentName), (Timestamp, BTreeSet<Name>)>,
    /// The agents of `reached`, ordered by the time of their last credential.
    last_reached: BTreeSet<(Timestamp, (Name, AgentName))>,
}

/// A circuit breaker with its windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Watch {
    rule: BreakerRule,
    windows: Vec<(Counted, VecDeque<(Timestamp, Seq)>)>,
    #[serde(skip)]
    places: HashMap<Counted, usize>,
}

/// An event that circuit breakers count.
#[derive(Debug, Clone, Copy)]
struct Happened<'a> {
    event: Event,
    charter: &'a Name,
    /// The agent of the event; `None` if it concerns several agents.
    agent: Option<&'a AgentName>,
    task: Option<&'a Task>,
    target: Option<&'a Name>,
    /// The name of a reported action.
    action: Option<&'a str>,
    times: u32,
}

impl<'a> Happened<'a> {
    const fn of(event: Event, task: &'a Task, target: Option<&'a Name>) -> Self {
        Self {
            event,
            charter: &task.charter,
            agent: Some(&task.agent),
            task: Some(task),
            target,
            action: None,
            times: 1,
        }
    }

    fn counted(&self, per: Per) -> Option<Counted> {
        Some(match per {
            Per::Charter => Counted::Charter,
            Per::Agent => Counted::Agent(self.agent?.clone()),
            Per::Task => Counted::Task(self.task?.id, self.agent?.clone()),
            Per::Target => Counted::Target(self.target?.clone()),
        })
    }
}

impl Watch {
    fn new(rule: BreakerRule) -> Self {
        Self {
            rule,
            windows: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Counts an event and returns the trip, if the circuit breaker tripped. The window is empty
    /// then.
    fn count(&mut self, happened: &Happened<'_>, at: Timestamp, seq: Seq) -> Option<Trip> {
        let breaker = &self.rule.breaker;
        let named = |pattern: &String| happened.action.is_some_and(|name| is_named(pattern, name));
        if breaker.on != happened.event || !breaker.action.as_ref().is_none_or(named) {
            return None;
        }
        let of = happened.counted(breaker.per)?;
        let (most, from) = (
            usize::try_from(breaker.count).unwrap_or(usize::MAX),
            at.before(breaker.within.as_duration()),
        );
        let place = self.place(&of, from);
        let (_, window) = self.windows.get_mut(place)?;
        for _ in 0..happened.times.min(self.rule.breaker.count) {
            window.push_back((at, seq));
        }
        while window.len() > most || window.front().is_some_and(|(oldest, _)| *oldest <= from) {
            window.pop_front();
        }
        if window.len() < most {
            return None;
        }
        let counted = std::mem::take(window);
        let mut evidence: Vec<Seq> = counted.into_iter().map(|(_, seq)| seq).collect();
        evidence.dedup();
        let evidence = evidence.split_off(evidence.len().saturating_sub(EVIDENCE));
        Some(Trip {
            charter: happened.charter.clone(),
            rule: self.rule.clone(),
            of,
            at,
            evidence,
        })
    }

    fn place(&mut self, of: &Counted, from: Timestamp) -> usize {
        if self.windows.len() >= MANY && self.windows.len().is_power_of_two() {
            let open = |window: &VecDeque<(Timestamp, Seq)>| {
                window.back().is_some_and(|(newest, _)| *newest > from)
            };
            self.windows.retain(|(_, window)| open(window));
            self.index();
        }
        if let Some(place) = self.places.get(of) {
            return *place;
        }
        self.places.insert(of.clone(), self.windows.len());
        self.windows.push((of.clone(), VecDeque::new()));
        self.windows.len() - 1
    }

    fn forget(&mut self, of: &Counted) {
        let Some(place) = self.places.remove(of) else {
            return;
        };
        self.windows.swap_remove(place);
        if let Some((moved, _)) = self.windows.get(place) {
            self.places.insert(moved.clone(), place);
        }
    }

    fn index(&mut self) {
        let places = self.windows.iter().enumerate();
        self.places = places.map(|(place, (of, _))| (of.clone(), place)).collect();
    }
}

/// Matches an action's name: `ticket.*` matches every name that begins with `ticket.`, any other
/// pattern only itself.
fn is_named(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

impl Breakers {
    /// Takes the circuit breakers of a revision that comes into force. A circuit breaker that did
    /// not change keeps its counts.
    fn watch(&mut self, charter: &Name, rules: &[BreakerRule]) {
        let mut before = self.watched.remove(charter).unwrap_or_default();
        let watches: Vec<_> = rules
            .iter()
            .map(|rule| {
                let same = before
                    .iter()
                    .position(|watch| watch.rule.breaker == rule.breaker);
                let mut watch = same.map_or_else(
                    || Watch::new(rule.clone()),
                    |place| before.swap_remove(place),
                );
                watch.rule.at = rule.at;
                watch.rule.path.clone_from(&rule.path);
                watch
            })
            .collect();
        if !watches.is_empty() {
            self.watched.insert(charter.clone(), watches);
        }
    }

    /// Counts an event for every circuit breaker and returns the trips.
    fn count(&mut self, happened: &Happened<'_>, (at, seq): (Timestamp, Seq)) -> Vec<Trip> {
        let Some(watches) = self.watched.get_mut(happened.charter) else {
            return Vec::new();
        };
        let trips = watches.iter_mut();
        trips
            .filter_map(|watch| watch.count(happened, at, seq))
            .collect()
    }

    /// Records that the agent uses the target, and returns true if it is the first time.
    fn reaches(&mut self, task: &Task, target: &Name, at: Timestamp) -> bool {
        let watches = self.watched.get(&task.charter);
        let counted = |watch: &Watch| watch.rule.breaker.on == Event::NewTarget;
        if !watches.is_some_and(|watches| watches.iter().any(counted)) {
            return false;
        }
        while let Some((last, _)) = self.last_reached.first()
            && *last + REACHED_REMEMBERED <= at
        {
            if let Some((_, agent)) = self.last_reached.pop_first() {
                self.reached.remove(&agent);
            }
        }
        let key = (task.charter.clone(), task.agent.clone());
        let (last, targets) = self.reached.entry(key.clone()).or_default();
        self.last_reached.remove(&(*last, key.clone()));
        *last = at;
        self.last_reached.insert((at, key));
        targets.insert(target.clone())
    }

    pub(super) fn tripped(&self) -> &[Trip] {
        &self.tripped
    }

    /// The trip that holds this request back until its consequence is recorded.
    pub(super) fn holding(&self, facets: &Facets<'_>) -> Option<&Trip> {
        let holds =
            |trip: &&Trip| trip.rule.breaker.then != Then::Alert && trip.reach().covers(facets);
        self.tripped.iter().find(holds)
    }

    /// Notes that the consequence of a trip is recorded.
    fn answered(&mut self, charter: &Name, line: u32, record: Seq) {
        let is = |trip: &Trip| {
            trip.charter == *charter && trip.rule.at.line == line && trip.record() == record
        };
        self.tripped.retain(|trip| !is(trip));
    }

    /// Drops the counts of a task that ended.
    pub(super) fn forget_task(&mut self, task: &Task) {
        let of = Counted::Task(task.id, task.agent.clone());
        let watches = self.watched.get_mut(&task.charter);
        watches
            .into_iter()
            .flatten()
            .for_each(|watch| watch.forget(&of));
    }

    pub(super) fn image(&self) -> BreakersImage {
        BreakersImage {
            watched: self.watched.clone(),
            tripped: self.tripped.clone(),
            reached: self
                .reached
                .iter()
                .map(|(of, (_, names))| (of.clone(), names.clone()))
                .collect(),
            last_reached: self
                .reached
                .iter()
                .map(|(of, (last, _))| (of.clone(), *last))
                .collect(),
        }
    }

    /// Restores an image. Images of versions that stored no times get the time of the last record.
    pub(super) fn restore(image: BreakersImage, latest: Timestamp) -> Self {
        let times: BTreeMap<_, _> = image.last_reached.into_iter().collect();
        let reached = image.reached.into_iter().map(|(of, names)| {
            let last = times.get(&of).copied().unwrap_or(latest);
            (of, (last, names))
        });
        let reached: BTreeMap<_, _> = reached.collect();
        let last_reached = reached.iter().map(|(of, (last, _))| (*last, of.clone()));
        let mut breakers = Self {
            watched: image.watched,
            tripped: image.tripped,
            last_reached: last_reached.collect(),
            reached,
        };
        breakers
            .watched
            .values_mut()
            .flatten()
            .for_each(Watch::index);
        breakers
    }
}

/// The serializable form of the circuit breakers and their counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakersImage {
    watched: BTreeMap<Name, Vec<Watch>>,
    tripped: Vec<Trip>,
    reached: Vec<((Name, AgentName), BTreeSet<Name>)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    last_reached: Vec<((Name, AgentName), Timestamp)>,
}

impl State {
    /// Counts a record before it takes effect.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "of all that happens, these are counted"
    )]
    pub(super) fn count(&mut self, command: &Command, at: Timestamp, seq: Seq) {
        let when = (at, seq);
        match command {
            // What was counted stays when a charter is withdrawn: it may come back.
            Command::CharterInForce {
                charter, breakers, ..
            } => self.breakers.watch(charter, breakers),
            Command::Deny { agent, denial, .. } => {
                self.count_denials((&denial.charter, Some(agent)), denial.rule, 1, when);
            }
            Command::DenialsSuppressed {
                agent,
                charter: Some(charter),
                rule,
                count,
                ..
            } => self.count_denials((charter, agent.as_ref()), *rule, *count, when),
            Command::BeginMint(intent) => self.count_mint(intent, when),
            Command::Stop {
                leases,
                cause: StopCause::Unconfirmed | StopCause::Excessive,
            } => leases.iter().for_each(|id| self.count_error(*id, when)),
            Command::Reject { approval, .. } => self.count_rejection(*approval, when),
            Command::Report(report) => self.count_report(report, when),
            Command::Kill(order) => self.answered(&order.by),
            Command::Pause(pause) => self.answered(&pause.by),
            Command::Alert(trip) => {
                let (line, record) = (trip.rule.at.line, trip.record());
                self.breakers.answered(&trip.charter, line, record);
            }
            _ => {}
        }
    }

    fn count_denials(
        &mut self,
        (charter, agent): (&Name, Option<&AgentName>),
        rule: Rule,
        times: u32,
        when: (Timestamp, Seq),
    ) {
        // What only holds an allowed request up is no misbehaviour: an agent that a quota or a
        // pause refuses, and that asks again, would otherwise be stopped for good by the breaker.
        let is_counted = !matches!(rule, Rule::NotInForce | Rule::Shadow | Rule::Versions);
        if !is_counted || rule.is_refusal() {
            return;
        }
        let happened = Happened {
            event: Event::Denied,
            charter,
            agent,
            task: None,
            target: None,
            action: None,
            times,
        };
        let trips = self.breakers.count(&happened, when);
        self.trip(trips, when.0);
    }

    fn count_mint(&mut self, intent: &Intent, when: (Timestamp, Seq)) {
        let Some(entry) = self.tasks.get(intent.task) else {
            return;
        };
        let target = &intent.entry.target;
        let new = self.breakers.reaches(&entry.task, target, when.0);
        let happened = |event| Happened::of(event, &entry.task, Some(target));
        let mut trips = self.breakers.count(&happened(Event::Minted), when);
        if new {
            trips.extend(self.breakers.count(&happened(Event::NewTarget), when));
        }
        if intent.outside_hours {
            trips.extend(self.breakers.count(&happened(Event::OutsideHours), when));
        }
        self.trip(trips, when.0);
    }

    fn count_error(&mut self, id: LeaseId, when: (Timestamp, Seq)) {
        if let Some(lease) = self.leases.get(id).filter(|lease| lease.is_live()) {
            let target = Some(&lease.entry.target);
            let happened = Happened::of(Event::ProviderError, &lease.task, target);
            let trips = self.breakers.count(&happened, when);
            self.trip(trips, when.0);
        }
    }

    fn count_rejection(&mut self, id: ApprovalId, when: (Timestamp, Seq)) {
        let approval = self.approvals.get(id);
        if let Some(entry) = approval.and_then(|approval| self.tasks.get(approval.task)) {
            let happened = Happened::of(Event::Rejected, &entry.task, None);
            let trips = self.breakers.count(&happened, when);
            self.trip(trips, when.0);
        }
    }

    /// Counts a report once for its beginning and once for its failure.
    fn count_report(&mut self, report: &Report, when: (Timestamp, Seq)) {
        let Some(entry) = self.tasks.get(report.task) else {
            return;
        };
        let before = self.reports.get(&report.task);
        let lease = report.lease.and_then(|id| self.leases.get(id));
        let target = lease.map(|lease| &lease.entry.target);
        let applies = lease.is_none_or(|lease| lease.entry.role == Role::Apply);
        let failed = report.outcome.is_failure();
        let events = [
            (Event::Action, before.is_none_or(|all| all.begins(report))),
            (
                Event::Retried,
                before.is_some_and(|all| all.retries(report)),
            ),
            (Event::FailedAction, failed),
            (Event::FailedApply, failed && applies),
        ];
        let mut trips = Vec::new();
        for (event, _) in events.into_iter().filter(|(_, happened)| *happened) {
            let happened = Happened {
                action: Some(&report.name),
                ..Happened::of(event, &entry.task, target)
            };
            trips.extend(self.breakers.count(&happened, when));
        }
        self.trip(trips, when.0);
    }

    /// Records trips, except those whose consequence is already in effect: further events must not
    /// make further orders.
    fn trip(&mut self, trips: Vec<Trip>, at: Timestamp) {
        for trip in trips {
            if !self.in_effect(&trip, at) {
                self.breakers.tripped.push(trip);
            }
        }
    }

    fn in_effect(&self, trip: &Trip, at: Timestamp) -> bool {
        let noted = |other: &Trip| other.rule == trip.rule && other.of == trip.of;
        if self.breakers.tripped.iter().any(noted) {
            return true;
        }
        if let Some(scope) = trip.scope() {
            let mut orders = self.kills.of_scope(&scope);
            return orders.any(|engaged| {
                engaged.lifted == Lifted::Nothing && engaged.order.roles == RoleFilter::Both
            });
        }
        let Some(demand) = trip.demand() else {
            return false;
        };
        let reach = trip.reach();
        let mut pauses = self.pauses.values();
        pauses.any(|pause| pause.lasts(at) && pause.demand == demand && pause.reach == reach)
    }

    fn answered(&mut self, by: &Actor) {
        if let Actor::Breaker {
            charter,
            line,
            record,
            ..
        } = by
        {
            self.breakers.answered(charter, *line, *record);
        }
    }
}
