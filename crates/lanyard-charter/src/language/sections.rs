//! The whole of a charter, and its sections of a few lines.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_document::shape::{Empty, Form, List, Map, Open, Shape, Word, optional, required};
use lanyard_document::{Code, Entry, FieldPaths, Item, Section};
use lanyard_vocabulary::name::Name;

use super::{
    PolicyFiles, agents, approvals, breakers, calendar, grants, limits, plans, prohibitions,
};
use crate::charter::{Autonomy, Charter, Mode, Owners, Policy, Stated};
use crate::kinds;
use crate::section::bounds::at_most;
use crate::section::names::declared;
use crate::version::VersionRule;
use crate::world::{GrantKind, World};

const MODES: &[Word<Mode>] = &[
    Word::new("enforce", Mode::Enforce),
    Word::meaning(
        "shadow",
        Mode::Shadow,
        "decides and records, and issues nothing",
    ),
];

const AUTONOMIES: &[Word<Autonomy>] = &[
    Word::meaning("observe", Autonomy::Observe, "plans alone"),
    Word::meaning("propose", Autonomy::Propose, "proposals too"),
    Word::meaning(
        "execute-sandbox",
        Autonomy::ExecuteSandbox,
        "applies outside of production",
    ),
    Word::meaning(
        "execute-production",
        Autonomy::ExecuteProduction,
        "applies in production",
    ),
];

const STATED: &[Word<Stated>] = &[
    Word::new("reason", Stated::Reason),
    Word::new("ticket", Stated::Ticket),
    Word::new("proof-of-possession", Stated::ProofOfPossession),
];

/// Describes a whole charter, where targets may be of any of these kinds.
pub(super) fn shape(kinds: &[&dyn GrantKind]) -> Shape {
    let metadata = Map::new()
        .with(required("name", "Unique in the directory.", Form::NAME))
        .with(
            optional(
                "labels",
                "For whoever looks; they decide nothing.",
                Open::of(Form::ANY, Shape::Text),
            )
            .absent("none"),
        );
    Map::new()
        .with(required(
            "apiVersion",
            "The version of the language.",
            Shape::Constant("lanyard.dev/v1"),
        ))
        .with(required(
            "kind",
            "What the file holds.",
            Shape::Constant("Charter"),
        ))
        .with(required(
            "metadata",
            "What the charter is known by.",
            metadata,
        ))
        .with(required("spec", "What the charter allows.", spec(kinds)))
        .into()
}

/// Describes the sections: who, where and what; then on which terms.
fn spec(kinds: &[&dyn GrantKind]) -> Map {
    let who = Map::new()
        .with(required(
            "purpose",
            "What the agent is for, in one sentence.",
            Shape::Text,
        ))
        .with(required(
            "owners",
            "Who answers for the charter.",
            owners_shape(),
        ))
        .with(optional("mode", "What comes of decisions.", Shape::words(MODES)).or("enforce"))
        .with(required("agents", "Who may open a task.", agents::shape()));
    let what = Map::new()
        .with(required(
            "environments",
            "How far an agent may go, by environment.",
            environments_shape(),
        ))
        .with(
            optional(
                "delegates",
                "Charters under which a task of this one may open tasks for other agents.",
                List::of(Form::NAME),
            )
            .absent("none"),
        )
        .with(required(
            "grants",
            "What may be given.",
            grants::shape(kinds),
        ))
        .with(
            optional(
                "prohibited",
                "What no grant can give.",
                prohibitions::shape(kinds),
            )
            .absent("nothing"),
        );
    who.and(what).and(terms())
}

