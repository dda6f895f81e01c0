//! Matching the entries of two lists by content, not by position.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::tree::Tree;

/// Keys that identify an entry, the most reliable first.
const NAMES: &[&str] = &[
    "name",
    "Name",
    "key",
    "Key",
    "id",
    "Id",
    "ID",
    "sid",
    "Sid",
    "uid",
    "alias",
    "address",
    "mountPath",
    "device_name",
    "containerPort",
    "rule_number",
    "rule_no",
    "priority",
    "port",
    "ip",
    "host",
    "path",
    "topologyKey",
];

type At<'a> = (usize, &'a Tree);

/// The change of one list entry.
pub(crate) enum Pair<'a> {
    /// An entry of both lists, possibly with differences inside. `name` is the key that identifies
    /// the entry, if any.
    Same {
        name: Option<(&'static str, &'a str)>,
        was: At<'a>,
        is: At<'a>,
    },
    /// An entry that changed its order relative to other entries.
    Moved {
        was: At<'a>,
        is: At<'a>,
    },
    Gone(usize, &'a Tree),
    Come(usize, &'a Tree),
}

/// Pairs the entries of two lists. Entries that are equal and did not move are left out.
pub(crate) fn paired<'a>(before: &'a [Tree], after: &'a [Tree]) -> Vec<Pair<'a>> {
    if let ([was], [is]) = (before, after)
        && matches!((was, is), (Tree::Map(_), Tree::Map(_)))
            | matches!(
                (was, is),
                (
                    Tree::Plain(_) | Tree::Text(_),
                    Tree::Plain(_) | Tree::Text(_)
                )
            )
            | was.has_hidden()
            | is.has_hidden()
    {
        let name = name(was).filter(|own| name(is) == Some(*own));
        return vec![Pair::Same {
            name,
            was: (0, was),
            is: (0, is),
        }];
    }
    let mut equal: HashMap<&Tree, VecDeque<usize>> = HashMap::new();
    for (place, item) in after.iter().enumerate() {
        equal.entry(item).or_default().push_back(place);
    }
    let (mut matched, mut taken, mut rest) = (Vec::new(), BTreeSet::new(), Vec::new());
    for (place, item) in before.iter().enumerate() {
        match equal.get_mut(item).and_then(VecDeque::pop_front) {
            Some(other) => {
                taken.insert(other);
                matched.push((place, other));
            }
            None => rest.push((place, item)),
        }
    }
    let new: Vec<At<'a>> = after
        .iter()
        .enumerate()
        .filter(|(place, _)| !taken.contains(place))
        .collect();
    let mut pairs = by_name(&mut rest, new, &mut matched);
    pairs.extend(moves(matched, before, after));
    pairs.sort_by_key(|pair| match pair {
        Pair::Same { is, .. } | Pair::Moved { is, .. } => (is.0, 1),
        Pair::Gone(place, _) => (*place, 0),
        Pair::Come(place, _) => (*place, 2),
    });
    pairs
}

/// Pairs entries of the same name, then neighbours with most parts in common. Unpaired entries are
/// gone or new.
fn by_name<'a>(
    rest: &mut Vec<At<'a>>,
    new: Vec<At<'a>>,
    matched: &mut Vec<(usize, usize)>,
) -> Vec<Pair<'a>> {
    let mut pairs = Vec::new();
    let names = |of: &[At<'a>]| {
        let mut counts: HashMap<(&'static str, &'a str), usize> = HashMap::new();
        for own in of.iter().filter_map(|(_, item)| name(item)) {
            *counts.entry(own).or_default() += 1;
        }
        counts
    };
    let (old_names, new_names) = (names(rest), names(&new));
    let is_once = |own: &(&'static str, &'a str)| {
        old_names.get(own) == Some(&1) && new_names.get(own) == Some(&1)
    };
    let mut named: HashMap<(&'static str, &'a str), At<'a>> = HashMap::new();
    let mut others = Vec::new();
    for (place, item) in std::mem::take(rest) {
        match name(item).filter(is_once) {
            Some(own) => drop(named.insert(own, (place, item))),
            None => others.push((place, item)),
        }
    }
    let mut unnamed = Vec::new();
    for is in new {
        match name(is.1)
            .filter(is_once)
            .and_then(|own| Some((own, named.remove(&own)?)))
        {
            Some((own, was)) => {
                matched.push((was.0, is.0));
                let name = Some(own);
                pairs.push(Pair::Same { name, was, is });
            }
            None => unnamed.push(is),
        }
    }
    let mut others = others.into_iter().peekable();
    for is in unnamed {
        let alike = others.next_if(|was| are_alike(was.1, is.1));
        match alike {
            Some(was) => {
                matched.push((was.0, is.0));
                let name = None;
                pairs.push(Pair::Same { name, was, is });
            }
            None => pairs.push(Pair::Come(is.0, is.1)),
        }
    }
    pairs.extend(others.map(|(place, item)| Pair::Gone(place, item)));
    pairs
}

fn name(item: &Tree) -> Option<(&'static str, &str)> {
    NAMES
        .iter()
        .find_map(|key| Some((*key, item.get(key)?.scalar()?)))
}

/// True if two maps have at least half of their entries in common.
fn are_alike(one: &Tree, two: &Tree) -> bool {
    let (Tree::Map(one), Tree::Map(two)) = (one, two) else {
        return false;
    };
    let same = one
        .iter()
        .filter(|(key, inner)| two.get(*key) == Some(inner))
        .count();
    same * 2 >= one.len().max(two.len()) && same > 0
}

/// Returns the smallest set of entries that has to move to turn one order into the other.
fn moves<'a>(
    mut matched: Vec<(usize, usize)>,
    before: &'a [Tree],
    after: &'a [Tree],
) -> Vec<Pair<'a>> {
    matched.sort_unstable();
    // The longest increasing subsequence of positions stays in place (patience sorting).
    let mut tops: Vec<(usize, usize)> = Vec::new();
    let mut below: Vec<Option<usize>> = Vec::with_capacity(matched.len());
    for (entry, (_, is)) in matched.iter().enumerate() {
        let pile = tops.partition_point(|(top, _)| top < is);
        let under = pile.checked_sub(1).and_then(|pile| tops.get(pile));
        below.push(under.map(|(_, entry)| *entry));
        match tops.get_mut(pile) {
            Some(top) => *top = (*is, entry),
            None => tops.push((*is, entry)),
        }
    }
    let mut staying = BTreeSet::new();
    let mut next = tops.last().map(|(_, entry)| *entry);
    while let Some(entry) = next {
        staying.insert(entry);
        next = below.get(entry).copied().flatten();
    }
    let moved = matched
        .into_iter()
        .enumerate()
        .filter(|(entry, _)| !staying.contains(entry));
    moved
        .filter_map(|(_, (was, is))| {
            Some(Pair::Moved {
                was: (was, before.get(was)?),
                is: (is, after.get(is)?),
            })
        })
        .collect()
}
