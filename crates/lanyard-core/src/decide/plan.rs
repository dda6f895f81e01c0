//! The plan that an apply belongs to: its judgements, and the grant narrowed to it.

use std::collections::BTreeSet;

use lanyard_charter::plan::{PlanFormat, Risk};
use lanyard_charter::reach::PlanReach;
use lanyard_charter::requirement::{Requirement, Unsatisfiable};
use lanyard_charter::{Charter, Grant, Rights, ToPlan};
use lanyard_vocabulary::count::word_for;
use lanyard_vocabulary::person::Person;

use super::{Denial, DenialBuilder, GrantRequest, Rule};
use crate::plan::Plan;

/// Checks that a demanded plan is there and that no judge denies it. The rules of risk judge plans
/// of charters without policies too. A judge that could not answer denies.
pub(super) fn planned(
    charter: &Charter,
    grant: &Grant,
    request: &GrantRequest<'_>,
) -> Result<(), Denial> {
    let rule = charter.plans.as_ref();
    let at = rule.map(|rule| rule.at);
    let Some(plan) = request.plan else {
        if !rule.is_some_and(|rule| rule.is_about(grant.role, &request.task.environment)) {
            return Ok(());
        }
        return Err(DenialBuilder(charter).no(
            Rule::PlanRequired,
            at,
            format!(
                "grant {} needs a plan in environment {}",
                grant.name, request.task.environment
            ),
            "submit one with `lanyard plan submit` and name it in the request",
        ));
    };
    if let Some(rule) = rule.filter(|rule| !rule.formats.contains(&plan.format)) {
        let taken: Vec<String> = rule.formats.iter().map(ToString::to_string).collect();
        return Err(DenialBuilder(charter).no(
            Rule::PlanRequired,
            at,
            format!("a plan in the form {} is not taken", plan.format),
            &format!("submit it as {}", taken.join(" or ")),
        ));
    }
    let Some(judgement) = plan.judged_by(charter.policies_digest()) else {
        return Err(DenialBuilder(charter).no(
            Rule::Policies,
            at,
            "the policies in force have not judged this plan".into(),
            "submit it again",
        ));
    };
    match judgement.denied.as_slice() {
        [] => Ok(()),
        [why, more @ ..] => {
            let more = match more.len() {
                0 => String::new(),
                many => format!(" (and {many} more {})", word_for(many as u64, "denial")),
            };
            let message = format!("a policy denies the plan: {why}{more}");
            let policy = rule.and_then(|rule| rule.policies.first());
            let at = policy.map(|policy| policy.at).or(at);
            Err(DenialBuilder(charter).no(Rule::Policies, at, message, "change the plan"))
        }
    }
}

/// Objects without a namespace are applied to the grant's, and policies judged them there: a plan
/// that was judged for one namespace is not applied to another.
pub(super) fn in_its_namespace(
    say: &DenialBuilder<'_>,
    rights: &Rights,
    request: &GrantRequest<'_>,
) -> Result<(), Denial> {
    let judged = request.plan.and_then(|plan| plan.namespace.as_deref());
    let (Some(judged), Some(now)) = (judged, rights.namespace()) else {
        return Ok(());
    };
    if judged == now {
        return Ok(());
    }
    let message = format!(
        "policies judged the plan for namespace {judged}, and grant {} is for namespace {now} now",
        request.grant
    );
    Err(say.no(Rule::Policies, None, message, "submit the plan again"))
}

/// A grant narrowed to its plan.
pub(super) struct Narrowed {
    pub(super) rights: Rights,
    /// The reason why the grant is not narrowed.
    pub(super) whole: Option<String>,
    /// The changes that the grant permits beyond the plan.
    pub(super) beyond: Option<String>,
}

/// Narrows a grant to the plan.
pub(super) fn narrowed(
    say: &DenialBuilder<'_>,
    rights: &Rights,
    request: &GrantRequest<'_>,
) -> Result<Narrowed, Denial> {
    let whole = |why| Narrowed {
        rights: rights.clone(),
        whole: why,
        beyond: None,
    };
    let Some(plan) = request.plan else {
        return Ok(whole(None));
    };
    match to_plan(rights, plan) {
        ToPlan::Narrowed(rights) => Ok(Narrowed {
            rights,
            whole: None,
            beyond: None,
        }),
        ToPlan::Partly(rights, beyond) => Ok(Narrowed {
            rights,
            whole: None,
            beyond: Some(beyond),
        }),
        // Its approvers saw a narrowed credential, and get none that can do more.
        ToPlan::Whole(why) if plan.reach.as_ref().is_some_and(PlanReach::is_recorded) => {
            let message =
                format!("what the plan changes cannot be read from its record any more: {why}");
            Err(say.no(Rule::Grants, None, message, "submit the plan again"))
        }
        ToPlan::Whole(why) => Ok(whole(Some(why))),
        ToPlan::Nothing => {
            let changes = plan.reach.as_ref().map(PlanReach::in_short);
            let message = format!(
                "grant {} gives nothing of what the plan changes: the plan changes {}, and the grant {}",
                request.grant,
                changes.unwrap_or_default(),
                rights.changes_in_short()
            );
            let next = "submit the plan for the grant that does";
            Err(say.no(Rule::Grants, None, message, next))
        }
    }
}

