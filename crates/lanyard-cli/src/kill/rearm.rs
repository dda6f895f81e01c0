//! `lanyard rearm`: lifting a kill order, slowly and by two people.

use clap::{Args, Subcommand, ValueEnum};
use lanyard_client::{Client, v1};
use lanyard_core::kill::Lifted;
use lanyard_vocabulary::count::counted;
use lanyard_vocabulary::id::{KillId, RearmId};

use super::list::lifted;
use super::{scope, stops};
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::{Output, print_one, say_fields};
use crate::terminal::say;
use crate::{Global, span, terminal, text};

#[derive(Clone, Copy, ValueEnum)]
enum Stage {
    /// Let the plan role be issued again.
    Plan,
    /// Let the apply role be issued again.
    Apply,
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Rearm {
    #[command(subcommand)]
    command: Option<Command>,
    /// The kill order to propose for, or the proposal to confirm.
    #[arg(required = true)]
    id: Option<String>,
    /// The step to propose.
    #[arg(long, value_enum, default_value_t = Stage::Plan)]
    stage: Stage,
    /// The reason: of a proposal; of a confirmation, why it is right despite what is unconfirmed.
    #[arg(long)]
    reason: Option<String>,
    /// Confirm another person's proposal.
    #[arg(long)]
    confirm: bool,
    /// Even while revocations of the order are not confirmed; both people have to say so, each with
    /// a reason.
    #[arg(long, requires = "reason")]
    despite_unconfirmed: bool,
    /// Confirm without a question.
    #[arg(long, requires = "confirm")]
    yes: bool,
}

#[derive(Subcommand)]
enum Command {
    /// List every proposal that waits for a second person
    List,
    /// Show what waits for a second person: who proposed, why, and what is issued again.
    Show {
        /// The kill order, or the proposal; every one that waits, where none is named.
        id: Option<String>,
    },
    /// Confirm another person's proposal, as --confirm does.
    #[command(hide = true)]
    Confirm {
        /// The proposal to confirm.
        id: String,
        /// The reason why it is right despite what is unconfirmed.
        #[arg(long)]
        reason: Option<String>,
        /// Even while revocations of the order are not confirmed.
        #[arg(long, requires = "reason")]
        despite_unconfirmed: bool,
        /// Confirm without a question.
        #[arg(long)]
        yes: bool,
    },
}

/// The yes of the second person, as it was typed.
struct Yes {
    id: String,
    /// The reason why it is right despite what is unconfirmed.
    despite: Option<String>,
    /// The question before the confirmation is left out.
    is_sure: bool,
}

pub(crate) async fn rearm(global: &Global, rearm: Rearm) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let id = rearm.id.unwrap_or_default();
    let yes = match rearm.command {
        Some(Command::List) => return show(global, &mut client, String::new()).await,
        Some(Command::Show { id }) => {
            return show(global, &mut client, id.unwrap_or_default()).await;
        }
        Some(Command::Confirm {
            id,
            reason,
            despite_unconfirmed,
            yes,
        }) => Some(Yes {
            id,
            despite: reason.filter(|_| despite_unconfirmed),
            is_sure: yes,
        }),
        None if rearm.confirm => Some(Yes {
            id: id.clone(),
            despite: rearm.reason.clone().filter(|_| rearm.despite_unconfirmed),
            is_sure: rearm.yes,
        }),
        None => None,
    };
    if let Some(yes) = yes {
        return confirm(global, client, yes).await;
    }
    no_order(&id)?;
    let reason = rearm
        .reason
        .ok_or_else(|| Outcome::usage("a proposal needs --reason"))?;
    let stage = match rearm.stage {
        Stage::Plan => v1::RearmStage::Plan,
        Stage::Apply => v1::RearmStage::Apply,
    };
    let request = v1::ProposeRearmRequest {
        kill_id: id,
        stage: stage.into(),
        reason,
        despite_unconfirmed: rearm.despite_unconfirmed,
    };
    let id = text::line(&client.propose_rearm(request).await?.rearm_id);
    println!("{id}");
    global.note(format_args!(
        "another person looks and confirms within the hour:\n  lanyard rearm show {id}\n  lanyard rearm --confirm {id}"
    ));
    Ok(())
}

async fn found(client: &mut Client, id: String) -> Result<Vec<v1::Rearm>, Outcome> {
    let request = v1::ListRearmsRequest { id };
    Ok(client.list_rearms(request).await?.rearms)
}

async fn show(global: &Global, client: &mut Client, id: String) -> Result<(), Outcome> {
    let asked = id.clone();
    let rearms = found(client, id).await?;
    if rearms.is_empty() && !global.output.is_document() {
        let of = match asked.as_str() {
            "" => String::new(),
            id => format!(" for {id}"),
        };
        let line = format!("no re-arm is proposed{of}: lanyard rearm K-… --reason …");
        global.hint(text::line(&line));
        return Ok(());
    }
    for (number, rearm) in rearms.iter().enumerate() {
        if number > 0 && global.output == Output::Table {
            println!();
        }
        print_one(global.output, &fields(rearm));
    }
    Ok(())
}

