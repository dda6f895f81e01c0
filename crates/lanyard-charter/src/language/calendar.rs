//! The sections `freezes`, `hours` and `expires`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::civil::Time;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use lanyard_document::shape::{Empty, Form, List, Map, Shape, Word, optional, required};
use lanyard_document::{Code, Item, suggest};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::text::escaped;

use crate::calendar::{DAYS, End, Freeze, Hours, Outside};
use crate::charter::Autonomy;
use crate::section::names::{named, own_environments};
use crate::section::words::{roles, roles_of};

const OUTSIDE: &[Word<Outside>] = &[
    Word::meaning(
        "require-approval",
        Outside::RequireApproval,
        "one person approves where nobody had to",
    ),
    Word::meaning("deny", Outside::Deny, "nothing is given"),
];

/// A time of day, which its own reader checks.
const TIME_OF_DAY: Form = Form::new(
    "a time of day: `08:00`",
    "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$",
);

pub(super) fn freezes_shape() -> List {
    let freeze = Map::new()
        .with(required("from", "The first day, in UTC.", Form::TIME))
        .with(required("to", "The last day.", Form::TIME))
        .with(required("roles", "The roles that are not given.", roles()))
        .with(environments("The environments that are frozen."))
        .with(required("reason", "What the agent is told.", Shape::Text));
    List::of(freeze)
}

fn environments(meaning: &'static str) -> lanyard_document::shape::Field {
    optional("environments", meaning, own_environments()).absent("everywhere")
}

pub(super) fn freezes(item: Item<'_>, known: &BTreeMap<Name, Autonomy>) -> Vec<Freeze> {
    let items = item.items().into_iter();
    items.filter_map(|item| freeze(item, known)).collect()
}

fn freeze(item: Item<'_>, known: &BTreeMap<Name, Autonomy>) -> Option<Freeze> {
    let section = item.section()?;
    let from = section.get("from").and_then(|item| item.time(false));
    let to = section.get("to").and_then(|item| item.time(true));
    let roles = section.get("roles").map(roles_of);
    let environments = section.get("environments").map(|item| named(item, known));
    let reason = section.get("reason").and_then(Item::text);
    let (from, to) = (from?, to?);
    if to <= from {
        item.report(Code::Value, "the freeze ends before it begins");
    }
    Some(Freeze {
        from,
        to,
        roles: roles?,
        environments: environments.unwrap_or_default(),
        reason: reason?.to_owned(),
        at: item.span().at,
    })
}

pub(super) fn hours_shape() -> Map {
    let zone = "The time zone of the IANA database, such as `Europe/Berlin`.";
    let to = "When they end; on the next day, where that is not after `from`.";
    let days =
        List::of(Shape::words(DAYS)).not_empty(Empty::new(Code::Value, "the hours are on no day"));
    Map::new()
        .with(required("zone", zone, Shape::Text))
        .with(required("days", "The days on which they begin.", days))
        .with(required("from", "When they begin.", TIME_OF_DAY))
        .with(required("to", to, TIME_OF_DAY))
        .with(required(
            "outside",
            "What holds outside of them.",
            Shape::words(OUTSIDE),
        ))
        .with(optional("roles", "The roles that have hours.", roles()).absent("both"))
        .with(environments("The environments that have hours."))
}

pub(super) fn hours(item: Item<'_>, known: &BTreeMap<Name, Autonomy>) -> Option<Hours> {
    let section = item.section()?;
    let zone = section.get("zone").and_then(zone);
    let days = section.get("days").map(|item| {
        let items = item.items().into_iter();
        let mut days: Vec<_> = items.filter_map(|item| item.word(DAYS)).collect();
        days.sort_by_key(|day| day.to_monday_zero_offset());
        days.dedup();
        days
    });
    let from = section.get("from").and_then(time_of_day);
    let to = section.get("to").and_then(time_of_day);
    let outside = section.get("outside").and_then(|item| item.word(OUTSIDE));
    let both = || BTreeSet::from([Role::Plan, Role::Apply]);
    let of = section.get("roles").map_or_else(both, roles_of);
    let environments = section.get("environments").map(|item| named(item, known));
    Some(Hours {
        zone: zone?,
        days: days?,
        from: from?,
        to: to?,
        outside: outside?,
        roles: of,
        environments: environments.unwrap_or_default(),
        at: item.span().at,
    })
}

pub(super) fn end(item: Item<'_>) -> Option<End> {
    let when = item.time(false)?;
    let at = item.span().at;
    Some(End { when, at })
}

/// Reads a time zone of the IANA database that is built in, so that a charter means the same on
/// every machine.
fn zone(item: Item<'_>) -> Option<TimeZone> {
    let text = item.text()?;
    static KNOWN: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    if let Ok(zone) = KNOWN.get(text) {
        return Some(zone);
    }
    let message = format!("`{}` is not a time zone", escaped(text));
    let finding = item
        .finding(Code::Value, message)
        .help("write a name of the IANA database, such as Europe/Berlin");
    let names: Vec<String> = KNOWN.available().map(|name| name.to_string()).collect();
    item.f
        .add(suggest(finding, text, names.iter().map(String::as_str)));
    None
}

/// Reads a time: `08:00`, or `24:00` for the end of a day.
fn time_of_day(item: Item<'_>) -> Option<Time> {
    let text = item.text()?;
    let parts = text.split_once(':').filter(|_| text.len() == 5);
    let number = |part: &str| {
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<i8>().ok().filter(|_| digits)
    };
    let time = parts.and_then(|(hour, minute)| match (number(hour)?, number(minute)?) {
        (24, 0) => Some(Time::midnight()),
        (hour, minute) => Time::new(hour, minute, 0, 0).ok(),
    });
    if time.is_none() {
        let message = format!("`{}` is not a time of day", escaped(text));
        let finding = item.finding(Code::Value, message);
        item.f.add(finding.help("write 08:00"));
    }
    time
}
