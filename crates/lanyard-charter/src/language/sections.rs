//! The sections of a charter, one function each.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_document::{Code, Diagnostic, FieldPaths, Fields, Findings, Node};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::text::escaped;
use lanyard_vocabulary::time::Ttl;

use super::{PolicyFiles, agents, breakers, calendar, grants, plans};
use crate::calendar::End;
use crate::charter::{
    ApprovalRule, Autonomy, Budget, Charter, EmergencyRule, Grant, Limits, Mode, Owners, Policy,
    RequestLimits, Stated,
};
use crate::kinds;
use crate::prohibition::Prohibition;
use crate::rates::Rate;
use crate::section::bounds::{MAX_SPAN, MAX_TTL, at_most};
use crate::section::names::declared;
use crate::section::words::ROLES;
use crate::target_kind::TargetKind;
use crate::version::VersionRule;
use crate::world::{ProhibitedSection, World};

/// The most time of credentials that one task may have.
///
/// # Limit
/// - for: a task
/// - unit: of time
/// - beyond: the charter is refused
/// - test: `what_a_charter_may_say_has_bounds`
const MAX_CREDENTIAL_TIME: Ttl = Ttl::at_least_a_second(30 * 24 * 3600);
/// The time for which an approval may be used if the charter does not say.
const HALF_AN_HOUR: Ttl = Ttl::at_least_a_second(1800);

