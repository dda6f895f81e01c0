//! A plan in a file, read and judged as the broker would.

use std::path::{Path, PathBuf};

use lanyard_core::charter::Charter;
use lanyard_core::plan::{MAX_BYTES_PER_PLAN, PlanFormat};
use lanyard_core::question::{Planned, Question, drafted};
use lanyard_core::time::Timestamp;
use lanyard_plan::{Context, Document, PolicySet};

use crate::outcome::Outcome;

/// The file and its form.
#[derive(Debug, Clone)]
pub(crate) struct PlanFile {
    pub(crate) path: PathBuf,
    pub(crate) format: PlanFormat,
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
    let content = read(&file.path)?;
    let document =
        Document::read(file.format, &content).map_err(|error| fault(error.to_string()))?;
    let planned = question.plan.clone().unwrap_or_default();
    let asked = Question {
        plan: Some(Planned {
            format: Some(file.format),
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
    let reach = document.reading().reach;
    let rights = charter
        .grants
        .get(&question.grant)
        .map(|grant| &grant.rights);
    let reach = rights.and_then(|rights| reach.about(rights));
    Ok(Question {
        plan: Some(Planned {
            format: Some(file.format),
            read: Some((reach, judgement)),
            ..planned
        }),
        ..question.clone()
    })
}

/// The bytes of a plan.
fn read(path: &Path) -> Result<Vec<u8>, Outcome> {
    let shown = path.display();
    let content = std::fs::read(path)
        .map_err(|error| Outcome::usage(format!("{shown} cannot be read: {error}")))?;
    if content.len() > MAX_BYTES_PER_PLAN {
        let size = content.len();
        return Err(Outcome::usage(format!(
            "{shown} has {size} bytes, and a plan has {MAX_BYTES_PER_PLAN} at most"
        )));
    }
    Ok(content)
}
