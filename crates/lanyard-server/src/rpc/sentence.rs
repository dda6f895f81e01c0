//! A record of the journal as one plain sentence.

use lanyard_charter::requirement::persons;
use lanyard_core::action::Report;
use lanyard_core::command::{Command, Intent, Observation};
use lanyard_core::decide::Rule;
use lanyard_core::drill::{Drill, DrillOutcome};
use lanyard_core::enrolment::EnrolmentStep;
use lanyard_core::kill::{Actor, KillOrder, RearmProposal, RearmStage};
use lanyard_core::lease::Progress;
use lanyard_core::pause::{Demand, Pause};
use lanyard_core::plan::Plan;
use lanyard_core::signing_key::SigningKeyStep;
use lanyard_core::task::Task;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::count::{counted, verb_for, word_for};
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::operator::Operator;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::scope::RoleFilter;

use super::phrases::{cause_of, how_far, reported};

/// So many leases are named in a sentence about many.
const LEASES_NAMED: usize = 3;

/// Says what happened. `task` is the one that the record is about, where there is one: most records
/// name it by its id alone.
pub(super) fn of(command: &Command, task: Option<&Task>) -> String {
    let agent = task.map_or_else(|| "an agent".to_owned(), |task| called(&task.agent));
    match command {
        Command::CharterInForce { charter, .. } => format!("charter {charter} came into force"),
        Command::CharterWithdrawn { charter, reason } => {
            format!("charter {charter} is in force no more: {reason}")
        }
        Command::OpenTask { task, .. } => opened(task),
        Command::CloseTask { task } => format!("task {task} of {agent} was closed"),
        Command::Deny {
            decision,
            agent,
            grant,
            denial,
            task: id,
            ..
        } => {
            let what = grant
                .as_ref()
                .map_or_else(String::new, |grant| format!(" {grant}"));
            let of = id.map_or_else(String::new, |id| format!(" in task {id}"));
            format!(
                "{} was {}{what}{of}: {denial} [{decision}]",
                called(agent),
                refused(denial.rule)
            )
        }
        Command::DenialsSuppressed {
            agent,
            charter,
            rule,
            count,
            ..
        } => {
            let who = agent.as_ref().map_or_else(|| "agents".to_owned(), called);
            let by = charter
                .as_ref()
                .map_or_else(String::new, |it| format!(" by charter {it}"));
            let times = counted((*count).into(), "time");
            format!(
                "{who} {} {} {times} more{by} ({rule}): not recorded one by one",
                if agent.is_some() { "was" } else { "were" },
                refused(*rule)
            )
        }
        Command::BeginMint(intent) => began(intent, &agent),
        Command::ConfirmMint { lease, expires, .. } => {
            format!("lease {lease} of {agent} was issued until {expires}")
        }
        Command::ExpiryExtended { lease, until } => {
            format!(
                "lease {lease} of {agent} may live until {until}: the provider gave more than was asked"
            )
        }
        Command::Delivered { leases } => {
            format!("the credential of {} was handed to {agent}", named(leases))
        }
        Command::Stop { leases, cause } => {
            format!(
                "{} of {agent} {} being revoked: {}",
                named(leases),
                verb_for(leases.len() as u64, "is", "are"),
                cause_of(*cause)
            )
        }
        Command::Advance { progress } => advanced(progress, &agent),
        Command::Forget { leases } => {
            format!(
                "{} left the books: nothing of {} can be live",
                named(leases),
                verb_for(leases.len() as u64, "it", "them")
            )
        }
        Command::SubmitPlan {
            plan, requirement, ..
        } => planned(plan, requirement.as_ref().map(|it| it.people), &agent),
        Command::Approve {
            approval,
            operator,
            comment,
            ..
        } => format!(
            "{} approved {approval}: {comment}",
            known(&operator.identity)
        ),
        Command::Reject {
            approval,
            operator,
            reason,
        } => format!(
            "{} denied approval {approval}: {reason}",
            known(&operator.identity)
        ),
        Command::Withdraw {
            approval,
            by,
            reason,
        } => match task.is_some_and(|task| task.identity == *by) {
            true => format!("{agent} took its request {approval} back: {reason}"),
            false => format!("{} took the yes to {approval} back: {reason}", known(by)),
        },
        Command::Recognize(operator) => seen(operator),
        Command::Kill(order) => killed(order),
        Command::WithdrawKill { kill, by, reason } => format!(
            "{} withdrew kill order {kill}, which reached nothing: {reason}",
            person(by)
        ),
        Command::Pause(pause) => paused(pause),
        Command::Resume { pause, by, reason } => {
            format!("{} ended pause {pause}: {reason}", known(by))
        }
        Command::DeclareEmergency(emergency) => format!(
            "{} declared an emergency under charter {} until {}: {}",
            person(&emergency.by),
            emergency.charter,
            emergency.until,
            emergency.reason
        ),
        Command::EndEmergency {
            charter,
            by,
            reason,
        } => format!(
            "{} ended the emergency under charter {charter}: {reason}",
            known(by)
        ),
        Command::Report(report) => acted(report, &agent),
        Command::Alert(trip) => format!("a threshold was passed: {}", trip.reason()),
        Command::ProposeRearm(proposal) => proposed(proposal),
        Command::ConfirmRearm {
            rearm,
            kill,
            by,
            despite,
        } => {
            let despite = despite.as_ref();
            let despite = despite.map_or_else(String::new, |why| {
                format!(", although not all of it was known dead: {why}")
            });
            format!(
                "{} confirmed re-arm {rearm} of kill order {kill}{despite}",
                person(by)
            )
        }
        Command::Observe { target, what } => match what {
            Observation::Stray(lease) => {
                format!(
                    "{lease} was found at target {target} and is no lease of the books: it is revoked"
                )
            }
            Observation::Missing(leases) => {
                format!("nothing of {} is left at target {target}", named(leases))
            }
            Observation::Edited(what) => format!(
                "somebody changed what keeps credentials revoked at target {target}, and it was set right: {what}"
            ),
        },
        Command::BeginSession(begun) => {
            format!(
                "{} began a session until {}",
                known(&begun.identity),
                begun.until
            )
        }
        Command::Enrolment(step) => enrolled(step),
        Command::Drill(drill) => drilled(drill),
        Command::SigningKey(step) => key_changed(step),
        Command::Started { version } => format!("the broker started, version {version}"),
        Command::Clock(_) => "the broker noted where its clock stands".to_owned(),
        Command::Accept(accepted) => {
            let second = accepted.second.as_ref();
            let second = second.map_or_else(String::new, |(by, _)| format!(" and {}", person(by)));
            format!(
                "{}{second} lifted the reason {} that kept the broker from issuing: {}",
                person(&accepted.by),
                accepted.kind.as_str(),
                accepted.reason
            )
        }
    }
}

