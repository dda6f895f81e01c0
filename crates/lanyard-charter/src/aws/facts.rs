//! The effects of AWS actions beyond reading: by AWS's access level, by the shapes of request and
//! answer, and by a review of both.

use super::table::{Action, Level, Verdict};
use super::{ActionPattern, AwsGrant, Conditions};

/// Verbs that only read. A read with any other verb counts as acting until a review says otherwise.
const LOOKING: &[&str] = &[
    "BatchCheck",
    "BatchDescribe",
    "BatchGet",
    "BatchLookup",
    "BatchRead",
    "Check",
    "Count",
    "Describe",
    "Estimate",
    "Get",
    "Head",
    "Is",
    "List",
    "Lookup",
    "Query",
    "Read",
    "Scan",
    "Search",
    "Select",
    "Validate",
    "View",
];

/// Verbs that delete their object.
const DELETING: &[&str] = &["BatchDelete", "Delete", "Destroy", "Drop", "Purge"];

/// Resources that hold state, as they end the names of the actions that delete them, in lower case.
const STORES: &[&str] = &[
    "archive",
    "backup",
    "bucket",
    "cache",
    "cluster",
    "collection",
    "database",
    "dataset",
    "datastore",
    "dbinstance",
    "disk",
    "featuregroup",
    "filesystem",
    "graph",
    "image",
    "index",
    "keymaterial",
    "keyspace",
    "ledger",
    "loggroup",
    "logstream",
    "namespace",
    "queue",
    "recoverypoint",
    "replica",
    "replicationgroup",
    "repository",
    "secret",
    "snapshot",
    "store",
    "stream",
    "table",
    "tape",
    "userpool",
    "vault",
    "virtualmachine",
    "volume",
];

/// The effect of an action that does more than read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// The action changes permissions, in this way.
    Permissions(String),
    /// The action changes something else.
    Writes,
    /// The answer hands on a credential, or something that mostly contains secrets.
    HandsOn(String),
    /// AWS lists the action as a read, and it acts, in this way.
    Acts(String),
}

impl Beyond {
    /// True if the plan role may have the action once a person approves.
    pub(crate) const fn can_be_approved(&self) -> bool {
        match self {
            Self::HandsOn(_) | Self::Acts(_) => true,
            Self::Permissions(_) | Self::Writes => false,
        }
    }
}

impl std::fmt::Display for Beyond {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Permissions(why) | Self::HandsOn(why) | Self::Acts(why) => f.pad(why),
            Self::Writes => f.pad("it can write"),
        }
    }
}

