//! The ids and names that a record mentions in its typed fields.
//!
//! Free text is never searched: an agent that writes another task's id into a reason has not
//! written about that task (S31).

use std::collections::BTreeSet;
use std::fmt::Display;

use lanyard_charter::requirement::Requirement;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::is_id;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::operator::Operator;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::scope::Scope;

use crate::action::{Report, Reporter};
use crate::command::{Command, Intent, Observation};
use crate::decide::Denial;
use crate::drill::Drill;
use crate::emergency::Emergency;
use crate::enrolment::EnrolmentStep;
use crate::kill::{Actor, KillOrder};
use crate::lease::StopCause;
use crate::pause::{Pause, Reach};
use crate::plan::Plan;
use crate::signing_key::SigningKeyStep;
use crate::task::Task;
use crate::trip::{Counted, Trip};

/// The ids and names by which a record can be found, each as it is printed.
#[must_use]
pub fn references(command: &Command) -> BTreeSet<String> {
    let mut found = References::default();
    found.command(command);
    found.names
}

/// The agents, people and systems of a record: each by its configured name, or by its issuer, `#`
/// and its subject or name there. A subject alone is nobody's name: two issuers may each have an
/// `anna`.
#[must_use]
pub fn parties(command: &Command) -> BTreeSet<String> {
    let mut found = References::default();
    found.command(command);
    found.parties
}

#[derive(Default)]
struct References {
    names: BTreeSet<String>,
    parties: BTreeSet<String>,
}

impl References {
    fn note(&mut self, what: impl Display) {
        self.names.insert(what.to_string());
    }

    fn all(&mut self, what: impl IntoIterator<Item = impl Display>) {
        what.into_iter().for_each(|one| self.note(one));
    }

    /// Notes somebody who goes by one name alone.
    fn party(&mut self, name: impl Display) {
        let name = name.to_string();
        self.names.insert(name.clone());
        self.parties.insert(name);
    }

    fn agent(&mut self, agent: &AgentName) {
        self.party(&agent.0);
    }

    fn identity(&mut self, identity: &Identity) {
        self.note(&identity.subject);
        self.party(identity);
    }

    fn person(&mut self, person: &Person) {
        for called in person.subject.iter().chain(&person.name) {
            self.note(called);
            self.party(Identity {
                issuer: person.issuer.clone(),
                subject: called.clone(),
            });
        }
    }

