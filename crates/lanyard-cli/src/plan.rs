//! `lanyard plan`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use lanyard_client::v1;

use crate::Global;
use crate::outcome::Outcome;
use crate::output::print_one;

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// As `terraform show -json` prints it.
    TerraformJson,
    /// A unified diff of manifests.
    ManifestDiff,
    /// Anything else.
    Text,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Submit a plan for an apply grant.
    Submit {
        /// The file that holds it.
        file: PathBuf,
        /// The task.
        #[arg(long)]
        task: String,
        /// The apply grant.
        #[arg(long)]
        grant: String,
        /// In what form it is.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// What it does, in a sentence.
        #[arg(long)]
        summary: String,
        /// A destructive action that it asks for; may be repeated.
        #[arg(long)]
        destructive: Vec<String>,
    },
    /// Show a plan and what is in it.
    Show {
        /// The plan.
        id: String,
    },
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    match command {
        Command::Submit {
            file,
            task,
            grant,
            format,
            summary,
            destructive,
        } => {
            let content = std::fs::read(&file).map_err(|error| {
                Outcome::usage(format!("{} cannot be read: {error}", file.display()))
            })?;
            let format = match format {
                Format::TerraformJson => v1::PlanFormat::TerraformJson,
                Format::ManifestDiff => v1::PlanFormat::ManifestDiff,
                Format::Text => v1::PlanFormat::Text,
            };
            let header = v1::PlanHeader {
                task_id: task,
                grant,
                format: format.into(),
                summary,
                destructive,
            };
            let plan = global.client().await?.submit_plan(header, &content).await?;
            print(global, plan);
        }
        Command::Show { id } => {
            let shown = global
                .client()
                .await?
                .get_plan(v1::GetPlanRequest { id })
                .await?;
            print(global, shown.plan.unwrap_or_default());
            eprintln!();
            println!("{}", shown.content);
        }
    }
    Ok(())
}

fn print(global: &Global, plan: v1::Plan) {
    print_one(
        global.output,
        &[
            ("plan", plan.id),
            ("grant", plan.grant),
            ("digest", plan.digest),
            ("summary", plan.summary),
            ("approval", plan.approval_id),
        ],
    );
}
