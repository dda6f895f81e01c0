//! The decision: pure functions of the charter and the request.
//!
//! A [`Permit`] can be had from [`decide`] alone, and only a permit mints.

mod delegation;
mod people;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::approval::{Requirement, persons};
use crate::charter::{
    ActionPattern, Autonomy, Charter, EmergencyRule, Grant, Hours, Limits, Mode, Name, Outside,
    Position, Prohibited, Prohibition, Revision, Rights, Role, Stated, VersionRule,
};
use crate::emergency::Emergency;
use crate::identity::Identity;
use crate::plan::Plan;
use crate::task::Task;
use crate::time::{Timestamp, Ttl};

pub use delegation::{Ancestor, LONGEST_LINEAGE, may_delegate};
use people::required;
pub use people::requirement;

/// Which rule of which charter said no, and what to do next. One self-contained line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Denial {
    /// The charter's name, as it was asked for.
    pub charter: Name,
    /// The revision that said no; none when there is no such charter in force.
    pub revision: Option<Revision>,
    /// The rule.
    pub rule: Rule,
    /// Where the rule stands in the charter's file.
    pub at: Option<Position>,
    /// Why, in a sentence.
    pub message: String,
    /// What would help, in a sentence.
    pub next: String,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "denied by charter {} ({}", self.charter, self.rule)?;
        if let Some(at) = self.at {
            write!(f, ", line {}", at.line)?;
        }
        write!(f, "): {}; {}", self.message, self.next)
    }
}

/// The kinds of rule that can say no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// No charter of that name is in force.
    NotInForce,
    /// `agents`.
    Agents,
    /// `environments`.
    Environments,
    /// The autonomy of the environment.
    Autonomy,
    /// `grants`.
    Grants,
    /// `mode: shadow`.
    Shadow,
    /// `requires`: the task does not state it.
    Requires,
    /// `expires`: the charter has ended.
    Expires,
    /// `freezes`.
    Freezes,
    /// `hours`.
    Hours,
    /// `emergency`: its terms.
    Emergency,
    /// `delegates`: of a charter above.
    Delegates,
    /// `versions`: this build of the agent is not among them.
    Versions,
    /// `prohibited`.
    Prohibited,
    /// `plans.required`.
    PlanRequired,
    /// `approvals`.
    Approvals,
    /// `limits`.
    Limits,
    /// The task has ended, or never was this agent's.
    Task,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotInForce => "not in force",
            Self::Agents => "agents",
            Self::Environments => "environments",
            Self::Autonomy => "autonomy",
            Self::Grants => "grants",
            Self::Shadow => "mode",
            Self::Requires => "requires",
            Self::Expires => "expires",
            Self::Freezes => "freezes",
            Self::Hours => "hours",
            Self::Emergency => "emergency",
            Self::Delegates => "delegates",
            Self::Versions => "versions",
            Self::Prohibited => "prohibited",
            Self::PlanRequired => "plans.required",
            Self::Approvals => "approvals",
            Self::Limits => "limits",
            Self::Task => "task",
        })
    }
}

/// The revision a task is pinned to, and the one in force now: both must allow.
#[derive(Debug, Clone, Copy)]
pub struct Revisions<'a> {
    /// Under which the task was opened.
    pub pinned: &'a Charter,
    /// In force now.
    pub in_force: &'a Charter,
}

impl<'a> Revisions<'a> {
    /// One revision, pinned and in force.
    #[must_use]
    pub const fn of(charter: &'a Charter) -> Self {
        Self {
            pinned: charter,
            in_force: charter,
        }
    }

    /// The two.
    const fn both(self) -> [&'a Charter; 2] {
        [self.pinned, self.in_force]
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct GrantRequest<'a> {
    /// The task.
    pub task: &'a Task,
    /// The grant's name.
    pub grant: &'a Name,
    /// How long, where the agent asks for less than it may have.
    pub ttl: Option<Ttl>,
    /// The plan that an apply goes with.
    pub plan: Option<&'a Plan>,
    /// Whether a pause asks for a person's approval where the charter asks for nobody's.
    pub watched: bool,
    /// The tasks above this one, nearest first.
    pub ancestors: &'a [Ancestor<'a>],
    /// The emergency that a person declared under the charter, while it lasts.
    pub emergency: Option<&'a Emergency>,
    /// The worst case that the target declares.
    pub worst_case: Duration,
    /// Now.
    pub now: Timestamp,
}