    fn operator(&mut self, operator: &Operator) {
        self.person(&operator.person());
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::CharterInForce { charter, .. } | Command::CharterWithdrawn { charter, .. } => {
                self.note(charter);
            }
            Command::OpenTask { task, .. } => self.task(task),
            Command::CloseTask { task } => self.note(task),
            Command::Deny {
                decision,
                identity,
                agent,
                task,
                environment,
                grant,
                asked,
                denial,
            } => {
                self.note(decision);
                self.identity(identity);
                self.agent(agent);
                self.all(task);
                self.all(environment);
                self.all(grant);
                self.all(asked.plan);
                self.denial(denial);
            }
            Command::DenialsSuppressed { agent, charter, .. } => {
                agent.iter().for_each(|agent| self.agent(agent));
                if let Some(charter) = charter {
                    self.note(charter);
                }
            }
            Command::BeginMint(intent) => self.intent(intent),
            Command::ConfirmMint { lease, .. } | Command::ExpiryExtended { lease, .. } => {
                self.note(lease);
            }
            Command::Delivered { leases } | Command::Forget { leases } => self.all(leases),
            Command::Stop { leases, cause } => {
                self.all(leases);
                self.cause(*cause);
            }
            Command::Advance { progress } => self.all(progress.iter().map(|(lease, _)| lease)),
            Command::SubmitPlan {
                plan, requirement, ..
            } => self.plan(plan, requirement.as_ref()),
            Command::Approve {
                approval, operator, ..
            }
            | Command::Reject {
                approval, operator, ..
            } => {
                self.note(approval);
                self.operator(operator);
            }
            Command::Withdraw { approval, by, .. } => {
                self.note(approval);
                self.identity(by);
            }
            Command::Recognize(operator) => self.operator(operator),
            Command::Kill(order) => self.order(order),
            Command::WithdrawKill { kill, by, .. } => {
                self.note(kill);
                self.person(by);
            }
            Command::Pause(pause) => self.pause(pause),
            Command::Resume { pause, by, .. } => {
                self.note(pause);
                self.identity(by);
            }
            Command::DeclareEmergency(emergency) => self.emergency(emergency),
            Command::EndEmergency { charter, by, .. } => {
                self.note(charter);
                self.identity(by);
            }
            Command::Report(report) => self.report(report),
            Command::Alert(trip) => self.trip(trip),
            Command::ProposeRearm(proposal) => {
                self.note(proposal.id);
                self.note(proposal.kill);
                self.person(&proposal.by);
            }
            Command::ConfirmRearm {
                rearm, kill, by, ..
            } => {
                self.note(rearm);
                self.note(kill);
                self.person(by);
            }
            Command::Observe { target, what } => {
                self.note(target);
                match what {
                    Observation::Stray(lease) => self.note(lease),
                    Observation::Missing(leases) => self.all(leases),
                    Observation::Edited(_) => {}
                }
            }
            Command::BeginSession(begun) => self.identity(&begun.identity),
            Command::Enrolment(step) => self.enrolment(step),
            Command::Drill(drill) => self.drill(drill),
            Command::Accept(accepted) => {
                self.person(&accepted.by);
                accepted
                    .second
                    .iter()
                    .for_each(|(person, _)| self.person(person));
            }
            Command::SigningKey(step) => self.signing_key(step),
            Command::Started { .. } | Command::Clock(_) => {}
        }
    }

    fn task(&mut self, task: &Task) {
        self.note(task.id);
        self.note(&task.charter);
        self.note(&task.environment);
        self.agent(&task.agent);
        self.identity(&task.identity);
        task.sponsor.iter().for_each(|person| self.person(person));
        for above in &task.lineage {
            self.note(above.task);
            self.note(&above.charter);
            self.agent(&above.agent);
        }
    }

    fn denial(&mut self, denial: &Denial) {
        self.note(&denial.charter);
        self.all(denial.held_by);
    }

    fn intent(&mut self, intent: &Intent) {
        self.note(intent.lease);
        self.note(intent.decision);
        self.note(intent.task);
        self.all(&intent.environment);
        self.note(&intent.entry.grant);
        self.note(&intent.entry.target);
        self.all(intent.above.iter().map(|(charter, _)| charter));
        self.all(intent.approval.iter().map(|(approval, _)| approval));
        self.all(intent.asked.plan);
    }

    fn plan(&mut self, plan: &Plan, requirement: Option<&Requirement>) {
        self.note(plan.id);
        self.note(plan.task);
        self.note(&plan.grant);
        self.all(plan.approval);
        let excluded = requirement.map(|needed| needed.besides.iter().chain(&needed.sponsors));
        excluded
            .into_iter()
            .flatten()
            .for_each(|person| self.person(person));
    }

    fn order(&mut self, order: &KillOrder) {
        self.note(order.id);
        self.scope(&order.scope);
        self.actor(&order.by);
    }

    fn scope(&mut self, scope: &Scope) {
        match scope {
            Scope::All => {}
            Scope::Environment(name) | Scope::Target(name) | Scope::Charter(name) => {
                self.note(name);
            }
            Scope::Agent(agent) => self.agent(agent),
            Scope::Task(task) => self.note(task),
            Scope::Lease(lease) => self.note(lease),
        }
    }

    fn actor(&mut self, actor: &Actor) {
        match actor {
            Actor::Operator(identity) | Actor::Agent(identity) => self.identity(identity),
            Actor::Breaker { charter, .. } => self.note(charter),
            Actor::BreakGlass { name, .. } | Actor::Signal { name, .. } => self.party(name),
            Actor::Ticket { .. } | Actor::Local | Actor::Broker => {}
        }
    }

    fn pause(&mut self, pause: &Pause) {
        self.note(pause.id);
        self.reach(&pause.reach);
        self.actor(&pause.by);
    }

    fn reach(&mut self, reach: &Reach) {
        let names = [&reach.environment, &reach.target, &reach.charter];
        self.all(names.into_iter().flatten());
        reach.agent.iter().for_each(|agent| self.agent(agent));
        self.all(reach.task);
    }

    fn emergency(&mut self, emergency: &Emergency) {
        self.note(&emergency.charter);
        self.person(&emergency.by);
    }

    fn report(&mut self, report: &Report) {
        self.note(report.action);
        self.note(report.task);
        self.all(report.lease);
        // The object is a name of whoever reports. An id of the broker's own in it is no reference:
        // an agent that reports something done to the task of another has not written about that
        // task (S31).
        if !report.on.is_empty() && !is_id(&report.on) {
            self.note(&report.on);
        }
        match &report.by {
            Reporter::Agent(identity) => self.identity(identity),
            Reporter::Webhook(name) => self.party(name),
            Reporter::Holder => {}
        }
    }

    fn trip(&mut self, trip: &Trip) {
        self.note(&trip.charter);
        match &trip.of {
            Counted::Charter => {}
            Counted::Agent(agent) => self.agent(agent),
            Counted::Task(task, agent) => {
                self.note(task);
                self.agent(agent);
            }
            Counted::Target(target) => self.note(target),
        }
    }

    fn enrolment(&mut self, step: &EnrolmentStep) {
        match step {
            EnrolmentStep::Invite(invitation) => {
                self.party(&invitation.agent);
                self.person(&invitation.by);
            }
            EnrolmentStep::Enrol { .. } => {}
            EnrolmentStep::Rotate { agent, .. } => self.party(agent),
            EnrolmentStep::Remove { agent, by, .. } => {
                self.party(agent);
                self.identity(by);
            }
        }
    }

    fn signing_key(&mut self, step: &SigningKeyStep) {
        match step {
            SigningKeyStep::Make { kid, by, .. } => {
                self.note(kid);
                by.iter().for_each(|by| self.identity(by));
            }
            SigningKeyStep::Revoke { kid, by, .. } => {
                self.note(kid);
                self.identity(by);
            }
        }
    }

    fn drill(&mut self, drill: &Drill) {
        self.note(&drill.target);
        self.all(drill.lease);
        self.all(drill.kill);
    }

    fn cause(&mut self, cause: StopCause) {
        match cause {
            StopCause::Killed(order) | StopCause::Collateral(order) => self.note(order),
            StopCause::Released
            | StopCause::TaskClosed
            | StopCause::Expired
            | StopCause::Unconfirmed
            | StopCause::Undelivered
            | StopCause::Excessive => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use lanyard_vocabulary::id::{ActionId, TaskId};

    use super::*;
    use crate::action::Outcome;

    fn report(on: &str) -> Command {
        Command::Report(Box::new(Report {
            action: ActionId::from_bits(1),
            task: TaskId::from_bits(2),
            lease: None,
            tool: "tickets".to_owned(),
            name: "ticket.move".to_owned(),
            on: on.to_owned(),
            outcome: Outcome::Succeeded,
            detail: "see TICKET-8".to_owned(),
            by: Reporter::Webhook("jira".to_owned()),
            delivery: None,
        }))
    }

    #[test]
    fn u13_a_reported_object_is_a_reference_and_an_id_in_its_place_is_none() {
        let found = references(&report("TICKET-7"));
        assert!(found.contains("TICKET-7") && found.contains("jira"));
        // Free text is no reference.
        assert!(!found.contains("TICKET-8"), "{found:?}");
        let other = TaskId::from_bits(3).to_string();
        for id in [other.clone(), other.to_ascii_lowercase()] {
            assert!(!references(&report(&id)).contains(&id), "{id}");
        }
        assert!(!references(&report("")).contains(""));
    }

    #[test]
    fn a_party_is_named_with_its_issuer() {
        let by = Identity {
            issuer: "https://people.example".to_owned(),
            subject: "anna".to_owned(),
        };
        let resume = Command::Resume {
            pause: lanyard_vocabulary::id::PauseId::from_bits(1),
            by,
            reason: String::new(),
        };
        let parties = parties(&resume);
        assert_eq!(
            parties.into_iter().collect::<Vec<_>>(),
            ["https://people.example#anna"]
        );
        assert!(references(&resume).contains("anna"));
    }
}
