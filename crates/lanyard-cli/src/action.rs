//! `lanyard action`.

use clap::{Subcommand, ValueEnum};
use lanyard_client::v1;

use crate::Global;
use crate::outcome::Outcome;
use crate::output::print_one;

/// The outcome of an action.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Ended {
    /// The action is about to be done.
    Started,
    /// The action was done.
    Succeeded,
    /// The action was not done, or not wholly.
    Failed,
    /// The action was done, and taken back.
    RolledBack,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Report an action of a task of yours; it is in the journal when this returns.
    Report {
        /// The id of the task that acted.
        #[arg(long)]
        task: String,
        /// The lease whose credential the action used.
        #[arg(long, default_value = "", hide_default_value = true)]
        lease: String,
        /// The tool that did it, such as terraform.
        #[arg(long)]
        tool: String,
        /// The action that was done, such as ticket.move.
        #[arg(long)]
        action: String,
        /// The object that the action changed, such as `deployment/web`.
        #[arg(long, default_value = "", hide_default_value = true)]
        target: String,
        /// The outcome of the action.
        #[arg(long, value_enum)]
        outcome: Ended,
        /// Further details for whoever reads the journal.
        #[arg(long, default_value = "", hide_default_value = true)]
        detail: String,
        /// The action that this ends, where one was started.
        #[arg(long, default_value = "", hide_default_value = true)]
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
