//! Parts of a plan besides resource changes: provisioners, actions, checks, and parts that Lanyard
//! does not know.

use std::collections::BTreeSet;

use lanyard_charter::plan::Risk;
use serde_json::Value;

use super::expressions::{constants, expressions, unwritten, unwritten_parts};
use super::providers::{self, Provider};
use super::{Check, Effect, Invocation, Outline, SILENT};
use crate::review::Piece::{Named, Own, Plan};
use crate::review::Review;
use crate::shown::MAX_SHOWN_BYTES;
use crate::tree::{Marks, Tree};

/// Longest path of a module. The path is repeated for each resource of the module.
///
/// # Limit
/// - for: the path of a module in a configuration
/// - unit: bytes
/// - beyond: what runs in the module is said not to be known, and the risk is high
/// - test: `a09_a_plan_without_its_configuration_is_high`
const MAX_MODULE_PATH_BYTES: usize = 2048;

/// A provisioner that an apply runs.
struct Provisioner<'a> {
    kind: &'a str,
    /// Address of the provisioner's resource.
    address: String,
    expressions: Tree,
    /// Paths of expressions whose text the plan omits: it only has their references.
    unwritten: Vec<String>,
}

/// An ephemeral resource, which is opened during the apply and is not in the state.
struct Ephemeral<'a> {
    kind: &'a str,
    address: String,
    expressions: Tree,
    unwritten: Vec<String>,
}

/// An action that an apply invokes.
struct Action<'a> {
    about: &'a Invocation,
    /// Reason for deferring the action, if it is deferred.
    reason: Option<&'a str>,
    config: Tree,
    trigger: Tree,
}

impl<'a> Action<'a> {
    fn of(about: &'a Invocation, reason: Option<&'a str>) -> Self {
        let marks = Marks {
            sensitive: Some(&about.config_sensitive),
            unknown: Some(&about.config_unknown),
        };
        let trigger: Value = about.trigger.clone().into_iter().collect();
        Self {
            about,
            reason,
            config: Tree::of(&about.config_values, marks),
            trigger: Tree::plain(&trigger),
        }
    }
}

/// The parts of a plan besides its resources and outputs.
pub(super) struct Others<'a> {
    outline: &'a Outline,
    providers: Vec<Provider<'a>>,
    provisioners: Vec<Provisioner<'a>>,
    ephemeral: Vec<Ephemeral<'a>>,
    actions: Vec<Action<'a>>,
    /// Checks that do not pass, with their messages.
    checks: Vec<(&'a Check, Tree)>,
    /// Addresses that are created or changed and are missing in the configuration.
    unconfigured: BTreeSet<String>,
    /// Addresses in the configuration, without instance keys.
    configured: BTreeSet<String>,
    /// True if a module was skipped.
    is_cut: bool,
}

impl<'a> Others<'a> {
    pub(super) fn of(outline: &'a Outline) -> Self {
        let known: BTreeSet<String> = addresses(outline, |_| true);
        let applied = addresses(outline, |effect| match effect {
            Effect::Create | Effect::Replace | Effect::Destroy | Effect::Supersede => true,
            Effect::Nothing | Effect::Read | Effect::Open | Effect::Update | Effect::Forget => {
                false
            }
        });
        let mut found = Configured {
            provisioners: Vec::new(),
            ephemeral: Vec::new(),
            addresses: BTreeSet::new(),
            is_cut: false,
            room: MAX_SHOWN_BYTES,
        };
        if let Some(root) = outline.configuration.get("root_module") {
            // A provisioner that matches no known resource is assumed to run.
            let runs = |address: &str| applied.contains(address) || !known.contains(address);
            in_module(root, "", &runs, &mut found);
        }
        let now = outline.action_invocations.iter();
        let now = now.map(|it| Action::of(it, None));
        let later = outline.deferred_action_invocations.iter();
        let later = later.map(|it| Action::of(&it.action_invocation, Some(it.reason.as_str())));
        let checks = outline.checks.iter().filter(|check| check.status != "pass");
        Self {
            outline,
            actions: now.chain(later).collect(),
            checks: checks
                .map(|check| (check, Tree::plain(&problems(&check.instances))))
                .collect(),
            unconfigured: unconfigured(outline, &found.addresses),
            is_cut: found.is_cut,
            provisioners: found.provisioners,
            ephemeral: found.ephemeral,
            providers: providers::configured(outline),
            configured: found.addresses,
        }
    }

    /// True if the plan has a configuration that no longer contains the resource.
    pub(super) fn is_gone(&self, address: &str) -> bool {
        self.outline.configuration.get("root_module").is_some()
            && !self.configured.contains(&without_keys(address))
    }