/// Returns what the second person sees before the question: everything but the command that is
/// under way.
fn confirmed_fields(rearm: &v1::Rearm) -> Vec<(&'static str, String)> {
    let mut fields = fields(rearm);
    fields.retain(|(name, _)| *name != "confirm" || !rearm.void.is_empty());
    fields
}

/// Returns the fields that the second person says yes to.
fn fields(rearm: &v1::Rearm) -> Vec<(&'static str, String)> {
    let order = rearm.order.clone().unwrap_or_default();
    let at = rearm
        .propose_time
        .map_or_else(String::new, |at| format!(", {} ago", span::since(Some(at))));
    let mut fields = vec![
        ("re-arm", rearm.id.clone()),
        ("lets go", step(rearm)),
        ("proposed by", format!("{}{at}", rearm.proposed_by)),
        ("why", rearm.reason.clone()),
        ("kill order", order.id.clone()),
        ("stops", stops(order.scope.clone(), order.roles())),
        ("killed because", order.reason.clone()),
        ("killed by", order.engaged_by.clone()),
        ("killed at", shown(order.engage_time)),
        ("issued again", rearm.opens.join("; ")),
    ];
    if !rearm.still_stopped_by.is_empty() {
        fields.push(("still stopped by", rearm.still_stopped_by.join(", ")));
    }
    fields.push((
        "not known dead",
        match rearm.open_leases {
            0 => "nothing".to_owned(),
            open => format!("{} of the order", counted(open, "lease")),
        },
    ));
    if rearm.void.is_empty() {
        let until = shown(rearm.expire_time);
        fields.push(("waits", format!("until {until}, for another person")));
        // By itself the command is on one line of a small screen.
        fields.push(("confirm", format!("lanyard rearm --confirm {}", rearm.id)));
    } else {
        fields.push(("confirm", format!("not now: {}", rearm.void)));
    }
    fields
}

/// Names the step, and what it lifts.
fn step(rearm: &v1::Rearm) -> String {
    let order = rearm.order.clone().unwrap_or_default();
    let role = match rearm.stage() {
        v1::RearmStage::Apply => "apply",
        v1::RearmStage::Plan | v1::RearmStage::Unspecified => "plan",
    };
    format!("the {role} role of {}", scope(order.scope))
}

/// Refuses what is no kill order in the place of one, with what was meant.
fn no_order(id: &str) -> Result<(), Outcome> {
    let id = id.trim();
    if let Ok(proposal) = id.parse::<RearmId>() {
        return Err(Outcome::usage(format!(
            "{proposal} is a proposal, which another person confirms: lanyard rearm --confirm {proposal}"
        )));
    }
    match id.parse::<KillId>() {
        Ok(_) => Ok(()),
        Err(error) => Err(Outcome::usage(format!(
            "{error}; `lanyard kill list --engaged` names the orders"
        ))),
    }
}

/// Says that a kill order is no proposal, and names the proposals that wait for it.
fn no_proposal(order: KillId, waiting: &[v1::Rearm]) -> Outcome {
    let waiting = waiting.iter().filter(|rearm| rearm.void.is_empty());
    let confirms: Vec<String> = waiting
        .map(|rearm| format!("lanyard rearm --confirm {}", text::line(&rearm.id)))
        .collect();
    Outcome::usage(if confirms.is_empty() {
        format!(
            "{order} is a kill order, and no proposal waits to lift it: lanyard rearm {order} --reason …"
        )
    } else {
        format!(
            "{order} is a kill order; what is confirmed is the proposal to lift it:\n  {}",
            confirms.join("\n  ")
        )
    })
}

/// Shows what is confirmed, asks where somebody is there, and confirms.
async fn confirm(global: &Global, mut client: Client, yes: Yes) -> Result<(), Outcome> {
    let id = yes.id.trim();
    if id.is_empty() {
        return Err(Outcome::usage(
            "the proposal: none was given; `lanyard rearm show` names those that wait",
        ));
    }
    if let Ok(order) = id.parse::<KillId>() {
        let waiting = found(&mut client, order.to_string()).await?;
        return Err(no_proposal(order, &waiting));
    }
    if let Err(error) = id.parse::<RearmId>() {
        return Err(Outcome::usage(format!(
            "{error}; `lanyard rearm show` names the proposals that wait"
        )));
    }
    let proposed = found(&mut client, id.to_owned()).await?;
    let proposed = proposed
        .iter()
        .find(|rearm| rearm.id.eq_ignore_ascii_case(id));
    if let Some(proposed) = proposed {
        say_fields(&confirmed_fields(proposed));
        if global.may_ask() && !yes.is_sure {
            ask(&step(proposed))?;
        }
    }
    let request = v1::ConfirmRearmRequest {
        rearm_id: id.to_owned(),
        despite_unconfirmed: yes.despite.unwrap_or_default(),
    };
    let confirmed = client.confirm_rearm(request).await?;
    let order = confirmed.order.unwrap_or_default();
    let is_plan_alone = lifted(&order) == Some(Lifted::Plan);
    let issued = if is_plan_alone {
        "the plan role is issued again"
    } else {
        "both roles are issued again"
    };
    let line = format!("{}: {issued} for {}", order.id, scope(order.scope));
    say(text::line(&line));
    if is_plan_alone {
        say(format_args!(
            "the apply role stays stopped; later:\n  lanyard rearm {} --stage apply --reason …",
            text::line(&order.id)
        ));
    }
    Ok(())
}

