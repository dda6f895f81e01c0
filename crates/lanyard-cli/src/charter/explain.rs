//! `lanyard charter explain`: what a charter would answer, by which of its rules, and what it would
//! allow instead.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lanyard_charter::requirement::{approvers, persons};
use lanyard_charter::{ActionPattern, Charter, ConditionKey, Usage, Version, unlisted_action};
use lanyard_core::decide::{Denial, Rule};
use lanyard_core::question::{Planned, Question, ask, nearest, permit};
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::identity::{Evidence, Identity};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::{Timestamp, Ttl};

use super::files;
use super::files::Declared;
use super::plans::{PlanFile, with_plan};
use crate::outcome::Outcome;
use crate::plan::Format;
use crate::terminal::{Screen, tell};
use crate::{Global, span, text};

#[derive(Args)]
pub(crate) struct Explain {
    /// The YAML file of the charter.
    file: PathBuf,
    #[command(flatten)]
    declared: Declared,
    /// The agent that asks: the issuer and the subject.
    #[arg(long, num_args = 2, value_names = ["ISSUER", "SUBJECT"], required = true)]
    agent: Vec<String>,
    /// A claim that is proved of the agent; if none is given, whatever the charter asks for.
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    /// The environment of the request.
    #[arg(long)]
    r#in: Name,
    /// The grant that the agent asks for.
    #[arg(long)]
    grant: Name,
    /// For how long: `10m`, `1h30m`.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    ttl: Option<Ttl>,
    /// The model that the agent runs on.
    #[arg(long)]
    model: Option<String>,
    /// The digest of the agent's instructions.
    #[arg(long, requires = "model")]
    prompt_digest: Option<Digest>,
    /// In an emergency that somebody else declared.
    #[arg(long)]
    emergency: bool,
    /// The request comes with a plan.
    #[arg(long)]
    plan: bool,
    /// A destructive action that the plan names.
    #[arg(long)]
    destructive: Vec<String>,
    /// The plan itself; its policies, its risk and its narrowing are then worked out.
    #[arg(long, value_name = "FILE")]
    plan_file: Option<PathBuf>,
    /// In what form it is; recognised by what is in it where left out.
    #[arg(long, value_enum)]
    plan_format: Option<Format>,
    /// The ticket that the task names.
    #[arg(long)]
    ticket: Option<String>,
    /// The use of the credential: an AWS action and an ARN, or a verb and `resource.group/name`, or
    /// `scope` and a scope.
    #[arg(long, num_args = 2, value_names = ["ACTION", "RESOURCE"])]
    using: Vec<String>,
    /// A condition key of that AWS request, and its value: `s3:prefix=payments/`.
    #[arg(long, value_name = "KEY=VALUE", requires = "using")]
    condition: Vec<String>,
    /// The time, as 2026-12-24T12:00:00Z; hours, freezes and the charter's end depend on it. Now,
    /// if it is left out.
    #[arg(long)]
    at: Option<jiff::Timestamp>,
    /// The time for which the target's revocation takes at worst: `5m`.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    worst_case: Option<Ttl>,
}

pub(crate) fn run(global: &Global, asked: &Explain) -> Result<(), Outcome> {
    let charters = std::slice::from_ref(&asked.file);
    let world = asked.declared.world_of(global, charters)?;
    let (charter, _) = files::charter(&asked.file, &world)?;
    let mut question = question(asked)?;
    let at = asked.at.unwrap_or_else(jiff::Timestamp::now);
    let now = Timestamp::from_secs(u64::try_from(at.as_second()).unwrap_or_default());
    if let Some(path) = &asked.plan_file {
        let (path, format) = (path.clone(), asked.plan_format.map(Format::known));
        question = with_plan(&charter, &question, &PlanFile { path, format }, now)?;
        plan(&charter, &question, now);
    }
    let answer = ask(&charter, &question, now);
    let file = asked.file.display();
    for met in &answer.met {
        let place = met
            .at
            .map_or_else(|| file.to_string(), |at| format!("{file}:{at}"));
        row(&met.rule.to_string(), &format!("{}  ({place})", met.what));
    }
    match answer.verdict {
        Ok(allowed) => {
            tell(format_args!("allowed for {}", allowed.ttl));
            if let Some(needed) = &allowed.requirement {
                tell(format_args!(
                    "after {} of {} approved its plan, within {}",
                    persons(needed.people),
                    approvers(&needed.from),
                    needed.expires
                ));
            }
            Ok(())
        }
        Err(denial) => {
            let denial = exact(&charter, &question, denial);
            tell(text::line(&denial.to_string()));
            if let Some(near) = nearest(&charter, &question, now) {
                let difference = text::line(&difference(&question, &near));
                tell(format_args!("this would be allowed: {difference}"));
            }
            Err(Outcome::Negative)
        }
    }
}

