//! Plans of Terraform: the JSON of `terraform show -json`, format 1.
//!
//! <https://developer.hashicorp.com/terraform/internals/json-format>

mod expressions;
mod parts;
mod providers;
mod text;

use std::collections::BTreeMap;

use lanyard_charter::reach::{self, Effects, PlanObjects, PlanReach, Sensitive};
use lanyard_core::plan::Reading;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::contained::ContainedObjects;
use crate::numbers::exact;
use crate::shown::line;
use crate::strict::Strict;
use crate::tree::Tree;

/// A parsed plan with its JSON.
#[derive(Debug, Clone)]
pub(crate) struct TerraformPlan {
    json: Value,
    outline: Outline,
}

/// The parts of a plan that tell what an apply does, or what is sensitive.
#[derive(Debug, Clone, Deserialize)]
struct Outline {
    format_version: String,
    #[serde(default)]
    errored: bool,
    /// False if there is nothing to apply. Absent in older versions.
    #[serde(default)]
    applyable: Option<bool>,
    /// False if another plan is needed after this one is applied.
    #[serde(default)]
    complete: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    resource_changes: Vec<ResourceChange>,
    #[serde(default, deserialize_with = "nullable")]
    resource_drift: Vec<ResourceChange>,
    #[serde(default, deserialize_with = "nullable")]
    output_changes: BTreeMap<String, Change>,
    #[serde(default, deserialize_with = "nullable")]
    deferred_changes: Vec<Deferred>,
    #[serde(default, deserialize_with = "nullable")]
    action_invocations: Vec<Invocation>,
    #[serde(default, deserialize_with = "nullable")]
    deferred_action_invocations: Vec<DeferredInvocation>,
    #[serde(default, deserialize_with = "nullable")]
    checks: Vec<Check>,
    #[serde(default)]
    configuration: Value,
    #[serde(default)]
    prior_state: Value,
    #[serde(default)]
    planned_values: Value,
    #[serde(default)]
    variables: Value,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Parts without any effect on an apply.
const SILENT: &[&str] = &["relevant_attributes", "terraform_version", "timestamp"];

fn nullable<'de, T: Default + Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A resource and its change.
#[derive(Debug, Clone, Deserialize)]
struct ResourceChange {
    address: String,
    #[serde(default)]
    previous_address: Option<String>,
    #[serde(default)]
    mode: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    provider_name: Option<String>,
    /// Key of an object that an earlier apply replaced and failed to delete.
    #[serde(default)]
    deposed: Option<String>,
    change: Change,
}

#[derive(Debug, Clone, Deserialize)]
struct Change {
    actions: Vec<Action>,
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
    #[serde(default)]
    after_unknown: Value,
    #[serde(default)]
    before_sensitive: Value,
    #[serde(default)]
    after_sensitive: Value,
    #[serde(default)]
    importing: Option<Value>,
    #[serde(default)]
    generated_config: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Deferred {
    #[serde(default)]
    reason: String,
    resource_change: ResourceChange,
}

/// An action of a provider that Terraform invokes during the apply.
#[derive(Debug, Clone, Deserialize)]
struct Invocation {
    address: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    config_values: Value,
    #[serde(default)]
    config_sensitive: Value,
    #[serde(default)]
    config_unknown: Value,
    #[serde(flatten)]
    trigger: Map<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
struct DeferredInvocation {
    #[serde(default)]
    reason: String,
    action_invocation: Invocation,
}

#[derive(Debug, Clone, Deserialize)]
struct Check {
    #[serde(default)]
    address: Value,
    #[serde(default)]
    status: String,
    #[serde(default)]
    instances: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    NoOp,
    Create,
    Read,
    Update,
    Delete,
    Forget,
    /// OpenTofu lists the ephemeral resources that an apply opens; Terraform does not.
    Open,
}

/// The combined effect of a list of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Nothing,
    /// A data source is read during the apply.
    Read,
    /// An ephemeral resource is opened during the apply, and is in no state.
    Open,
    Create,
    Update,
    Replace,
    Destroy,
    /// Terraform stops managing the resource, which stays.
    Forget,
    /// A new resource is created, and the old one stays unmanaged.
    Supersede,
}

impl Effect {
    fn of(actions: &[Action]) -> Option<Self> {
        Some(match actions {
            [Action::NoOp] => Self::Nothing,
            [Action::Read] => Self::Read,
            [Action::Open] => Self::Open,
            [Action::Create] => Self::Create,
            [Action::Update] => Self::Update,
            [Action::Delete] => Self::Destroy,
            [Action::Forget] => Self::Forget,
            [Action::Create, Action::Delete] | [Action::Delete, Action::Create] => Self::Replace,
            [Action::Create, Action::Forget] | [Action::Forget, Action::Create] => Self::Supersede,
            _ => return None,
        })
    }