/// Proof that a request was allowed, with everything that bounds the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    grant: Grant,
    prohibited: Vec<Prohibition>,
    destructive: BTreeSet<ActionPattern>,
    requirement: Option<Requirement>,
    limits: Limits,
    in_force: Revision,
    above: Vec<(Name, Revision)>,
    outside_hours: bool,
    expires: Timestamp,
}

impl Permit {
    /// The grant, narrowed to what both revisions allow.
    #[must_use]
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The prohibitions of both revisions.
    #[must_use]
    pub fn prohibited(&self) -> &[Prohibition] {
        &self.prohibited
    }

    /// The destructive actions that the plan names.
    #[must_use]
    pub const fn destructive(&self) -> &BTreeSet<ActionPattern> {
        &self.destructive
    }

    /// What people must have approved first.
    #[must_use]
    pub const fn requirement(&self) -> Option<&Requirement> {
        self.requirement.as_ref()
    }

    /// The tighter of both revisions' limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The revision in force that was looked at: the commit refuses when it has moved (T74).
    #[must_use]
    pub const fn in_force(&self) -> &Revision {
        &self.in_force
    }

    /// The revisions in force of the charters above that were looked at.
    #[must_use]
    pub fn above(&self) -> &[(Name, Revision)] {
        &self.above
    }

    /// Whether it is outside the hours of a revision.
    #[must_use]
    pub const fn is_outside_hours(&self) -> bool {
        self.outside_hours
    }

    /// When the credential ends.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }
}

struct Sayer<'a>(&'a Charter);

impl Sayer<'_> {
    fn no(&self, rule: Rule, at: Option<Position>, message: String, next: &str) -> Denial {
        Denial {
            charter: self.0.name.clone(),
            revision: Some(self.0.revision.clone()),
            rule,
            at,
            message,
            next: next.to_owned(),
        }
    }
}

/// The denial when no charter of that name is in force.
#[must_use]
pub fn not_in_force(charter: &Name) -> Denial {
    Denial {
        charter: charter.clone(),
        revision: None,
        rule: Rule::NotInForce,
        at: None,
        message: "no such charter is in force for you".to_owned(),
        next: "check the name, or ask the platform team whether it loads".to_owned(),
    }
}

/// Whether this identity may open a task in this environment.
///
/// # Errors
/// The rule that says no. To somebody who is no agent of the charter it looks as if there were none (T15).
pub fn may_open(
    charter: &Charter,
    identity: &Identity,
    environment: &Name,
    ticket: Option<&str>,
    now: Timestamp,
) -> Result<(), Denial> {
    if !charter.agents.iter().any(|rule| rule.matches(identity)) {
        return Err(not_in_force(&charter.name));
    }
    if let Some(end) = charter.expires.filter(|end| end.when <= now) {
        return Err(Sayer(charter).no(
            Rule::Expires,
            Some(end.at),
            format!("the charter ended at {}", end.when),
            "ask its owners whether it is still needed",
        ));
    }
    if charter.requires.contains(&Stated::Ticket) && ticket.is_none() {
        return Err(Sayer(charter).no(
            Rule::Requires,
            None,
            "the task names no ticket".into(),
            "open the task with the ticket that it belongs to",
        ));
    }
    if !charter.environments.contains_key(environment) {
        return Err(Sayer(charter).no(
            Rule::Environments,
            None,
            format!("environment {environment} is not in this charter"),
            "open the task in one that is",
        ));
    }
    Ok(())
}

