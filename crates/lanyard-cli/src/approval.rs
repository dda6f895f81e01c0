//! `lanyard approval`.

use clap::Subcommand;
use lanyard_client::v1;

use crate::Global;
use crate::outcome::Outcome;
use crate::output::Rows;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// What waits for approval, and what was approved.
    List,
    /// Say yes to a plan, by the digest that you were shown.
    Approve {
        /// The approval.
        id: String,
        /// The digest that `lanyard plan show` printed.
        #[arg(long)]
        digest: String,
        /// In your words.
        #[arg(long)]
        comment: String,
    },
    /// Say no; that is final.
    Deny {
        /// The approval.
        id: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let approvals = match command {
        Command::List => {
            client
                .list_approvals(v1::ListApprovalsRequest {})
                .await?
                .approvals
        }
        Command::Approve {
            id,
            digest,
            comment,
        } => {
            let request = v1::ApproveRequest {
                id,
                plan_digest: digest,
                comment,
            };
            client
                .approve(request)
                .await?
                .approval
                .into_iter()
                .collect()
        }
        Command::Deny { id, reason } => client
            .deny(v1::DenyRequest { id, reason })
            .await?
            .approval
            .into_iter()
            .collect(),
    };
    let mut rows = Rows::new(&["approval", "state", "given", "plan", "digest"]);
    for approval in approvals {
        let state = match (approval.denied.is_empty(), approval.complete) {
            (false, _) => format!("denied: {}", approval.denied),
            (true, true) => "approved".to_owned(),
            (true, false) => "waiting".to_owned(),
        };
        let given = format!("{} of {}", approval.consents.len(), approval.people_needed);
        rows.push([
            approval.id,
            state,
            given,
            approval.plan_id,
            approval.plan_digest,
        ]);
    }
    rows.print(global.output);
    Ok(())
}
