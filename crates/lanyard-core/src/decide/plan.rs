//! The plan that an apply goes with: what its judges say, and what it narrows the grant to.

use std::collections::BTreeSet;

use super::{Denial, GrantRequest, Rule, Sayer};
use crate::approval::{Requirement, Unsatisfiable};
use crate::charter::{Charter, Grant, Rights, ToPlan};
use crate::person::Person;
use crate::plan::{Judgement, Plan, Risk};

/// Whether the plan is there where one is asked for, and the charter's policies have nothing against it.
pub(super) fn planned(
    charter: &Charter,
    grant: &Grant,
    request: &GrantRequest<'_>,
) -> Result<(), Denial> {
    let Some(rule) = charter.plans.as_ref() else {
        return Ok(());
    };
    let Some(plan) = request.plan else {
        if !rule.is_about(grant.role, &request.task.environment) {
            return Ok(());
        }
        return Err(Sayer(charter).no(
            Rule::PlanRequired,
            Some(rule.at),
            format!(
                "grant {} needs a plan in environment {}",
                grant.name, request.task.environment
            ),
            "submit one with `lanyard plan submit` and name it in the request",
        ));
    };
    if !rule.formats.contains(&plan.format) {
        let taken: Vec<String> = rule.formats.iter().map(ToString::to_string).collect();
        return Err(Sayer(charter).no(
            Rule::PlanRequired,
            Some(rule.at),
            format!("a plan in the form {} is not taken", plan.format),
            &format!("submit it as {}", taken.join(" or ")),
        ));
    }
    if rule.policies.is_empty() {
        return Ok(());
    }
    let Some(judgement) = plan.judged_by(charter.policies_digest()) else {
        return Err(Sayer(charter).no(
            Rule::Policies,
            Some(rule.at),
            "the policies in force have not judged this plan".into(),
            "submit it again",
        ));
    };
    match judgement.denied.as_slice() {
        [] => Ok(()),
        [why, more @ ..] => {
            let more = match more.len() {
                0 => String::new(),
                1 => " (and another denial)".to_owned(),
                many => format!(" (and {many} more denials)"),
            };
            let message = format!("a policy denies the plan: {why}{more}");
            let at = rule.policies.first().map(|policy| policy.at);
            Err(Sayer(charter).no(Rule::Policies, at, message, "change the plan"))
        }
    }
}

/// A grant as far as a plan needs it.
pub(super) struct Narrowed {
    pub(super) rights: Rights,
    /// Why it is all of the grant.
    pub(super) whole: Option<String>,
    /// What it can change besides what the plan names.
    pub(super) beyond: Option<String>,
}

/// Narrows a grant to the plan.
pub(super) fn narrowed(
    say: &Sayer<'_>,
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
        ToPlan::Whole(why) => Ok(whole(Some(why))),
        ToPlan::Nothing => Err(say.no(
            Rule::Grants,
            None,
            format!(
                "grant {} gives nothing of what the plan changes",
                request.grant
            ),
            "submit the plan for the grant that does",
        )),
    }
}

fn to_plan(rights: &Rights, plan: &Plan) -> ToPlan {
    let no_reach = || {
        let why = "the plan's form names no resources, or they do not fit into a credential";
        ToPlan::Whole(why.to_owned())
    };
    let reach = plan.reach.as_ref();
    reach.map_or_else(no_reach, |reach| rights.to_plan(reach))
}

/// The risk that people are asked for. It is less than high only where the credential can be narrowed to the plan: what it
/// could do besides is not low.
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

/// What the charter asks of people, and what the plan's judges ask besides. Whoever declared an emergency is one of those that
/// the judges ask for, unless a sponsor did; the approval of none of these sponsors counts.
pub(super) fn asked(
    needed: Option<Requirement>,
    plan: Option<&Plan>,
    sponsors: BTreeSet<Person>,
) -> Result<Option<Requirement>, Unsatisfiable> {
    let judgements = plan.map_or(&[][..], |plan| &plan.judgements);
    let asks = |judgement: &&Judgement| judgement.people > 0 || !judgement.groups.is_empty();
    let declared = needed.iter().flat_map(|needed| &needed.besides);
    // A sponsor who declares an emergency is no second person to the agent.
    let declared = declared.filter(|by| !sponsors.iter().any(|sponsor| sponsor.may_be(by)));
    let declared = u32::try_from(declared.count()).unwrap_or(u32::MAX);
    let mut demands = judgements.iter().filter(asks).map(|judgement| Requirement {
        people: judgement.people.saturating_sub(declared).max(1),
        also: judgement.groups.clone(),
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

    use super::*;
    use crate::digest::Digest;
    use crate::id::{PlanId, TaskId};
    use crate::person::Person;
    use crate::plan::{Effects, Judgement, PlanFormat, Sensitive};
    use crate::time::Timestamp;

    #[test]
    fn judges_ask_for_people_besides_and_whoever_declared_an_emergency_is_one() {
        let plan = |people| Plan {
            id: PlanId::from_bits(0),
            task: TaskId::from_bits(0),
            grant: "restart".parse().unwrap(),
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
        let people = |needed, people| {
            let asked = super::asked(needed, Some(&plan(people)), BTreeSet::new());
            let asked = asked.unwrap().unwrap();
            (asked.people, asked.also.len(), asked.besides.len())
        };
        assert_eq!(people(None, 2), (2, 1, 0));
        assert_eq!(people(Some(declared.clone()), 2), (1, 1, 1));
        assert_eq!(people(Some(declared), 4), (3, 1, 1));
        assert_eq!(people(None, 0), (1, 1, 0));
        assert_eq!(asked(None, None, BTreeSet::new()), Ok(None));
    }
}
