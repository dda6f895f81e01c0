//! The sections `freezes` and `hours`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::civil::Time;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use lanyard_document::{Code, Diagnostic, Findings, Node, suggest};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::text::escaped;

use crate::calendar::{DAYS, Freeze, Hours, Outside};
use crate::charter::Autonomy;
use crate::section::names::named;
use crate::section::words::ROLES;

pub(super) fn freezes(f: &Findings, node: &Node, known: &BTreeMap<Name, Autonomy>) -> Vec<Freeze> {
    let items = f.list(node).iter();
    items.filter_map(|item| freeze(f, item, known)).collect()
}

fn freeze(f: &Findings, node: &Node, known: &BTreeMap<Name, Autonomy>) -> Option<Freeze> {
    let fields = f.map(node)?;
    let from = fields.required("from").and_then(|node| f.time(node, false));
    let to = fields.required("to").and_then(|node| f.time(node, true));
    let roles = fields.required("roles").map(|node| roles(f, node));
    let environments = fields
        .optional("environments")
        .map(|node| named(f, node, known))
        .unwrap_or_default();
    let reason = fields.required("reason").and_then(|node| f.text(node));
    fields.finish();
    let (from, to) = (from?, to?);
    if to <= from {
        let message = "the freeze ends before it begins".to_owned();
        f.add(Diagnostic::new(Code::Value, node.span, message));
    }
    Some(Freeze {
        from,
        to,
        roles: roles?,
        environments,
        reason: reason?.to_owned(),
        at: node.span.at,
    })
}

fn roles(f: &Findings, node: &Node) -> BTreeSet<Role> {
    let items = f.list(node).iter();
    items.filter_map(|item| f.one_of(item, ROLES)).collect()
}

pub(super) fn hours(f: &Findings, node: &Node, known: &BTreeMap<Name, Autonomy>) -> Option<Hours> {
    let fields = f.map(node)?;
    let zone = fields.required("zone").and_then(|node| zone(f, node));
    let days = fields.required("days").map(|node| {
        if f.list(node).is_empty() {
            let message = "the hours are on no day".to_owned();
            f.add(Diagnostic::new(Code::Value, node.span, message));
        }
        let items = f.list(node).iter();
        let mut days: Vec<_> = items.filter_map(|item| f.one_of(item, DAYS)).collect();
        days.sort_by_key(|day| day.to_monday_zero_offset());
        days.dedup();
        days
    });
    let from = fields.required("from").and_then(|node| time(f, node));
    let to = fields.required("to").and_then(|node| time(f, node));
    let words = [
        ("require-approval", Outside::RequireApproval),
        ("deny", Outside::Deny),
    ];
    let outside = fields
        .required("outside")
        .and_then(|node| f.one_of(node, &words));
    let both = || BTreeSet::from([Role::Plan, Role::Apply]);
    let of = fields
        .optional("roles")
        .map_or_else(both, |node| roles(f, node));
    let environments = fields
        .optional("environments")
        .map(|node| named(f, node, known))
        .unwrap_or_default();
    fields.finish();
    Some(Hours {
        zone: zone?,
        days: days?,
        from: from?,
        to: to?,
        outside: outside?,
        roles: of,
        environments,
        at: node.span.at,
    })
}

/// Reads a time zone of the IANA database that is built in, so that a charter means the same on
/// every machine.
fn zone(f: &Findings, node: &Node) -> Option<TimeZone> {
    let text = f.text(node)?;
    static KNOWN: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    if let Ok(zone) = KNOWN.get(text) {
        return Some(zone);
    }
    let message = format!("`{}` is not a time zone", escaped(text));
    let finding = Diagnostic::new(Code::Value, node.span, message)
        .help("write a name of the IANA database, such as Europe/Berlin");
    let names: Vec<String> = KNOWN.available().map(|name| name.to_string()).collect();
    f.add(suggest(finding, text, names.iter().map(String::as_str)));
    None
}

/// Reads a time: `08:00`, or `24:00` for the end of a day.
fn time(f: &Findings, node: &Node) -> Option<Time> {
    let text = f.text(node)?;
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
        f.add(Diagnostic::new(Code::Value, node.span, message).help("write 08:00"));
    }
    time
}
