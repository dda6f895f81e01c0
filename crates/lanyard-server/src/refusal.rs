//! From what went wrong to what the caller is told. One place, so that forbidden and unknown look the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::approval::Unusable;
use lanyard_core::charter::Charter;
use lanyard_core::decide::{Denial, ReasonCode, Rule};
use lanyard_core::id::{ApprovalId, DecisionId, PlanId};
use lanyard_core::identity::OperatorRole;
use lanyard_core::ledger::CommitError;
use lanyard_core::plan::Unjudged;
use lanyard_core::provider::ProviderError;
use lanyard_core::scope::Scope;
use lanyard_core::state::Refusal;
use lanyard_core::time::Timestamp;
use lanyard_engine::condition::{AcceptError, NotIssuing};
use lanyard_engine::gate::Closed;
use lanyard_engine::mint::IssueError;
use lanyard_engine::records::TooManyRecords;
use lanyard_engine::tasks::TaskError;
use lanyard_identity::RejectedToken;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::config::ApprovalUrl;
use crate::identity::{Freshness, TooMany};
use crate::shares::Full;
use crate::wire::Broker;

const DOMAIN: &str = "lanyard.dev";

fn status(
    code: Code,
    message: impl Into<String>,
    reason: &str,
    facts: HashMap<String, String>,
) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, facts);
    Status::with_error_details(code, message, details)
}

pub(crate) fn unauthenticated() -> Status {
    status(
        Code::Unauthenticated,
        "no accepted identity was presented",
        "UNAUTHENTICATED",
        HashMap::new(),
    )
}

/// How an identity can be shown, over HTTP (RFC 9110 section 11.6.1, RFC 9449 section 7.1).
pub(crate) fn challenge(response: &mut axum::response::Response) {
    let value = http::HeaderValue::from_static("Bearer, DPoP algs=\"EdDSA ES256\"");
    response
        .headers_mut()
        .insert(http::header::WWW_AUTHENTICATE, value);
}

/// Too much of one caller; says nothing of anybody else.
pub(crate) fn too_many(error: &TooMany) -> Status {
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
    let refused = status(Code::ResourceExhausted, message, "QUOTA", facts.into());
    with_wait(&refused, wait)
}

/// So many seconds that the wait is over then, and one at least.
fn whole_seconds(wait: Duration) -> u128 {
    wait.as_millis().div_ceil(1000).max(1)
}

/// The refusal, with how long it is until the same call can be taken.
fn with_wait(refused: &Status, wait: Duration) -> Status {
    let mut details = refused.get_error_details();
    if let Some(info) = details.error_info().cloned() {
        let mut facts = info.metadata;
        let seconds = whole_seconds(wait).to_string();
        facts.insert("retry_after_seconds".to_owned(), seconds);
        details.set_error_info(info.reason, DOMAIN, facts);
    }
    details.set_retry_info(Some(wait));
    Status::with_error_details(refused.code(), refused.message(), details)
}

/// There is no memory left for what the caller sends, or for what it wants to hold.
fn exhausted(message: impl Into<String>) -> Status {
    status(Code::ResourceExhausted, message, "QUOTA", HashMap::new())
}

pub(crate) fn no_memory() -> Status {
    exhausted(
        "too many bytes of requests are being received, of your address or of all: try again later",
    )
}

pub(crate) fn no_room() -> Status {
    exhausted("too many requests wait for an answer, of your address or of all: try again later")
}

/// This caller, or all callers together, have as many as there may be.
pub(crate) fn full(what: &str, full: Full) -> Status {
    exhausted(format!(
        "{what}: {full}: try again when some of them are done"
    ))
}

/// What was shown cannot be remembered, so it is not taken.
pub(crate) fn not_now() -> Status {
    unavailable(
        "used proofs cannot be remembered now: nothing is accepted that could be used twice",
    )
}

/// Whoever vouches for the caller gives no answer; that the token is otherwise good is no secret to its holder.
pub(crate) fn unanswered() -> Status {
    unavailable("the platform that vouches for this identity does not answer")
}

