//! What charters may refer to: environments, targets, and the kinds of target.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use lanyard_document::shape::{Map, Shape, Word};
use lanyard_document::{Code, Diagnostic, Findings, Item, Node, Position, Section};
use lanyard_vocabulary::name::Name;

use crate::charter::{Charter, Grant};
use crate::places::Places;
use crate::prohibition::{Prohibited, Prohibition};
use crate::reach::PlanObjects;
use crate::rights::Rights;
use crate::target_kind::TargetKind;

/// The kind of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvironmentKind {
    /// Production, where the strictest rules hold.
    Production,
    /// Any environment of another kind.
    Sandbox,
}

/// The kinds of environment by the names that configurations use.
pub const ENVIRONMENT_KINDS: &[Word<EnvironmentKind>] = &[
    Word::new("production", EnvironmentKind::Production),
    Word::new("sandbox", EnvironmentKind::Sandbox),
];

/// The environments and targets that the configuration declares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// The kind of each environment.
    pub environments: BTreeMap<Name, EnvironmentKind>,
    /// The kind of each target.
    pub targets: BTreeMap<Name, TargetKind>,
    /// The account numbers of AWS targets, as far as they are known.
    pub accounts: BTreeMap<Name, String>,
    /// The partitions of AWS targets, as far as they are known: `aws`, `aws-cn`, `aws-us-gov`.
    pub partitions: BTreeMap<Name, String>,
    /// The broker's own Kubernetes namespaces: the one it runs in, and those with the service
    /// accounts of leases.
    pub own_namespaces: BTreeSet<String>,
    /// The kinds of target beside those that are built in.
    pub more_kinds: MoreKinds,
}

/// A kind of target: its section in a grant, and what the section means.
pub trait GrantKind: Send + Sync {
    /// The kind's name, and the name of its section in a grant.
    fn id(&self) -> TargetKind;

    /// The meaning of the section in one sentence, for editors and the reference.
    fn meaning(&self) -> &'static str;

    /// Describes the fields of the section of a grant, but for `target`, which every section has.
    fn shape(&self) -> Map;

    /// Reads those fields: the rights.
    fn parse(&self, section: &Section<'_>) -> Option<Rights>;

    /// The section as a new charter begins with it.
    fn starter(&self) -> Starter;

    /// Describes what charters are checked against in a target of the configuration. The daemon's
    /// own description has these fields too, and the others.
    fn declared(&self) -> Map {
        Map::new()
    }

    /// Reads those fields, and adds to the world what they say.
    fn declare(&self, _section: &Section<'_>, _target: &Name, _world: &mut World) {}

    /// The kind's section in a prohibition; `None` if nothing of the kind can be prohibited.
    fn prohibited(&self) -> Option<ProhibitedSection> {
        None
    }

    /// The objects of the kind that plans change, and that grants are narrowed to; `None` if no
    /// plan names any.
    fn plan_objects(&self) -> Option<PlanObjects> {
        None
    }

    /// Refuses what no prohibition of the kind may say.
    fn check_prohibition(&self, _check: &Check<'_>, _prohibition: &Prohibition) {}

    /// Warns of what a prohibition of the kind may say and hardly means.
    fn lint_prohibition(&self, _check: &Check<'_>, _prohibition: &Prohibition) {}

    /// Refuses what no charter may give.
    fn check(&self, _check: &Check<'_>, _grant: &Grant) {}

    /// Warns of what a charter may give and hardly means.
    fn lint(&self, _check: &Check<'_>, _grant: &Grant) {}
}

/// The section of a kind in a prohibition.
#[derive(Debug)]
pub struct ProhibitedSection {
    /// The meaning of the section in one sentence, for editors and the reference.
    pub meaning: &'static str,
    /// The description of the section.
    pub shape: Shape,
    /// Reads the section of a prohibition, and reports its faults.
    pub read: fn(Item<'_>) -> Option<Prohibited>,
}

/// Two sections of a grant for a new charter, as lines within the grant. `TARGET` stands for the
/// target's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Starter {
    /// A section that reads.
    pub reads: &'static str,
    /// A section that changes something.
    pub changes: &'static str,
}

/// Kinds of target that a program adds to those that are built in.
#[derive(Clone, Copy, Default)]
pub struct MoreKinds(pub &'static [&'static dyn GrantKind]);

impl PartialEq for MoreKinds {
    fn eq(&self, other: &Self) -> bool {
        let ids = |of: &Self| of.0.iter().map(|kind| kind.id()).collect::<Vec<_>>();
        ids(self) == ids(other)
    }
}

impl Eq for MoreKinds {}

impl fmt::Debug for MoreKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|kind| kind.id()))
            .finish()
    }
}

/// The words for a right that opens the network perimeter.
pub(crate) const OPENS_PERIMETER: &str = "can open the network perimeter";
/// The words for a right that deletes resources which hold state.
pub(crate) const DELETES_STATE: &str = "can delete what holds state";

/// A charter while its grants are checked, and where the findings go.
pub struct Check<'a> {
    pub(crate) f: &'a Findings,
    pub(crate) charter: &'a Charter,
    pub(crate) places: Places<'a>,
    /// The prohibited AWS actions in lower case, from the first question on.
    pub(crate) prohibited: OnceCell<Vec<String>>,
    pub(crate) world: &'a World,
    /// The number of unknown names that a suggestion was searched for.
    pub(crate) suggested: Cell<u32>,
}

impl<'a> Check<'a> {
    pub(crate) fn new(
        f: &'a Findings,
        charter: &'a Charter,
        root: &'a Node,
        world: &'a World,
    ) -> Self {
        Self {
            f,
            charter,
            places: Places::new(root),
            prohibited: OnceCell::new(),
            world,
            suggested: Cell::default(),
        }
    }

    /// Adds a finding about a word of a grant.
    pub fn report(&self, grant: &Grant, word: &str, code: Code, message: String) {
        self.f.add(self.about(grant, word, code, message));
    }

    /// Adds a finding about a word of what begins at this position.
    pub fn report_at(&self, at: Position, word: &str, code: Code, message: String) {
        let place = self.places.word(at, word);
        self.f.add(Diagnostic::new(code, place, message));
    }

    pub(crate) fn about(
        &self,
        grant: &Grant,
        word: &str,
        code: Code,
        message: String,
    ) -> Diagnostic {
        Diagnostic::new(code, self.places.word(grant.at, word), message)
    }

    pub(crate) fn in_production(&self, grant: &Grant) -> bool {
        grant.is_in_production(self.world)
    }
}

impl Grant {
    /// True if one of the grant's environments is production.
    #[must_use]
    pub fn is_in_production(&self, world: &World) -> bool {
        self.environments
            .iter()
            .any(|name| is_production(name, world))
    }
}

pub(crate) fn is_production(name: &Name, world: &World) -> bool {
    world.environments.get(name) == Some(&EnvironmentKind::Production)
}

/// The account in a role's ARN.
#[must_use]
pub fn account_of(role: &str) -> Option<String> {
    let account = role.split(':').nth(4)?;
    (account.len() == 12).then(|| account.to_owned())
}

/// The partition in a role's ARN.
#[must_use]
pub fn partition_of(role: &str) -> Option<String> {
    let partition = role.split(':').nth(1).filter(|it| !it.is_empty())?;
    role.starts_with("arn:").then(|| partition.to_owned())
}
