//! `lanyard explain`: what a finding means, and why a decision came out as it did.

use clap::Args;
use lanyard_client::v1;
use lanyard_core::approval::persons;
use lanyard_core::document::{Code, nearest};
use lanyard_core::id::DecisionId;

use crate::Global;
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::print_one;
use crate::table::{Rows, key, prose, whole};

#[derive(Args)]
pub(crate) struct Explain {
    /// A decision's id, which needs a broker, or the code or name of a finding, such as LC108; the findings are listed when it is
    /// left out.
    what: Option<String>,
}

pub(crate) async fn run(global: &Global, asked: &Explain) -> Result<(), Outcome> {
    let Some(text) = &asked.what else {
        let mut rows = Rows::of([
            key("code"),
            key("name"),
            whole("severity", 1),
            prose("summary", 2, 20),
        ]);
        for code in Code::ALL {
            rows.push([
                code.id().to_owned(),
                code.name().to_owned(),
                code.severity().to_string(),
                code.summary().to_owned(),
            ]);
        }
        rows.print(global.output);
        return Ok(());
    };
    if let Ok(id) = text.parse::<DecisionId>() {
        return decision(global, id).await;
    }
    let Some(code) = Code::find(text) else {
        let names = Code::ALL.iter().flat_map(|code| [code.id(), code.name()]);
        let hint =
            nearest(text, names).map_or_else(String::new, |name| format!(": did you mean {name}?"));
        return Err(Outcome::usage(format!("there is no finding {text}{hint}")));
    };
    print_one(
        global.output,
        &[
            ("code", code.id().to_owned()),
            ("name", code.name().to_owned()),
            ("severity", code.severity().to_string()),
            ("summary", code.summary().to_owned()),
            ("explanation", code.explanation().to_owned()),
        ],
    );
    Ok(())
}

/// A decision, as the journal has it.
async fn decision(global: &Global, id: DecisionId) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let request = v1::GetDecisionRequest { id: id.to_string() };
    let found = client.get_decision(request).await?;
    let found = found.decision.unwrap_or_default();
    let place = match (found.path.as_str(), found.line) {
        ("", 0) => String::new(),
        ("", line) => format!("line {line}"),
        (path, _) => path.to_owned(),
    };
    let limit = if found.limit.is_empty() {
        String::new()
    } else {
        format!("{}: {}", found.limit, found.limit_value)
    };
    let owners = found.owners.unwrap_or_default();
    let mut fields = vec![
        ("decision", found.id),
        ("time", shown(found.time)),
        ("record", found.index.to_string()),
        ("answer", found.outcome),
        ("reason code", found.reason_code),
        ("agent", found.agent),
        ("who", found.identity),
        ("task", found.task_id),
        ("environment", found.environment),
        ("charter", found.charter),
        ("revision", found.revision),
        ("grant", found.grant),
        ("role", found.role),
        ("target", found.target),
        ("rule", found.rule),
        ("place", place),
        ("why", found.message),
        ("limit", limit),
        ("retry after", shown(found.retry_after)),
        ("next", found.next),
        ("lease", found.lease_id),
        ("until", shown(found.expire_time)),
        ("plan", found.plan_id),
        ("approval", found.approval_id),
        (
            "approved by",
            match (found.approvers.is_empty(), found.approved_by) {
                (_, 0) => String::new(),
                (true, count) => format!("{}, of {} needed", persons(count), found.people_needed),
                (false, _) => format!(
                    "{}, of {} needed",
                    found.approvers.join(" and "),
                    found.people_needed
                ),
            },
        ),
        ("owner", owners.technical),
    ];
    fields.retain(|(_, value)| !value.is_empty());
    print_one(global.output, &fields);
    Ok(())
}