/// This takes a login that is fresh enough (RFC 9470).
pub(crate) fn reauthenticate(needed: &Freshness) -> Status {
    let mut facts = HashMap::new();
    if let Some(within) = needed.within {
        facts.insert("max_age_seconds".to_owned(), within.as_secs().to_string());
    }
    if !needed.acr.is_empty() {
        let values: Vec<&str> = needed.acr.iter().map(String::as_str).collect();
        facts.insert("acr_values".to_owned(), values.join(" "));
    }
    let message = "this takes a fresh login";
    status(Code::PermissionDenied, message, "REAUTHENTICATE", facts)
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

fn role_denied(message: String, held: &[OperatorRole], needed: &[OperatorRole]) -> Status {
    let words = |roles: &[OperatorRole]| {
        let words: Vec<_> = roles.iter().map(|role| role.name()).collect();
        words.join(" ")
    };
    let facts = [("roles_held", words(held)), ("roles_needed", words(needed))];
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    status(Code::PermissionDenied, message, "ROLE_DENIED", facts.into())
}

/// The person holds other roles than those that the call takes. Which roles a call takes is in the
/// documentation, and which the person holds is told to that person alone.
pub(crate) fn other_roles(held: &[OperatorRole], needed: &[OperatorRole]) -> Status {
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
pub(crate) fn for_people(needed: &[OperatorRole]) -> Status {
    let message = format!(
        "{}, which people have and agents do not: use the context of a person",
        taken_by(needed)
    );
    role_denied(message, &[], needed)
}

/// The caller proved who it is by something else than an enrolled key, so there is no key of its to
/// replace.
pub(crate) fn not_enrolled() -> Status {
    let message = "this is for agents that showed an enrolled key, and your identity was proved otherwise: \
                   `lanyard enrolment join` enrols a key with an invitation";
    status(
        Code::PermissionDenied,
        message,
        "ROLE_DENIED",
        HashMap::new(),
    )
}

/// The kill ticket is for something else than what is to be stopped.
pub(crate) fn other_scope(ticket: &Scope, asked: &Scope) -> Status {
    let message =
        format!("this kill ticket stops {ticket} and nothing else, and {asked} was asked for");
    status(
        Code::PermissionDenied,
        message,
        "ROLE_DENIED",
        HashMap::new(),
    )
}

pub(crate) fn not_found(what: &str) -> Status {
    status(
        Code::NotFound,
        format!("there is no such {what}"),
        "NOT_FOUND",
        HashMap::new(),
    )
}

pub(crate) fn invalid(field: &str, message: impl std::fmt::Display) -> Status {
    let details = ErrorDetails::with_bad_request_violation(field, message.to_string());
    Status::with_error_details(
        Code::InvalidArgument,
        format!("{field}: {message}"),
        details,
    )
}

fn unavailable(message: impl std::fmt::Display) -> Status {
    status(
        Code::Unavailable,
        message.to_string(),
        "UNAVAILABLE",
        HashMap::new(),
    )
}

fn killed(message: String, id: String) -> Status {
    status(
        Code::FailedPrecondition,
        message,
        "KILL_ENGAGED",
        HashMap::from([("kill_id".to_owned(), id)]),
    )
}

/// What a decision that says no adds to its answer: its id, what a program branches on, the limit, and when to ask again.
fn decided(
    facts: &mut HashMap<String, String>,
    (denial, decision): (&Denial, DecisionId),
    broker: &Broker,
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
    if let Some(at) = denial.retry_after {
        fact("retry_after", at.to_string());
        let wait = at.since(broker.engine.now());
        fact("retry_after_seconds", whole_seconds(wait).to_string());
    }
    if let Some(charter) = shown_owners(denial, broker) {
        fact("owner_business", charter.owners.business.clone());
        fact("owner_technical", charter.owners.technical.clone());
        fact("owner_security", charter.owners.security.clone());
    }
}

/// The charter whose owners the caller is told of: not where the answer is that there is no such charter for the caller.
fn shown_owners(denial: &Denial, broker: &Broker) -> Option<Arc<Charter>> {
    denial.revision.as_ref()?;
    broker.engine.charters().in_force(&denial.charter)
}

/// The line of a decision that says no: whom to ask where only people can change the answer, and the id.
fn decided_line(line: &str, (denial, decision): (&Denial, DecisionId), broker: &Broker) -> String {
    // In the other cases the agent has something to do itself, or nothing but to wait.
    let asks_people = !matches!(
        denial.rule,
        Rule::Quota | Rule::Task | Rule::Policies | Rule::Requires
    );
    let owner = shown_owners(denial, broker).filter(|_| asks_people);
    let owner = owner.map_or_else(String::new, |charter| {
        format!(" (owner of the charter: {})", charter.owners.technical)
    });
    format!("{line}{owner} [{decision}]")
}

fn denied(denial: &Denial, decision: DecisionId, broker: &Broker) -> Status {
    let mut facts = HashMap::new();
    decided(&mut facts, (denial, decision), broker);
    let line = decided_line(&denial.to_string(), (denial, decision), broker);
    let code = denial.code();
    let (class, reason) = if code.is_for_now() {
        // The same request is allowed later: whoever takes this for a final answer gives up too early.
        (Code::FailedPrecondition, code.as_str())
    } else {
        (Code::PermissionDenied, "CHARTER_DENIED")
    };
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, facts);
    details.set_retry_info(wait(denial, broker));
    Status::with_error_details(class, line, details)
}

fn wait(denial: &Denial, broker: &Broker) -> Option<Duration> {
    Some(denial.retry_after?.since(broker.engine.now()))
}

/// What held the request up, with the decision that records it.
fn held_up(cause: &Status, of: (&Denial, DecisionId), broker: &Broker) -> Status {
    let (denial, _) = of;
    let mut details = cause.get_error_details();
    let (mut reason, mut facts) = details.error_info().map_or_else(
        || (denial.code().to_string(), HashMap::new()),
        |info| (info.reason.clone(), info.metadata.clone()),
    );
    if matches!(denial.code(), ReasonCode::BudgetSpent | ReasonCode::Plans) {
        // Nothing frees it while the task lasts: to wait does not help.
        "LIMIT_SPENT".clone_into(&mut reason);
    }
    decided(&mut facts, of, broker);
    details.set_error_info(reason, DOMAIN, facts);
    if let Some(wait) = wait(denial, broker) {
        details.set_retry_info(Some(wait));
    }
    let line = format!("{}; {}", cause.message(), denial.next);
    Status::with_error_details(cause.code(), decided_line(&line, of, broker), details)
}

pub(crate) fn task(error: TaskError, broker: &Broker) -> Status {
    match error {
        TaskError::Denied { decision, denial } => denied(&denial, decision, broker),
        TaskError::Refused {
            decision,
            denial,
            error,
        } => held_up(&task(*error, broker), (&denial, decision), broker),
        TaskError::NotFound => not_found("task"),
        TaskError::Commit(error) => commit(error),
        TaskError::TooManyRecords(error) => too_many_records(&error, broker.engine.now()),
        TaskError::Randomness(error) => unavailable(error),
    }
}

pub(crate) fn closed(error: &Closed) -> Status {
    match error {
        Closed::Killed(id) => killed(error.to_string(), id.to_string()),
        Closed::Ended => status(
            Code::FailedPrecondition,
            error.to_string(),
            "LEASE_ENDED",
            HashMap::new(),
        ),
        Closed::Unknown | Closed::NotIssuing => unavailable(error),
    }
}

/// What a provider did not do.
fn provider(error: ProviderError) -> Status {
    if error.is_retryable() {
        return unavailable(error);
    }
    // Asked again, it would say the same.
    status(
        Code::FailedPrecondition,
        error.to_string(),
        "TARGET_REFUSED",
        HashMap::new(),
    )
}

fn unjudged(error: Unjudged) -> Status {
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
) -> Status {
    let mut line = format!("approval {approval} of plan {plan} is needed first: {why}");
    let mut facts = HashMap::from([
        ("plan_id".to_owned(), plan.to_string()),
        ("approval_id".to_owned(), approval.to_string()),
    ]);
    if let Some(page) = page.map(|page| page.of(approval)) {
        line = format!("{line}; people decide at {page}");
        facts.insert("url".to_owned(), page);
    }
    status(Code::FailedPrecondition, line, "APPROVAL_REQUIRED", facts)
}

/// Kinds of reasons alone: what was found is for operators.
fn not_issuing(why: &NotIssuing) -> Status {
    let kinds: Vec<_> = why.kinds.iter().map(|kind| kind.as_str()).collect();
    status(
        Code::Unavailable,
        why.to_string(),
        "NOT_ISSUING",
        HashMap::from([
            ("condition".to_owned(), why.condition.to_string()),
            ("reasons".to_owned(), kinds.join(" ")),
        ]),
    )
}

/// An identity, or all of them together, fill the journal too fast.
pub(crate) fn too_many_records(error: &TooManyRecords, now: Timestamp) -> Status {
    let (limit, most) = error.limit();
    let facts = [
        ("retry_after", error.until().to_string()),
        ("limit", limit.to_owned()),
        ("limit_value", most.to_string()),
    ];
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    let message = format!("{error}: the next is taken at {}", error.until());
    let refused = status(Code::ResourceExhausted, message, "QUOTA", facts.into());
    with_wait(&refused, error.until().since(now))
}

/// Nothing in the configuration and no charter gives this caller anything to do here.
pub(crate) fn stranger() -> Status {
    status(
        Code::PermissionDenied,
        "no charter and no role names this identity: there is nothing that it could do with a session",
        "NOT_NAMED",
        HashMap::new(),
    )
}

/// The caller is a person whose login gives no role at all, which is nobody's secret but theirs.
pub(crate) fn no_role(why: &str, needed: &[OperatorRole]) -> Status {
    let takes = if needed.is_empty() {
        String::new()
    } else {
        format!("; {}", taken_by(needed))
    };
    let message = format!("your login is accepted and gives you no role: {why}{takes}");
    role_denied(message, &[], needed)
}

/// The identity token is longer than is read, which its holder can see as well.
pub(crate) fn long_token(error: &RejectedToken) -> Status {
    status(
        Code::Unauthenticated,
        format!("no accepted identity was presented: {error}"),
        "TOKEN_TOO_LONG",
        HashMap::new(),
    )
}

pub(crate) fn issue(error: IssueError, broker: &Broker) -> Status {
    match error {
        IssueError::Denied { decision, denial } => denied(&denial, decision, broker),
        IssueError::Refused {
            decision,
            denial,
            error,
        } => held_up(&issue(*error, broker), (&denial, decision), broker),
        IssueError::PlanNeeded(denial) => status(
            Code::FailedPrecondition,
            denial.message,
            "APPROVAL_REQUIRED",
            HashMap::new(),
        ),
        IssueError::NotFound(what) => not_found(what),
        IssueError::ApprovalNeeded {
            approval,
            why: why @ Unusable::Denied(_),
            ..
        } => status(
            Code::PermissionDenied,
            format!("approval {approval}: {why}"),
            "APPROVAL_DENIED",
            HashMap::from([("approval_id".to_owned(), approval.to_string())]),
        ),
        IssueError::ApprovalNeeded {
            plan,
            approval,
            why,
        } => approval_needed((plan, approval), &why, broker.approval_url.as_ref()),
        IssueError::Repeated(lease) => {
            let message = IssueError::Repeated(lease).to_string();
            status(
                Code::AlreadyExists,
                message,
                "REQUEST_REPEATED",
                HashMap::new(),
            )
        }
        IssueError::Prepare(error) => status(
            Code::FailedPrecondition,
            error.to_string(),
            "CANNOT_RENDER",
            HashMap::new(),
        ),
        IssueError::Provider(error) => provider(error),
        IssueError::Commit(error) => commit(error),
        IssueError::Closed(error) => closed(&error),
        error @ IssueError::NotNow { .. } => unavailable(error),
        IssueError::NotIssuing(why) => not_issuing(&why),
        IssueError::TooManyRecords(error) => too_many_records(&error, broker.engine.now()),
        IssueError::Busy => status(
            Code::ResourceExhausted,
            IssueError::Busy.to_string(),
            "QUOTA",
            HashMap::new(),
        ),
        IssueError::Plan(error) => unjudged(error),
        IssueError::Randomness(error) => unavailable(error),
    }
}

pub(crate) fn accept(error: AcceptError) -> Status {
    let message = error.to_string();
    let reason = match error {
        AcceptError::Commit(error) => return commit(error),
        AcceptError::NotRaised(_) => {
            return status(Code::NotFound, message, "NOT_FOUND", HashMap::new());
        }
        AcceptError::CauseOnly(_) => "CAUSE_ONLY",
        AcceptError::SamePerson(_) => "SECOND_PERSON_NEEDED",
    };
    status(Code::FailedPrecondition, message, reason, HashMap::new())
}

/// A refusal of the ledger; of one that is over at a known time, how long that is from now.
pub(crate) fn commit_at(error: CommitError, now: Timestamp) -> Status {
    let until = match &error {
        CommitError::Refused(refusal) => refusal.retry_after(),
        CommitError::Unavailable(_) | CommitError::Volatile { .. } => None,
    };
    let refused = commit(error);
    match until {
        Some(until) => with_wait(&refused, until.since(now)),
        None => refused,
    }
}

pub(crate) fn commit(error: CommitError) -> Status {
    let refusal = match error {
        CommitError::Unavailable(_) | CommitError::Volatile { .. } => return unavailable(error),
        CommitError::Refused(refusal) => refusal,
    };
    let message = refusal.to_string();
    let until = refusal.retry_after();
    let plain = |code, reason| {
        let until = until.map(|at| ("retry_after".to_owned(), at.to_string()));
        status(code, message.clone(), reason, until.into_iter().collect())
    };
    match refusal {
        Refusal::Killed(engaged) => killed(message, engaged.order.id.to_string()),
        Refusal::Paused(_) | Refusal::Tripped(_) => plain(Code::FailedPrecondition, "PAUSED"),
        Refusal::ApprovalAsked(_) => plain(Code::FailedPrecondition, "APPROVAL_REQUIRED"),
        Refusal::Exists(_) => plain(Code::AlreadyExists, "EXISTS"),
        Refusal::Unknown(_) => plain(Code::NotFound, "NOT_FOUND"),
        Refusal::TaskEnded(_) => plain(Code::FailedPrecondition, "TASK_ENDED"),
        Refusal::CharterMoved(_) => plain(Code::Aborted, "CHARTER_MOVED"),
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
        | Refusal::CoolingDown { .. } => plain(Code::ResourceExhausted, "QUOTA"),
        Refusal::NotApproved { id, why } => {
            let mut facts = HashMap::from([("approval_id".to_owned(), id.to_string())]);
            if let Unusable::Busy(lease) = why {
                facts.insert("busy_lease_id".to_owned(), lease.to_string());
            }
            status(
                Code::FailedPrecondition,
                message,
                "APPROVAL_REQUIRED",
                facts,
            )
        }
        Refusal::Consent(_) => plain(Code::PermissionDenied, "CONSENT_REFUSED"),
        Refusal::LeaseMoved(_) => plain(Code::FailedPrecondition, "LEASE_ENDED"),
        Refusal::Soaking { .. } => plain(Code::FailedPrecondition, "COOLING_DOWN"),
        Refusal::Rearm(_) | Refusal::RearmVoid(_) => {
            plain(Code::FailedPrecondition, "REARM_REFUSED")
        }
    }
}
