//! The objects that a plan changes, by the kind of target that knows them. Which kinds there are is
//! not known here.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::resource::ResourceChange;
use crate::of_kind::{OfKind, Typed};
use crate::target_kind::TargetKind;

/// Names of one kind that are kept. A credential covers fewer.
const KEPT_NAMES: usize = 200;

/// An object that a plan can change, and that grants of one kind of target are narrowed to.
///
/// People are shown the object as it displays itself. A record holds the object as it serializes
/// itself, so a new field needs `#[serde(default)]`.
pub trait PlanObject:
    Ord + Clone + fmt::Debug + fmt::Display + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The kind of target that has such objects.
    const KIND: TargetKind;
    /// The beginning of the types of such resources in Terraform, such as `aws_`.
    const RESOURCES: &'static str;
    /// True if the JSON of every reach names the kind, also where the plan changes nothing of it:
    /// the JSON of records promises that of the first two kinds.
    const IS_IN_EVERY_REACH: bool = false;

    /// Finds the objects that a resource of Terraform stands for; none if the plan does not name
    /// all of them.
    fn of_resource(change: &ResourceChange<'_>) -> Vec<Self>;
}

/// Objects with a name, and the places of those without one yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<T: Ord> {
    /// The objects with a name.
    pub named: BTreeSet<T>,
    /// The places in the plan of the objects without one.
    pub unnamed: BTreeSet<String>,
}

impl<T: Ord> Default for Named<T> {
    fn default() -> Self {
        Self {
            named: BTreeSet::new(),
            unnamed: BTreeSet::new(),
        }
    }
}

impl<T: Ord> Named<T> {
    /// True if a credential can be narrowed to it: there is an object, and every object has a name.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.named.is_empty() && self.unnamed.is_empty()
    }

    /// Adds the objects at a place of the plan, or the place if they have no names.
    fn note(&mut self, objects: Vec<T>, place: impl FnOnce() -> String) {
        if !objects.is_empty() && self.named.len() < KEPT_NAMES {
            self.named.extend(objects);
        } else if self.unnamed.len() < KEPT_NAMES {
            self.unnamed.insert(place());
        }
    }
}

impl<T: PlanObject> From<&RecordedReach> for Named<T> {
    /// Reads what a record holds. An object that the kind cannot read any more has no name, so no
    /// credential is narrowed to the others alone.
    fn from(recorded: &RecordedReach) -> Self {
        let mut all = Self {
            named: BTreeSet::new(),
            unnamed: recorded.unnamed.clone(),
        };
        for object in &recorded.named {
            match serde_json::from_value(object.object.clone()) {
                Ok(read) => all.named.insert(read),
                Err(_) => all.unnamed.insert(object.words.clone()),
            };
        }
        all
    }
}

/// The part of a plan's reach that is of one kind, whichever it is.
pub type Reached = OfKind<dyn KindReached>;

/// The part of a plan's reach that is of one kind: [`Named`] objects, or a [`RecordedReach`].
pub trait KindReached: Typed {
    /// The kind's name in charters.
    fn kind(&self) -> &str;

    /// True if the plan changes nothing of the kind.
    fn is_empty(&self) -> bool;

    /// True if a credential can be narrowed to it: there is an object, and every object has a name.
    fn is_whole(&self) -> bool;

    /// Describes the objects with a name for people.
    fn named(&self) -> Vec<String>;

    /// Replaces the places of the objects without a name.
    fn with_places(&self, place: &dyn Fn(&str) -> String) -> Reached;

    /// Renders a form that needs no knowledge of the kind.
    fn recorded(&self) -> RecordedReach;

    /// Renders the JSON of the kind's own objects.
    ///
    /// # Errors
    /// When an object does not serialize.
    fn json(&self) -> serde_json::Result<Box<RawValue>>;
}

impl<T: PlanObject> KindReached for Named<T> {
    fn kind(&self) -> &str {
        T::KIND.as_str()
    }

    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.unnamed.is_empty()
    }

    fn is_whole(&self) -> bool {
        Self::is_whole(self)
    }

    fn named(&self) -> Vec<String> {
        self.named.iter().map(ToString::to_string).collect()
    }

    fn with_places(&self, place: &dyn Fn(&str) -> String) -> Reached {
        let reached = Self {
            named: self.named.clone(),
            unnamed: self.unnamed.iter().map(|it| place(it)).collect(),
        };
        reached.into()
    }

    fn recorded(&self) -> RecordedReach {
        let (mut named, mut unnamed) = (Vec::new(), self.unnamed.clone());
        for object in &self.named {
            let words = object.to_string();
            match serde_json::to_value(object) {
                Ok(object) => named.push(RecordedObject { words, object }),
                // What cannot be read back has no name.
                Err(_) => drop(unnamed.insert(words)),
            }
        }
        RecordedReach {
            kind: T::KIND.as_str().to_owned(),
            named,
            unnamed,
        }
    }

    fn json(&self) -> serde_json::Result<Box<RawValue>> {
        serde_json::value::to_raw_value(self)
    }
}