fn to_plan(rights: &Rights, plan: &Plan) -> ToPlan {
    // No plan narrows it, whether or not the plan can be read.
    if rights.is_for_state() {
        return ToPlan::Narrowed(rights.clone());
    }
    let no_reach = || {
        let why = "the plan's form names no resources, or they do not fit into a credential";
        ToPlan::Whole(why.to_owned())
    };
    let reach = plan.reach.as_ref();
    reach.map_or_else(no_reach, |reach| rights.to_plan(reach))
}

/// The risk that approvers are shown. Less than high only if the credential can be narrowed to the
/// plan, because nobody has assessed what an unnarrowed credential could do.
pub(super) fn risk(rights: &Rights, request: &GrantRequest<'_>) -> Risk {
    let Some(plan) = request.plan else {
        return Risk::High;
    };
    match to_plan(rights, plan) {
        // No less than what people were shown, whatever has changed since.
        ToPlan::Narrowed(_) | ToPlan::Nothing => {
            plan.judged_risk().max(plan.counted.unwrap_or(Risk::Low))
        }
        ToPlan::Partly(..) | ToPlan::Whole(_) => Risk::High,
    }
}

/// The number of people who have to approve a plan that may be grave and that nothing can read.
const PEOPLE_FOR_THE_UNREADABLE: u32 = 2;

/// Returns the number of people that a plan demands because of its form. The rules of risk read
/// plans of AWS, Kubernetes, Vault and GitHub, and handing such a plan in as text must not demand
/// fewer people than those rules. Scopes of Lanyard's own tokens have no form.
fn asked_by_form(rights: &Rights, plan: &Plan) -> u32 {
    match plan.format {
        PlanFormat::Text if rights.has_form_of_plan() => PEOPLE_FOR_THE_UNREADABLE,
        PlanFormat::Text
        | PlanFormat::TerraformJson
        | PlanFormat::Manifests
        | PlanFormat::ManifestDiff => 0,
    }
}

/// Adds to the charter's approval what the plan's judges and its form demand. The person who
/// declared an emergency counts for these additions, unless that person is a sponsor.
pub(super) fn asked(
    needed: Option<Requirement>,
    rights: &Rights,
    plan: Option<&Plan>,
    sponsors: BTreeSet<Person>,
) -> Result<Option<Requirement>, Unsatisfiable> {
    let nobody = BTreeSet::new();
    let judges = plan.map_or(&[][..], |plan| &plan.judgements);
    let judges = judges.iter().map(|judge| (judge.people, &judge.groups));
    let form = plan.map(|plan| (asked_by_form(rights, plan), &nobody));
    let asks = |(people, groups): &(u32, &BTreeSet<String>)| *people > 0 || !groups.is_empty();
    let declared = needed.iter().flat_map(|needed| &needed.besides);
    // A sponsor who declares an emergency is no second person to the agent.
    let declared = declared.filter(|by| !sponsors.iter().any(|sponsor| sponsor.may_be(by)));
    let declared = u32::try_from(declared.count()).unwrap_or(u32::MAX);
    let mut demands = judges
        .chain(form)
        .filter(asks)
        .map(|(people, groups)| Requirement {
            people: people.saturating_sub(declared).max(1),
            also: groups.clone(),
            ..Requirement::of_one()
        });
    let needed = demands.try_fold(needed, |needed, demand| {
        Requirement::both(needed, Some(demand))
    })?;
    Ok(needed.map(|needed| Requirement { sponsors, ..needed }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lanyard_charter::TokenGrant;
    use lanyard_charter::plan::PlanFormat;
    use lanyard_charter::reach::{Effects, Sensitive};
    use lanyard_vocabulary::digest::Digest;
    use lanyard_vocabulary::id::{PlanId, TaskId};
    use lanyard_vocabulary::person::Person;
    use lanyard_vocabulary::time::Timestamp;

    use super::*;
    use crate::plan::Judgement;

    #[test]
    fn judges_ask_for_people_besides_and_whoever_declared_an_emergency_is_one() {
        let plan = |people| Plan {
            id: PlanId::from_bits(0),
            task: TaskId::from_bits(0),
            grant: "restart".parse().unwrap(),
            namespace: None,
            format: PlanFormat::Text,
            digest: Digest::of(b""),
            size: 0,
            summary: String::new(),
            destructive: BTreeSet::new(),
            effects: Effects::default(),
            rehearsed: None,
            sensitive: Sensitive::default(),
            beyond: None,
            counted: None,
            reach: None,
            narrowing: None,
            rehearsal: None,
            judgements: vec![Judgement {
                people,
                groups: ["security".to_owned()].into(),
                ..Judgement::unread(Digest::of(b""))
            }],
            submitted: Timestamp::EPOCH,
            approval: None,
        };
        let declared = Requirement {
            besides: [Person {
                issuer: "i".to_owned(),
                subject: Some("s".to_owned()),
                directory: None,
                name: None,
            }]
            .into(),
            ..Requirement::of_one()
        };
        let rights = Rights::from(TokenGrant {
            audience: "tickets".to_owned(),
            scopes: BTreeSet::new(),
        });
        let people = |needed, people| {
            let asked = super::asked(needed, &rights, Some(&plan(people)), BTreeSet::new());
            let asked = asked.unwrap().unwrap();
            (asked.people, asked.also.len(), asked.besides.len())
        };
        assert_eq!(people(None, 2), (2, 1, 0));
        assert_eq!(people(Some(declared.clone()), 2), (1, 1, 1));
        assert_eq!(people(Some(declared), 4), (3, 1, 1));
        assert_eq!(people(None, 0), (1, 1, 0));
        assert_eq!(asked(None, &rights, None, BTreeSet::new()), Ok(None));
    }
}
