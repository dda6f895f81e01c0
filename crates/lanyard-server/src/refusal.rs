//! From what went wrong to what the caller is told. One place, so that forbidden and unknown look
//! the same.

mod http;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::Charter;
use lanyard_core::approval::Unusable;
use lanyard_core::decide::{Denial, ReasonCode, Rule};
use lanyard_core::ledger::CommitError;
use lanyard_core::plan::Unjudged;
use lanyard_core::provider::ProviderError;
use lanyard_core::state::Refusal;
use lanyard_engine::Engine;
use lanyard_engine::condition::{AcceptError, NotIssuing};
use lanyard_engine::gate::Closed;
use lanyard_engine::mint::IssueError;
use lanyard_engine::records::TooManyRecords;
use lanyard_engine::tasks::TaskError;
use lanyard_identity::RejectedToken;
use lanyard_vocabulary::id::{ApprovalId, DecisionId, PlanId};
use lanyard_vocabulary::operator::OperatorRole;
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::time::Timestamp;

use crate::freshness::Freshness;
use crate::quotas::TooMany;
use crate::refused::{Class, Fault, Refused};
use crate::shares::Full;
use crate::urls::ApprovalUrl;

pub(crate) use http::{challenge, refused};

fn refuse(
    class: Class,
    message: impl Into<String>,
    reason: &str,
    facts: HashMap<String, String>,
) -> Refused {
    Refused::plain(class, message).because(reason).with(facts)
}

pub(crate) fn unauthenticated() -> Refused {
    refuse(
        Class::Unauthenticated,
        "no accepted identity was presented",
        "UNAUTHENTICATED",
        HashMap::new(),
    )
}

/// Too much of one caller; says nothing of anybody else.
pub(crate) fn too_many(error: &TooMany) -> Refused {
    let TooMany {
        wait,
        what,
        limit,
        most,
    } = *error;
    let facts = [
        ("limit", limit.to_owned()),
        ("limit_value", most.to_string()),
    ];
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    let message = format!(
        "{most} {what} are the limit (`{limit}`): try again in {} s",
        whole_seconds(wait)
    );
    let refused = refuse(Class::TooMuch, message, "QUOTA", facts.into());
    with_wait(refused, wait)
}

/// So many seconds that the wait is over then, and one at least.
fn whole_seconds(wait: Duration) -> u128 {
    wait.as_millis().div_ceil(1000).max(1)
}

/// The refusal, with how long it is until the same call can be taken.
fn with_wait(mut refused: Refused, wait: Duration) -> Refused {
    let seconds = whole_seconds(wait).to_string();
    refused
        .facts
        .insert("retry_after_seconds".to_owned(), seconds);
    refused.wait = Some(wait);
    refused
}

/// There is no memory left for what the caller sends, or for what it wants to hold.
fn exhausted(message: impl Into<String>) -> Refused {
    refuse(Class::TooMuch, message, "QUOTA", HashMap::new())
}

pub(crate) fn no_memory() -> Refused {
    exhausted(
        "too many bytes of requests are being received, of your address or of all: try again later",
    )
}

pub(crate) fn no_room() -> Refused {
    exhausted("too many requests wait for an answer, of your address or of all: try again later")
}

/// Refuses because this caller, or all callers together, have as many as there may be.
pub(crate) fn full(what: &str, full: Full) -> Refused {
    exhausted(format!(
        "{what}: {full}: try again when some of them are done"
    ))
}

/// Refuses a proof because its use cannot be remembered.
pub(crate) fn not_now() -> Refused {
    unavailable(
        "used proofs cannot be remembered now: nothing is accepted that could be used twice",
    )
}

/// Refuses because whoever vouches for the caller gives no answer; that the token is otherwise good
/// is no secret to its holder.
pub(crate) fn unanswered() -> Refused {
    unavailable("the platform that vouches for this identity does not answer")
}

/// Refuses because the action takes a login that is fresh enough (RFC 9470).
pub(crate) fn reauthenticate(needed: &Freshness) -> Refused {
    let mut facts = HashMap::new();
    if let Some(within) = needed.within {
        facts.insert("max_age_seconds".to_owned(), within.as_secs().to_string());
    }
    if !needed.acr.is_empty() {
        let values: Vec<&str> = needed.acr.iter().map(String::as_str).collect();
        facts.insert("acr_values".to_owned(), values.join(" "));
    }
    let message = "this takes a fresh login";
    refuse(Class::Denied, message, "REAUTHENTICATE", facts)
}