impl<T: PlanObject> From<Named<T>> for Reached {
    fn from(reached: Named<T>) -> Self {
        Self::new(Arc::new(reached))
    }
}

/// The part of a plan's reach that is of one kind, as a record holds it: a program that does not
/// know the kind can keep the part and show it to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedReach {
    /// The kind's name, which is a key of the JSON and not part of it.
    #[serde(skip)]
    kind: String,
    named: Vec<RecordedObject>,
    unnamed: BTreeSet<String>,
}

/// An object with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RecordedObject {
    /// The object in words for people.
    words: String,
    /// The object as its kind serializes it.
    object: Value,
}

impl RecordedReach {
    /// Reads the form that [`KindReached::recorded`] renders.
    ///
    /// # Errors
    /// When the text is no such JSON.
    pub fn read(kind: &str, json: &str) -> serde_json::Result<Self> {
        let recorded: Self = serde_json::from_str(json)?;
        Ok(Self {
            kind: kind.to_owned(),
            ..recorded
        })
    }

    /// Renders the JSON that [`RecordedReach::read`] reads.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!({"named": self.named, "unnamed": self.unnamed}).to_string()
    }
}

impl KindReached for RecordedReach {
    fn kind(&self) -> &str {
        &self.kind
    }

    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.unnamed.is_empty()
    }

    fn is_whole(&self) -> bool {
        !self.named.is_empty() && self.unnamed.is_empty()
    }

    fn named(&self) -> Vec<String> {
        self.named.iter().map(|it| it.words.clone()).collect()
    }

    fn with_places(&self, place: &dyn Fn(&str) -> String) -> Reached {
        let reached = Self {
            unnamed: self.unnamed.iter().map(|it| place(it)).collect(),
            ..self.clone()
        };
        reached.into()
    }

    fn recorded(&self) -> RecordedReach {
        self.clone()
    }

    fn json(&self) -> serde_json::Result<Box<RawValue>> {
        serde_json::value::to_raw_value(self)
    }
}

impl From<RecordedReach> for Reached {
    fn from(reached: RecordedReach) -> Self {
        Self::new(Arc::new(reached))
    }
}

/// The objects that a plan changes, by the kind of target. A kind of which the plan changes nothing
/// has no part.
#[derive(Debug, Clone, Default)]
pub struct PlanReach(BTreeMap<String, Reached>);

impl PlanReach {
    /// The part of one kind, in the kind's own type.
    #[must_use]
    pub fn of<T: PlanObject>(&self) -> Cow<'_, Named<T>> {
        let part = self.0.get(T::KIND.as_str());
        let recorded = || part.and_then(|part| part.get::<RecordedReach>());
        match part.and_then(|part| part.get()) {
            Some(own) => Cow::Borrowed(own),
            None => Cow::Owned(recorded().map(Named::from).unwrap_or_default()),
        }
    }

    /// The parts of all kinds that the plan changes something of.
    pub fn parts(&self) -> impl Iterator<Item = &Reached> {
        self.0.values()
    }

    /// True if a part comes from a record and is not in its kind's own type, which may have changed
    /// since.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        let mut parts = self.parts();
        parts.any(|part| part.get::<RecordedReach>().is_some())
    }

    /// Adds the objects at a place of the plan, or the place if they have no names.
    pub fn note<T: PlanObject>(&mut self, objects: Vec<T>, place: impl FnOnce() -> String) {
        let known = self.0.get_mut(T::KIND.as_str()).and_then(OfKind::get_mut);
        if let Some(own) = known {
            Named::note(own, objects, place);
            return;
        }
        let mut own: Named<T> = self.of().into_owned();
        own.note(objects, place);
        *self = std::mem::take(self).with(own);
    }

    /// Sets the part of one kind.
    #[must_use]
    pub fn with(mut self, part: impl Into<Reached>) -> Self {
        let part = part.into();
        if part.is_empty() {
            self.0.remove(part.kind());
        } else {
            self.0.insert(part.kind().to_owned(), part);
        }
        self
    }

    /// The reach without the parts of other kinds; `None` if nothing of this kind changes.
    #[must_use]
    pub fn only(mut self, kind: TargetKind) -> Option<Self> {
        let part = self.0.remove(kind.as_str())?;
        Some(Self::default().with(part))
    }

    /// Replaces the places of the objects without a name.
    #[must_use]
    pub fn with_places(&self, place: impl Fn(&str) -> String) -> Self {
        self.parts().map(|part| part.with_places(&place)).collect()
    }
}

impl FromIterator<Reached> for PlanReach {
    fn from_iter<I: IntoIterator<Item = Reached>>(parts: I) -> Self {
        parts.into_iter().fold(Self::default(), Self::with)
    }
}

impl PartialEq for PlanReach {
    /// Two reaches with the same record are equal, also where a kind has read only one of them.
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, two): (&Reached, &Reached)| {
            one == two || one.kind() == two.kind() && one.recorded() == two.recorded()
        };
        self.0.len() == other.0.len() && self.parts().zip(other.parts()).all(same)
    }
}

impl Eq for PlanReach {}
