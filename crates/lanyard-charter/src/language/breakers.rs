//! The section `breakers`.

use lanyard_document::shape::{Form, List, Map, Shape, optional, required};
use lanyard_document::{Code, Item};
use lanyard_vocabulary::text::escaped;
use lanyard_vocabulary::time::Ttl;

use crate::breaker::{Breaker, BreakerRule, EVENTS, PERS, THENS};
use crate::section::bounds::{MAX_SPAN, at_most};

/// The longest window: an error budget is one of weeks.
///
/// # Limit
/// - for: a breaker
/// - unit: of time
/// - beyond: the charter is refused
/// - test: `what_a_charter_may_say_has_bounds`
const MAX_BREAKER_WINDOW: Ttl = Ttl::at_least_a_second(30 * 24 * 3600);

/// An action's name, or a prefix of whole parts, which its own reader checks.
const ACTION: Form = Form::new(
    "the name of an action, or `ticket.*` for all that begin so",
    r"^[A-Za-z0-9._:/-]+(\.\*)?$",
);

pub(super) fn shape() -> List {
    let breaker = Map::new()
        .with(required("on", "What is counted.", Shape::words(EVENTS)))
        .with(
            optional("action", "Reported actions of this name alone.", ACTION)
                .absent("those of every name"),
        )
        .with(required(
            "count",
            "The number that trips it.",
            Shape::number(1, 10_000),
        ))
        .with(required(
            "within",
            "The sliding window.",
            Shape::span(MAX_BREAKER_WINDOW),
        ))
        .with(required("then", "What happens then.", Shape::words(THENS)))
        .with(
            optional(
                "per",
                "Each of these is counted by itself.",
                Shape::words(PERS),
            )
            .absent("as it follows from `then`"),
        )
        .with(
            optional(
                "lasts",
                "The time after which what happened ends by itself.",
                Shape::span(MAX_SPAN),
            )
            .absent("only a person ends it"),
        );
    List::of(breaker)
}

pub(super) fn breakers(item: Item<'_>) -> Vec<BreakerRule> {
    let items = item.items();
    if !at_most(item, "breakers", items.len()) {
        return Vec::new();
    }
    items.into_iter().filter_map(breaker).collect()
}

fn breaker(item: Item<'_>) -> Option<BreakerRule> {
    let section = item.section()?;
    let on = section.get("on");
    let event = on.and_then(|item| item.word(EVENTS));
    let count = section.get("count").and_then(Item::number);
    let within = section.get("within").and_then(Item::span_of_time);
    let then = section.get("then").and_then(|item| item.word(THENS));
    let per_item = section.get("per");
    let per = per_item.map(|item| item.word(PERS));
    let action_item = section.get("action");
    let action = action_item.and_then(action);
    let lasts_item = section.get("lasts");
    let lasts = lasts_item.and_then(Item::span_of_time);
    let (on, event, then) = (on?, event?, then?);
    let per = match per {
        Some(per) => per?,
        None => then.usual_per(),
    };
    let wrong = |item: Item<'_>, message: String, help: &str| {
        item.f.add(item.finding(Code::Value, message).help(help));
    };
    if !then.follows(per) {
        let message = format!("{then} cannot follow from what is counted per {per}");
        let help = format!("leave `per` out: it is counted per {}", then.usual_per());
        wrong(per_item.unwrap_or(item), message, &help);
    } else if !event.knows(per) {
        let message = format!("what is {event} is not known per {per}");
        wrong(on, message, "count it per agent or per charter");
    }
    if let Some(item) = action_item.filter(|_| !event.is_reported()) {
        let message = format!("what is {event} has no action");
        let help = "action, failed-action, failed-apply and retried have one";
        wrong(item, message, help);
    }
    if let Some(item) = lasts_item.filter(|_| !then.can_end()) {
        let message = format!("{then} does not end by itself");
        wrong(item, message, "a pause and require-approval can");
    }
    Some(BreakerRule {
        breaker: Breaker {
            on: event,
            action,
            count: count?,
            within: within?,
            per,
            then,
            lasts,
        },
        at: item.span().at,
        path: None,
    })
}

/// Reads an action's name, or a prefix of whole parts: `ticket.*`.
fn action(item: Item<'_>) -> Option<String> {
    let text = item.text()?;
    let stem = text.strip_suffix(".*").unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:/".contains(c);
    let ok = !stem.is_empty() && stem.len() <= 100 && stem.chars().all(plain);
    if !ok {
        let message = format!("`{}` is not the name of an action", escaped(text));
        let finding = item.finding(Code::Value, message);
        item.f.add(finding.help("write ticket.move or ticket.*"));
    }
    ok.then(|| text.to_owned())
}