    pub(super) fn trees(&self) -> impl Iterator<Item = &Tree> {
        let provisioners = self.provisioners.iter().map(|it| &it.expressions);
        let actions = self.actions.iter();
        provisioners
            .chain(self.ephemeral.iter().map(|it| &it.expressions))
            .chain(self.providers.iter().map(Provider::tree))
            .chain(actions.flat_map(|it| [&it.config, &it.trigger]))
            .chain(self.checks.iter().map(|(_, problems)| problems))
    }

    /// Adds the warnings that precede everything else.
    pub(super) fn first(&self, review: &mut Review) {
        let outline = self.outline;
        if outline.complete == Some(false) {
            review.line(&[Own(
                "INCOMPLETE: after this apply something is left to plan and to apply.",
            )]);
            review.find(
                Risk::Medium,
                &[Own(
                    "the plan is incomplete: something is left to plan after it",
                )],
            );
        }
        for (name, value) in &outline.others {
            if !SILENT.contains(&name.as_str()) && !is_empty(value) {
                review.line(&[
                    Own("NOT SHOWN: the part `"),
                    Plan(name),
                    Own("` of this plan, which Lanyard does not know."),
                ]);
                review.find(
                    Risk::High,
                    &[
                        Own("the part `"),
                        Plan(name),
                        Own("` of the plan is not known to Lanyard"),
                    ],
                );
            }
        }
        if !outline
            .configuration
            .get("root_module")
            .is_some_and(Value::is_object)
        {
            review.line(&[Own(
                "NOT SHOWN: the provisioners and checks of this plan, which comes without its configuration; `terraform show -json` \
                 prints it.",
            )]);
            review.find(
                Risk::High,
                &[Own(
                    "the plan comes without its configuration, so what it runs beside its resources is not known",
                )],
            );
        }
        if self.is_cut {
            let why = [Own(
                "the path of a module in the configuration is too long, so what runs in the module is not known",
            )];
            review.line(&why);
            review.find(Risk::High, &why);
        }
        if providers::is_unread(outline) {
            let why = [Own(
                "the configuration of providers in this plan cannot be read, so what they are and run is not known",
            )];
            review.line(&why);
            review.find(Risk::High, &why);
        }
        for address in &self.unconfigured {
            review.line(&[
                Own("NOT SHOWN: the provisioners of "),
                Plan(address),
                Own(", which the configuration in this plan does not have."),
            ]);
            review.find(
                Risk::High,
                &[
                    Plan(address),
                    Own(" is not in the plan's configuration, so what runs with it is not known"),
                ],
            );
        }
    }

    pub(super) fn rest(self, review: &mut Review) {
        for provider in self.providers {
            providers::show(review, provider);
        }
        for provisioner in self.provisioners {
            let heading = review.name(&[
                Own("provisioner "),
                Plan(provisioner.kind),
                Own(" of "),
                Plan(&provisioner.address),
            ]);
            review.line(&[Own("! "), Named(&heading), Own(" runs during the apply")]);
            let expressions = review.mask(provisioner.expressions);
            let found = review.comes("", &expressions);
            review.differs(&heading, &found);
            unwritten_parts(review, &provisioner.unwritten);
            review.find(
                Risk::High,
                &[Named(&heading), Own(" runs a command of the plan's own")],
            );
        }
        for ephemeral in self.ephemeral {
            let heading = review.name(&[Plan(&ephemeral.address)]);
            review.line(&[
                Own("! "),
                Named(&heading),
                Own(" is opened during the apply"),
            ]);
            let expressions = review.mask(ephemeral.expressions);
            let found = review.comes("", &expressions);
            review.differs(&heading, &found);
            unwritten_parts(review, &ephemeral.unwritten);
            match providers::acting(ephemeral.kind) {
                Some(does) => review.find(Risk::High, &[Named(&heading), Own(" "), Own(does)]),
                None => review.find(
                    Risk::Medium,
                    &[Named(&heading), Own(" is opened during the apply")],
                ),
            }
        }
        for action in self.actions {
            action_invoked(review, action);
        }
        for (check, problems) in self.checks {
            let name = check.address.get("to_display").and_then(Value::as_str);
            let name = review.name(&[Own("check "), Plan(name.unwrap_or("?"))]);
            review.line(&[Own("  "), Named(&name), Own(": "), Plan(&check.status)]);
            let problems = review.mask(problems);
            let found = review.comes("", &problems);
            review.differs(&name, &found);
            if check.status != "unknown" {
                review.find(
                    Risk::Medium,
                    &[
                        Own("the "),
                        Named(&name),
                        Own(" does not pass: "),
                        Plan(&check.status),
                    ],
                );
            }
        }
    }
}

