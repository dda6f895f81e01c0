//! The section `charter_objects` of the configuration.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use lanyard_charter::{EnvironmentKind, SubjectPattern};
use lanyard_charter_objects::{AgentBound, NamespaceRule};
use lanyard_document::shape::{Empty, Form, List, Map, Shape, optional, required};
use lanyard_document::{Code, Item, Section, suggest};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::text::escaped;
use lanyard_vocabulary::time::Ttl;

use crate::identity::Place;
use crate::identity::cluster::{place, place_shape};
use crate::identity::issuer::{IssuerConfig, KeySource};
use crate::values::ADDRESS;

/// The longest time for which charters stay in force while the API server cannot be read.
///
/// # Limit
/// - for: `charter_objects.stale_after`
/// - unit: of time
/// - beyond: the configuration is refused
/// - test: `charter_objects_have_bounds_of_their_own`
const MAX_STALE_AFTER: Ttl = Ttl::at_least_a_second(24 * 3600);
/// The lowest value. A call to the API server takes up to a quarter of it.
const MIN_STALE_AFTER: Ttl = Ttl::at_least_a_second(4);
/// Namespaces that objects are read in.
///
/// # Limit
/// - for: `charter_objects.namespaces`
/// - unit: namespaces
/// - beyond: the configuration is refused
/// - test: `charter_objects_have_bounds_of_their_own`
const MAX_NAMESPACES: usize = 100;

/// The namespaces whose charter objects are read, and what those charters may name.
#[derive(Debug)]
pub(crate) struct ObjectsConfig {
    pub(crate) place: Place,
    pub(crate) stale_after: Ttl,
    pub(crate) admission_listen: Option<SocketAddr>,
    pub(crate) namespaces: Vec<NamespaceRule>,
}

/// The parts of the configuration that the section refers to.
pub(crate) struct Declared<'a> {
    pub(crate) issuers: &'a [IssuerConfig],
    pub(crate) targets: BTreeSet<Name>,
    pub(crate) environments: &'a std::collections::BTreeMap<Name, EnvironmentKind>,
}

const NO_NAMESPACE: Empty =
    Empty::new(Code::Value, "expected 1 to 100 namespaces, and these are 0");

pub(crate) fn shape() -> Map {
    let issuer = required("issuer", "The issuer, byte for byte.", Shape::Text);
    let exact = "a subject, exact or with one `*` for the last segment";
    let subject = Form::new(exact, ".");
    let agent = Map::new()
        .with(issuer)
        .with(required("subject", "The subjects there.", subject));
    let names = List::of(Form::NAME);
    let namespace = Map::new()
        .with(required("namespace", "The namespace, once.", Form::NAME))
        .with(
            optional(
                "names",
                "What the names of the charters there begin with.",
                Form::new("the beginning of a name", "^[a-z0-9-]{1,63}$"),
            )
            .absent("anything"),
        )
        .with(
            optional(
                "targets",
                "The targets that their grants may be on.",
                names.clone(),
            )
            .absent("every target"),
        )
        .with(
            optional(
                "environments",
                "The environments that they may name.",
                names,
            )
            .absent("every environment"),
        )
        .with(
            optional(
                "agents",
                "The agents that they may name: subjects of any issuer, or of one.",
                List::of(Shape::Either(subject, agent)),
            )
            .absent("the service accounts of the namespace, at issuers with the same `kubernetes`"),
        );
    Map::new()
        .with(required(
            "kubernetes",
            "The cluster: `{}` is the one of this pod.",
            place_shape(),
        ))
        .with(
            optional(
                "stale_after",
                "How long charters stay in force while the API server cannot be read; at least 4s.",
                Shape::span(MAX_STALE_AFTER),
            )
            .or("10m"),
        )
        .with(
            optional(
                "admission_listen",
                "The address of the validating webhook; off loopback only with `tls`.",
                ADDRESS,
            )
            .absent("not served"),
        )
        .with(required(
            "namespaces",
            "The namespaces whose objects are read, each with what its charters may name.",
            List::of(namespace)
                .not_empty(NO_NAMESPACE)
                .at_most(MAX_NAMESPACES),
        ))
}

