//! `lanyard condition`: why the broker issues nothing, and the word of an operator that lifts a
//! reason.

use clap::{Args, Subcommand};
use lanyard_client::v1;
use lanyard_vocabulary::count::counted;
use lanyard_vocabulary::text::escaped;

use crate::Global;
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::Output;
use crate::table::Rows;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List why the broker issues nothing.
    List,
    /// Have the broker issue in spite of a reason.
    Accept(Accept),
}

#[derive(Args)]
pub(crate) struct Accept {
    /// The kind of the reason, as listed: `clock-jumped`.
    kind: String,
    /// The reason, for the record.
    #[arg(long)]
    reason: String,
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    match command {
        Command::List => list(global).await,
        Command::Accept(asked) => accept(global, asked).await,
    }
}

async fn list(global: &Global) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let status = client.get_status(v1::GetStatusRequest {}).await?;
    table(&status.reasons, global.output == Output::Table).print(global.output);
    global.note(format_args!("the broker is {}", name(&status)));
    Ok(())
}

/// For people, what was found and what to do stand below each reason: nothing of either is cut.
fn table(reasons: &[v1::ConditionReason], is_for_people: bool) -> Rows {
    let columns: &[&str] = if is_for_people {
        &["reason", "lifted by"]
    } else {
        &["reason", "found", "lifted by", "what to do"]
    };
    let mut rows = Rows::new(columns);
    for reason in reasons {
        let kind = reason.kind.clone();
        let by = match reason.people {
            0 => "its cause".to_owned(),
            people => counted(people.into(), "operator"),
        };
        let (found, remedy) = (reason.text.clone(), reason.remedy.clone());
        if is_for_people {
            rows.push([kind, by]);
            rows.note(found);
            rows.note(format!("to do: {remedy}"));
        } else {
            rows.push([kind, found, by, remedy]);
        }
    }
    rows
}

async fn accept(global: &Global, asked: Accept) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    // The reasons that are printed here are all that is lifted: one that is found from now on
    // stands. A person who may accept and not look lifts what stands when the broker is asked.
    let status = client.get_status(v1::GetStatusRequest {}).await;
    let standing = status.map(|status| status.reasons).unwrap_or_default();
    let standing = standing.into_iter();
    let standing = standing.filter(|reason| reason.kind == asked.kind);
    let seen: Vec<_> = standing.map(|reason| reason.text).collect();
    for text in &seen {
        global.note(format_args!("accepting: {}", escaped(text)));
    }
    let request = v1::AcceptReasonRequest {
        kind: asked.kind.clone(),
        reason: asked.reason,
        seen,
    };
    let answer = client.accept_reason(request).await?;
    let kind = escaped(&asked.kind);
    match answer.second_person_by {
        None => {
            global.note(format_args!("{kind} is lifted"));
            Ok(())
        }
        until => Err(Outcome::Pending(format!(
            "{kind} stands until a second person says the same, by {}: lanyard condition accept {kind} --reason …",
            shown(until)
        ))),
    }
}

/// The condition in one word.
pub(crate) fn name(status: &v1::GetStatusResponse) -> &'static str {
    match status.condition() {
        v1::Condition::Issuing => "issuing",
        v1::Condition::RevokeOnly => "revoke-only",
        v1::Condition::Stopped => "stopped",
        // A broker of before had no word for it.
        v1::Condition::Unspecified if status.not_issuing.is_empty() => "issuing",
        v1::Condition::Unspecified => "revoke-only",
    }
}
