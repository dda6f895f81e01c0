//! How a task for a command begins: which grants it gets, and the wait for people.

use std::time::Duration;

use lanyard_agent::Connection;
use lanyard_client::v1::approval_service_client::ApprovalServiceClient;
use lanyard_client::v1::charter_service_client::CharterServiceClient;
use lanyard_client::v1::plan_service_client::PlanServiceClient;
use lanyard_client::v1::task_service_client::TaskServiceClient;
use lanyard_client::{BrokerRefusal, ClientError, v1};
use lanyard_document::nearest;
use lanyard_proto::agent::v1 as agent;

use super::child::Signals;
use super::given::Given;
use super::{Ended, Exec, Needs};
use crate::charter::list::has_ended;
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::task::charters_for;
use crate::terminal::{Screen, say};
use crate::text;

/// The interval at which the broker is asked if people have decided.
const LOOK: Duration = Duration::from_secs(2);

/// The grants that are asked for, and the environment.
pub(crate) struct Choice {
    pub(crate) environment: String,
    pub(crate) grants: Vec<String>,
}

/// The grants that were named; else those of the plan role. The environment that was named; else
/// the only one.
pub(crate) async fn choose(
    connection: &Connection,
    exec: &Exec,
    charter: &str,
) -> Result<Choice, Outcome> {
    let mut charters = CharterServiceClient::new(connection.proxied());
    let listed = charters.list_charters(v1::ListChartersRequest {}).await;
    let listed = listed.map_err(ClientError::from)?.into_inner().charters;
    choice(&listed, exec, charter)
}

fn choice(listed: &[v1::Charter], exec: &Exec, charter: &str) -> Result<Choice, Outcome> {
    let Some(found) = listed.iter().find(|it| it.name == charter) else {
        return Err(Outcome::usage(format!(
            "no charter {charter} in force names you; {}",
            charters_for(listed, charter)
        )));
    };
    if has_ended(found) {
        let owner = found.owners.clone().unwrap_or_default().technical;
        return Err(Outcome::usage(format!(
            "charter {charter} ended at {}: ask its owner {owner} whether it is still needed; {}",
            shown(found.expire_time),
            charters_for(listed, "")
        )));
    }
    let environment = match (&exec.environment, found.environments.as_slice()) {
        (Some(named), known) if !known.contains(named) => {
            let near = near(named, known.iter().map(String::as_str));
            return Err(Outcome::usage(format!(
                "{charter} is not for environment {named}, but for {}{near}",
                known.join(", ")
            )));
        }
        (Some(named), _) => named.clone(),
        (None, [only]) => only.clone(),
        (None, several) => {
            let line = format!(
                "{charter} is for {}: name one with --environment",
                several.join(", ")
            );
            return Err(Outcome::usage(line));
        }
    };
    if let Some(unknown) = exec.grants.iter().find(|it| !found.grants.contains(it)) {
        let near = near(unknown, found.grants.iter().map(String::as_str));
        return Err(Outcome::usage(format!(
            "{charter} has no grant {unknown}, but {}{near}",
            found.grants.join(", ")
        )));
    }
    if !exec.grants.is_empty() {
        return Ok(Choice {
            environment,
            grants: exec.grants.clone(),
        });
    }
    let here = found
        .grant_details
        .iter()
        .filter(|grant| grant.role == "plan" && grant.environments.contains(&environment));
    let grants: Vec<_> = here.map(|grant| grant.name.clone()).collect();
    if grants.is_empty() {
        let line = format!("{charter} has no plan grant in {environment}: name one with --grant");
        return Err(Outcome::usage(line));
    }
    Ok(Choice {
        environment,
        grants,
    })
}

/// The name that was probably meant.
fn near<'a>(asked: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(asked, known);
    near.map_or_else(String::new, |near| format!(": did you mean {near}?"))
}

pub(crate) async fn open(
    connection: &Connection,
    asked: v1::OpenTaskRequest,
) -> Result<String, Outcome> {
    let opened = TaskServiceClient::new(connection.proxied())
        .open_task(asked)
        .await;
    let opened = opened.map_err(ClientError::from)?.into_inner();
    Ok(opened.task.unwrap_or_default().id)
}

/// Ends a task; what cannot be said to the broker now ends with its time.
pub(crate) async fn close(connection: &Connection, task: &str) {
    let request = v1::CloseTaskRequest {
        id: task.to_owned(),
    };
    if let Err(status) = TaskServiceClient::new(connection.proxied())
        .close_task(request)
        .await
    {
        let error = ClientError::from(status);
        let line = format!("{task} could not be closed: {error}");
        say(format_args!("lanyard: {}", text::line(&line)));
    }
}

/// The task of a plan, and the grant that it goes with.
pub(crate) async fn of_plan(
    connection: &Connection,
    exec: &Exec,
    plan: &str,
) -> Result<Needs, Outcome> {
    let request = v1::GetPlanRequest {
        id: plan.to_owned(),
    };
    let found = PlanServiceClient::new(connection.proxied())
        .get_plan(request)
        .await;
    let found = found
        .map_err(ClientError::from)?
        .into_inner()
        .plan
        .unwrap_or_default();
    let mut grants = exec.grants.clone();
    if !grants.contains(&found.grant) {
        grants.insert(0, found.grant.clone());
    }
    Ok(Needs {
        task: found.task_id,
        grants,
        plan: Some((found.id, found.grant)),
    })
}