/// Whether a credential may be minted, and bounded by what.
///
/// # Errors
/// The first rule that says no. `mode: shadow` and `versions` come last, and say that everything else would allow it.
pub fn decide(revisions: Revisions<'_>, request: &GrantRequest<'_>) -> Result<Permit, Denial> {
    let pinned = under(revisions.pinned, request)?;
    let current = under(revisions.in_force, request)?;
    let say = Sayer(revisions.in_force);
    let own = narrowed(&say, pinned, current)?;
    let above = delegation::beneath(own, current, request)?;
    let limits = tighter(&revisions.pinned.limits, &revisions.in_force.limits);
    let limits = match &above.limits {
        Some(least) => tighter(&limits, least),
        None => limits,
    };
    let prohibited = union(&revisions.pinned.prohibited, &revisions.in_force.prohibited);
    let prohibited = match above.prohibited.as_slice() {
        [] => prohibited,
        more => union(more, &prohibited),
    };
    let rights = above.rights;
    let destructive = destructive(&say, &rights, &prohibited, request)?;
    let ttl = lifetime(&say, &limits, [pinned.ttl, current.ttl], request)?;
    let permit = Permit {
        requirement: Requirement::both(required(revisions, current, request), above.requirement),
        above: above.in_force,
        grant: Grant {
            rights,
            ..current.clone()
        },
        prohibited,
        destructive,
        limits,
        in_force: revisions.in_force.revision.clone(),
        outside_hours: revisions
            .both()
            .iter()
            .any(|charter| is_outside(charter, current.role, request)),
        expires: until(revisions, current, request, ttl)
            .min(above.ends.unwrap_or(Timestamp::NEVER)),
    };
    acted_on(revisions.pinned, request.task, &permit)?;
    acted_on(revisions.in_force, request.task, &permit)?;
    delegation::acted_on_above(request, &permit)?;
    Ok(permit)
}

/// Whether what would be allowed is given: not in shadow, and not to a version of the agent that nobody has listed.
fn acted_on(charter: &Charter, task: &Task, permit: &Permit) -> Result<(), Denial> {
    let say = Sayer(charter);
    let people = permit
        .requirement
        .as_ref()
        .map_or(0, |needed| needed.people);
    let would = match people {
        0 => "this would be allowed".to_owned(),
        _ => format!(
            "this would be allowed with the approval of {}",
            persons(people)
        ),
    };
    if charter.mode == Mode::Shadow {
        return Err(say.no(
            Rule::Shadow,
            None,
            format!("{would}; the charter only records decisions"),
            "ask the platform team to set mode: enforce",
        ));
    }
    let version = task.version.as_ref();
    let listed = |rule: &VersionRule| version.is_some_and(|version| rule.matches(version));
    if charter.versions.is_empty() || charter.versions.iter().any(listed) {
        return Ok(());
    }
    let (what, next) = match version {
        Some(version) => (
            format!("{would}; {version} is not among the versions that may act"),
            "ask the charter's owners to list this version",
        ),
        None => (
            format!("{would}; the task does not state which version of the agent runs it"),
            "open the task with its model and the digest of its prompt",
        ),
    };
    Err(say.no(
        Rule::Versions,
        charter.versions.first().map(|rule| rule.at),
        what,
        next,
    ))
}

/// The end of a credential: that of its task, of a charter, of its hours or of an emergency, or the begin of a freeze, where
/// one comes first.
fn until(
    revisions: Revisions<'_>,
    grant: &Grant,
    request: &GrantRequest<'_>,
    ttl: Ttl,
) -> Timestamp {
    let usual = (request.now + ttl).min(request.task.expires);
    let ends = revisions
        .both()
        .map(|charter| ends(charter, grant, request));
    ends.into_iter().flatten().fold(usual, Timestamp::min)
}

/// The first moment at which a revision gives this no more.
fn ends(charter: &Charter, grant: &Grant, request: &GrantRequest<'_>) -> Option<Timestamp> {
    let (role, environment) = (grant.role, &request.task.environment);
    let end = charter.expires.map(|end| end.when);
    if terms(charter, grant, request).is_some() {
        let over = request.emergency.map(|emergency| emergency.until);
        return over.into_iter().chain(end).min();
    }
    let freezes = charter.freezes.iter();
    let begins = freezes
        .filter(|freeze| freeze.is_about(role, environment))
        .map(|freeze| freeze.from)
        .filter(|from| *from > request.now);
    let hours = charter.hours.as_ref();
    let closes = hours
        .filter(|hours| hours.is_about(role, environment))
        .and_then(|hours| hours.until(request.now));
    begins.chain(closes).chain(end).min()
}