/// Names of roles, for a sentence.
fn named(roles: &[OperatorRole], between: &str) -> String {
    let names = roles.iter().map(|role| format!("`{}`", role.name()));
    names.collect::<Vec<_>>().join(between)
}

/// The roles that a call takes, for a sentence; calls of agents take none.
fn taken_by(needed: &[OperatorRole]) -> String {
    match needed {
        [] => "this is for agents".to_owned(),
        [one] => format!("this takes the role `{}`", one.name()),
        several => format!("this takes one of the roles {}", named(several, " or ")),
    }
}

fn role_denied(message: String, held: &[OperatorRole], needed: &[OperatorRole]) -> Refused {
    let words = |roles: &[OperatorRole]| {
        let words: Vec<_> = roles.iter().map(|role| role.name()).collect();
        words.join(" ")
    };
    let facts = [("roles_held", words(held)), ("roles_needed", words(needed))];
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    refuse(Class::Denied, message, "ROLE_DENIED", facts.into())
}

/// The person holds other roles than those that the call takes. Which roles a call takes is in the
/// documentation, and which the person holds is told to that person alone.
pub(crate) fn other_roles(held: &[OperatorRole], needed: &[OperatorRole]) -> Refused {
    let has = named(held, ", ");
    let message = match needed {
        [] => format!(
            "{}, and you are logged in as a person with {has}: use the context of an agent",
            taken_by(needed)
        ),
        _ => format!(
            "{}, and your login gives {has}: ask somebody who holds the role, or whoever maps groups to roles",
            taken_by(needed)
        ),
    };
    role_denied(message, held, needed)
}

/// The caller is an agent, and the call is for people.
pub(crate) fn for_people(needed: &[OperatorRole]) -> Refused {
    let message = format!(
        "{}, which people have and agents do not: use the context of a person",
        taken_by(needed)
    );
    role_denied(message, &[], needed)
}

/// The caller proved who it is by something else than an enrolled key, so there is no key of its to
/// replace.
pub(crate) fn not_enrolled() -> Refused {
    let message = "this is for agents that showed an enrolled key, and your identity was proved otherwise: \
                   `lanyard enrolment join` enrols a key with an invitation";
    refuse(Class::Denied, message, "ROLE_DENIED", HashMap::new())
}

/// The kill ticket is for something else than what is to be stopped.
pub(crate) fn other_scope(ticket: &Scope, asked: &Scope) -> Refused {
    let message =
        format!("this kill ticket stops {ticket} and nothing else, and {asked} was asked for");
    refuse(Class::Denied, message, "ROLE_DENIED", HashMap::new())
}

pub(crate) fn not_found(what: &str) -> Refused {
    refuse(
        Class::Unknown,
        format!("there is no such {what}"),
        "NOT_FOUND",
        HashMap::new(),
    )
}

pub(crate) fn invalid(field: &str, message: impl std::fmt::Display) -> Refused {
    let why = message.to_string();
    Refused {
        fault: Some(Box::new(Fault {
            field: field.to_owned(),
            why: why.clone(),
        })),
        ..Refused::plain(Class::Invalid, format!("{field}: {why}"))
    }
}

fn unavailable(message: impl std::fmt::Display) -> Refused {
    refuse(
        Class::Unavailable,
        message.to_string(),
        "UNAVAILABLE",
        HashMap::new(),
    )
}

fn killed(message: String, id: String) -> Refused {
    refuse(
        Class::NotNow,
        message,
        "KILL_ENGAGED",
        HashMap::from([("kill_id".to_owned(), id)]),
    )
}

/// Returns what a decision that says no adds to its answer: its id, what a program branches on, the
/// limit, and when to ask again.
fn decided(
    facts: &mut HashMap<String, String>,
    (denial, decision): (&Denial, DecisionId),
    engine: &Engine,
) {
    let mut fact = |name: &str, value: String| drop(facts.insert(name.to_owned(), value));
    fact("charter", denial.charter.to_string());
    fact("rule", denial.rule.to_string());
    fact("decision_id", decision.to_string());
    fact("reason_code", denial.code().to_string());
    match (&denial.path, denial.at) {
        (Some(path), _) => fact("path", path.to_string()),
        (None, Some(at)) => fact("line", at.line.to_string()),
        (None, None) => {}
    }
    if let Some(revision) = &denial.revision {
        fact("revision", revision.to_string());
    }
    if let Some(limit) = &denial.limit {
        fact("limit", limit.name.to_string());
        fact("limit_value", limit.value.clone());
    }
    if let Some(what) = denial.held_by {
        fact("held_by", what.to_string());
    }
    if let Some(at) = denial.retry_after {
        fact("retry_after", at.to_string());
        let wait = at.since(engine.clock().now());
        fact("retry_after_seconds", whole_seconds(wait).to_string());
    }
    if let Some(charter) = shown_owners(denial, engine) {
        fact("owner_business", charter.owners.business.clone());
        fact("owner_technical", charter.owners.technical.clone());
        fact("owner_security", charter.owners.security.clone());
    }
}