/// A credential of each grant, for as long as people take to approve.
pub(crate) async fn first_credentials(
    connection: &Connection,
    needs: &Needs,
) -> Result<Vec<Given>, Ended> {
    let mut given = Vec::new();
    for grant in &needs.grants {
        let plan = needs.plan.as_ref().filter(|(_, of)| of == grant);
        let plan = plan.map(|(plan, _)| plan.clone());
        let asked = agent::GetCredentialRequest {
            task_id: needs.task.clone(),
            grant: grant.clone(),
            plan_id: plan.clone().unwrap_or_default(),
            open: None,
        };
        let got = patiently(connection, asked).await?;
        let kind = got.credential.and_then(|credential| credential.kind);
        let none = || Outcome::usage("the local agent gave no credential");
        given.push(Given {
            grant: grant.clone(),
            plan,
            kind: kind.ok_or_else(none)?,
        });
    }
    Ok(given)
}

async fn patiently(
    connection: &Connection,
    asked: agent::GetCredentialRequest,
) -> Result<agent::GetCredentialResponse, Ended> {
    let mut waiting: Option<Waiting> = None;
    loop {
        let pending = match connection.credential(asked.clone()).await {
            Ok(got) => {
                if let Some(waiting) = &waiting {
                    waiting.over("approved");
                }
                return Ok(got);
            }
            Err(ClientError::ApprovalPending(said)) => said,
            Err(error) => return Err(error.into()),
        };
        // What is waited for is known by its id; without one there is nobody to wait for.
        let Some(approval) = pending.facts.get("approval_id").cloned() else {
            return Err(ClientError::ApprovalPending(pending).into());
        };
        let waiting = waiting.get_or_insert_with(|| Waiting::begin(&pending));
        waiting.until_decided(connection, approval).await?;
    }
}

/// The line that is shown meanwhile: it moves on a terminal, and is printed once elsewhere.
struct Waiting {
    moves: bool,
}

impl Waiting {
    fn begin(pending: &BrokerRefusal) -> Self {
        say(format_args!(
            "lanyard: {}",
            text::line(&pending.to_string())
        ));
        let moves = Screen::of(&std::io::stderr()).is_drawn();
        if !moves {
            say("lanyard: waiting for people");
        }
        Self { moves }
    }

    async fn until_decided(&self, connection: &Connection, id: String) -> Result<(), Ended> {
        let mut approvals = ApprovalServiceClient::new(connection.proxied());
        let mut turn = ['|', '/', '-', '\\'].into_iter().cycle();
        let mut signals = Signals::listen_to_all().map_err(super::unusable)?;
        loop {
            let request = v1::GetApprovalRequest { id: id.clone() };
            let found = approvals.get_approval(request).await;
            let found = found
                .map_err(ClientError::from)?
                .into_inner()
                .approval
                .unwrap_or_default();
            if found.complete || !found.denied.is_empty() {
                return Ok(());
            }
            if !found.void.is_empty() {
                // Nobody can say yes any more.
                self.over("nothing can come of the request any more");
                let line = format!("{id}: {}", found.void);
                return Err(Outcome::usage(line).into());
            }
            let given = found.consents.len();
            if self.moves {
                let sign = turn.next().unwrap_or('|');
                eprint!(
                    "\r\x1b[K{sign} waiting for {id}: {given} of {} approved",
                    found.people_needed
                );
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                signal = signals.next() => {
                    self.over("interrupted");
                    return Err(Ended::Interrupted(signal));
                }
            }
        }
    }

    fn over(&self, how: &str) {
        if self.moves {
            eprint!("\r\x1b[K");
        }
        say(format_args!("lanyard: {how}"));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Asked {
        #[command(flatten)]
        exec: Exec,
    }

    fn refused(options: &[&str]) -> String {
        let words = [&["exec", "payments"], options, &["--", "env"]].concat();
        let asked = Asked::try_parse_from(words).unwrap();
        let charter = v1::Charter {
            name: "payments".to_owned(),
            environments: vec!["production".to_owned(), "staging".to_owned()],
            grants: vec!["read-state".to_owned()],
            ..v1::Charter::default()
        };
        match choice(&[charter], &asked.exec, "payments") {
            Err(Outcome::Usage(line)) => line,
            Err(_) | Ok(_) => String::new(),
        }
    }

    #[test]
    fn an_environment_that_the_charter_is_not_for_is_answered_with_those_that_it_is_for() {
        assert_eq!(
            refused(&["--environment", "prod"]),
            "payments is not for environment prod, but for production, staging: did you mean production?"
        );
        assert_eq!(
            refused(&[]),
            "payments is for production, staging: name one with --environment"
        );
        assert_eq!(
            refused(&["--environment", "staging", "--grant", "read-stat"]),
            "payments has no grant read-stat, but read-state: did you mean read-state?"
        );
    }
}
