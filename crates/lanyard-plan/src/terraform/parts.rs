//! What a plan does besides changing resources: provisioners, actions, checks, and what Lanyard does not know.

use std::collections::BTreeSet;

use lanyard_core::plan::Risk;
use serde_json::Value;

use super::{Effect, Invocation, Outline, SILENT};
use crate::review::Review;
use crate::shown::whole;
use crate::tree::{Marks, Tree};

/// A provisioner that an apply runs.
struct Provisioner {
    /// Of which resource, and what it is.
    heading: String,
    expressions: Tree,
}

/// The parts of a plan beside its resources and outputs.
pub(super) struct Others<'a> {
    outline: &'a Outline,
    provisioners: Vec<Provisioner>,
    actions: Vec<(&'a Invocation, Option<&'a str>, Tree)>,
}

impl<'a> Others<'a> {
    pub(super) fn of(outline: &'a Outline) -> Self {
        let known: BTreeSet<String> = addresses(outline, |_| true);
        let applied = addresses(outline, |effect| match effect {
            Effect::Create | Effect::Replace | Effect::Destroy | Effect::Supersede => true,
            Effect::Nothing | Effect::Read | Effect::Update | Effect::Forget => false,
        });
        let mut provisioners = Vec::new();
        let root = outline.configuration.get("root_module");
        if let Some(root) = root {
            // What cannot be matched to a change is taken to run.
            let runs = |address: &str| applied.contains(address) || !known.contains(address);
            in_module(root, "", &runs, &mut provisioners);
        }
        let now = outline.action_invocations.iter().map(|it| (it, None));
        let later = outline.deferred_action_invocations.iter();
        let later = later.map(|it| (&it.action_invocation, Some(it.reason.as_str())));
        let actions = now.chain(later).map(|(it, reason)| {
            let marks = Marks {
                sensitive: Some(&it.config_sensitive),
                unknown: Some(&it.config_unknown),
            };
            (it, reason, Tree::of(&it.config_values, marks))
        });
        Self {
            outline,
            provisioners,
            actions: actions.collect(),
        }
    }

    pub(super) fn trees(&mut self) -> impl Iterator<Item = &mut Tree> {
        let provisioners = self.provisioners.iter_mut().map(|it| &mut it.expressions);
        provisioners.chain(self.actions.iter_mut().map(|(.., tree)| tree))
    }

    /// What is said before everything else.
    pub(super) fn first(&self, review: &mut Review) {
        let outline = self.outline;
        if outline.complete == Some(false) {
            review.line("INCOMPLETE: after this apply something is left to plan and to apply.");
            review.find(
                Risk::Medium,
                "the plan is incomplete: something is left to plan after it",
            );
        }
        for (name, value) in &outline.others {
            if !SILENT.contains(&name.as_str()) && !is_empty(value) {
                let name = whole(name);
                review.line(&format!(
                    "NOT SHOWN: the part `{name}` of this plan, which Lanyard does not know."
                ));
                review.find(
                    Risk::High,
                    &format!("the part `{name}` of the plan is not known to Lanyard"),
                );
            }
        }
        if outline.configuration.get("root_module").is_none() {
            review.line("The plan comes without its configuration: provisioners, if there are any, cannot be shown.");
        }
    }

    pub(super) fn rest(&self, review: &mut Review) {
        for provisioner in &self.provisioners {
            let heading = &provisioner.heading;
            review.line(&format!("! {heading} runs during the apply"));
            let found = review.compared("", &Tree::Null, &provisioner.expressions);
            review.differs(heading, &found);
            review.find(
                Risk::High,
                &format!("{heading} runs a command of the plan's own"),
            );
        }
        for (action, reason, values) in &self.actions {
            action_invoked(review, action, *reason, values);
        }
        for check in &self.outline.checks {
            if check.status != "pass" {
                let name = check.address.get("to_display").and_then(Value::as_str);
                let name = whole(name.unwrap_or("?"));
                let status = whole(&check.status);
                review.line(&format!("  check {name}: {status}"));
                let found =
                    review.compared("", &Tree::Null, &Tree::plain(&problems(&check.instances)));
                review.lines(&found);
                if check.status != "unknown" {
                    review.find(
                        Risk::Medium,
                        &format!("the check {name} does not pass: {status}"),
                    );
                }
            }
        }
    }
}

fn action_invoked(review: &mut Review, action: &Invocation, reason: Option<&str>, values: &Tree) {
    let name = whole(&format!("action {} ({})", action.address, action.kind));
    match reason {
        None => review.line(&format!("! {name} is invoked")),
        Some(reason) => review.line(&format!("! {name} is deferred ({})", whole(reason))),
    }
    let trigger: Value = action.trigger.clone().into_iter().collect();
    let found = review.compared("config", &Tree::Null, values);
    review.differs(&name, &found);
    let found = review.compared("", &Tree::Null, &Tree::plain(&trigger));
    review.lines(&found);
    review.find(
        Risk::High,
        &format!("{name} does what its provider says, beside all resources"),
    );
}