/// Describes on which terms something is given: who agrees, within which bounds, and when.
fn terms() -> Map {
    Map::new()
        .with(optional("plans", "Where an apply needs a plan.", plans::shape()).absent("nowhere"))
        .with(
            optional(
                "approvals",
                "Who has to approve what; the rules that meet a request count together.",
                approvals::shape(),
            )
            .absent("nobody"),
        )
        .with(required("limits", "The bounds.", limits::shape()))
        .with(
            optional(
                "freezes",
                "When something is not given: the change calendar.",
                calendar::freezes_shape(),
            )
            .absent("none"),
        )
        .with(
            optional("hours", "When something is given.", calendar::hours_shape()).absent("always"),
        )
        .with(
            optional(
                "emergency",
                "What is given on easier terms in an emergency that a person declares.",
                approvals::emergency_shape(),
            )
            .absent("nothing"),
        )
        .with(
            optional(
                "breakers",
                "What is counted, and what happens by itself when there is too much of it.",
                breakers::shape(),
            )
            .absent("none"),
        )
        .with(
            optional(
                "unlisted_actions",
                "Actions of AWS that the table of this version does not list, in full.",
                kinds::aws::full_names_shape(),
            )
            .absent("none"),
        )
        .with(
            optional(
                "versions",
                "The builds of the agent that may act.",
                versions_shape(),
            )
            .absent("every one"),
        )
        .with(
            optional(
                "requires",
                "What a task has to state or prove; a reason always.",
                List::of(Shape::words(STATED)),
            )
            .absent("a reason"),
        )
        .with(optional("expires", "From then on nothing is given.", Form::TIME).absent("never"))
}

pub(super) fn charter(
    root: Item<'_>,
    text: &str,
    (world, files): (&World, &dyn PolicyFiles),
) -> Option<Charter> {
    let top = root.section()?;
    for name in ["apiVersion", "kind"] {
        if let Some(item) = top.get(name) {
            item.constant();
        }
    }
    let metadata = top.get("metadata").and_then(metadata);
    let spec = top.get("spec").and_then(Item::section);
    let (spec, (name, labels)) = (spec?, metadata?);
    let purpose = spec.get("purpose").and_then(purpose);
    let owners = spec.get("owners").and_then(owners);
    let mode = spec.get("mode").and_then(|item| item.word(MODES));
    let agents = spec.get("agents").map(agents::all);
    let environments = spec
        .get("environments")
        .map(|item| environments(item, world));
    let declared = environments.clone().unwrap_or_default();
    let grants = spec
        .get("grants")
        .map(|item| grants::all(item, world, &declared));
    let prohibited = section(&spec, "prohibited", |item| prohibitions::all(item, world));
    let plans = section(&spec, "plans", |item| plans::plans(item, &declared, files));
    let approvals = section(&spec, "approvals", |item| {
        approvals::approvals(item, &declared)
    });
    let limits = spec.get("limits").and_then(limits::limits);
    let freezes = section(&spec, "freezes", |item| calendar::freezes(item, &declared));
    let hours = section(&spec, "hours", |item| calendar::hours(item, &declared));
    let known = grants.clone().unwrap_or_default();
    let emergency = section(&spec, "emergency", |item| {
        approvals::emergency(item, &known)
    });
    let mut breakers = section(&spec, "breakers", breakers::breakers);
    let paths = FieldPaths::of_json(root.node, text);
    for rule in &mut breakers {
        rule.path = paths.at(rule.at).map(str::to_owned);
    }
    let delegates = section(&spec, "delegates", delegates);
    let versions = section(&spec, "versions", versions);
    let requires = section(&spec, "requires", requires);
    let unlisted = section(&spec, "unlisted_actions", kinds::aws::full_names);
    let expires = spec.get("expires").and_then(calendar::end);
    Some(Charter {
        name,
        revision: Policy::revision(
            text.as_bytes(),
            plans.as_ref().map_or(&[], |rule| &rule.policies),
        ),
        labels,
        purpose: purpose?,
        owners: owners?,
        mode: mode?,
        agents: agents?,
        delegates,
        environments: environments?,
        grants: grants?,
        prohibited,
        plans,
        approvals,
        limits: limits?,
        requires,
        unlisted,
        freezes,
        hours,
        emergency,
        breakers,
        versions,
        expires,
        paths,
    })
}