/// Says `denied` of what a charter forbids, and `refused` of what it allows and something else
/// holds up.
const fn refused(rule: Rule) -> &'static str {
    if rule.is_refusal() {
        "refused"
    } else {
        "denied"
    }
}

/// Returns what tells an identity from others of its issuer.
fn known(identity: &Identity) -> String {
    identity.subject.clone()
}

fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Operator(identity) | Actor::Agent(identity) => known(identity),
        Actor::Breaker { .. } => format!("the {actor}"),
        Actor::Ticket { .. }
        | Actor::BreakGlass { .. }
        | Actor::Local
        | Actor::Signal { .. }
        | Actor::Broker => actor.to_string(),
    }
}

fn person(person: &Person) -> String {
    let called = person.subject.as_ref().or(person.name.as_ref());
    called.cloned().unwrap_or_else(|| person.issuer.clone())
}

fn called(agent: &AgentName) -> String {
    let name = agent
        .0
        .split_once('#')
        .map_or(agent.0.as_str(), |(_, subject)| subject);
    name.to_owned()
}

fn named(leases: &[LeaseId]) -> String {
    let named: Vec<String> = leases
        .iter()
        .take(LEASES_NAMED)
        .map(LeaseId::to_string)
        .collect();
    let more = leases.len().saturating_sub(named.len());
    let leases = word_for(leases.len() as u64, "lease");
    match more {
        0 => format!("{leases} {}", named.join(", ")),
        more => format!("{leases} {} and {more} more", named.join(", ")),
    }
}

fn opened(task: &Task) -> String {
    let ticket = task.ticket.as_ref();
    let ticket = ticket.map_or_else(String::new, |ticket| format!(" ({ticket})"));
    let above = task.lineage.first();
    let above = above.map_or_else(String::new, |above| format!(", under task {}", above.task));
    format!(
        "{} opened task {} under charter {} in {}{above}: {}{ticket}",
        called(&task.agent),
        task.id,
        task.charter,
        task.environment,
        task.reason
    )
}

fn began(intent: &Intent, agent: &str) -> String {
    let entry = &intent.entry;
    let approval = intent.approval.as_ref();
    let approval = approval.map_or_else(String::new, |(id, _)| format!(", under approval {id}"));
    format!(
        "{agent} was allowed {} ({} role on {}) in task {}{approval}: lease {} until {} [{}]",
        entry.grant,
        entry.role,
        entry.target,
        intent.task,
        intent.lease,
        intent.expires,
        intent.decision
    )
}

fn advanced(progress: &[(LeaseId, Progress)], agent: &str) -> String {
    match progress {
        [(lease, how)] => {
            let how = how_far(*how).unwrap_or_else(|| "its provider was asked".to_owned());
            format!("lease {lease} of {agent}: {how}")
        }
        many => {
            let leases: Vec<LeaseId> = many.iter().map(|(lease, _)| *lease).collect();
            let dead = many.iter().filter(|(_, how)| how.is_confirmed()).count();
            format!(
                "the revocation of {} went on, {dead} {} dead",
                named(&leases),
                verb_for(dead as u64, "is", "are")
            )
        }
    }
}