/// The terms of an emergency under which this revision gives the grant now.
fn terms<'a>(
    charter: &'a Charter,
    grant: &Grant,
    request: &GrantRequest<'_>,
) -> Option<&'a EmergencyRule> {
    let emergency = request.emergency?;
    let lasts = emergency.charter == charter.name && emergency.lasts(request.now);
    let rule = charter.emergency.as_ref()?;
    (lasts && rule.grants.contains(&grant.name)).then_some(rule)
}

/// What one revision says by itself.
fn under<'a>(charter: &'a Charter, request: &GrantRequest<'_>) -> Result<&'a Grant, Denial> {
    let (task, say) = (request.task, Sayer(charter));
    may_open(
        charter,
        &task.identity,
        &task.environment,
        task.ticket.as_deref(),
        request.now,
    )?;
    if task.expires <= request.now {
        return Err(say.no(
            Rule::Task,
            None,
            "the task has ended".into(),
            "open a new one",
        ));
    }
    let grant = charter.grants.get(request.grant).ok_or_else(|| {
        let known: Vec<_> = charter.grants.keys().map(Name::as_str).collect();
        let message = format!("there is no grant {}", request.grant);
        say.no(
            Rule::Grants,
            None,
            message,
            &format!("the grants are {}", known.join(", ")),
        )
    })?;
    if !grant.environments.contains(&task.environment) {
        let message = format!(
            "grant {} is not for environment {}",
            grant.name, task.environment
        );
        return Err(say.no(
            Rule::Grants,
            Some(grant.at),
            message,
            "use a grant of this environment",
        ));
    }
    autonomous(charter, grant, task)?;
    if terms(charter, grant, request).is_none() {
        thawed(charter, grant, request)?;
        in_hours(charter, grant, request)?;
    }
    planned(charter, grant, request)?;
    Ok(grant)
}

fn autonomous(charter: &Charter, grant: &Grant, task: &Task) -> Result<(), Denial> {
    let autonomy = charter
        .environments
        .get(&task.environment)
        .copied()
        .unwrap_or(Autonomy::Observe);
    if grant.role == Role::Apply && !autonomy.applies() {
        return Err(Sayer(charter).no(
            Rule::Autonomy,
            Some(grant.at),
            format!(
                "the agent may not apply in environment {}",
                task.environment
            ),
            "use a plan grant, and propose the change to people",
        ));
    }
    Ok(())
}

fn thawed(charter: &Charter, grant: &Grant, request: &GrantRequest<'_>) -> Result<(), Denial> {
    let environment = &request.task.environment;
    let freeze = charter
        .freezes
        .iter()
        .find(|freeze| freeze.is_about(grant.role, environment) && freeze.holds(request.now));
    let Some(freeze) = freeze else { return Ok(()) };
    Err(Sayer(charter).no(
        Rule::Freezes,
        Some(freeze.at),
        format!(
            "{} is frozen in {environment} until {}: {}",
            grant.role, freeze.to, freeze.reason
        ),
        "wait, or ask for the charter to be changed",
    ))
}

/// The hours that this request is outside of.
fn closed<'a>(charter: &'a Charter, role: Role, request: &GrantRequest<'_>) -> Option<&'a Hours> {
    charter.hours.as_ref().filter(|hours| {
        hours.is_about(role, &request.task.environment) && hours.until(request.now).is_none()
    })
}

fn is_outside(charter: &Charter, role: Role, request: &GrantRequest<'_>) -> bool {
    closed(charter, role, request).is_some()
}

fn in_hours(charter: &Charter, grant: &Grant, request: &GrantRequest<'_>) -> Result<(), Denial> {
    let denied = closed(charter, grant.role, request).filter(|it| it.outside == Outside::Deny);
    let Some(hours) = denied else { return Ok(()) };
    Err(Sayer(charter).no(
        Rule::Hours,
        Some(hours.at),
        format!(
            "{} is not given in {} outside the hours {}",
            grant.role,
            request.task.environment,
            hours.shown()
        ),
        "wait for them, or ask for the charter to be changed",
    ))
}