fn action_invoked(review: &mut Review, action: Action<'_>) {
    let Action {
        about,
        reason,
        config,
        trigger,
    } = action;
    let name = review.name(&[
        Own("action "),
        Plan(&about.address),
        Own(" ("),
        Plan(&about.kind),
        Own(")"),
    ]);
    match reason {
        None => review.line(&[Own("! "), Named(&name), Own(" is invoked")]),
        Some(reason) => review.line(&[
            Own("! "),
            Named(&name),
            Own(" is deferred ("),
            Plan(reason),
            Own(")"),
        ]),
    }
    for (place, tree) in [("config", config), ("", trigger)] {
        let tree = review.mask(tree);
        let found = review.comes(place, &tree);
        review.differs(&name, &found);
    }
    review.find(
        Risk::High,
        &[
            Named(&name),
            Own(" does what its provider says, beside all resources"),
        ],
    );
}

/// Returns the messages of a check's instances.
fn problems(instances: &Value) -> Value {
    let each = instances.as_array().into_iter().flatten();
    let each = each.filter_map(|instance| instance.get("problems").cloned());
    Value::Array(each.collect())
}

/// Lists resources that are created or changed and are missing in the configuration, which has them
/// all in every plan that Terraform prints. A resource whose configuration is generated by an
/// import is excepted.
fn unconfigured(outline: &Outline, configured: &BTreeSet<String>) -> BTreeSet<String> {
    if outline.configuration.get("root_module").is_none() {
        return BTreeSet::new();
    }
    let changes = outline.resource_changes.iter();
    let made = changes.filter(|it| match it.effect() {
        Effect::Create | Effect::Update | Effect::Replace | Effect::Supersede | Effect::Open => {
            true
        }
        Effect::Nothing | Effect::Read | Effect::Destroy | Effect::Forget => false,
    });
    let made = made.filter(|it| it.deposed.is_none() && it.change.generated_config.is_none());
    let addresses = made.map(|it| without_keys(&it.address));
    addresses.filter(|it| !configured.contains(it)).collect()
}

/// Lists the addresses with a matching effect, without instance keys.
fn addresses(outline: &Outline, is: impl Fn(Effect) -> bool) -> BTreeSet<String> {
    let changes = outline.resource_changes.iter();
    let changes = changes.filter(|change| is(change.effect()));
    let both = changes.flat_map(|it| [Some(it.address.as_str()), it.previous_address.as_deref()]);
    both.flatten().map(without_keys).collect()
}

/// Removes instance keys: `module.a["x"].b.c[0]` is `module.a.b.c` in the configuration.
pub(super) fn without_keys(address: &str) -> String {
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

/// The relevant parts of a configuration.
struct Configured<'a> {
    provisioners: Vec<Provisioner<'a>>,
    ephemeral: Vec<Ephemeral<'a>>,
    addresses: BTreeSet<String>,
    /// True if a module was skipped.
    is_cut: bool,
    /// Bytes that are left for the paths of omitted expressions.
    room: usize,
}

fn in_module<'a>(
    module: &'a Value,
    path: &str,
    runs: &impl Fn(&str) -> bool,
    found: &mut Configured<'a>,
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
                found.provisioners.push(Provisioner {
                    kind: kind.unwrap_or("unknown"),
                    address: address.clone(),
                    expressions: Tree::plain(&expressions(provisioner, &["type"])),
                    unwritten: unwritten(provisioner, &mut found.room),
                });
            }
        }
        if resource.get("mode").and_then(Value::as_str) == Some("ephemeral") {
            let kind = resource.get("type").and_then(Value::as_str);
            let told = resource.get("expressions").unwrap_or(&Value::Null);
            found.ephemeral.push(Ephemeral {
                kind: kind.unwrap_or("unknown"),
                address: address.clone(),
                expressions: providers::told_tree(&constants(told)),
                unwritten: unwritten(resource, &mut found.room),
            });
        }
        found.addresses.insert(address);
    }
    let calls = module.get("module_calls").and_then(Value::as_object);
    for (name, call) in calls.into_iter().flatten() {
        // The recursion is bounded by the nesting limit of the JSON parser.
        let Some(inner) = call.get("module") else {
            continue;
        };
        if path.len() + name.len() > MAX_MODULE_PATH_BYTES {
            found.is_cut = true;
        } else {
            in_module(inner, &format!("{path}module.{name}."), runs, found);
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Returns the values of the state, the planned values and the variables, with their marks. They
/// are not shown themselves; what is sensitive in them is masked everywhere.
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