/// Reads the section. Addresses are read like those of the other listeners.
pub(crate) fn objects(
    item: Item<'_>,
    base: &Path,
    (declared, address): (&Declared<'_>, impl Fn(Item<'_>) -> Option<SocketAddr>),
) -> Option<ObjectsConfig> {
    let section = item.section()?;
    let place = section.get("kubernetes").and_then(|item| place(item, base));
    let stale_after = section.get("stale_after").and_then(stale_after);
    let admission_listen = section.get("admission_listen").map(&address);
    let namespaces = section.get("namespaces");
    let (place, items) = (place?, namespaces?.items());
    let mut seen = BTreeSet::new();
    let namespaces = items.into_iter().filter_map(|item| {
        let rule = namespace(item, declared, &place)?;
        if !seen.insert(rule.namespace.clone()) {
            let message = format!("namespace `{}` stands here twice", rule.namespace);
            item.report(Code::Value, message);
        }
        Some(rule)
    });
    let namespaces = namespaces.collect();
    Some(ObjectsConfig {
        place,
        stale_after: stale_after?,
        admission_listen: match admission_listen {
            Some(read) => Some(read?),
            None => None,
        },
        namespaces,
    })
}

fn stale_after(item: Item<'_>) -> Option<Ttl> {
    let read = item.span_of_time()?;
    if read < MIN_STALE_AFTER {
        let message = format!("{read} is less than the {MIN_STALE_AFTER} that it takes to look");
        item.report(Code::Value, message);
        return None;
    }
    Some(read)
}

fn namespace(item: Item<'_>, declared: &Declared<'_>, place: &Place) -> Option<NamespaceRule> {
    let section = item.section()?;
    let namespace = section.get("namespace").and_then(Item::parsed::<Name>);
    let names = section.get("names").map(prefix);
    let targets = known(&section, "targets", declared.targets.iter());
    let environments = known(&section, "environments", declared.environments.keys());
    let agents = section.get("agents");
    let agents = agents.map(|item| item.items().into_iter().map(agent).collect());
    let namespace = namespace?;
    let agents = match agents {
        Some(read) => {
            let read: Vec<Option<AgentBound>> = read;
            read.into_iter().collect::<Option<_>>()?
        }
        None => own_agents(item, &namespace, (declared, place))?,
    };
    Some(NamespaceRule {
        names: match names {
            Some(read) => Some(read?),
            None => None,
        },
        namespace,
        targets,
        environments,
        agents,
    })
}

/// The service accounts of the namespace, under each issuer known to belong to the same cluster.
fn own_agents(
    item: Item<'_>,
    namespace: &Name,
    (declared, place): (&Declared<'_>, &Place),
) -> Option<Vec<AgentBound>> {
    let of_cluster = declared.issuers.iter().filter(|issuer| {
        matches!(&issuer.keys, KeySource::Cluster { kubeconfig, context }
            if *kubeconfig == place.kubeconfig && *context == place.context)
    });
    let bounds: Vec<AgentBound> = of_cluster
        .map(|issuer| AgentBound::service_accounts(issuer.name.clone(), namespace))
        .collect();
    if bounds.is_empty() {
        let message = format!(
            "nothing says which agents charters of namespace `{namespace}` may name: no issuer is the same cluster's (`kubernetes`)"
        );
        let help = format!(
            "write `agents: [{{issuer: …, subject: \"system:serviceaccount:{namespace}:*\"}}]`"
        );
        item.f.add(item.finding(Code::Missing, message).help(help));
        return None;
    }
    Some(bounds)
}

fn prefix(item: Item<'_>) -> Option<String> {
    let text = item.text()?;
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.chars().all(known) || text.len() > 63 {
        let message = format!("`{}` begins no name of a charter", escaped(text));
        let finding = item.finding(Code::Value, message);
        item.f
            .add(finding.help("write what the names begin with: `payments-`"));
        return None;
    }
    Some(text.to_owned())
}

fn known<'a>(
    section: &Section<'_>,
    field: &'static str,
    declared: impl Iterator<Item = &'a Name> + Clone,
) -> Option<BTreeSet<Name>> {
    let names = section.get(field)?;
    let name = |item: Item<'_>| {
        let name: Name = item.parsed()?;
        if !declared.clone().any(|known| *known == name) {
            let message = format!("`{name}` is none of the `{field}` of this file");
            let finding = item.finding(Code::Undeclared, message);
            item.f.add(suggest(
                finding,
                name.as_str(),
                declared.clone().map(Name::as_str),
            ));
        }
        Some(name)
    };
    Some(names.items().into_iter().filter_map(name).collect())
}

/// Reads an agent bound: a subject of any issuer, or an issuer and a subject.
fn agent(item: Item<'_>) -> Option<AgentBound> {
    if item.node.is_text() {
        let issuer = None;
        return Some(AgentBound {
            issuer,
            subject: subject(item)?,
        });
    }
    let section = item.section()?;
    let issuer = section.get("issuer").and_then(Item::text);
    let subject = section.get("subject").and_then(subject);
    Some(AgentBound {
        issuer: Some(issuer?.to_owned()),
        subject: subject?,
    })
}