    /// True if the provider is asked to change something.
    const fn changes(self) -> bool {
        match self {
            Self::Nothing | Self::Read | Self::Open | Self::Forget => false,
            Self::Create | Self::Update | Self::Replace | Self::Destroy | Self::Supersede => true,
        }
    }
}

impl Change {
    fn effect(&self) -> Effect {
        // `parse` refuses unknown combinations, so the default is never used.
        Effect::of(&self.actions).unwrap_or(Effect::Update)
    }
}

impl ResourceChange {
    fn effect(&self) -> Effect {
        self.change.effect()
    }

    /// True if the resource's entry in the state changes, whatever else does.
    fn changes_state(&self) -> bool {
        self.change.importing.is_some()
            || self.moved_from().is_some()
            || matches!(self.effect(), Effect::Forget | Effect::Supersede)
    }

    fn moved_from(&self) -> Option<&str> {
        let before = self.previous_address.as_deref()?;
        (before != self.address).then_some(before)
    }

    /// True if an apply affects the resource or its entry in the state.
    fn is_applied(&self) -> bool {
        self.effect() != Effect::Nothing || self.changes_state()
    }

    /// Returns the values before and after, if present.
    fn sides(&self) -> impl Iterator<Item = &Value> {
        [&self.change.before, &self.change.after]
            .into_iter()
            .filter(|side| side.is_object())
    }

    /// Returns the change as the kinds of target read it.
    fn of_resource(&self) -> reach::ResourceChange<'_> {
        let effect = self.effect();
        reach::ResourceChange {
            resource: &self.kind,
            before: &self.change.before,
            after: &self.change.after,
            unknown_after: &self.change.after_unknown,
            creates: matches!(effect, Effect::Create | Effect::Replace | Effect::Supersede),
            deletes: matches!(effect, Effect::Destroy | Effect::Replace),
            needs_both: matches!(effect, Effect::Update | Effect::Replace),
        }
    }

    fn check(&self) -> Result<(), String> {
        let address = line(&self.address);
        let Some(effect) = Effect::of(&self.change.actions) else {
            let actions = &self.change.actions;
            return Err(format!(
                "`{address}` has the actions {actions:?}, which mean nothing together"
            ));
        };
        // People read the address, while rules match the type, so the two must agree.
        if !is_of_type(&self.address, &self.kind) {
            return Err(format!(
                "`{address}` is no address of a `{}`, which the plan says that it is",
                line(&self.kind)
            ));
        }
        if effect == Effect::Nothing && self.change.before != self.change.after {
            return Err(format!(
                "`{address}` has the action `no-op`, and its values before and after differ"
            ));
        }
        match self.mode.as_deref() {
            None | Some("managed") if effect != Effect::Open => Ok(()),
            Some("data") if matches!(effect, Effect::Nothing | Effect::Read) => Ok(()),
            Some("ephemeral") if matches!(effect, Effect::Nothing | Effect::Open) => Ok(()),
            None => Err(format!(
                "`{address}` has no mode, and the action `open` is for ephemeral resources"
            )),
            Some(mode) => Err(format!(
                "`{address}` has the mode `{}`, and cannot change so",
                line(mode)
            )),
        }
    }
}

/// True if an address ends with this type and a name: `module.a["x"].data.aws_region.here`.
fn is_of_type(address: &str, kind: &str) -> bool {
    let plain = parts::without_keys(address);
    let mut parts = plain.rsplit('.');
    let (name, own) = (parts.next(), parts.next());
    name.is_some_and(|name| !name.is_empty()) && own == Some(kind)
}

impl TerraformPlan {
    /// Parses the JSON of a plan.
    ///
    /// # Errors
    /// The place and reason if the text is no such plan.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fault = |error: serde_json::Error| line(&error.to_string());
        let Strict(json) = serde_json::from_str(&exact(text)).map_err(fault)?;
        let outline = Outline::deserialize(&json).map_err(fault)?;
        if outline.format_version.split('.').next() != Some("1") {
            let version = line(&outline.format_version);
            return Err(format!(
                "format_version {version} is not 1.x: plan with Terraform 1.1 or later, or with OpenTofu"
            ));
        }
        if outline.errored {
            return Err("planning ended with an error, and the plan is not whole".to_owned());
        }
        let deferred = outline
            .deferred_changes
            .iter()
            .map(|it| &it.resource_change);
        let all = outline
            .resource_changes
            .iter()
            .chain(&outline.resource_drift);
        for change in all.chain(deferred) {
            change.check()?;
        }
        for (name, change) in &outline.output_changes {
            if Effect::of(&change.actions).is_none() {
                let name = line(name);
                return Err(format!(
                    "output `{name}` has actions that mean nothing together"
                ));
            }
        }
        let plan = Self { json, outline };
        // Terraform calls a plan without changes not applyable too: planning again helps nobody.
        if !plan.is_anything() {
            return Err("it changes nothing, and needs no credential".to_owned());
        }
        if plan.outline.applyable == Some(false) {
            return Err("Terraform says that it is not applyable; plan again".to_owned());
        }
        Ok(plan)
    }

