//! The rights of a grant: what every kind of target says of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::aws::ActionPattern;
use crate::of_kind::{OfKind, Typed};
use crate::prohibition::{Prohibited, Prohibition};
use crate::reach::PlanReach;
use crate::target_kind::TargetKind;
use crate::usage::Usage;

/// The rights that a grant of one kind gives.
///
/// The first six methods are what every kind has to say. The others have an answer that is safe for
/// a kind of which nothing more is known.
pub trait KindRights: Typed {
    /// The kind of target.
    fn kind(&self) -> TargetKind;

    /// Describes the rights for people, one line each.
    fn lines(&self) -> Vec<String>;

    /// The rights that both allow; `None` if there are none, or if the two are of different kinds.
    /// The outcome is never wider than either.
    fn narrowed(&self, other: &Rights) -> Option<Rights>;

    /// The rights that these give and the others, of the same kind, do not, one line each. The
    /// prohibitions are those of both charters, in the same order.
    fn beyond(&self, other: &Rights, prohibited: [&[Prohibition]; 2]) -> Vec<String>;

    /// True if the rights allow this use.
    fn gives(&self, usage: &Usage) -> bool;

    /// The request to the provider, in JSON, for an object of this name; `None` if the grant alone
    /// does not determine the request.
    fn request(&self, object: &str) -> Option<serde_json::Value>;

    /// The words of the rights that give what is prohibited. A grant with such a word is refused,
    /// and so is its credential. What the provider denies in every credential is no such word.
    fn prohibited(&self, what: &Prohibited) -> Vec<String> {
        let is_own = what.kind() == self.kind();
        is_own.then(|| what.line()).into_iter().collect()
    }

    /// Remarks about such a request for people, one line each.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The union of two rights that were narrowed from the same; `None` if the two are about
    /// different things.
    fn joined(&self, _other: &Rights) -> Option<Rights> {
        None
    }

    /// Narrows the rights to what a plan needs.
    fn to_plan(&self, _reach: &PlanReach) -> ToPlan {
        ToPlan::Whole(format!(
            "a plan names nothing that a {} grant is about",
            self.kind()
        ))
    }

    /// True if no plan narrows the rights, whether or not the plan can be read.
    fn is_for_state(&self) -> bool {
        false
    }

    /// The rights that `narrowed`, which a plan left of these, does not give, one line each.
    fn withheld(&self, _narrowed: &Rights, _reach: &PlanReach) -> Vec<String> {
        Vec::new()
    }

    /// The objects that a plan changes and that neither these rights nor `narrowed` reach.
    fn lacking(&self, _narrowed: &Rights, _reach: &PlanReach) -> Vec<String> {
        Vec::new()
    }

    /// Lists briefly what the rights can change.
    fn changes_in_short(&self) -> String {
        self.lines().join("; ")
    }

    /// True if plans of such changes have a form that rules of risk can read. A plan that is handed
    /// in as text then needs as many people as an unread plan.
    fn has_form_of_plan(&self) -> bool {
        true
    }

    /// The plan's reach once the target has said which of the plan's objects the apply makes. The
    /// outcome tells nothing of an object that the rights cannot read.
    fn rehearsed(&self, reach: PlanReach, _made: &[&serde_json::Value]) -> PlanReach {
        reach
    }

    /// The namespace in which the rights are bound.
    fn namespace(&self) -> Option<&str> {
        None
    }

    /// True if the rights hand on secrets, which a person has to approve.
    fn hands_on_approved(&self) -> bool {
        false
    }

    /// The actions that a credential holds only if its approved plan names them.
    fn destructive(&self) -> &BTreeSet<ActionPattern> {
        static NONE: BTreeSet<ActionPattern> = BTreeSet::new();
        &NONE
    }

    /// The destructive action of the rights that includes this use.
    fn destroys(&self, _usage: &Usage) -> Option<&ActionPattern> {
        None
    }

    /// The rights without the destructive actions that the plan does not name, where the provider
    /// cannot deny them; `None` if nothing is left.
    fn holding_back(&self, _named: &BTreeSet<ActionPattern>) -> Option<Held> {
        Some(Held::Unchanged)
    }

    /// The words of the grant that lead to more rights, each with the path.
    fn powers(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// A right that is grave in every environment, because it changes who may do what, or because
    /// nobody has looked at it, in words that follow "the grant".
    fn grave(&self, _unlisted: &BTreeSet<ActionPattern>) -> Option<String> {
        None
    }

    /// A right that opens the network perimeter or deletes what holds state, and what it does.
    fn peril(&self) -> Option<(String, &'static str)> {
        None
    }
}

/// The rights that are left once destructive actions are held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// The rights as they are.
    Unchanged,
    /// The given rights, which permit less.
    Less(Rights),
}

/// The rights of a grant, of whatever kind.
pub type Rights = OfKind<dyn KindRights>;

impl Rights {
    /// The prohibitions that forbid this use of a credential with the rights.
    pub fn forbidden<'a>(
        &self,
        prohibited: &'a [Prohibition],
        usage: &Usage,
    ) -> impl Iterator<Item = &'a Prohibition> {
        let own = self.kind();
        let rules = prohibited.iter();
        rules.filter(move |rule| rule.what.kind() == own && rule.what.forbids(usage))
    }

    /// The kind's name as charters and reports write it.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.kind().as_str()
    }

    /// The part of a plan's reach that concerns these rights; `None` if nothing does.
    #[must_use]
    pub fn reached(&self, reach: PlanReach) -> Option<PlanReach> {
        reach.only(self.kind())
    }

    /// The union of two rights that were narrowed from the same; the first alone if the two are
    /// about different things.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        self.joined(other).unwrap_or(self)
    }
}

impl<T: KindRights> From<T> for Rights {
    fn from(rights: T) -> Self {
        Self::new(Arc::new(rights))
    }
}

/// The result of narrowing a grant to a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToPlan {
    /// The grant is narrowed to these rights.
    Narrowed(Rights),
    /// The grant is narrowed to these rights, and they can change more than the plan names, as
    /// described.
    Partly(Rights, String),
    /// The grant cannot be narrowed, for this reason.
    Whole(String),
    /// The grant can change nothing that the plan names.
    Nothing,
}

/// The reason why a credential cannot be narrowed to what a plan names, if there is one.
#[must_use]
pub fn unnamed(unnamed: &BTreeSet<String>, nothing_named: bool) -> Option<String> {
    match unnamed.first() {
        Some(first) if unnamed.len() == 1 => Some(format!("the plan does not name {first}")),
        Some(first) => Some(format!(
            "the plan does not name {first} and {} more",
            unnamed.len() - 1
        )),
        None if nothing_named => Some("the plan names no resource".to_owned()),
        None => None,
    }
}