fn planned(charter: &Charter, grant: &Grant, request: &GrantRequest<'_>) -> Result<(), Denial> {
    let Some(rule) = charter.plans.as_ref() else {
        return Ok(());
    };
    let asked = rule.is_about(grant.role, &request.task.environment);
    if asked && request.plan.is_none() {
        return Err(Sayer(charter).no(
            Rule::PlanRequired,
            Some(rule.at),
            format!(
                "grant {} needs a plan in environment {}",
                grant.name, request.task.environment
            ),
            "submit one with `lanyard plan submit` and name it in the request",
        ));
    }
    Ok(())
}

fn narrowed(say: &Sayer<'_>, pinned: &Grant, current: &Grant) -> Result<Rights, Denial> {
    let same_place = pinned.target == current.target && pinned.role == current.role;
    same_place.then(|| pinned.rights.narrowed(&current.rights)).flatten().ok_or_else(|| {
        say.no(
            Rule::Grants,
            Some(current.at),
            format!("grant {} has changed since the task was opened, and nothing is allowed by both", current.name),
            "open a new task under the charter in force",
        )
    })
}

fn destructive(
    say: &Sayer<'_>,
    rights: &Rights,
    prohibited: &[Prohibition],
    request: &GrantRequest<'_>,
) -> Result<BTreeSet<ActionPattern>, Denial> {
    let (Rights::Aws(grant), Some(plan)) = (rights, request.plan) else {
        return Ok(BTreeSet::new());
    };
    for action in &plan.destructive {
        if let Some(rule) = prohibiting(prohibited, action) {
            let message = format!("{action} is prohibited: {}", rule.reason);
            return Err(say.no(
                Rule::Prohibited,
                Some(rule.at),
                message,
                "take it out of the plan",
            ));
        }
        if !grant.destructive.contains(action) {
            let message = format!(
                "{action} is not among the destructive actions of grant {}",
                request.grant
            );
            return Err(say.no(Rule::Grants, None, message, "take it out of the plan"));
        }
    }
    Ok(plan.destructive.clone())
}

fn prohibiting<'a>(
    prohibited: &'a [Prohibition],
    action: &ActionPattern,
) -> Option<&'a Prohibition> {
    prohibited.iter().find(|rule| match &rule.what {
        Prohibited::Aws(patterns) => patterns.iter().any(|pattern| pattern.matches(&action.0)),
        Prohibited::Kubernetes(_) => false,
    })
}

fn lifetime(
    say: &Sayer<'_>,
    limits: &Limits,
    grants: [Option<Ttl>; 2],
    request: &GrantRequest<'_>,
) -> Result<Ttl, Denial> {
    let longest = grants.into_iter().flatten().fold(limits.ttl, Ttl::min);
    if let Some(asked) = request.ttl.filter(|asked| *asked > longest) {
        let message = format!("{asked} is longer than the {longest} that a credential may live");
        return Err(say.no(Rule::Limits, None, message, "ask for less"));
    }
    match limits.revocable_within {
        Some(bound) if request.worst_case > bound.as_duration() => Err(say.no(
            Rule::Limits,
            None,
            format!(
                "revoking it can take {} s, and the charter asks for {bound} at most",
                request.worst_case.as_secs()
            ),
            "use a target that revokes faster",
        )),
        _ => Ok(request.ttl.unwrap_or(longest)),
    }
}

fn tighter(one: &Limits, two: &Limits) -> Limits {
    let rate = if u64::from(one.mints.count) * u64::from(two.mints.per.as_secs())
        <= u64::from(two.mints.count) * u64::from(one.mints.per.as_secs())
    {
        one.mints
    } else {
        two.mints
    };
    Limits {
        ttl: one.ttl.min(two.ttl),
        task: one.task.min(two.task),
        live_leases: one.live_leases.min(two.live_leases),
        mints: rate,
        revocable_within: match (one.revocable_within, two.revocable_within) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        },
    }
}

fn union(one: &[Prohibition], two: &[Prohibition]) -> Vec<Prohibition> {
    let mut all = two.to_vec();
    all.extend(
        one.iter()
            .filter(|rule| !two.iter().any(|other| other.what == rule.what))
            .cloned(),
    );
    all
}