/// The denial for whoever has the file: the broker tells an agent that the charter does not name no
/// more than that there is no such charter, and here there is one.
fn exact(charter: &Charter, question: &Question, denial: Denial) -> Denial {
    if denial.rule != Rule::NotInForce {
        return denial;
    }
    let Identity { issuer, subject } = &question.identity;
    let of_issuer = charter.agents.iter().find(|rule| rule.issuer == *issuer);
    let named = charter
        .agents
        .iter()
        .find(|rule| rule.names(&question.identity));
    let (at, message, next) = match (named, of_issuer) {
        (Some(rule), _) => {
            let claims: Vec<String> = rule
                .claims
                .iter()
                .map(|(name, pattern)| format!("`{name}` as `{pattern}`"))
                .collect();
            (
                Some(rule.at),
                format!(
                    "the agent `{subject}` does not prove {}",
                    claims.join(" and ")
                ),
                "give what it proves with --claim NAME=VALUE",
            )
        }
        (None, Some(rule)) => (
            Some(rule.at),
            format!(
                "of issuer `{issuer}` the charter names `{}` and not `{subject}`",
                rule.subject
            ),
            "name the agent under `agents`, or ask as one that is named",
        ),
        (None, None) => (
            charter.agents.first().map(|rule| rule.at),
            format!("the charter names no agent of issuer `{issuer}`"),
            "name the agent under `agents`, or ask as one that is named",
        ),
    };
    Denial {
        revision: Some(charter.revision.clone()),
        rule: Rule::Agents,
        at,
        message,
        next: next.to_owned(),
        reason_code: Some(Rule::Agents.code()),
        ..denial
    }
}

/// Prints the judgement of the plan: its risk, what its judges say, and what of the grant it
/// leaves.
fn plan(charter: &Charter, question: &Question, now: Timestamp) {
    if let Some((_, judgement)) = question.plan.as_ref().and_then(|plan| plan.read.as_ref()) {
        let counts = permit(charter, question, now).map_or(judgement.risk, |permit| permit.risk());
        row("risk", &counts.to_string());
        for reason in &judgement.reasons {
            row("", &reason.to_string());
        }
        for warning in &judgement.warned {
            row("warning", &warning.to_string());
        }
        for denial in &judgement.denied {
            row("denied", &denial.to_string());
        }
    }
    let Ok(permit) = permit(charter, question, now) else {
        return;
    };
    let before = charter
        .grants
        .get(&question.grant)
        .map(|grant| &grant.rights);
    for line in before.into_iter().flat_map(|rights| rights.lines()) {
        row("grant", &line);
    }
    match permit.whole() {
        None => {
            for line in permit.grant().rights.lines() {
                row("with this plan", &line);
            }
            if let Some(beyond) = permit.beyond() {
                row("beyond it", beyond);
            }
        }
        Some(why) => {
            row("with this plan", &format!("the same: {why}"));
        }
    }
}

/// The columns of a row's name, with the gap behind it.
const NAME_COLUMNS: usize = 16;

/// Prints a row, whose value goes on below its beginning on a screen that is too narrow for it.
fn row(name: &str, value: &str) {
    let before = format!("{name:<15} ");
    let screen = Screen::columns(&std::io::stdout());
    let line = text::wrapped(&before, &text::line(value), NAME_COLUMNS, screen);
    println!("{line}");
}