/// Reads a section that may be missing.
fn section<'a, T: Default>(spec: &Section<'a>, name: &str, read: impl FnOnce(Item<'a>) -> T) -> T {
    spec.get(name).map(read).unwrap_or_default()
}

fn requires(item: Item<'_>) -> BTreeSet<Stated> {
    let items = item.items().into_iter();
    items.filter_map(|item| item.word(STATED)).collect()
}

fn metadata(item: Item<'_>) -> Option<(Name, BTreeMap<String, String>)> {
    let section = item.section()?;
    let name = section.get("name").and_then(Item::parsed);
    let labels = section.get("labels").map(Item::entries);
    let labels = labels.unwrap_or_default().into_iter();
    let labels = labels.filter_map(|it| Some((it.name.to_owned(), it.value.text()?.to_owned())));
    let labels = labels.collect();
    Some((name?, labels))
}

fn purpose(item: Item<'_>) -> Option<String> {
    let text = item.text()?.trim();
    if text.trim_end_matches('.').contains(". ") {
        let finding = item.finding(
            Code::BroadPurpose,
            "the purpose takes more than one sentence",
        );
        let help = "a purpose that does not fit one sentence asks for two charters";
        item.f.add(finding.help(help));
    }
    Some(text.to_owned())
}

fn owners_shape() -> Map {
    let owner = |name, meaning| required(name, meaning, Shape::Text);
    Map::new()
        .with(owner(
            "business",
            "The person or group that wants the agent.",
        ))
        .with(owner("technical", "The person or group that runs it."))
        .with(owner(
            "security",
            "The person or group that may say no to both.",
        ))
}

fn owners(item: Item<'_>) -> Option<Owners> {
    let section = item.section()?;
    let owner = |name| Some(section.get(name)?.text()?.to_owned());
    let (business, technical, security) =
        (owner("business"), owner("technical"), owner("security"));
    Some(Owners {
        business: business?,
        technical: technical?,
        security: security?,
    })
}

fn environments_shape() -> Open {
    let meaning = "The most that an agent may do there.";
    let environment = Map::new().with(required("autonomy", meaning, Shape::words(AUTONOMIES)));
    Open::of(Form::NAME, environment)
}

fn environments(item: Item<'_>, world: &World) -> BTreeMap<Name, Autonomy> {
    let entries = item.entries();
    if !at_most(item, "environments", entries.len()) {
        return BTreeMap::new();
    }
    let entries = entries.into_iter();
    let environments = entries.filter_map(|Entry { key, value, .. }| {
        let f = item.f;
        let name = f
            .parsed(key)
            .filter(|name| declared(f, key, name, &world.environments, "environment"));
        let autonomy = value.section().and_then(|of| of.get("autonomy"));
        let autonomy = autonomy.and_then(|item| item.word(AUTONOMIES));
        name.zip(autonomy)
    });
    environments.collect()
}

fn delegates(item: Item<'_>) -> BTreeSet<Name> {
    let items = item.items();
    if !at_most(item, "charters to delegate to", items.len()) {
        return BTreeSet::new();
    }
    items.into_iter().filter_map(Item::parsed).collect()
}

fn versions_shape() -> List {
    let version = Map::new()
        .with(required(
            "model",
            "The model, as the task states it.",
            Shape::Text,
        ))
        .with(optional("prompt", "The digest of the instructions.", Form::DIGEST).absent("any"));
    let nobody = Empty::new(Code::Value, "no version of the agent may act");
    List::of(version).not_empty(nobody.help("name one, or leave `versions` out for all"))
}

fn versions(item: Item<'_>) -> Vec<VersionRule> {
    item.items().into_iter().filter_map(version).collect()
}

fn version(item: Item<'_>) -> Option<VersionRule> {
    let section = item.section()?;
    let model = section.get("model").and_then(Item::text);
    let prompt = section.get("prompt").map(Item::parsed);
    Some(VersionRule {
        model: model?.to_owned(),
        prompt: match prompt {
            Some(parsed) => Some(parsed?),
            None => None,
        },
        at: item.span().at,
    })
}
