//! `lanyard kill test`: whether a kill reaches an agent here. A breaker of the charter gives the
//! order, over the task of the test and nothing else, so that no operator has to be at hand and
//! nobody else's work stops.

use std::time::Duration;

use clap::Args;
use lanyard_client::{Client, ClientError, v1};
use lanyard_vocabulary::time::Ttl;
use tokio::time::Instant;

use crate::lease::state;
use crate::outcome::Outcome;
use crate::output::print_one;
use crate::{Global, span};

/// The interval at which the lease is looked at while it is being revoked.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Args)]
pub(crate) struct Trial {
    /// A charter whose breaker stops the task of a reported action.
    charter: String,
    /// The environment of the trial.
    #[arg(long)]
    environment: String,
    /// The grant of a credential.
    #[arg(long)]
    grant: String,
    /// The action that the breaker counts.
    #[arg(long)]
    action: String,
    /// The longest time that the broker may take to answer, and then the credential to die.
    #[arg(long, value_name = "SPAN", value_parser = span::parse, default_value = "30s")]
    within: Ttl,
}

impl Trial {
    pub(super) async fn run(self, global: &Global) -> Result<(), Outcome> {
        let (mut client, task) = self.opened(global).await?;
        let done = self.in_task(&mut client, &task).await;
        // The broker keeps the order as long as the task lasts: without a close, that is as long as
        // the charter lets a task last.
        let closed = client.close_task(v1::CloseTaskRequest {
            id: task.id.clone(),
        });
        if let Err(error) = closed.await {
            global.note(format_args!("{} is not closed: {error}", task.id));
        }
        let (lease, dead, refusal) = done?;
        print_one(
            global.output,
            &[
                ("agent", task.agent),
                ("task", task.id),
                ("lease", lease),
                ("the kill", dead.to_owned()),
                ("next request", refusal),
            ],
        );
        Ok(())
    }

    /// A task, as soon as the broker answers: the test may be the first to come after an
    /// installation.
    async fn opened(&self, global: &Global) -> Result<(Client, v1::Task), Outcome> {
        let until = Instant::now() + self.within.as_duration();
        loop {
            match self.open(global).await {
                Err(Outcome::Client(ClientError::Unavailable(_))) if Instant::now() < until => {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
                opened => return opened,
            }
        }
    }

    async fn open(&self, global: &Global) -> Result<(Client, v1::Task), Outcome> {
        let mut client = global.client().await?;
        let opened = client.open_task(v1::OpenTaskRequest {
            charter: self.charter.clone(),
            environment: self.environment.clone(),
            reason: "lanyard kill test".to_owned(),
            ..Default::default()
        });
        let task = opened.await?.task.unwrap_or_default();
        Ok((client, task))
    }

    /// The lease, how dead it is, and how the next request was refused.
    async fn in_task(
        &self,
        client: &mut Client,
        task: &v1::Task,
    ) -> Result<(String, &'static str, String), Outcome> {
        let lease = self.issue(client, task).await?;
        let reported = client.report_action(v1::ReportActionRequest {
            task_id: task.id.clone(),
            lease_id: lease.clone(),
            tool: "lanyard".to_owned(),
            action: self.action.clone(),
            outcome: v1::ActionOutcome::Succeeded.into(),
            ..Default::default()
        });
        reported.await?;
        let died = tokio::time::timeout(self.within.as_duration(), dead(client, &lease)).await;
        let dead = match died {
            Ok(dead) => dead?,
            Err(_) => {
                return Err(Outcome::Unconfirmed(format!(
                    "lease {lease} is not known to be dead {} after action `{}` was reported: look at the breaker of charter \
                     `{}`, and at `lanyard kill list`",
                    self.within, self.action, self.charter
                )));
            }
        };
        match self.issue(client, task).await {
            Err(ClientError::Killed(said)) => Ok((lease, dead, said.line)),
            Err(error) => Err(error.into()),
            Ok(further) => Err(Outcome::Unconfirmed(format!(
                "lease {further} was issued after a kill of its task {}",
                task.id
            ))),
        }
    }

    async fn issue(&self, client: &mut Client, task: &v1::Task) -> Result<String, ClientError> {
        let issued = client.issue_credential(v1::IssueCredentialRequest {
            task_id: task.id.clone(),
            grant: self.grant.clone(),
            ..Default::default()
        });
        Ok(issued.await?.lease_id)
    }
}

/// Waits until the lease is dead, and says by what that is known.
async fn dead(client: &mut Client, lease: &str) -> Result<&'static str, ClientError> {
    loop {
        match of(client, lease).await? {
            // A lease that has left the books is dead.
            None => return Ok(state(v1::LeaseState::ProvedDead)),
            Some(
                known @ (v1::LeaseState::ProvedDead
                | v1::LeaseState::PresumedDead
                | v1::LeaseState::Expired),
            ) => return Ok(state(known)),
            Some(
                v1::LeaseState::Unspecified
                | v1::LeaseState::Intent
                | v1::LeaseState::Issued
                | v1::LeaseState::Fenced
                | v1::LeaseState::Requested
                | v1::LeaseState::Acknowledged,
            ) => tokio::time::sleep(LOOK_INTERVAL).await,
        }
    }
}

async fn of(client: &mut Client, lease: &str) -> Result<Option<v1::LeaseState>, ClientError> {
    let mut page_token = String::new();
    loop {
        let request = v1::ListLeasesRequest {
            page_token,
            ..v1::ListLeasesRequest::default()
        };
        let page = client.list_leases(request).await?;
        if let Some(found) = page.leases.iter().find(|found| found.id == lease) {
            return Ok(Some(found.state()));
        }
        if page.next_page_token.is_empty() {
            return Ok(None);
        }
        page_token = page.next_page_token;
    }
}