/// The charter whose owners the caller is told of: not where the answer is that there is no such
/// charter for the caller.
fn shown_owners(denial: &Denial, engine: &Engine) -> Option<Arc<Charter>> {
    denial.revision.as_ref()?;
    engine.charters().in_force(&denial.charter)
}

/// The line of a decision that says no: whom to ask where only people can change the answer, and
/// the id.
fn decided_line(line: &str, (denial, decision): (&Denial, DecisionId), engine: &Engine) -> String {
    // In the other cases the agent has something to do itself, or nothing but to wait.
    let asks_people = !matches!(
        denial.rule,
        Rule::Quota | Rule::Task | Rule::Policies | Rule::Requires
    );
    let owner = shown_owners(denial, engine).filter(|_| asks_people);
    let owner = owner.map_or_else(String::new, |charter| {
        format!(" (owner of the charter: {})", charter.owners.technical)
    });
    format!("{line}{owner} [{decision}]")
}

fn denied(denial: &Denial, decision: DecisionId, engine: &Engine) -> Refused {
    let mut facts = HashMap::new();
    decided(&mut facts, (denial, decision), engine);
    let line = decided_line(&denial.to_string(), (denial, decision), engine);
    let code = denial.code();
    let (class, reason) = if code.is_for_now() {
        // The same request is allowed later: whoever takes this for a final answer gives up too
        // early.
        (Class::NotNow, code.as_str())
    } else {
        (Class::Denied, "CHARTER_DENIED")
    };
    Refused {
        wait: wait(denial, engine),
        ..refuse(class, line, reason, facts)
    }
}

fn wait(denial: &Denial, engine: &Engine) -> Option<Duration> {
    Some(denial.retry_after?.since(engine.clock().now()))
}

/// Refuses with what held the request up, and with the decision that records it.
fn held_up(cause: &Refused, of: (&Denial, DecisionId), engine: &Engine) -> Refused {
    let (denial, _) = of;
    let mut refused = cause.clone();
    if refused.reason.is_empty() {
        refused.reason = denial.code().as_str().into();
    }
    if matches!(denial.code(), ReasonCode::BudgetSpent | ReasonCode::Plans) {
        // Nothing frees it while the task lasts: to wait does not help.
        refused.reason = "LIMIT_SPENT".into();
    }
    decided(&mut refused.facts, of, engine);
    refused.wait = wait(denial, engine).or(refused.wait);
    let line = format!("{}; {}", cause.message, denial.next);
    refused.message = decided_line(&line, of, engine);
    refused
}

pub(crate) fn task(error: TaskError, engine: &Engine) -> Refused {
    match error {
        TaskError::Denied { decision, denial } => denied(&denial, decision, engine),
        TaskError::Refused {
            decision,
            denial,
            error,
        } => held_up(&task(*error, engine), (&denial, decision), engine),
        TaskError::NotFound => not_found("task"),
        TaskError::Commit(error) => commit(error),
        TaskError::TooManyRecords(error) => too_many_records(&error, engine.clock().now()),
        TaskError::Randomness(error) => unavailable(error),
    }
}

pub(crate) fn closed(error: &Closed) -> Refused {
    match error {
        Closed::Killed(id) => killed(error.to_string(), id.to_string()),
        Closed::Ended => refuse(
            Class::NotNow,
            error.to_string(),
            "LEASE_ENDED",
            HashMap::new(),
        ),
        Closed::Unknown | Closed::NotIssuing => unavailable(error),
    }
}

/// Refuses with what a provider did not do.
fn provider(error: ProviderError) -> Refused {
    if error.is_retryable() {
        return unavailable(error);
    }
    // Asked again, it would say the same.
    refuse(
        Class::NotNow,
        error.to_string(),
        "TARGET_REFUSED",
        HashMap::new(),
    )
}

