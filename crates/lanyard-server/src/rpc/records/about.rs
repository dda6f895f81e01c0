//! The tasks, charters and environments that a record is about.

use std::collections::BTreeSet;
use std::sync::Arc;

use lanyard_core::command::Command;
use lanyard_core::kill::Actor;
use lanyard_core::pause::Reach;
use lanyard_core::task::Task;
use lanyard_vocabulary::scope::Scope;

/// The objects that a record is about.
#[derive(Default)]
pub(super) struct About {
    pub(super) tasks: Vec<Arc<Task>>,
    pub(super) charters: BTreeSet<String>,
    pub(super) environments: BTreeSet<String>,
    /// A kill order or a pause over everything is over every charter and every environment.
    pub(super) is_over_everything: bool,
}

impl About {
    pub(super) fn add(&mut self, task: Arc<Task>) {
        self.charters.insert(task.charter.to_string());
        self.environments.insert(task.environment.to_string());
        self.tasks.push(task);
    }

    /// Returns what a record names without a task.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "of all that happens, this names a charter or an environment"
    )]
    pub(super) fn named_by(&mut self, command: &Command) {
        match command {
            Command::CharterInForce { charter, .. }
            | Command::CharterWithdrawn { charter, .. }
            | Command::EndEmergency { charter, .. } => {
                self.charters.insert(charter.to_string());
            }
            Command::DeclareEmergency(emergency) => {
                self.charters.insert(emergency.charter.to_string());
            }
            Command::Deny {
                denial,
                environment,
                ..
            } => {
                self.charters.insert(denial.charter.to_string());
                self.environments
                    .extend(environment.iter().map(ToString::to_string));
            }
            Command::DenialsSuppressed { charter, .. } => {
                self.charters
                    .extend(charter.iter().map(ToString::to_string));
            }
            Command::Alert(trip) => {
                self.charters.insert(trip.charter.to_string());
            }
            Command::Pause(pause) => {
                self.actor(&pause.by);
                let reach = Reach {
                    role: None,
                    ..pause.reach.clone()
                };
                self.is_over_everything |= reach == Reach::default();
                let (charter, environment) = (&pause.reach.charter, &pause.reach.environment);
                self.charters
                    .extend(charter.iter().map(ToString::to_string));
                self.environments
                    .extend(environment.iter().map(ToString::to_string));
            }
            Command::Kill(order) => {
                self.actor(&order.by);
                match &order.scope {
                    Scope::All => self.is_over_everything = true,
                    Scope::Charter(name) => {
                        self.charters.insert(name.to_string());
                    }
                    Scope::Environment(name) => {
                        self.environments.insert(name.to_string());
                    }
                    Scope::Target(_) | Scope::Agent(_) | Scope::Task(_) | Scope::Lease(_) => {}
                }
            }
            _ => {}
        }
    }

    /// A breaker acts for its charter.
    fn actor(&mut self, actor: &Actor) {
        if let Actor::Breaker { charter, .. } = actor {
            self.charters.insert(charter.to_string());
        }
    }
}
