//! `lanyard plan`.

use std::io::{IsTerminal, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use lanyard_charter::plan::{MAX_BYTES_PER_PLAN, PlanFormat};
use lanyard_charter::reach::Effects;
use lanyard_client::v1;
use lanyard_vocabulary::digest::Digest;

use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::{Output, print_one};
use crate::table::{Rows, key, prose, whole};
use crate::{Global, streams, text};

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// The JSON that `terraform show -json` prints.
    TerraformJson,
    /// Kubernetes manifests, as they are applied.
    Manifests,
    /// A unified diff of manifests.
    ManifestDiff,
    /// A text of any other kind.
    Text,
}

impl Format {
    pub(crate) const fn known(self) -> PlanFormat {
        match self {
            Self::TerraformJson => PlanFormat::TerraformJson,
            Self::Manifests => PlanFormat::Manifests,
            Self::ManifestDiff => PlanFormat::ManifestDiff,
            Self::Text => PlanFormat::Text,
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Submit a plan for an apply grant.
    Submit {
        /// The file that holds it.
        file: PathBuf,
        /// The id of the task that will apply the plan.
        #[arg(long)]
        task: String,
        /// The apply grant that the plan needs.
        #[arg(long)]
        grant: String,
        /// In what form it is; recognised by what is in it where left out.
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// The effect of the plan, in a sentence.
        #[arg(long)]
        summary: String,
        /// A destructive action that it asks for; may be repeated.
        #[arg(long)]
        destructive: Vec<String>,
    },
    /// List plans and what became of each: those of your open tasks; an operator sees all.
    List(List),
    /// Print the rules that every plan's risk is worked out by, in Rego.
    Rules,
    /// Show a plan and what is in it.
    Show {
        /// The id of the plan to show.
        id: String,
        /// Print the exact bytes that the digest is over, with nothing masked.
        #[arg(long)]
        raw: bool,
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
            let content = content(&file)?;
            let format = match format {
                None => v1::PlanFormat::Unspecified,
                Some(Format::TerraformJson) => v1::PlanFormat::TerraformJson,
                Some(Format::Manifests) => v1::PlanFormat::Manifests,
                Some(Format::ManifestDiff) => v1::PlanFormat::ManifestDiff,
                Some(Format::Text) => v1::PlanFormat::Text,
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
        Command::List(asked) => list(global, asked).await?,
        Command::Rules => print!("{}", lanyard_plan::RISK_RULES),
        Command::Show { id, raw: true } => raw(global, id).await?,
        Command::Show { id, raw: false } => {
            let shown = global
                .client()
                .await?
                .get_plan(v1::GetPlanRequest { id })
                .await?;
            print(global, shown.plan.unwrap_or_default());
            if global.output == Output::Table {
                println!("\n{}", text::whole(shown.content.trim_end()));
            }
        }
    }
    Ok(())
}

#[derive(Args)]
pub(crate) struct List {
    /// Only plans of one task; an agent names tasks here that another opened for it
    #[arg(long, default_value = "", hide_default_value = true)]
    task: String,
    /// Only plans under one charter
    #[arg(long, default_value = "", hide_default_value = true)]
    charter: String,
    /// Only plans in one environment
    #[arg(long, default_value = "", hide_default_value = true)]
    environment: String,
}

async fn list(global: &Global, asked: List) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let mut request = v1::ListPlansRequest {
        task_id: asked.task,
        charter: asked.charter,
        environment: asked.environment,
        ..v1::ListPlansRequest::default()
    };
    let mut plans = Vec::new();
    loop {
        let page = client.list_plans(request.clone()).await?;
        plans.extend(page.plans);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    rows(plans, global.output.is_document()).print(global.output);
    Ok(())
}

/// People see what became of a plan, and what it is for; programs read every field.
fn rows(plans: Vec<v1::ListedPlan>, is_document: bool) -> Rows {
    let mut rows = if is_document {
        Rows::new(&[
            "plan",
            "state",
            "risk",
            "given",
            "needed",
            "approval",
            "task",
            "agent",
            "charter",
            "grant",
            "environment",
            "submitted",
            "summary",
        ])
    } else {
        Rows::of([
            key("plan"),
            whole("state", 2),
            whole("risk", 3),
            prose("grant", 4, 12),
            prose("summary", 5, 12),
        ])
    };
    for plan in plans {
        let risk = risk(plan.risk()).to_owned();
        if is_document {
            let state = state(plan.state()).to_owned();
            rows.push([
                plan.id,
                state,
                risk,
                plan.people_given.to_string(),
                plan.people_needed.to_string(),
                plan.approval_id,
                plan.task_id,
                plan.agent,
                plan.charter,
                plan.grant,
                plan.environment,
                shown(plan.submit_time),
                plan.summary,
            ]);
            continue;
        }
        let mut state = state(plan.state()).to_owned();
        if plan.state() == v1::PlanState::Waiting {
            state = format!("{state}, {} of {}", plan.people_given, plan.people_needed);
        }
        let grant = format!("{} in {}", plan.grant, plan.environment);
        rows.push([plan.id, state, risk, grant, plan.summary]);
    }
    rows
}

/// The state of a plan, in a word.
const fn state(state: v1::PlanState) -> &'static str {
    match state {
        v1::PlanState::Unspecified => "unknown",
        v1::PlanState::NoApprovalNeeded => "needs nobody",
        v1::PlanState::Waiting => "waiting",
        v1::PlanState::Approved => "approved",
        v1::PlanState::Denied => "denied",
        v1::PlanState::Void => "void",
    }
}

/// The bytes of a plan's file.
pub(crate) fn content(path: &Path) -> Result<Vec<u8>, Outcome> {
    let shown = path.display();
    let no = |why: String| Outcome::usage(format!("plan `{shown}` {why}"));
    let file = std::fs::File::open(path);
    let file = file.map_err(|error| no(format!("cannot be opened: {error}")))?;
    let mut content = Vec::new();
    // One byte more than a plan has says that there are too many, whatever the file is.
    let most = MAX_BYTES_PER_PLAN as u64;
    let read = file.take(most + 1).read_to_end(&mut content);
    read.map_err(|error| no(format!("cannot be read: {error}")))?;
    if content.len() > MAX_BYTES_PER_PLAN {
        let size = std::fs::metadata(path).map_or(most + 1, |file| file.len().max(most + 1));
        return Err(no(format!(
            "has {size} bytes, and a plan has {MAX_BYTES_PER_PLAN} (4 MiB) at most; split it"
        )));
    }
    Ok(content)
}

/// Returns the name of the format in charters.
const fn form(format: v1::PlanFormat) -> &'static str {
    match format {
        v1::PlanFormat::TerraformJson => "terraform-json",
        v1::PlanFormat::Manifests => "manifests",
        v1::PlanFormat::ManifestDiff => "manifest-diff",
        v1::PlanFormat::Text => "text",
        v1::PlanFormat::Unspecified => "unknown",
    }
}

fn print(global: &Global, plan: v1::Plan) {
    let risk = risk(plan.risk());
    let form = form(plan.format());
    let effects = plan.effects.unwrap_or_default();
    let mut fields = vec![
        ("plan", plan.id),
        ("task", plan.task_id),
        ("grant", plan.grant),
        ("form", form.to_owned()),
        ("digest", plan.digest),
        ("summary", plan.summary),
        ("approval", plan.approval_id),
        ("risk", risk.to_owned()),
        ("effects", effects_line(effects)),
    ];
    let each = |name, lines: Vec<String>| lines.into_iter().map(move |line| (name, line));
    if global.output == Output::Table {
        fields.extend(each("risk, as", plan.reasons));
        fields.extend(each("warning", plan.warnings));
        fields.extend(each("destroys", plan.destructive));
        fields.extend(each(
            "not shown",
            sensitive(plan.sensitive_count, plan.sensitive),
        ));
        if plan.reach.is_empty() {
            let whole = "the whole grant: the plan does not narrow the credential";
            fields.push(("reach", whole.to_owned()));
        }
        fields.extend(each("reach", plan.reach));
        fields.extend(each("session may", plan.gives));
        fields.extend(each("and may not", plan.withholds));
        fields.extend(each("not covered", plan.lacks));
        if !plan.beyond.is_empty() {
            fields.push(("beyond", plan.beyond));
        }
    } else {
        fields.push(("not shown", plan.sensitive.join("\n")));
        fields.push(("beyond", plan.beyond));
        fields.push(("risk, as", plan.reasons.join("\n")));
        fields.push(("warnings", plan.warnings.join("\n")));
        fields.push(("destroys", plan.destructive.join("\n")));
        fields.push(("reach", plan.reach.join("\n")));
        fields.push(("session may", plan.gives.join("\n")));
        fields.push(("and may not", plan.withholds.join("\n")));
        fields.push(("not covered", plan.lacks.join("\n")));
    }
    print_one(global.output, &fields);
}

/// Writes the bytes of a plan, once they are those of its digest.
async fn raw(global: &Global, id: String) -> Result<(), Outcome> {
    if std::io::stdout().is_terminal() && !streams::are_in_memory() {
        let why = "the bytes of a plan can hold what a terminal acts on: write them to a file, as in `lanyard plan show --raw P-… > plan`";
        return Err(Outcome::usage(why.to_owned()));
    }
    let mut client = global.client().await?;
    let shown = client
        .get_plan(v1::GetPlanRequest { id: id.clone() })
        .await?;
    let v1::Plan {
        digest: expected,
        size,
        ..
    } = shown.plan.unwrap_or_default();
    let content = client.read_plan(id, size).await?;
    let found = Digest::of(&content).to_string();
    if found != expected {
        return Err(Outcome::usage(format!(
            "the broker sent bytes with the digest {found}, and the plan has {expected}: they are not the plan"
        )));
    }
    let written = streams::Output::Standard.write_all(&content);
    written.map_err(|error| Outcome::usage(format!("the plan cannot be written: {error}")))
}

/// Says where sensitive values change that are not shown.
pub(crate) fn sensitive(count: u32, mut names: Vec<String>) -> Vec<String> {
    let named = u32::try_from(names.len()).unwrap_or(u32::MAX);
    if count > named {
        names.push(format!(
            "and {} more, which the plan below names",
            count - named
        ));
    }
    names
}

/// Returns the name of the risk in charters.
pub(crate) const fn risk(risk: v1::Risk) -> &'static str {
    match risk {
        v1::Risk::Low => "low",
        v1::Risk::Medium => "medium",
        v1::Risk::High | v1::Risk::Unspecified => "high",
    }
}

pub(crate) fn effects_line(effects: v1::PlanEffects) -> String {
    if effects == v1::PlanEffects::default() {
        return "none that the plan's form tells".to_owned();
    }
    let effects = Effects {
        created: effects.created,
        updated: effects.updated,
        replaced: effects.replaced,
        destroyed: effects.destroyed,
        forgotten: effects.forgotten,
        imported: effects.imported,
        moved: effects.moved,
    };
    effects.to_string()
}
