//! `lanyard action`.

use clap::{Subcommand, ValueEnum};
use lanyard_client::v1;

use crate::Global;
use crate::outcome::Outcome;
use crate::output::print_one;

/// How it ended.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Ended {
    /// It is about to be done.
    Started,
    /// It was done.
    Succeeded,
    /// It was not, or not wholly.
    Failed,
    /// It was done, and taken back.
    RolledBack,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Report an action of a task of yours; it is in the journal when this returns.
    Report {
        /// The task.
        #[arg(long)]
        task: String,
        /// With which credential.
        #[arg(long, default_value = "")]
        lease: String,
        /// What did it, such as terraform.
        #[arg(long)]
        tool: String,
        /// What was done, such as ticket.move.
        #[arg(long)]
        action: String,
        /// To what.
        #[arg(long, default_value = "")]
        target: String,
        /// How it ended.
        #[arg(long, value_enum)]
        outcome: Ended,
        /// More.
        #[arg(long, default_value = "")]
        detail: String,
        /// The action that this ends, where one was started.
        #[arg(long, default_value = "")]
        id: String,
    },
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    let Command::Report {
        task,
        lease,
        tool,
        action,
        target,
        outcome,
        detail,
        id,
    } = command;
    let outcome = match outcome {
        Ended::Started => v1::ActionOutcome::Started,
        Ended::Succeeded => v1::ActionOutcome::Succeeded,
        Ended::Failed => v1::ActionOutcome::Failed,
        Ended::RolledBack => v1::ActionOutcome::RolledBack,
    };
    let request = v1::ReportActionRequest {
        task_id: task,
        lease_id: lease,
        tool,
        action,
        target,
        outcome: outcome.into(),
        detail,
        action_id: id,
    };
    let reported = global.client().await?.report_action(request).await?;
    print_one(global.output, &[("action", reported.action_id)]);
    Ok(())
}
