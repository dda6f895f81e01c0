//! The sections `approvals` and `emergency`: what people decide.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_document::shape::{Choice, Form, List, Map, Shape, optional, required};
use lanyard_document::{Code, Item};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::text::escaped;

use super::plans::RISKS;
use crate::charter::{ApprovalRule, Autonomy, EmergencyRule, Grant};
use crate::section::bounds::MAX_SPAN;
use crate::section::names::{known, own_environment};
use crate::section::words::{ROLES, role};

/// A group, which its own reader checks.
const GROUP: Form = Form::new("`group:name`", "^group:.+$");

pub(super) fn shape() -> List {
    let risk = "Plans of this risk and above; a plan counts as high where the credential is not \
                narrowed to it.";
    let when = Map::new()
        .with(Choice::at_least_one([
            vec![
                required("role", "Credentials of this role.", role())
                    .absent("`apply`, because only a plan has a risk"),
            ],
            vec![required("risk", risk, Shape::words(RISKS)).absent("any plan, or none")],
        ]))
        .with(optional("environment", "The environment.", Form::NAME).absent("everywhere"));
    let rule = Map::new()
        .with(required("when", "What the rule is about.", when))
        .with(required(
            "people",
            "The number of distinct people.",
            Shape::number(0, 20),
        ))
        .with(
            optional(
                "from",
                "The groups of which they are, written `group:name`.",
                List::of(GROUP),
            )
            .absent("anybody with the approver role"),
        )
        .with(
            optional(
                "expires",
                "How long the approval is good for after it is given.",
                Shape::span(MAX_SPAN),
            )
            .or("30m"),
        )
        .with(
            optional(
                "uses",
                "The number of apply sessions that it is good for.",
                Shape::number(1, 100),
            )
            .or("1"),
        );
    List::of(rule)
}

pub(super) fn approvals(item: Item<'_>, own: &BTreeMap<Name, Autonomy>) -> Vec<ApprovalRule> {
    let items = item.items().into_iter();
    items.filter_map(|item| approval(item, own)).collect()
}

fn approval(item: Item<'_>, own: &BTreeMap<Name, Autonomy>) -> Option<ApprovalRule> {
    let section = item.section()?;
    let when = section.get("when").and_then(Item::section);
    let people = section.get("people").and_then(Item::number);
    let from = section.get("from").map(groups).unwrap_or_default();
    let expires = section.get("expires").and_then(Item::span_of_time);
    let uses = section.get("uses").and_then(Item::number);
    let when = when?;
    let risk = when.get("risk").map(|item| item.word(RISKS));
    let role = when.get("role").map(|item| item.word(ROLES));
    let environment = when.get("environment");
    let environment = environment.and_then(|item| own_environment(item, own));
    let risk = match risk {
        Some(read) => Some(read?),
        None => None,
    };
    let role = match (role, risk) {
        (Some(read), _) => read?,
        // Only an apply has a plan, and only a plan has a risk.
        (None, Some(_)) => Role::Apply,
        (None, None) => return None,
    };
    Some(ApprovalRule {
        role,
        environment,
        risk,
        people: people?,
        from,
        expires: expires?,
        uses: uses?,
        at: item.span().at,
    })
}

fn groups(item: Item<'_>) -> BTreeSet<String> {
    let group = |item: Item<'_>| {
        let text = item.text()?;
        let group = text
            .strip_prefix("group:")
            .filter(|group| !group.is_empty());
        if group.is_none() {
            let message = format!("`{}` is not a group", escaped(text));
            item.f
                .add(item.finding(Code::Value, message).help("write group:name"));
        }
        group.map(str::to_owned)
    };
    item.items().into_iter().filter_map(group).collect()
}

pub(super) fn emergency_shape() -> Map {
    Map::new()
        .with(required(
            "grants",
            "Grants of this charter.",
            List::of(Form::NAME),
        ))
        .with(required(
            "people",
            "The number of people who approve, besides whoever declared the emergency.",
            Shape::number(0, 20),
        ))
        .with(required(
            "lasts",
            "The time after which the emergency is over by itself.",
            Shape::span(MAX_SPAN),
        ))
}

pub(super) fn emergency(item: Item<'_>, own: &BTreeMap<Name, Grant>) -> Option<EmergencyRule> {
    let section = item.section()?;
    let grants = section.get("grants").map(|item| {
        let items = item.items().into_iter();
        let names = items.filter_map(|item| known(item, own, "grant in this charter"));
        names.collect()
    });
    let people = section.get("people").and_then(Item::number);
    let lasts = section.get("lasts").and_then(Item::span_of_time);
    Some(EmergencyRule {
        grants: grants?,
        people: people?,
        lasts: lasts?,
        at: item.span().at,
    })
}
