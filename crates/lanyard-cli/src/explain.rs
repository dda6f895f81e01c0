//! `lanyard explain`: what a finding means, and why a decision came out as it did.

use clap::Args;
use lanyard_client::v1;
use lanyard_core::command::{Command, Record};
use lanyard_core::document::{Code, nearest};
use lanyard_core::id::DecisionId;

use crate::Global;
use crate::outcome::Outcome;
use crate::output::{Rows, print_one};

#[derive(Args)]
pub(crate) struct Explain {
    /// A decision's id, which needs a broker, or the code or name of a finding, such as LC108; the findings are listed when it is
    /// left out.
    what: Option<String>,
}

pub(crate) async fn run(global: &Global, asked: &Explain) -> Result<(), Outcome> {
    let Some(text) = &asked.what else {
        let mut rows = Rows::new(&["code", "name", "severity", "summary"]);
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
    let request = v1::QueryRecordsRequest {
        mentions: id.to_string(),
        page_size: 1,
        ..Default::default()
    };
    let found = client.query_records(request).await?.records;
    let record = found
        .first()
        .and_then(|record| serde_json::from_str::<Record>(&record.body).ok());
    let time = record.as_ref().map(|record| record.at.to_string());
    let mut fields = vec![
        ("decision", id.to_string()),
        ("time", time.unwrap_or_default()),
    ];
    match record.map(|record| record.command) {
        Some(Command::BeginMint(intent)) => fields.extend([
            ("answer", "allowed".to_owned()),
            ("task", intent.task.to_string()),
            ("grant", intent.entry.grant.to_string()),
            ("role", intent.entry.role.to_string()),
            ("target", intent.entry.target.to_string()),
            ("revision", intent.in_force.to_string()),
            ("lease", intent.lease.to_string()),
            ("until", intent.expires.to_string()),
        ]),
        Some(Command::Deny {
            identity,
            task,
            grant,
            denial,
            ..
        }) => fields.extend([
            ("answer", "denied".to_owned()),
            ("who", identity.to_string()),
            (
                "task",
                task.map(|task| task.to_string()).unwrap_or_default(),
            ),
            (
                "grant",
                grant.map(|grant| grant.to_string()).unwrap_or_default(),
            ),
            ("charter", denial.charter.to_string()),
            (
                "revision",
                denial.revision.map(|of| of.to_string()).unwrap_or_default(),
            ),
            ("rule", denial.rule.to_string()),
            (
                "line",
                denial.at.map(|at| at.to_string()).unwrap_or_default(),
            ),
            ("why", denial.message),
            ("next", denial.next),
        ]),
        Some(_) | None => return Err(Outcome::usage(format!("there is no decision {id}"))),
    }
    fields.retain(|(_, value)| !value.is_empty());
    print_one(global.output, &fields);
    Ok(())
}
