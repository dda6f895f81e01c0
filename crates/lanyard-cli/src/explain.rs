//! `lanyard explain`: what a finding means, and why a decision came out as it did.

use clap::Args;
use lanyard_charter::requirement::persons;
use lanyard_client::v1;
use lanyard_core::decide::ReasonCode;
use lanyard_document::{Code, nearest};
use lanyard_vocabulary::id::{self, DecisionId};

use crate::Global;
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::print_one;
use crate::table::{Rows, key, prose, whole};

/// The reason code of a yes.
const ALLOWED: &str = "ALLOWED";

#[derive(Args)]
pub(crate) struct Explain {
    /// A decision's id, which needs a broker; a decision's reason code, such as PLAN_REQUIRED; or
    /// the code or name of a finding, such as LC108. All codes are listed when it is left out.
    what: Option<String>,
}

pub(crate) async fn run(global: &Global, asked: &Explain) -> Result<(), Outcome> {
    let asked = asked.what.as_deref().map(str::trim);
    let Some(text) = asked.filter(|text| !text.is_empty()) else {
        all().print(global.output);
        return Ok(());
    };
    if let Ok(id) = text.parse::<DecisionId>() {
        return decision(global, id).await;
    }
    if let Some(why) = no_decision(text) {
        return Err(Outcome::usage(why));
    }
    if let Some(fields) = reason_code(text) {
        print_one(global.output, &fields);
        return Ok(());
    }
    let Some(code) = Code::find(text) else {
        let findings = Code::ALL.iter().flat_map(|code| [code.id(), code.name()]);
        let codes = ReasonCode::ALL.iter().map(|code| code.as_str());
        let hint = nearest(text, findings.chain(codes))
            .map_or_else(String::new, |name| format!(": did you mean {name}?"));
        return Err(Outcome::usage(format!(
            "there is no finding, no reason code and no decision `{text}`{hint}"
        )));
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

/// Says of an id that it is miswritten, or of something else than a decision; `None` for a code.
fn no_decision(text: &str) -> Option<String> {
    if let Some(why) = id::miswritten(text) {
        return Some(why.to_string());
    }
    id::is_id(text).then(|| {
        format!("`{text}` is not the id of a decision: `lanyard audit query {text}` follows it")
    })
}

/// Every code that can be explained: those of findings, then those of decisions.
fn all() -> Rows {
    let mut rows = Rows::of([
        key("code"),
        whole("name", 3),
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
    for code in ReasonCode::ALL {
        let (exit, _) = answer(*code);
        rows.push([
            code.to_string(),
            String::new(),
            format!("exit {exit}"),
            code.summary().to_owned(),
        ]);
    }
    rows
}

/// The meaning of a reason code, and the remedy.
fn reason_code(name: &str) -> Option<Vec<(&'static str, String)>> {
    if name.eq_ignore_ascii_case(ALLOWED) {
        return Some(vec![
            ("reason code", ALLOWED.to_owned()),
            ("meaning", "The request is allowed.".to_owned()),
            ("exit code", "0".to_owned()),
        ]);
    }
    let code = ReasonCode::find(name)?;
    let (exit, remedy) = answer(code);
    Some(vec![
        ("reason code", code.to_string()),
        ("meaning", code.summary().to_owned()),
        ("exit code", exit.to_string()),
        ("what to do", remedy.to_owned()),
        (
            "which",
            "the decision says which rule or limit: lanyard explain D-…".to_owned(),
        ),
    ])
}

/// The exit code of an answer with this code, and what to do.
const fn answer(code: ReasonCode) -> (u8, &'static str) {
    match code {
        ReasonCode::Killed => (6, "stop the work: people lift a kill order"),
        ReasonCode::PlanRequired => (
            3,
            "submit a plan with `lanyard plan submit`, and ask again with --plan",
        ),
        ReasonCode::ApprovalRequired => (
            5,
            "submit a plan with `lanyard plan submit`, and ask again with --plan once people approved",
        ),
        ReasonCode::ApprovalPending => (5, "wait until people have said yes, and ask again"),
        ReasonCode::ApprovalUnusable => (
            5,
            "submit the plan again, or release the lease that it is used by",
        ),
        ReasonCode::ApprovalDenied => (3, "change the plan as they said, and submit it again"),
        ReasonCode::TaskEnded => (2, "open another task"),
        ReasonCode::BudgetSpent | ReasonCode::Plans => (3, "open another task"),
        ReasonCode::Frozen
        | ReasonCode::OutOfHours
        | ReasonCode::Paused
        | ReasonCode::BreakerTripped
        | ReasonCode::LiveLeases
        | ReasonCode::MintRate
        | ReasonCode::OpenRequests
        | ReasonCode::CoolingDown
        | ReasonCode::OpenTasks
        | ReasonCode::RecordRate
        | ReasonCode::Quota => (
            9,
            "wait until `retry_after`; where there is none, until people say so",
        ),
        ReasonCode::NotInForce
        | ReasonCode::Agent
        | ReasonCode::Environment
        | ReasonCode::Autonomy
        | ReasonCode::Grant
        | ReasonCode::Shadow
        | ReasonCode::Requires
        | ReasonCode::Expired
        | ReasonCode::Emergency
        | ReasonCode::Delegates
        | ReasonCode::Version
        | ReasonCode::Prohibited
        | ReasonCode::Policy
        | ReasonCode::NobodyApproves
        | ReasonCode::Sponsor
        | ReasonCode::Limit => (3, "ask for something else, or ask the charter's owner"),
    }
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
        ("held up by", found.held_by),
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

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSALS: &str = include_str!("../../../docs/refusals.md");

    #[test]
    fn an_id_that_is_no_decision_is_told_as_one() {
        for (text, why) in [
            ("D-1", "`D-1` is not a decision id: expected `D-`"),
            ("t-17", "`t-17` is not a task id"),
            ("K-00000000000000000000000007", "lanyard audit query K-0"),
        ] {
            let said = no_decision(text).unwrap();
            assert!(said.contains(why), "{said}");
        }
        for code in ["LC108", "PLAN_REQUIRED", "too-few-people", "nonsense"] {
            assert_eq!(no_decision(code), None);
        }
    }

    #[test]
    fn friction_every_reason_code_is_explained_as_the_documentation_lists_it() {
        let rows = REFUSALS.lines().filter(|line| line.starts_with("| "));
        let exits = rows.filter_map(|row| {
            let mut cells = row.trim_matches('|').split('|');
            let exit: u8 = cells.next()?.trim().parse().ok()?;
            Some((exit, cells.nth(1)?))
        });
        let exits: Vec<(u8, &str)> = exits.collect();
        for code in ReasonCode::ALL.iter().copied() {
            let listed = exits.iter().filter(|(_, codes)| {
                let mut codes = codes.split('`');
                codes.any(|one| one == code.as_str())
            });
            let listed: Vec<u8> = listed.map(|(exit, _)| *exit).collect();
            let (exit, _) = answer(code);
            assert_eq!(listed, [exit], "{code}");
            assert_eq!(exit == 9, code.is_for_now(), "{code}");
            let name = code.as_str().to_lowercase();
            let shown = reason_code(&name).unwrap_or_default();
            assert!(
                shown.len() >= 4 && code.summary().ends_with('.'),
                "{shown:?}"
            );
        }
        assert!(reason_code("ALLOWED").is_some() && reason_code("PLAN").is_none());
    }

    #[test]
    fn n15_the_list_of_codes_has_those_of_findings_and_of_decisions() {
        let shown = all().shown(Some(80));
        for code in ["LC108", "PLAN_REQUIRED", "KILL_ENGAGED", "LIVE_LEASES"] {
            let listed = shown.lines().filter(|line| line.starts_with(code));
            assert_eq!(listed.count(), 1, "{shown}");
        }
        assert!(
            shown.lines().all(|line| crate::text::width(line) <= 80),
            "{shown}"
        );
    }
}