/// Reads a subject pattern: exact, whole segments followed by `*`, or `*` for every agent.
fn subject(item: Item<'_>) -> Option<SubjectPattern> {
    let text = item.text()?;
    match text.strip_suffix('*') {
        None if !text.contains('*') => Some(SubjectPattern::Exact(text.to_owned())),
        Some(prefix)
            if !prefix.contains('*') && (prefix.is_empty() || prefix.ends_with([':', '/'])) =>
        {
            Some(SubjectPattern::Prefix(prefix.to_owned()))
        }
        Some(_) | None => {
            let message = format!("`{}` is no pattern of agents", escaped(text));
            let finding = item.finding(Code::Value, message);
            item.f.add(
                finding.help("put one `*` at the end, after `:` or `/`; `*` alone is every agent"),
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{GOOD, first_fault, parsed};

    const CLUSTER: &str = "issuers: [{issuer: 'https://cluster', kind: agents, kubernetes: {kubeconfig: shop, context: it}}]";

    /// The usual configuration with this section and without a charter directory.
    fn with(section: &str) -> String {
        let text = GOOD.replacen("charters: charters\n", "", 1);
        let text = text.replacen("issuers: []", CLUSTER, 1);
        format!("{text}charter_objects: {section}\n")
    }

    #[test]
    fn the_agents_of_a_namespace_are_its_service_accounts_where_nothing_else_is_said() {
        let config = parsed(&with(
            "{kubernetes: {kubeconfig: shop, context: it}, namespaces: [{namespace: lanyard}, {namespace: shop, names: a-, \
             targets: [tickets], environments: [staging], agents: ['system:serviceaccount:x:*', {issuer: i, subject: s}]}]}",
        ));
        assert_eq!(config.charters, None);
        let objects = config.charter_objects.unwrap();
        let [first, second] = objects.namespaces.as_slice() else {
            panic!("{objects:?}");
        };
        let shown = format!("{:?}", first.agents);
        assert!(
            shown.contains("https://cluster") && shown.contains("system:serviceaccount:lanyard:"),
            "{shown}"
        );
        assert_eq!((second.agents.len(), first.targets.clone()), (2, None));
        assert_eq!(objects.stale_after.to_string(), "10m");
    }

    #[test]
    fn charter_objects_have_bounds_of_their_own() {
        let one = "namespaces: [{namespace: lanyard, agents: ['*']}]";
        let many = |count: usize| {
            let all = (0..count).map(|number| format!("{{namespace: n{number}, agents: ['*']}}"));
            format!(
                "{{kubernetes: {{}}, namespaces: [{}]}}",
                all.collect::<Vec<_>>().join(", ")
            )
        };
        for good in [
            format!("{{kubernetes: {{}}, {one}}}"),
            format!("{{kubernetes: {{}}, stale_after: 24h, {one}}}"),
            format!("{{kubernetes: {{}}, stale_after: 4s, {one}}}"),
            many(100),
        ] {
            parsed(&with(&good));
        }
        for (bad, said) in [
            (format!("{{{one}}}"), "the field `kubernetes` is missing here"),
            ("{kubernetes: {}}".to_owned(), "the field `namespaces` is missing here"),
            (many(0), "expected 1 to 100 namespaces, and these are 0"),
            (many(101), "100 entries are possible here at most, and these are 101"),
            (format!("{{kubernetes: {{}}, stale_after: 1441m, {one}}}"), "is more than the 24h"),
            (format!("{{kubernetes: {{}}, stale_after: 3s, {one}}}"), "is less than the 4s"),
            (format!("{{kubernetes: {{}}, admission_listen: 0.0.0.0:7073, {one}}}"), "and there is no `tls`"),
            ("{kubernetes: {}, namespaces: [{namespace: lanyard}]}".to_owned(), "no issuer is the same cluster's"),
            ("{kubernetes: {}, namespaces: [{namespace: a, agents: []}, {namespace: a, agents: []}]}".to_owned(), "stands here twice"),
            ("{kubernetes: {}, namespaces: [{namespace: a, agents: [x*]}]}".to_owned(), "is no pattern of agents"),
            ("{kubernetes: {}, namespaces: [{namespace: a, agents: [], targets: [tikets]}]}".to_owned(), "did you mean `tickets`?"),
            ("{kubernetes: {}, namespaces: [{namespace: a, agents: [], environments: [prod]}]}".to_owned(), "is none of the `environments` of this file"),
            ("{kubernetes: {}, namespaces: [{namespace: a, agents: [], names: 'A_'}]}".to_owned(), "begins no name of a charter"),
        ] {
            let fault = first_fault(&with(&bad));
            assert!(fault.contains(said), "{bad}: {fault}");
        }
        let neither = GOOD.replacen("charters: charters\n", "", 1);
        assert!(first_fault(&neither).contains("`charters`"));
    }
}