fn unjudged(error: Unjudged) -> Refused {
    match error {
        Unjudged::Form { .. } => invalid("content", error),
        Unjudged::TooMuch(why) => exhausted(why),
        Unjudged::Policies(_) | Unjudged::Store(_) => unavailable(error),
    }
}

fn approval_needed(
    (plan, approval): (PlanId, ApprovalId),
    why: &Unusable,
    page: Option<&ApprovalUrl>,
) -> Refused {
    let mut line = format!("approval {approval} of plan {plan} is needed first: {why}");
    let mut facts = HashMap::from([
        ("plan_id".to_owned(), plan.to_string()),
        ("approval_id".to_owned(), approval.to_string()),
    ]);
    if let Some(page) = page.map(|page| page.of(approval)) {
        line = format!("{line}; people decide at {page}");
        facts.insert("url".to_owned(), page);
    }
    refuse(Class::NotNow, line, "APPROVAL_REQUIRED", facts)
}

/// Kinds of reasons alone: what was found is for operators.
fn not_issuing(why: &NotIssuing) -> Refused {
    let kinds: Vec<_> = why.kinds.iter().map(|kind| kind.as_str()).collect();
    refuse(
        Class::Unavailable,
        why.to_string(),
        "NOT_ISSUING",
        HashMap::from([
            ("condition".to_owned(), why.condition.to_string()),
            ("reasons".to_owned(), kinds.join(" ")),
        ]),
    )
}

/// An identity, or all of them together, fill the journal too fast.
pub(crate) fn too_many_records(error: &TooManyRecords, now: Timestamp) -> Refused {
    let (limit, most) = error.limit();
    let facts = [
        ("retry_after", error.until().to_string()),
        ("limit", limit.to_owned()),
        ("limit_value", most.to_string()),
    ];
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    let message = format!("{error}: the next is taken at {}", error.until());
    let refused = refuse(Class::TooMuch, message, "QUOTA", facts.into());
    with_wait(refused, error.until().since(now))
}

/// Refuses a caller to whom nothing in the configuration and no charter gives anything to do here.
pub(crate) fn stranger() -> Refused {
    refuse(
        Class::Denied,
        "no charter and no role names this identity: there is nothing that it could do with a session",
        "NOT_NAMED",
        HashMap::new(),
    )
}

/// The caller is a person whose login gives no role at all, which is nobody's secret but theirs.
pub(crate) fn no_role(why: &str, needed: &[OperatorRole]) -> Refused {
    let takes = if needed.is_empty() {
        String::new()
    } else {
        format!("; {}", taken_by(needed))
    };
    let message = format!("your login is accepted and gives you no role: {why}{takes}");
    role_denied(message, &[], needed)
}

/// The identity token is longer than is read, which its holder can see as well.
pub(crate) fn long_token(error: &RejectedToken) -> Refused {
    refuse(
        Class::Unauthenticated,
        format!("no accepted identity was presented: {error}"),
        "TOKEN_TOO_LONG",
        HashMap::new(),
    )
}

/// Answers a refused request for a credential; people decide about an approval at the page.
pub(crate) fn issue(error: IssueError, engine: &Engine, page: Option<&ApprovalUrl>) -> Refused {
    match error {
        IssueError::Denied { decision, denial } => denied(&denial, decision, engine),
        IssueError::Refused {
            decision,
            denial,
            error,
        } => held_up(&issue(*error, engine, page), (&denial, decision), engine),
        IssueError::PlanNeeded(denial) => refuse(
            Class::NotNow,
            denial.message,
            "APPROVAL_REQUIRED",
            HashMap::new(),
        ),
        IssueError::NotFound(what) => not_found(what),
        IssueError::ApprovalNeeded {
            approval,
            why: why @ Unusable::Denied(_),
            ..
        } => refuse(
            Class::Denied,
            format!("approval {approval}: {why}"),
            "APPROVAL_DENIED",
            HashMap::from([("approval_id".to_owned(), approval.to_string())]),
        ),
        IssueError::ApprovalNeeded {
            plan,
            approval,
            why,
        } => approval_needed((plan, approval), &why, page),
        IssueError::Repeated(lease) => {
            let message = IssueError::Repeated(lease).to_string();
            refuse(Class::Exists, message, "REQUEST_REPEATED", HashMap::new())
        }
        IssueError::Prepare(error) => refuse(
            Class::NotNow,
            error.to_string(),
            "CANNOT_RENDER",
            HashMap::new(),
        ),
        IssueError::Provider(error) => provider(error),
        IssueError::Commit(error) => commit(error),
        IssueError::Closed(error) => closed(&error),
        error @ IssueError::NotNow { .. } => unavailable(error),
        IssueError::NotIssuing(why) => not_issuing(&why),
        IssueError::TooManyRecords(error) => too_many_records(&error, engine.clock().now()),
        IssueError::Busy => refuse(
            Class::TooMuch,
            IssueError::Busy.to_string(),
            "QUOTA",
            HashMap::new(),
        ),
        IssueError::Plan(error) => unjudged(error),
        IssueError::Randomness(error) => unavailable(error),
    }
}