/// What the instances of a check say.
fn problems(instances: &Value) -> Value {
    let each = instances.as_array().into_iter().flatten();
    let each = each.filter_map(|instance| instance.get("problems").cloned());
    Value::Array(each.collect())
}

/// The addresses of what changes so, without the keys of its instances.
fn addresses(outline: &Outline, is: impl Fn(Effect) -> bool) -> BTreeSet<String> {
    let changes = outline.resource_changes.iter();
    let changes = changes.filter(|change| is(change.effect()));
    let both = changes.flat_map(|it| [Some(it.address.as_str()), it.previous_address.as_deref()]);
    both.flatten().map(without_keys).collect()
}

/// `module.a["x"].b.c[0]` is `module.a.b.c` in the configuration.
fn without_keys(address: &str) -> String {
    let (mut kept, mut depth, mut quoted, mut escaped) = (String::new(), 0_usize, false, false);
    for c in address.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if depth > 0 => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

fn in_module(
    module: &Value,
    path: &str,
    runs: &impl Fn(&str) -> bool,
    found: &mut Vec<Provisioner>,
) {
    let resources = module.get("resources").and_then(Value::as_array);
    for resource in resources.into_iter().flatten() {
        let address = resource
            .get("address")
            .and_then(Value::as_str)
            .unwrap_or("?");
        let address = format!("{path}{address}");
        let provisioners = resource.get("provisioners").and_then(Value::as_array);
        for provisioner in provisioners.into_iter().flatten() {
            if runs(&address) {
                let kind = provisioner.get("type").and_then(Value::as_str);
                let kind = kind.unwrap_or("unknown");
                found.push(Provisioner {
                    heading: whole(&format!("provisioner {kind} of {address}")),
                    expressions: Tree::plain(&expressions(provisioner)),
                });
            }
        }
    }
    let calls = module.get("module_calls").and_then(Value::as_object);
    for (name, call) in calls.into_iter().flatten() {
        // Modules stand in modules as deep as JSON is read.
        if let Some(inner) = call.get("module") {
            in_module(inner, &format!("{path}module.{name}."), runs, found);
        }
    }
}

/// What a provisioner is told, with a constant in the place of the expression that gives it.
fn expressions(provisioner: &Value) -> Value {
    fn plain(value: &Value) -> Value {
        match value {
            Value::Object(map) => match (map.get("constant_value"), map.len()) {
                (Some(constant), 1) => constant.clone(),
                _ => map
                    .iter()
                    .map(|(key, inner)| (key.clone(), plain(inner)))
                    .collect(),
            },
            Value::Array(items) => items.iter().map(plain).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
    let mut told = plain(provisioner.get("expressions").unwrap_or(&Value::Null));
    if let (Some(told), Some(all)) = (told.as_object_mut(), provisioner.as_object()) {
        for (key, value) in all {
            if key != "type" && key != "expressions" {
                told.insert(key.clone(), plain(value));
            }
        }
    }
    told
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The values of the state, of what is planned, and of variables, as far as something in them is sensitive: none is shown from there,
/// and what is sensitive there is masked everywhere.
pub(super) fn marked_values(outline: &Outline) -> Vec<Tree> {
    let mut found = Vec::new();
    for part in [
        outline.prior_state.get("values"),
        Some(&outline.planned_values),
    ] {
        let Some(part) = part else { continue };
        if let Some(root) = part.get("root_module") {
            module_values(root, &mut found);
        }
        let outputs = part.get("outputs").and_then(Value::as_object);
        for output in outputs.into_iter().flat_map(|all| all.values()) {
            let value = output.get("value").unwrap_or(&Value::Null);
            found.push(marked(value, output.get("sensitive")));
        }
    }
    let declared = outline.configuration.pointer("/root_module/variables");
    let variables = outline.variables.as_object();
    for (name, variable) in variables.into_iter().flatten() {
        let sensitive = declared.and_then(|all| all.get(name)?.get("sensitive"));
        let value = variable.get("value").unwrap_or(&Value::Null);
        found.push(marked(value, sensitive));
    }
    found
}

fn module_values(module: &Value, found: &mut Vec<Tree>) {
    let list = |name: &str| {
        module
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    for resource in list("resources") {
        let values = resource.get("values").unwrap_or(&Value::Null);
        found.push(marked(values, resource.get("sensitive_values")));
    }
    list("child_modules").for_each(|inner| module_values(inner, found));
}

fn marked(value: &Value, sensitive: Option<&Value>) -> Tree {
    let unknown = None;
    Tree::of(value, Marks { sensitive, unknown })
}
