//! Grants of kind `hare`: queues that an agent may read. `docs/add-a-provider.md` explains this
//! file.

use std::collections::BTreeSet;
use std::fmt;

use lanyard_charter::kinds::CredentialForm;
use lanyard_charter::reach::{PlanObject, PlanObjects, PlanReach, ResourceChange};
use lanyard_charter::{
    Check, Grant, GrantKind, KindProhibition, KindRights, Prohibited, ProhibitedSection,
    Prohibition, Rights, Starter, TargetKind, ToPlan, Usage, unnamed,
};
use lanyard_document::shape::{Empty, List, Map, Shape, required};
use lanyard_document::{Code, Item, Section};
use lanyard_vocabulary::secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The kind's name, in grants and in configurations.
pub(crate) const HARE: TargetKind = TargetKind::new("hare");
/// The queue in which Hare keeps its own users.
const USERS: &str = "users";
/// The queue to which Hare copies every message.
const EVERYTHING: &str = "everything";

/// The rights of a user of Hare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HareGrant {
    /// The queues that the user may read.
    pub(crate) queues: BTreeSet<String>,
}

impl KindRights for HareGrant {
    fn kind(&self) -> TargetKind {
        HARE
    }

    fn lines(&self) -> Vec<String> {
        let queues: Vec<&str> = self.queues.iter().map(String::as_str).collect();
        vec![format!("read {}", queues.join(", "))]
    }

    fn narrowed(&self, other: &Rights) -> Option<Rights> {
        let other: &Self = other.get()?;
        let queues: BTreeSet<_> = self.queues.intersection(&other.queues).cloned().collect();
        (!queues.is_empty()).then(|| Self { queues }.into())
    }

    fn beyond(&self, other: &Rights, prohibited: [&[Prohibition]; 2]) -> Vec<String> {
        let Some(other) = other.get::<Self>() else {
            return self.lines();
        };
        let [_, theirs] = prohibited;
        let prohibited = |queue: &String| {
            let mut own = theirs.iter().filter_map(|rule| rule.what.get());
            own.any(|ProhibitedQueues(queues)| queues.contains(queue))
        };
        let queues = self.queues.difference(&other.queues);
        let lines = queues.map(|queue| match prohibited(queue) {
            true => format!("queue {queue}, which was prohibited"),
            false => format!("queue {queue}"),
        });
        lines.collect()
    }

    fn gives(&self, usage: &Usage) -> bool {
        usage.action == "read" && self.queues.contains(&usage.resource)
    }

    fn prohibited(&self, what: &Prohibited) -> Vec<String> {
        let Some(ProhibitedQueues(prohibited)) = what.get() else {
            return Vec::new();
        };
        let given = |queue: &&String| *queue == EVERYTHING || prohibited.contains(*queue);
        self.queues.iter().filter(given).cloned().collect()
    }

    fn request(&self, object: &str) -> Option<Value> {
        Some(json!({"name": object, "read": self.queues}))
    }

    fn to_plan(&self, reach: &PlanReach) -> ToPlan {
        let changed = reach.of::<Queue>();
        if let Some(why) = unnamed(&changed.unnamed, changed.named.is_empty()) {
            return ToPlan::Whole(why);
        }
        let changed: BTreeSet<_> = changed.named.iter().map(|it| it.0.clone()).collect();
        let queues: BTreeSet<_> = self.queues.intersection(&changed).cloned().collect();
        if queues.is_empty() {
            return ToPlan::Nothing;
        }
        ToPlan::Narrowed(Self { queues }.into())
    }

    fn withheld(&self, narrowed: &Rights, _reach: &PlanReach) -> Vec<String> {
        self.beyond(narrowed, [&[], &[]])
    }

    fn lacking(&self, _narrowed: &Rights, reach: &PlanReach) -> Vec<String> {
        let changed = reach.of::<Queue>();
        let lacking = changed
            .named
            .iter()
            .filter(|it| !self.queues.contains(&it.0));
        lacking.map(ToString::to_string).collect()
    }
}