pub(crate) fn accept(error: AcceptError) -> Refused {
    let message = error.to_string();
    let reason = match error {
        AcceptError::Commit(error) => return commit(error),
        AcceptError::NotRaised(_) => {
            return refuse(Class::Unknown, message, "NOT_FOUND", HashMap::new());
        }
        AcceptError::CauseOnly(_) => "CAUSE_ONLY",
        AcceptError::SamePerson(_) => "SECOND_PERSON_NEEDED",
    };
    refuse(Class::NotNow, message, reason, HashMap::new())
}

/// A refusal of the ledger; of one that is over at a known time, how long that is from now.
pub(crate) fn commit_at(error: CommitError, now: Timestamp) -> Refused {
    let until = match &error {
        CommitError::Refused(refusal) => refusal.retry_after(),
        CommitError::Unavailable(_) | CommitError::Volatile { .. } => None,
    };
    let refused = commit(error);
    match until {
        Some(until) => with_wait(refused, until.since(now)),
        None => refused,
    }
}

pub(crate) fn commit(error: CommitError) -> Refused {
    let refusal = match error {
        CommitError::Unavailable(_) | CommitError::Volatile { .. } => return unavailable(error),
        CommitError::Refused(refusal) => refusal,
    };
    let message = refusal.to_string();
    let until = refusal.retry_after();
    let plain = |code, reason| {
        let until = until.map(|at| ("retry_after".to_owned(), at.to_string()));
        refuse(code, message.clone(), reason, until.into_iter().collect())
    };
    match refusal {
        Refusal::Killed(engaged) => killed(message, engaged.order.id.to_string()),
        Refusal::Paused(_) | Refusal::Tripped(_) => plain(Class::NotNow, "PAUSED"),
        Refusal::ApprovalAsked(_) => plain(Class::NotNow, "APPROVAL_REQUIRED"),
        Refusal::Exists(_) => plain(Class::Exists, "EXISTS"),
        Refusal::Unknown(_) => plain(Class::Unknown, "NOT_FOUND"),
        Refusal::TaskEnded(_) => plain(Class::NotNow, "TASK_ENDED"),
        Refusal::CharterMoved(_) => plain(Class::Moved, "CHARTER_MOVED"),
        Refusal::BudgetSpent { .. }
        | Refusal::TooManyLive { .. }
        | Refusal::TooFast { .. }
        | Refusal::TooManyReports { .. }
        | Refusal::TooManyMessages { .. }
        | Refusal::TooManyReportsOfAgent { .. }
        | Refusal::TooManyTasks { .. }
        | Refusal::TooManyTasksInAll { .. }
        | Refusal::TooManyPlans { .. }
        | Refusal::TooManyRequests { .. }
        | Refusal::CoolingDown { .. } => plain(Class::TooMuch, "QUOTA"),
        Refusal::NotApproved { id, why } => {
            let mut facts = HashMap::from([("approval_id".to_owned(), id.to_string())]);
            if let Unusable::Busy(lease) = why {
                facts.insert("busy_lease_id".to_owned(), lease.to_string());
            }
            refuse(Class::NotNow, message, "APPROVAL_REQUIRED", facts)
        }
        Refusal::Consent(_) => plain(Class::Denied, "CONSENT_REFUSED"),
        Refusal::LeaseMoved(_) => plain(Class::NotNow, "LEASE_ENDED"),
        Refusal::Soaking { .. } => plain(Class::NotNow, "COOLING_DOWN"),
        Refusal::Rearm(_) | Refusal::RearmVoid(_) => plain(Class::NotNow, "REARM_REFUSED"),
    }
}
