//! The ids and names that a record mentions in its typed fields.
//!
//! Free text is never searched: an agent that writes another task's id into a reason has not
//! written about that task (S31).

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::action::{Report, Reporter};
use crate::approval::Requirement;
use crate::command::{Command, Intent, Observation};
use crate::decide::Denial;
use crate::drill::Drill;
use crate::emergency::Emergency;
use crate::enrolment::EnrolmentStep;
use crate::identity::{Identity, Operator};
use crate::kill::{Actor, KillOrder};
use crate::lease::StopCause;
use crate::pause::{Pause, Reach};
use crate::person::Person;
use crate::plan::Plan;
use crate::scope::{AgentName, Scope};
use crate::task::Task;
use crate::trip::{Counted, Trip};

/// The ids and names by which a record can be found, each as it is printed.
#[must_use]
pub fn references(command: &Command) -> BTreeSet<String> {
    let mut found = Found::default();
    found.command(command);
    found.0
}

#[derive(Default)]
struct Found(BTreeSet<String>);

impl Found {
    fn note(&mut self, what: impl Display) {
        self.0.insert(what.to_string());
    }

    fn all(&mut self, what: impl IntoIterator<Item = impl Display>) {
        what.into_iter().for_each(|one| self.note(one));
    }

    fn agent(&mut self, agent: &AgentName) {
        self.note(&agent.0);
    }

    fn identity(&mut self, identity: &Identity) {
        self.note(&identity.subject);
    }

    fn person(&mut self, person: &Person) {
        self.all(person.subject.iter().chain(&person.name));
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
            Command::DenyMore { agent, charter, .. } => {
                agent.iter().for_each(|agent| self.agent(agent));
                if let Some(charter) = charter {
                    self.note(charter);
                }
            }
            Command::BeginMint(intent) => self.intent(intent),
            Command::ConfirmMint { lease, .. } | Command::Outlives { lease, .. } => {
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
            Actor::Ticket { .. }
            | Actor::BreakGlass { .. }
            | Actor::Signal { .. }
            | Actor::Local
            | Actor::Broker => {}
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
        match &report.by {
            Reporter::Agent(identity) => self.identity(identity),
            Reporter::Holder | Reporter::Webhook(_) => {}
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
                self.note(&invitation.agent);
                self.person(&invitation.by);
            }
            EnrolmentStep::Enrol { .. } => {}
            EnrolmentStep::Rotate { agent, .. } => self.note(agent),
            EnrolmentStep::Remove { agent, by, .. } => {
                self.note(agent);
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