/// A queue that a plan changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Queue(pub(crate) String);

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue {}", self.0)
    }
}

impl PlanObject for Queue {
    const KIND: TargetKind = HARE;
    const RESOURCES: &'static str = "hare_";

    fn of_resource(change: &ResourceChange<'_>) -> Vec<Self> {
        change.objects(|side| {
            let name = side.get("name").and_then(Value::as_str);
            name.map(|name| Self(name.to_owned())).into_iter().collect()
        })
    }
}

/// Queues that no user may read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProhibitedQueues(pub(crate) BTreeSet<String>);

impl KindProhibition for ProhibitedQueues {
    fn kind(&self) -> TargetKind {
        HARE
    }

    fn line(&self) -> String {
        let queues: Vec<&str> = self.0.iter().map(String::as_str).collect();
        format!("read {}", queues.join(", "))
    }

    fn forbids(&self, usage: &Usage) -> bool {
        usage.action == "read" && self.0.contains(&usage.resource)
    }
}

/// The kind, for the registry.
pub(crate) struct HareKind;

impl GrantKind for HareKind {
    fn id(&self) -> TargetKind {
        HARE
    }

    fn plan_objects(&self) -> Option<PlanObjects> {
        Some(PlanObjects::of::<Queue>())
    }

    fn meaning(&self) -> &'static str {
        "A user of Hare."
    }

    fn shape(&self) -> Map {
        let nothing = Empty::new(Code::EmptyGrant, "this grant allows nothing");
        let queues = List::of(Shape::Text).not_empty(nothing);
        Map::new().with(required(
            "queues",
            "The queues that the user may read.",
            queues,
        ))
    }

    fn parse(&self, section: &Section<'_>) -> Option<Rights> {
        let queues = section.get("queues").map(Item::texts);
        let queues = queues.filter(|queues| !queues.is_empty())?;
        Some(HareGrant { queues }.into())
    }

    fn prohibited(&self) -> Option<ProhibitedSection> {
        let queues = List::of(Shape::Text);
        let meaning = "The queues that no user may read.";
        Some(ProhibitedSection {
            meaning: "These queues.",
            shape: Map::new().with(required("queues", meaning, queues)).into(),
            read: |item| {
                let queues = item.section()?.get("queues").map(Item::texts);
                Some(ProhibitedQueues(queues?).into())
            },
        })
    }

    fn starter(&self) -> Starter {
        Starter {
            reads: "hare: {target: TARGET, queues: [orders]}\n",
            changes: "hare: {target: TARGET, queues: [orders]}\n",
        }
    }

    fn check(&self, check: &Check<'_>, grant: &Grant) {
        let rights = grant.rights.get::<HareGrant>();
        if rights.is_some_and(|rights| rights.queues.contains(USERS)) {
            let message = format!("queue `{USERS}` is never given to an agent");
            check.report(grant, USERS, Code::Value, message);
        }
    }

    fn lint(&self, check: &Check<'_>, grant: &Grant) {
        let rights = grant.rights.get::<HareGrant>();
        if rights.is_some_and(|rights| rights.queues.contains(EVERYTHING)) {
            let message = format!("grant {} can read every queue", grant.name);
            check.report(grant, EVERYTHING, Code::EveryResource, message);
        }
    }
}

/// A user of Hare, as an agent gets it.
#[derive(Debug)]
pub(crate) struct HareCredential {
    pub(crate) name: String,
    pub(crate) password: Secret<String>,
}

impl CredentialForm for HareCredential {
    fn kind(&self) -> TargetKind {
        HARE
    }

    fn values(&self) -> Vec<(&str, String)> {
        vec![("name", self.name.clone())]
    }

    fn secrets(&self) -> Vec<(&str, &Secret<String>)> {
        vec![("password", &self.password)]
    }
}