pub(super) fn charter(
    f: &Findings,
    root: &Node,
    text: &str,
    (world, files): (&World, &dyn PolicyFiles),
) -> Option<Charter> {
    let top = f.map(root)?;
    constant(f, &top, "apiVersion", "lanyard.dev/v1");
    constant(f, &top, "kind", "Charter");
    let metadata = top.required("metadata").and_then(|node| metadata(f, node));
    let spec = top.required("spec").and_then(|node| f.map(node));
    top.finish();
    let (spec, (name, labels)) = (spec?, metadata?);
    let purpose = spec.required("purpose").and_then(|node| purpose(f, node));
    let owners = spec.required("owners").and_then(|node| owners(f, node));
    let modes = [("enforce", Mode::Enforce), ("shadow", Mode::Shadow)];
    let mode = spec
        .optional("mode")
        .map_or(Some(Mode::Enforce), |node| f.one_of(node, &modes));
    let agents = spec.required("agents").map(|node| agents::all(f, node));
    let environments = spec
        .required("environments")
        .map(|node| environments(f, node, world));
    let declared = environments.clone().unwrap_or_default();
    let grants = spec
        .required("grants")
        .map(|node| grants::all(f, node, world, &declared));
    let prohibited = section(&spec, "prohibited", |node| prohibited(f, node, world));
    let plans = section(&spec, "plans", |node| {
        plans::plans(f, node, &declared, files)
    });
    let approvals = section(&spec, "approvals", |node| approvals(f, node, &declared));
    let limits = spec.required("limits").and_then(|node| limits(f, node));
    let freezes = section(&spec, "freezes", |node| {
        calendar::freezes(f, node, &declared)
    });
    let hours = section(&spec, "hours", |node| calendar::hours(f, node, &declared));
    let known = grants.clone().unwrap_or_default();
    let emergency = section(&spec, "emergency", |node| emergency(f, node, &known));
    let mut breakers = section(&spec, "breakers", |node| breakers::breakers(f, node));
    let paths = FieldPaths::of_json(root, text);
    for rule in &mut breakers {
        rule.path = paths.at(rule.at).map(str::to_owned);
    }
    let delegates = section(&spec, "delegates", |node| delegates(f, node));
    let versions = section(&spec, "versions", |node| versions(f, node));
    let requires = section(&spec, "requires", |node| requires(f, node));
    let unlisted = section(&spec, "unlisted_actions", |node| {
        kinds::aws::full_names(f, node)
    });
    let expires = spec.optional("expires").and_then(|node| end(f, node));
    spec.finish();
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

fn end(f: &Findings, node: &Node) -> Option<End> {
    let when = f.time(node, false)?;
    let at = node.span.at;
    Some(End { when, at })
}

/// Reads a section that may be missing.
fn section<T: Default>(spec: &Fields<'_>, name: &'static str, read: impl FnOnce(&Node) -> T) -> T {
    spec.optional(name).map(read).unwrap_or_default()
}

fn requires(f: &Findings, node: &Node) -> BTreeSet<Stated> {
    let stated = [
        ("reason", Stated::Reason),
        ("ticket", Stated::Ticket),
        ("proof-of-possession", Stated::ProofOfPossession),
    ];
    let items = f.list(node).iter();
    items.filter_map(|item| f.one_of(item, &stated)).collect()
}

fn constant(f: &Findings, top: &Fields<'_>, name: &'static str, value: &'static str) {
    if let Some(node) = top.required(name) {
        f.one_of(node, &[(value, ())]);
    }
}

fn metadata(f: &Findings, node: &Node) -> Option<(Name, BTreeMap<String, String>)> {
    let fields = f.map(node)?;
    let name = fields.required("name").and_then(|node| f.parsed(node));
    let labels = fields
        .optional("labels")
        .and_then(|node| f.map(node))
        .map(|labels| {
            labels
                .open()
                .filter_map(|(key, _, value)| Some((key.to_owned(), f.text(value)?.to_owned())))
                .collect()
        });
    fields.finish();
    Some((name?, labels.unwrap_or_default()))
}

fn purpose(f: &Findings, node: &Node) -> Option<String> {
    let text = f.text(node)?.trim();
    if text.trim_end_matches('.').contains(". ") {
        f.add(
            Diagnostic::new(
                Code::BroadPurpose,
                node.span,
                "the purpose takes more than one sentence".to_owned(),
            )
            .help("a purpose that does not fit one sentence asks for two charters"),
        );
    }
    Some(text.to_owned())
}

fn owners(f: &Findings, node: &Node) -> Option<Owners> {
    let fields = f.map(node)?;
    let owner = |name| Some(f.text(fields.required(name)?)?.to_owned());
    let (business, technical, security) =
        (owner("business"), owner("technical"), owner("security"));
    fields.finish();
    Some(Owners {
        business: business?,
        technical: technical?,
        security: security?,
    })
}

fn environments(f: &Findings, node: &Node, world: &World) -> BTreeMap<Name, Autonomy> {
    let words = [
        ("observe", Autonomy::Observe),
        ("propose", Autonomy::Propose),
        ("execute-sandbox", Autonomy::ExecuteSandbox),
        ("execute-production", Autonomy::ExecuteProduction),
    ];
    let mut environments = BTreeMap::new();
    let entries = f.map(node);
    let count = entries.as_ref().map_or(0, |all| all.open().count());
    if !at_most(f, node, "environments", count) {
        return environments;
    }
    for (_, key, value) in entries.iter().flat_map(Fields::open) {
        let name = f
            .parsed(key)
            .filter(|name| declared(f, key, name, &world.environments, "environment"));
        let autonomy = f.map(value).and_then(|fields| {
            let autonomy = fields
                .required("autonomy")
                .and_then(|node| f.one_of(node, &words));
            fields.finish();
            autonomy
        });
        environments.extend(name.zip(autonomy));
    }
    environments
}

fn prohibited(f: &Findings, node: &Node, world: &World) -> Vec<Prohibition> {
    let kinds = kinds::all(world.more_kinds).into_iter();
    let sections: Vec<_> = kinds
        .filter_map(|kind| Some((kind.id(), kind.prohibited()?)))
        .collect();
    let items = f.list(node).iter();
    let all: Vec<_> = items
        .filter_map(|item| prohibition(f, item, &sections))
        .collect();
    let entries = all.iter().map(|rule| rule.what.entries());
    if at_most(f, node, "prohibitions", entries.sum()) {
        all
    } else {
        Vec::new()
    }
}

fn prohibition(
    f: &Findings,
    node: &Node,
    sections: &[(TargetKind, ProhibitedSection)],
) -> Option<Prohibition> {
    let fields = f.map(node)?;
    let mut found = Vec::new();
    for (kind, section) in sections {
        let node = fields.optional(kind.as_str());
        found.extend(node.map(|node| (section.read)(f, node)));
    }
    let reason = fields.required("reason").and_then(|node| f.text(node));
    fields.finish();
    let [what] = found.as_slice() else {
        let kinds: Vec<_> = sections
            .iter()
            .map(|(kind, _)| format!("`{kind}`"))
            .collect();
        let message = format!("a prohibition is about {}", kinds.join(" or about "));
        f.add(Diagnostic::new(Code::Value, node.span, message));
        return None;
    };
    Some(Prohibition {
        what: what.clone()?,
        reason: reason?.to_owned(),
        at: node.span.at,
    })
}

fn approvals(f: &Findings, node: &Node, known: &BTreeMap<Name, Autonomy>) -> Vec<ApprovalRule> {
    f.list(node)
        .iter()
        .filter_map(|item| approval(f, item, known))
        .collect()
}

fn approval(f: &Findings, node: &Node, known: &BTreeMap<Name, Autonomy>) -> Option<ApprovalRule> {
    let fields = f.map(node)?;
    let when = fields.required("when").and_then(|node| f.map(node));
    let people = fields
        .required("people")
        .and_then(|node| f.number(node, 0, 20));
    let from = fields
        .optional("from")
        .map(|node| groups(f, node))
        .unwrap_or_default();
    let expires = fields
        .optional("expires")
        .map_or(Some(HALF_AN_HOUR), |node| f.span_of_time(node, MAX_SPAN));
    let uses = fields
        .optional("uses")
        .map_or(Some(1), |node| f.number(node, 1, 100));
    fields.finish();
    let when = when?;
    let risk = when
        .optional("risk")
        .map(|node| f.one_of(node, plans::RISKS));
    // Only an apply has a plan, and only a plan has a risk.
    let role = match (&risk, when.optional("role")) {
        (Some(_), None) => Some(Role::Apply),
        (_, Some(node)) => f.one_of(node, ROLES),
        (None, None) => when.required("role").and_then(|node| f.one_of(node, ROLES)),
    };
    let environment = when.optional("environment").and_then(|node| {
        f.parsed(node)
            .filter(|name| declared(f, node, name, known, "environment in this charter"))
    });
    when.finish();
    let risk = match risk {
        Some(read) => Some(read?),
        None => None,
    };
    Some(ApprovalRule {
        role: role?,
        environment,
        risk,
        people: people?,
        from,
        expires: expires?,
        uses: uses?,
        at: node.span.at,
    })
}

fn groups(f: &Findings, node: &Node) -> BTreeSet<String> {
    let group = |item: &Node| {
        let text = f.text(item)?;
        let group = text
            .strip_prefix("group:")
            .filter(|group| !group.is_empty());
        if group.is_none() {
            let message = format!("`{}` is not a group", escaped(text));
            f.add(Diagnostic::new(Code::Value, item.span, message).help("write group:name"));
        }
        group.map(str::to_owned)
    };
    f.list(node).iter().filter_map(group).collect()
}

fn limits(f: &Findings, node: &Node) -> Option<Limits> {
    let fields = f.map(node)?;
    let time = |name, most| f.span_of_time(fields.required(name)?, most);
    let (longest, task) = (time("ttl", MAX_TTL), time("task", MAX_SPAN));
    let live_leases = fields
        .required("live_leases")
        .and_then(|node| f.number(node, 1, 1_000_000));
    let mints = fields.required("mints").and_then(|node| rate(f, node));
    let budget = fields.optional("budget").map(|node| budget(f, node));
    let requests = fields
        .optional("approval_requests")
        .map(|node| requests(f, node));
    let revocable_within = fields
        .optional("revocable_within")
        .and_then(|node| f.span_of_time(node, MAX_TTL));
    fields.finish();
    Some(Limits {
        ttl: longest?,
        task: task?,
        live_leases: live_leases?,
        mints: mints?.into(),
        budget: match budget {
            Some(read) => Some(read?),
            None => None,
        },
        requests: match requests {
            Some(read) => read?,
            None => RequestLimits::default(),
        },
        revocable_within,
    })
}

fn budget(f: &Findings, node: &Node) -> Option<Budget> {
    let fields = f.map(node)?;
    let mints = fields
        .required("mints")
        .and_then(|node| f.number(node, 1, 10_000));
    let time = fields
        .required("time")
        .and_then(|node| f.span_of_time(node, MAX_CREDENTIAL_TIME));
    fields.finish();
    Some(Budget {
        mints: mints?,
        time: time?,
    })
}

fn requests(f: &Findings, node: &Node) -> Option<RequestLimits> {
    let fields = f.map(node)?;
    let open = fields
        .required("open")
        .and_then(|node| f.number(node, 1, 1000));
    let cooldown = fields
        .required("cooldown")
        .and_then(|node| f.span_of_time(node, MAX_SPAN));
    fields.finish();
    Some(RequestLimits {
        open: open?,
        cooldown: cooldown?,
    })
}

fn rate(f: &Findings, node: &Node) -> Option<Rate> {
    let fields = f.map(node)?;
    let count = fields
        .required("count")
        .and_then(|node| f.number(node, 1, 10_000));
    let per = fields
        .required("per")
        .and_then(|node| f.span_of_time(node, MAX_SPAN));
    fields.finish();
    Some(Rate {
        count: count?,
        per: per?,
    })
}

fn emergency(f: &Findings, node: &Node, known: &BTreeMap<Name, Grant>) -> Option<EmergencyRule> {
    let fields = f.map(node)?;
    let grants = fields.required("grants").map(|node| {
        let names = f.list(node).iter().filter_map(|item| {
            f.parsed(item)
                .filter(|name| declared(f, item, name, known, "grant in this charter"))
        });
        names.collect()
    });
    let people = fields
        .required("people")
        .and_then(|node| f.number(node, 0, 20));
    let lasts = fields
        .required("lasts")
        .and_then(|node| f.span_of_time(node, MAX_SPAN));
    fields.finish();
    Some(EmergencyRule {
        grants: grants?,
        people: people?,
        lasts: lasts?,
        at: node.span.at,
    })
}

fn delegates(f: &Findings, node: &Node) -> BTreeSet<Name> {
    let items = f.list(node);
    if !at_most(f, node, "charters to delegate to", items.len()) {
        return BTreeSet::new();
    }
    items.iter().filter_map(|item| f.parsed(item)).collect()
}

fn versions(f: &Findings, node: &Node) -> Vec<VersionRule> {
    let items = f.list(node);
    if items.is_empty() {
        let message = "no version of the agent may act".to_owned();
        let finding = Diagnostic::new(Code::Value, node.span, message);
        f.add(finding.help("name one, or leave `versions` out for all"));
    }
    items.iter().filter_map(|item| version(f, item)).collect()
}

fn version(f: &Findings, node: &Node) -> Option<VersionRule> {
    let fields = f.map(node)?;
    let model = fields.required("model").and_then(|node| f.text(node));
    let prompt = fields.optional("prompt").map(|node| f.parsed(node));
    fields.finish();
    Some(VersionRule {
        model: model?.to_owned(),
        prompt: match prompt {
            Some(parsed) => Some(parsed?),
            None => None,
        },
        at: node.span.at,
    })
}