fn question(asked: &Explain) -> Result<Question, Outcome> {
    let [issuer, subject] = asked.agent.as_slice() else {
        return Err(Outcome::usage("--agent takes an issuer and a subject"));
    };
    let destructive: BTreeSet<_> = asked
        .destructive
        .iter()
        .cloned()
        .map(ActionPattern)
        .collect();
    let usage = match asked.using.as_slice() {
        [action, resource] => {
            Some(usage(action, resource, &asked.condition).map_err(Outcome::usage)?)
        }
        _ => None,
    };
    Ok(Question {
        identity: Identity {
            issuer: issuer.clone(),
            subject: subject.clone(),
        },
        evidence: evidence(&asked.claim)?,
        environment: asked.r#in.clone(),
        grant: asked.grant.clone(),
        ttl: asked.ttl,
        emergency: asked.emergency,
        version: asked.model.clone().map(|model| Version {
            model,
            prompt: asked.prompt_digest,
        }),
        plan: (asked.plan || !destructive.is_empty()).then(|| Planned::naming(destructive)),
        ticket: asked.ticket.clone(),
        usage,
        worst_case: asked.worst_case.map_or(Duration::ZERO, Ttl::as_duration),
    })
}

/// Reads the given claims; `None` if there are none, for whatever the charter asks for.
fn evidence(claims: &[String]) -> Result<Option<Evidence>, Outcome> {
    let pair = |claim: &String| {
        let (name, value) = claim.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let claims: Option<BTreeMap<_, _>> = claims.iter().map(pair).collect();
    let claims = claims.ok_or_else(|| Outcome::usage("--claim takes name=value"))?;
    Ok((!claims.is_empty()).then(|| Evidence {
        claims,
        ..Evidence::default()
    }))
}

/// `get deployments.apps/web`, `s3:GetObject arn:…`, `scope tickets.read`.
///
/// # Errors
/// The fault of a name that is no action of AWS or no condition key: an answer would be about
/// nothing.
pub(crate) fn usage(action: &str, resource: &str, context: &[String]) -> Result<Usage, String> {
    if action.contains(':') {
        if let Some(why) = unlisted_action(&ActionPattern(action.to_owned())) {
            return Err(why);
        }
        let pair = |part: &String| {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is no key=value of a condition"))?;
            ConditionKey::parse(key).map_err(|why| format!("condition `{key}`: {why}"))?;
            Ok((key.to_owned(), value.to_owned()))
        };
        return Ok(Usage {
            action: action.to_owned(),
            resource: resource.to_owned(),
            context: context.iter().map(pair).collect::<Result<_, String>>()?,
        });
    }
    if !context.is_empty() {
        return Err("only a request of AWS has condition keys".to_owned());
    }
    Ok(Usage {
        action: action.to_owned(),
        resource: resource.to_owned(),
        ..Usage::default()
    })
}

fn difference(asked: &Question, near: &Question) -> String {
    let mut parts = Vec::new();
    if near.environment != asked.environment {
        parts.push(format!("in {}", near.environment));
    }
    if near.grant != asked.grant {
        parts.push(format!("grant {}", near.grant));
    }
    if near.ttl != asked.ttl {
        parts.push("without a ttl of its own".to_owned());
    }
    if let Some(version) = near
        .version
        .as_ref()
        .filter(|_| near.version != asked.version)
    {
        parts.push(format!("by {version}"));
    }
    match (&asked.plan, &near.plan) {
        (None, Some(_)) => parts.push("with a plan".to_owned()),
        (Some(_), None) => parts.push("without a plan".to_owned()),
        (Some(one), Some(two)) if one.read.is_some() && two.read.is_none() => {
            parts.push("with a plan that the policies take".to_owned());
        }
        (Some(one), Some(two)) if one.destructive != two.destructive => {
            parts.push("with a plan that names nothing destructive".to_owned());
        }
        _ => {}
    }
    parts.join(", ")
}
