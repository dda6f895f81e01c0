//! The section `breakers`.

use lanyard_document::{Code, Diagnostic, Findings, Node};
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

pub(super) fn breakers(f: &Findings, node: &Node) -> Vec<BreakerRule> {
    let items = f.list(node);
    if !at_most(f, node, "breakers", items.len()) {
        return Vec::new();
    }
    items.iter().filter_map(|item| breaker(f, item)).collect()
}

fn breaker(f: &Findings, node: &Node) -> Option<BreakerRule> {
    let fields = f.map(node)?;
    let on = fields.required("on");
    let event = on.and_then(|node| f.one_of(node, EVENTS));
    let count = fields
        .required("count")
        .and_then(|node| f.number(node, 1, 10_000));
    let within = fields
        .required("within")
        .and_then(|node| f.span_of_time(node, MAX_BREAKER_WINDOW));
    let then = fields
        .required("then")
        .and_then(|node| f.one_of(node, THENS));
    let per_node = fields.optional("per");
    let per = per_node.map(|node| f.one_of(node, PERS));
    let action_node = fields.optional("action");
    let action = action_node.and_then(|node| action(f, node));
    let lasts_node = fields.optional("lasts");
    let lasts = lasts_node.and_then(|node| f.span_of_time(node, MAX_SPAN));
    fields.finish();
    let (on, event, then) = (on?, event?, then?);
    let per = match per {
        Some(per) => per?,
        None => then.usual_per(),
    };
    let at = per_node.unwrap_or(node).span;
    if !then.follows(per) {
        let message = format!("{} cannot follow from what is counted per {}", then, per);
        let help = format!("leave `per` out: it is counted per {}", then.usual_per());
        f.add(Diagnostic::new(Code::Value, at, message).help(help));
    } else if !event.knows(per) {
        let message = format!("what is {event} is not known per {per}");
        f.add(
            Diagnostic::new(Code::Value, on.span, message)
                .help("count it per agent or per charter"),
        );
    }
    if let Some(node) = action_node.filter(|_| !event.is_reported()) {
        let message = format!("what is {event} has no action");
        f.add(
            Diagnostic::new(Code::Value, node.span, message)
                .help("action, failed-action, failed-apply and retried have one"),
        );
    }
    if let Some(node) = lasts_node.filter(|_| !then.can_end()) {
        let message = format!("{then} does not end by itself");
        f.add(
            Diagnostic::new(Code::Value, node.span, message)
                .help("a pause and require-approval can"),
        );
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
        at: node.span.at,
        path: None,
    })
}

/// Reads an action's name, or a prefix of whole parts: `ticket.*`.
fn action(f: &Findings, node: &Node) -> Option<String> {
    let text = f.text(node)?;
    let stem = text.strip_suffix(".*").unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:/".contains(c);
    let ok = !stem.is_empty() && stem.len() <= 100 && stem.chars().all(plain);
    if !ok {
        let message = format!("`{}` is not the name of an action", escaped(text));
        f.add(
            Diagnostic::new(Code::Value, node.span, message).help("write ticket.move or ticket.*"),
        );
    }
    ok.then(|| text.to_owned())
}