    /// True if an apply does anything, if only to the state.
    fn is_anything(&self) -> bool {
        let outline = &self.outline;
        let resources = outline.resource_changes.iter();
        resources
            .clone()
            .any(|it| !matches!(it.effect(), Effect::Read | Effect::Open) && it.is_applied())
            || outline
                .output_changes
                .values()
                .any(|it| it.effect() != Effect::Nothing)
            || !outline.action_invocations.is_empty()
            || !outline.resource_drift.is_empty()
    }

    pub(crate) const fn json(&self) -> &Value {
        &self.json
    }

    /// Collects the Kubernetes objects in what the plan changes.
    pub(crate) fn contained_objects(&self) -> ContainedObjects {
        let mut held = ContainedObjects::default();
        let changes = self.outline.resource_changes.iter();
        for change in changes.filter(|change| change.effect().changes()) {
            change
                .sides()
                .for_each(|side| held.note(&Tree::plain(side)));
        }
        held
    }

    /// Returns the effects of the plan, and the names of what it changes.
    pub(crate) fn reading(&self, kinds: &[PlanObjects]) -> Reading {
        let mut effects = Effects::default();
        let mut reach = PlanReach::default();
        let changes = &self.outline.resource_changes;
        let only_state = !changes.iter().any(|change| change.effect().changes());
        for change in changes {
            count(change, &mut effects);
            // If only the state changes, the credential covers the resources that the state entries
            // describe.
            let touches = change.effect().changes() || only_state && change.changes_state();
            if touches {
                let place = || line(&change.address);
                let change = change.of_resource();
                kinds
                    .iter()
                    .for_each(|kind| kind.note(&change, &place, &mut reach));
            }
        }
        Reading {
            effects,
            reach,
            objects: Vec::new(),
            sensitive: Sensitive::default(),
        }
    }
}

fn count(change: &ResourceChange, effects: &mut Effects) {
    let add = |counter: &mut u32| *counter = counter.saturating_add(1);
    match change.effect() {
        Effect::Nothing | Effect::Read | Effect::Open => {}
        Effect::Create => add(&mut effects.created),
        Effect::Update => add(&mut effects.updated),
        Effect::Replace => add(&mut effects.replaced),
        Effect::Destroy => add(&mut effects.destroyed),
        Effect::Forget => add(&mut effects.forgotten),
        Effect::Supersede => {
            add(&mut effects.created);
            add(&mut effects.forgotten);
        }
    }
    if change.change.importing.is_some() {
        add(&mut effects.imported);
    }
    if change.moved_from().is_some() {
        add(&mut effects.moved);
    }
}
