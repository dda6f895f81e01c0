//! A plan in a file, read and judged as the broker would.

use std::path::PathBuf;

use lanyard_charter::Charter;
use lanyard_charter::plan::PlanFormat;
use lanyard_core::question::{Planned, Question, drafted};
use lanyard_plan::{Context, Document, PolicySet};
use lanyard_vocabulary::time::Timestamp;

use crate::kinds;
use crate::outcome::Outcome;
use crate::plan::content;

/// The file and its form.
#[derive(Debug, Clone)]
pub(crate) struct PlanFile {
    pub(crate) path: PathBuf,
    /// The format; recognised where absent.
    pub(crate) format: Option<PlanFormat>,
}

/// The question with the plan of this file.
pub(crate) fn with_plan(
    charter: &Charter,
    question: &Question,
    file: &PlanFile,
    now: Timestamp,
) -> Result<Question, Outcome> {
    let shown = file.path.display();
    let fault = |why: String| Outcome::usage(format!("{shown}: {why}"));
    let content = content(&file.path)?;
    let document =
        Document::read(file.format, &content).map_err(|error| fault(error.to_string()))?;
    let planned = question.plan.clone().unwrap_or_default();
    let asked = Question {
        plan: Some(Planned {
            format: Some(document.format()),
            ..planned.clone()
        }),
        ..question.clone()
    };
    let (task, plan) = drafted(charter, &asked, now);
    let plan = plan.ok_or_else(|| fault("there is no plan".to_owned()))?;
    let policies = PolicySet::of(charter.policies()).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        fault(lines.join("; "))
    })?;
    let context = Context {
        task: &task,
        plan: &plan,
    };
    let judgement = policies.judge(&document, context);
    let reach = document.reading(kinds::more()).reach;
    let rights = charter
        .grants
        .get(&question.grant)
        .map(|grant| &grant.rights);
    let reach = rights.and_then(|rights| rights.reached(reach));
    Ok(Question {
        plan: Some(Planned {
            format: Some(document.format()),
            read: Some((reach, judgement)),
            ..planned
        }),
        ..question.clone()
    })
}
