//! Which agents a name can mean: those of the configuration and the charters, and those with a task
//! in the books.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_charter::SubjectPattern;
use lanyard_core::kill::KillOrder;
use lanyard_core::state::State;
use lanyard_document::near_names;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::typed_name::Identities;

use crate::pass::MAX_LEASES_PER_LOOK;
use crate::reach::{NEAR_NAMES, Scopes};

/// A subject is shortened that is longer.
const SHORT_NAME_BYTES: usize = 32;
/// Identities that one name means and that are counted: beyond that, an order is over very many.
const IDENTITIES_COUNTED: usize = 1024;
/// Identities in the books that a mistyped name is compared with.
const IDENTITIES_COMPARED: usize = 10_000;

impl Scopes {
    /// The order with what its agent's name stands for here. A name that a person typed can mean
    /// more than the agents that are known now, and nobody has to find out which before all of them
    /// are stopped. The configured identities are written down: tasks that were opened before the
    /// name was configured go by another one (S32).
    pub(crate) fn with_identities(&self, order: KillOrder) -> KillOrder {
        let Scope::Agent(name) = &order.scope else {
            return order;
        };
        let as_typed = order.as_typed || order.by.types_names();
        let is_meant = |agent: &AgentName| agent == name || as_typed && agent.is_spelled_like(name);
        let named = self
            .context
            .agents
            .iter()
            .filter(|(_, agent)| is_meant(agent));
        let mut identities = order.identities.clone();
        identities.extend(named.map(|(identity, _)| identity.clone()));
        KillOrder {
            identities,
            as_typed,
            ..order
        }
    }

    /// True if an agent is known that an order over this name covers.
    pub(crate) fn names_an_agent(&self, order: &KillOrder, name: &AgentName) -> bool {
        let in_books = |state: &State| {
            let mut meant = state.identities().meant(name);
            state.has_agent(name) || order.as_typed && meant.next().is_some()
        };
        let written = || {
            name.identity()
                .is_some_and(|identity| self.context.knows(&identity))
        };
        !order.identities.is_empty()
            || self.context.peek(in_books)
            || written()
            || self
                .named(|identity| order.names_identity(identity))
                .next()
                .is_some()
    }

    /// The identities that are known and that an order names besides its agent's own name; at most
    /// as many as are counted.
    pub(crate) fn identities_named(&self, order: &KillOrder) -> BTreeSet<Identity> {
        let Scope::Agent(name) = &order.scope else {
            return order.identities.clone();
        };
        // Configured under the name since the order was given, among them.
        let mut found = self.with_identities(order.clone()).identities;
        if order.as_typed {
            found.extend(self.named(|identity| name.can_mean(identity)));
            let in_books = |state: &State| {
                let meant = state.identities().meant(name);
                meant.take(IDENTITIES_COUNTED).cloned().collect::<Vec<_>>()
            };
            found.extend(self.context.peek(in_books));
        }
        found
    }

    /// The shortest name of each of these agents by which a kill stops that agent and no other one
    /// that is known: an end of its subject, the subject, or else all of the identity. Of an agent
    /// that only a pattern lets in, others may come with the same end: such an agent keeps all of
    /// its subject.
    #[must_use]
    pub fn short_names(&self, identities: &BTreeSet<Identity>) -> BTreeMap<Identity, String> {
        let mut named = Identities::default();
        self.named(|_| true)
            .for_each(|identity| named.insert(&identity));
        let agents: BTreeSet<&AgentName> = self.context.agents.values().collect();
        let is_own = |end: &str, identity: &Identity| {
            let name = AgentName(end.to_owned());
            let is_other = |other: &Identity| other != identity;
            let in_books = |state: &State| state.identities().meant(&name).any(is_other);
            name.can_mean(identity)
                && !named.meant(&name).any(is_other)
                && !agents.iter().any(|agent| agent.is_spelled_like(&name))
                && !self.context.peek(in_books)
        };
        let short = |identity: &Identity| {
            let subject = &identity.subject;
            let behind = subject.match_indices([':', '/']);
            let ends = behind.filter_map(|(at, _)| subject.get(at + 1..));
            let is_short = subject.len() <= SHORT_NAME_BYTES || !named.contains(identity);
            let mut ends: Vec<&str> = ends.filter(|_| !is_short).collect();
            ends.insert(0, subject);
            let own = ends.into_iter().rev().find(|end| is_own(end, identity));
            own.map_or_else(|| identity.to_string(), str::to_owned)
        };
        let of_each = identities.iter();
        let of_each = of_each.map(|identity| {
            let name = short(identity);
            (identity.clone(), name)
        });
        of_each.collect()
    }

    /// Agents and their identities that are like a name which none of them has, the nearest first.
    pub(crate) fn near_agents(&self, name: &AgentName) -> Vec<String> {
        let mut identities: BTreeSet<Identity> = self.named(|_| true).collect();
        let most = identities.len() + IDENTITIES_COMPARED;
        let mut after: Option<Identity> = None;
        while identities.len() < most {
            let page = |state: &State| {
                let behind = state.identities().after(after.as_ref());
                behind
                    .take(MAX_LEASES_PER_LOOK)
                    .cloned()
                    .collect::<Vec<_>>()
            };
            let page = self.context.peek(page);
            let Some(last) = page.last().cloned() else {
                break;
            };
            after = Some(last);
            identities.extend(page);
        }
        let configured = self.context.agents.values().map(|name| name.0.clone());
        let mut names: BTreeSet<String> = configured.collect();
        names.extend(identities.iter().map(Identity::to_string));
        // What people remember of an agent is the end of its subject.
        let mut parts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for identity in &identities {
            let subject = &identity.subject;
            let last = subject.rsplit([':', '/']).next().unwrap_or(subject);
            for part in [subject.as_str(), last] {
                parts.entry(part).or_default().insert(identity.to_string());
            }
        }
        let of_names = near_names(&name.0, names.iter().map(String::as_str), NEAR_NAMES);
        let of_parts = near_names(&name.0, parts.keys().copied(), NEAR_NAMES);
        let of_parts = of_parts
            .into_iter()
            .filter_map(|part| parts.get(part))
            .flatten();
        let mut near: Vec<String> = of_names.into_iter().map(str::to_owned).collect();
        near.extend(of_parts.cloned());
        let mut seen = BTreeSet::new();
        near.retain(|name| seen.insert(name.clone()));
        near.truncate(NEAR_NAMES);
        near
    }

    /// True if a charter in force lets agents in by a pattern: an agent can come that nobody knows
    /// yet.
    pub(crate) fn lets_in_by_pattern(&self) -> bool {
        let charters = self.context.charters.all();
        let mut rules = charters.iter().flat_map(|charter| &charter.agents);
        rules.any(|rule| match rule.subject {
            SubjectPattern::Prefix(_) => true,
            SubjectPattern::Exact(_) => false,
        })
    }

    /// The identities that the configuration or a charter names one by one, of those that are asked
    /// for.
    fn named(&self, is_asked: impl Fn(&Identity) -> bool) -> impl Iterator<Item = Identity> {
        let mut named: BTreeSet<Identity> = BTreeSet::new();
        let configured = self
            .context
            .agents
            .keys()
            .filter(|identity| is_asked(identity));
        named.extend(configured.cloned());
        for charter in self.context.charters.known() {
            for rule in &charter.agents {
                named.extend(rule.identity().filter(&is_asked));
            }
        }
        named.into_iter()
    }
}
