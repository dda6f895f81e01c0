//! The section `limits`.

use lanyard_document::Item;
use lanyard_document::shape::{Map, Shape, optional, required};
use lanyard_vocabulary::time::Ttl;

use crate::charter::{Budget, Limits, RequestLimits};
use crate::rates::Rate;
use crate::section::bounds::{MAX_SPAN, MAX_TTL};

/// The most time of credentials that one task may have.
///
/// # Limit
/// - for: a task
/// - unit: of time
/// - beyond: the charter is refused
/// - test: `what_a_charter_may_say_has_bounds`
const MAX_CREDENTIAL_TIME: Ttl = Ttl::at_least_a_second(30 * 24 * 3600);

pub(super) fn shape() -> Map {
    let rate = Map::new()
        .with(required(
            "count",
            "The number of credentials.",
            Shape::number(1, 10_000),
        ))
        .with(required(
            "per",
            "The sliding window.",
            Shape::span(MAX_SPAN),
        ));
    let budget = Map::new()
        .with(required(
            "mints",
            "The number of credentials.",
            Shape::number(1, 10_000),
        ))
        .with(required(
            "time",
            "Their time added up.",
            Shape::span(MAX_CREDENTIAL_TIME),
        ));
    let requests = Map::new()
        .with(required(
            "open",
            "The number of requests that may wait at once.",
            Shape::number(1, 1000),
        ))
        .with(required(
            "cooldown",
            "The time after a denial in which nothing can be asked.",
            Shape::span(MAX_SPAN),
        ));
    Map::new()
        .with(required(
            "ttl",
            "The longest life of a credential.",
            Shape::span(MAX_TTL),
        ))
        .with(required(
            "task",
            "The longest life of a task.",
            Shape::span(MAX_SPAN),
        ))
        .with(required(
            "live_leases",
            "The number of credentials of one agent that may live at once.",
            Shape::number(1, 1_000_000),
        ))
        .with(required(
            "mints",
            "How many credentials one agent may be given in a while.",
            rate,
        ))
        .with(
            optional(
                "budget",
                "What one task may have in all; then the task closes itself.",
                budget,
            )
            .absent("no bound but the others"),
        )
        .with(
            optional(
                "approval_requests",
                "How often one agent may ask people.",
                requests,
            )
            .absent("10 open requests and a cooldown of 1m"),
        )
        .with(
            optional(
                "revocable_within",
                "A credential is refused whose declared worst case is longer.",
                Shape::span(MAX_TTL),
            )
            .absent("none is refused"),
        )
}

pub(super) fn limits(item: Item<'_>) -> Option<Limits> {
    let section = item.section()?;
    let time = |name| section.get(name).and_then(Item::span_of_time);
    let (longest, task) = (time("ttl"), time("task"));
    let live_leases = section.get("live_leases").and_then(Item::number);
    let mints = section.get("mints").and_then(rate);
    let budget = section.get("budget").map(budget);
    let requests = section.get("approval_requests").map(requests);
    let revocable_within = time("revocable_within");
    Some(Limits {
        ttl: longest?,
        task: task?,
        live_leases: live_leases?,
        mints: mints?.into(),
        budget: match budget {
            Some(read) => Some(read?),
            None => None,
        },
        requests: match requests {
            Some(read) => read?,
            None => RequestLimits::default(),
        },
        revocable_within,
    })
}

fn budget(item: Item<'_>) -> Option<Budget> {
    let section = item.section()?;
    let mints = section.get("mints").and_then(Item::number);
    let time = section.get("time").and_then(Item::span_of_time);
    Some(Budget {
        mints: mints?,
        time: time?,
    })
}

fn requests(item: Item<'_>) -> Option<RequestLimits> {
    let section = item.section()?;
    let open = section.get("open").and_then(Item::number);
    let cooldown = section.get("cooldown").and_then(Item::span_of_time);
    Some(RequestLimits {
        open: open?,
        cooldown: cooldown?,
    })
}

fn rate(item: Item<'_>) -> Option<Rate> {
    let section = item.section()?;
    let count = section.get("count").and_then(Item::number);
    let per = section.get("per").and_then(Item::span_of_time);
    Some(Rate {
        count: count?,
        per: per?,
    })
}