impl Action {
    fn said(&self, verdict: Verdict) -> Option<&'static str> {
        let found = self.reviews.iter().find(|it| it.verdict == verdict);
        found.map(|it| it.why)
    }

    /// True if a review found that the action only reads. A review pattern covers only actions that
    /// AWS lists as reads.
    fn only_looks(&self) -> bool {
        self.reviews.iter().any(|it| {
            let named = self.level == Level::Reads || !it.pattern.contains('*');
            it.verdict == Verdict::Reads && named
        })
    }

    /// Says what the action does, if a review found that a person may approve it. A review pattern
    /// covers only actions that AWS lists as reads.
    fn acts(&self) -> Option<String> {
        let mut reviews = self.reviews.iter();
        let found = reviews.find(|it| it.verdict == Verdict::Acts)?;
        match self.level {
            Level::Reads => Some(format!("AWS calls it a read, and {}", found.why)),
            Level::Writes if !found.pattern.contains('*') => Some(found.why.to_owned()),
            Level::Writes | Level::Permissions => None,
        }
    }

    /// The review's sentence on a write, for this verdict.
    fn said_of_write(&self, verdict: Verdict) -> Option<&'static str> {
        self.said(verdict).filter(|_| self.level != Level::Reads)
    }

    fn reads_where(&self, when: &Conditions) -> bool {
        self.reviews.iter().any(|review| {
            let Verdict::When(key, value) = review.verdict else {
                return false;
            };
            when.on(key).is_some_and(|test| {
                value.is_none_or(|value| test.values.iter().all(|it| it == value))
            })
        })
    }

    /// The effect of the action beyond reading, in a statement with these conditions.
    pub(crate) fn beyond(&self, when: &Conditions) -> Option<Beyond> {
        if !self.only_looks() && !self.reads_where(when) {
            if let Some(why) = self.permits() {
                return Some(Beyond::Permissions(why));
            }
            if let Some(why) = self.acts() {
                return Some(Beyond::Acts(why));
            }
            if self.level != Level::Reads {
                return Some(Beyond::Writes);
            }
            if !LOOKING.iter().any(|verb| begins(self.name, verb)) {
                let why = "AWS calls it a read, and by its name it does more";
                return Some(Beyond::Acts(why.to_owned()));
            }
        }
        self.hands_on().map(Beyond::HandsOn)
    }

    /// The condition under which the action would only read.
    pub(crate) fn way(&self) -> Option<String> {
        self.reviews.iter().find_map(|review| match review.verdict {
            Verdict::When(key, None) => Some(format!(
                "with a condition on {key} it is a read: {}",
                review.why
            )),
            Verdict::When(key, Some(value)) => Some(format!(
                "with the condition {key}: [{value}] it is a read: {}",
                review.why
            )),
            Verdict::Reads
            | Verdict::Acts
            | Verdict::Credential
            | Verdict::Secret
            | Verdict::Nothing
            | Verdict::Runs
            | Verdict::Permits
            | Verdict::Own
            | Verdict::Door
            | Verdict::State
            | Verdict::Plain => None,
        })
    }

    /// Says why the answer contains something that works without the session, or that nobody should
    /// see.
    fn hands_on(&self) -> Option<String> {
        if self.reads_nothing() {
            return None;
        }
        let said = self
            .said(Verdict::Credential)
            .or_else(|| self.said(Verdict::Secret));
        let shown = self.shown.credential.or(self.shown.secret);
        let unseen = || {
            let why = "AWS publishes no shape of its answer, and by its name it hands on what opens something";
            self.shown.unseen.then(|| why.to_owned())
        };
        said.map(str::to_owned)
            .or_else(|| shown.map(|field| format!("its answer holds `{field}`")))
            .or_else(unseen)
    }

    fn reads_nothing(&self) -> bool {
        self.said(Verdict::Nothing).is_some()
    }

    /// Says why a kill does not end what the action hands out: its answer holds a credential.
    pub(crate) fn gives_credential(&self, when: &Conditions) -> Option<String> {
        if self.reads_where(when) || self.reads_nothing() {
            return None;
        }
        let said = self.said(Verdict::Credential).map(str::to_owned);
        said.or_else(|| {
            let field = self.shown.credential?;
            Some(format!("its answer holds `{field}`"))
        })
    }

    /// Says which permissions of others the action changes.
    pub(crate) fn permits(&self) -> Option<String> {
        if let Some(why) = self.said_of_write(Verdict::Permits) {
            return Some(why.to_owned());
        }
        if self.level == Level::Permissions {
            return Some("it changes permissions".to_owned());
        }
        let field = self
            .shown
            .policy
            .filter(|_| self.said(Verdict::Own).is_none())?;
        Some(format!("its request holds the policy `{field}`"))
    }

    /// True if the action gives rights to others and none to the session: by review, or by a policy
    /// on an object that the request creates.
    fn says_of_others(&self) -> bool {
        self.said(Verdict::Permits).is_some() || self.level != Level::Permissions
    }

    /// Says why what the action starts or changes runs with the rights of another role.
    pub(crate) fn runs(&self) -> Option<String> {
        if let Some(why) = self.said_of_write(Verdict::Runs) {
            return Some(why.to_owned());
        }
        let field = self
            .shown
            .role
            .filter(|_| self.said(Verdict::Own).is_none())?;
        Some(if field == "iam:PassRole" {
            "what it makes runs with the role that it is given".to_owned()
        } else {
            format!("what it makes runs with the role in `{field}`")
        })
    }
}

impl Action {
    /// True if the action opens the network perimeter.
    pub(crate) fn opens_perimeter(&self) -> bool {
        self.said_of_write(Verdict::Door).is_some() && self.said(Verdict::Plain).is_none()
    }

    /// True if the action deletes a resource that holds state: by review, or by its name.
    pub(crate) fn deletes_state(&self) -> bool {
        if self.level == Level::Reads || self.said(Verdict::Plain).is_some() {
            return false;
        }
        let name = self.name.to_ascii_lowercase();
        let one = name.strip_suffix('s').unwrap_or(&name);
        let verb = DELETING.iter().any(|verb| begins(self.name, verb));
        let kind = STORES.iter().any(|kind| {
            one.ends_with(kind) || name.ends_with(kind) || name.ends_with("repositories")
        });
        self.said(Verdict::State).is_some() || verb && kind
    }
}

/// True if the name begins with the whole verb: `GetObject` begins with `Get`, `Getaway` does not.
fn begins(name: &str, verb: &str) -> bool {
    let rest = name.get(verb.len()..);
    let head = name.get(..verb.len());
    let ends = rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase()));
    head.is_some_and(|head| head.eq_ignore_ascii_case(verb)) && ends
}

/// Effects that need two people in every environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Power {
    /// The action leads to rights that the session does not have.
    Raises(String),
    /// The action gives others rights over its object.
    Opens(String),
}

/// Says which action, the given one or one that a pattern of a grant holds, takes two people, and
/// why.
pub(crate) fn power(
    grant: &AwsGrant,
    pattern: &ActionPattern,
    when: &Conditions,
) -> Option<(&'static Action, Power)> {
    let held = super::table::matched(&pattern.lower()).into_iter();
    let mut held = held.filter(|action| !grant.denies(action));
    held.find_map(|action| {
        if action.only_looks() || action.reads_where(when) {
            return None;
        }
        let power = match (action.runs(), action.permits()) {
            (Some(why), _) => Power::Raises(why),
            (None, Some(why)) if action.says_of_others() => Power::Opens(why),
            (None, Some(why)) => Power::Raises(why),
            (None, None) => return None,
        };
        Some((action, power))
    })
}

/// True if the action, or every action that the pattern matches, only reads in a statement with
/// these conditions.
pub(crate) fn only_reads(pattern: &ActionPattern, when: &Conditions) -> bool {
    let held = super::table::matched(&pattern.lower());
    !held.is_empty() && held.iter().all(|action| action.beyond(when).is_none())
}