fn planned(plan: &Plan, people: Option<u32>, agent: &str) -> String {
    let asks = people.map_or_else(String::new, |people| {
        let have = verb_for(people.into(), "has", "have");
        format!("; {} {have} to approve", persons(people))
    });
    let approval = plan
        .approval
        .map_or_else(String::new, |id| format!(" [{id}]"));
    format!(
        "{agent} submitted plan {} for {} in task {}, {} risk: {}{asks}{approval}",
        plan.id,
        plan.grant,
        plan.task,
        plan.risk(),
        plan.summary
    )
}

fn killed(order: &KillOrder) -> String {
    let roles = match order.roles {
        RoleFilter::Both => "",
        RoleFilter::ApplyOnly => ", the apply role",
    };
    let evidence = records(&order.evidence);
    let nothing = match order.reaches_nothing {
        true => "; nothing went by that name, so that the order REACHES NOTHING",
        false => "",
    };
    format!(
        "{} killed {}{roles}: {} [{}]{evidence}{nothing}",
        actor(&order.by),
        order.scope,
        why(&order.by, &order.reason, &evidence),
        order.id
    )
}

/// Says what a login tells of a person. The record does not tell whether that was otherwise before.
fn seen(operator: &Operator) -> String {
    let roles: Vec<&str> = operator.roles.iter().map(|role| role.name()).collect();
    let roles = match roles.as_slice() {
        [] => "no role".to_owned(),
        [one] => format!("the role {one}"),
        some => format!("the roles {}", some.join(", ")),
    };
    format!("{} was seen with {roles}", known(&operator.identity))
}

/// A breaker's reason names the breaker and its records, as the sentence about it does: each is
/// said once.
fn why<'a>(by: &Actor, reason: &'a str, evidence: &str) -> &'a str {
    let Actor::Breaker { .. } = by else {
        return reason;
    };
    let bare = reason.strip_prefix(&by.to_string());
    let bare = bare.and_then(|rest| rest.strip_prefix(": "));
    let bare = bare.unwrap_or(reason);
    let records = bare.rfind(" (records ").filter(|_| !evidence.is_empty());
    records.and_then(|at| bare.get(..at)).unwrap_or(bare)
}

/// The records that something rests on, in the form that `lanyard audit show` takes.
fn records(evidence: &[lanyard_vocabulary::seq::Seq]) -> String {
    if evidence.is_empty() {
        return String::new();
    }
    let records: Vec<String> = evidence.iter().map(|seq| seq.0.to_string()).collect();
    format!("; it rests on: lanyard audit show {}", records.join(","))
}

fn paused(pause: &Pause) -> String {
    let what = match pause.demand {
        Demand::NoIssuance => "paused",
        Demand::Approval => "asks for approvals of",
    };
    let until = pause
        .until
        .map_or_else(String::new, |until| format!(" until {until}"));
    let evidence = records(&pause.evidence);
    format!(
        "{} {what} {}{until}: {} [{}]{evidence}",
        actor(&pause.by),
        pause.reach,
        why(&pause.by, &pause.reason, &evidence),
        pause.id
    )
}

fn acted(report: &Report, agent: &str) -> String {
    format!("{agent}, in task {}: {}", report.task, reported(report))
}

fn proposed(proposal: &RearmProposal) -> String {
    let role = match proposal.stage {
        RearmStage::Plan => "plan",
        RearmStage::Apply => "apply",
    };
    format!(
        "{} proposed to re-arm the {role} role of kill order {}: {} [{}]",
        person(&proposal.by),
        proposal.kill,
        proposal.reason,
        proposal.id
    )
}

fn enrolled(step: &EnrolmentStep) -> String {
    match step {
        EnrolmentStep::Invite(invitation) => format!(
            "{} invited agent {} until {}",
            person(&invitation.by),
            invitation.agent,
            invitation.until
        ),
        EnrolmentStep::Enrol { key, .. } => {
            format!("an invited agent enrolled the key {}", key.thumbprint)
        }
        EnrolmentStep::Rotate { agent, to, .. } => {
            format!("agent {agent} replaced its key by {}", to.thumbprint)
        }
        EnrolmentStep::Remove { agent, by, reason } => {
            format!("{} removed agent {agent}: {reason}", known(by))
        }
    }
}

fn key_changed(step: &SigningKeyStep) -> String {
    match step {
        SigningKeyStep::Make {
            kid,
            signs_from,
            by,
            reason,
        } => {
            let by = by.as_ref().map_or_else(|| "the broker".to_owned(), known);
            format!("{by} made signing key {kid}, which signs from {signs_from} on: {reason}")
        }
        SigningKeyStep::Revoke { kid, by, reason } => {
            format!("{} revoked signing key {kid}: {reason}", known(by))
        }
    }
}

fn drilled(drill: &Drill) -> String {
    match &drill.outcome {
        DrillOutcome::Passed { .. } => format!("a drill at target {} passed", drill.target),
        DrillOutcome::Failed { why } => format!("a drill at target {} FAILED: {why}", drill.target),
    }
}