fn ask(what: &str) -> Result<(), Outcome> {
    let what = text::line(what);
    let typed = terminal::answer(&format!("Type `yes` to let {what} go:"))
        .map_err(|error| Outcome::usage(error.to_string()))?;
    match typed.trim() {
        "yes" => Ok(()),
        _ => Err(Outcome::usage("nothing was re-armed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u09_an_id_of_another_kind_is_told_with_what_was_meant() {
        let said = |outcome: Outcome| {
            let (code, line) = outcome.told();
            assert_eq!(code, 2);
            line.unwrap()
        };
        let (order, proposal) = (KillId::from_bits(7), RearmId::from_bits(8));
        assert!(no_order(&order.to_string()).is_ok());
        let proposed = said(no_order(&proposal.to_string()).unwrap_err());
        let confirm = format!("lanyard rearm --confirm {proposal}");
        assert!(proposed.ends_with(&confirm), "{proposed}");
        for nothing in ["K-1", "production", ""] {
            let line = said(no_order(nothing).unwrap_err());
            assert!(line.contains(&format!("`{nothing}` is not a kill order id")));
            assert!(line.contains("lanyard kill list --engaged"), "{line}");
        }
        let waiting = v1::Rearm {
            id: proposal.to_string(),
            ..v1::Rearm::default()
        };
        let one = said(no_proposal(order, std::slice::from_ref(&waiting)));
        assert!(one.ends_with(&confirm), "{one}");
        let void = v1::Rearm {
            void: "a newer order was engaged".to_owned(),
            ..waiting
        };
        for none in [&[][..], &[void]] {
            let line = said(no_proposal(order, none));
            let propose = format!("lanyard rearm {order} --reason …");
            assert!(line.ends_with(&propose), "{line}");
        }
    }

    #[test]
    fn u09_the_second_person_sees_who_why_what_is_issued_again_and_what_is_not_known_dead() {
        let rearm = v1::Rearm {
            id: "R-1".to_owned(),
            order: Some(v1::KillOrder {
                id: "K-1".to_owned(),
                scope: Some(v1::Scope {
                    kind: Some(v1::scope::Kind::Charter("shop".to_owned())),
                }),
                reason: "it loops".to_owned(),
                engaged_by: "https://people.example#oncall".to_owned(),
                ..v1::KillOrder::default()
            }),
            stage: v1::RearmStage::Plan.into(),
            proposed_by: "https://people.example#anna".to_owned(),
            reason: "router 2.4.1 is rolled back".to_owned(),
            opens: vec!["charter shop: read-tickets".to_owned()],
            still_stopped_by: vec!["K-2".to_owned()],
            open_leases: 3,
            ..v1::Rearm::default()
        };
        let fields = fields(&rearm);
        let of = |name: &str| {
            let found = fields.iter().find(|(field, _)| *field == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        assert_eq!(of("lets go"), "the plan role of charter shop");
        assert_eq!(of("proposed by"), "https://people.example#anna");
        assert_eq!(of("why"), "router 2.4.1 is rolled back");
        assert_eq!(of("killed because"), "it loops");
        assert_eq!(of("issued again"), "charter shop: read-tickets");
        assert_eq!(of("still stopped by"), "K-2");
        assert_eq!(of("not known dead"), "3 leases of the order");
        assert!(of("confirm").ends_with("lanyard rearm --confirm R-1"));
        // The question stands below the same, what stays stopped and what may live among it.
        let asked = confirmed_fields(&rearm);
        assert_eq!(asked.len(), fields.len() - 1);
        for name in ["still stopped by", "not known dead"] {
            assert!(asked.iter().any(|(field, _)| *field == name), "{name}");
        }
        let void = v1::Rearm {
            void: "kill order K-9 was engaged after".to_owned(),
            ..rearm
        };
        let said = confirmed_fields(&void).pop().unwrap().1;
        assert!(said.starts_with("not now: kill order K-9"), "{said}");
    }
}
