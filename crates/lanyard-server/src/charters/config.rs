//! The section `charter_objects` of the configuration.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use lanyard_charter_objects::{AgentBound, NamespaceRule};
use lanyard_core::charter::{EnvironmentKind, Name, SubjectPattern};
use lanyard_core::document::{Code, Diagnostic, Fields, Findings, Node, escaped, suggest};
use lanyard_core::time::Ttl;

use crate::identity::Place;
use crate::identity::config::{IssuerConfig, KeySource};

/// How long charters stay in force while the API server cannot be read, by default.
const STALE_AFTER: Ttl = Ttl::at_least_a_second(600);
/// The highest value.
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

/// Reads the section. Addresses are read like those of the other listeners.
pub(crate) fn objects(
    f: &Findings,
    node: &Node,
    base: &Path,
    (declared, address): (&Declared<'_>, impl Fn(&Node) -> Option<SocketAddr>),
) -> Option<ObjectsConfig> {
    let fields = f.map(node)?;
    let place = fields
        .required("kubernetes")
        .and_then(|node| place(f, node, base));
    let stale_after = fields
        .optional("stale_after")
        .map_or(Some(STALE_AFTER), |node| stale_after(f, node));
    let admission_listen = fields.optional("admission_listen").map(&address);
    let namespaces = fields.required("namespaces");
    fields.finish();
    let (place, node) = (place?, namespaces?);
    let items = f.list(node);
    if items.is_empty() || items.len() > MAX_NAMESPACES {
        let message = format!(
            "expected 1 to {MAX_NAMESPACES} namespaces, and these are {}",
            items.len()
        );
        f.add(Diagnostic::new(Code::Value, node.span, message));
    }
    let mut seen = BTreeSet::new();
    let namespaces = items.iter().filter_map(|item| {
        let rule = namespace(f, item, declared, &place)?;
        if !seen.insert(rule.namespace.clone()) {
            let message = format!("namespace `{}` stands here twice", rule.namespace);
            f.add(Diagnostic::new(Code::Value, item.span, message));
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

fn place(f: &Findings, node: &Node, base: &Path) -> Option<Place> {
    let fields = f.map(node)?;
    let kubeconfig = fields
        .optional("kubeconfig")
        .and_then(|node| f.text(node))
        .map(|path| base.join(path));
    let context = fields
        .optional("context")
        .and_then(|node| f.text(node))
        .map(str::to_owned);
    fields.finish();
    Some(Place {
        kubeconfig,
        context,
    })
}

fn stale_after(f: &Findings, node: &Node) -> Option<Ttl> {
    let read = f.span_of_time(node, MAX_STALE_AFTER)?;
    if read < MIN_STALE_AFTER {
        let message = format!("{read} is less than the {MIN_STALE_AFTER} that it takes to look");
        f.add(Diagnostic::new(Code::Value, node.span, message));
        return None;
    }
    Some(read)
}

fn namespace(
    f: &Findings,
    node: &Node,
    declared: &Declared<'_>,
    place: &Place,
) -> Option<NamespaceRule> {
    let fields = f.map(node)?;
    let namespace = fields
        .required("namespace")
        .and_then(|node| f.parsed::<Name>(node));
    let names = fields.optional("names").map(|node| prefix(f, node));
    let targets = known(f, &fields, "targets", declared.targets.iter());
    let environments = known(f, &fields, "environments", declared.environments.keys());
    let agents = fields.optional("agents");
    let agents = agents.map(|node| f.list(node).iter().map(|item| agent(f, item)).collect());
    fields.finish();
    let namespace = namespace?;
    let agents = match agents {
        Some(read) => {
            let read: Vec<Option<AgentBound>> = read;
            read.into_iter().collect::<Option<_>>()?
        }
        None => own_agents(f, node, &namespace, (declared, place))?,
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
    f: &Findings,
    node: &Node,
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
        f.add(Diagnostic::new(Code::Missing, node.span, message).help(help));
        return None;
    }
    Some(bounds)
}

fn prefix(f: &Findings, node: &Node) -> Option<String> {
    let text = f.text(node)?;
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.chars().all(known) || text.len() > 63 {
        let message = format!("`{}` begins no name of a charter", escaped(text));
        let finding = Diagnostic::new(Code::Value, node.span, message);
        f.add(finding.help("write what the names begin with: `payments-`"));
        return None;
    }
    Some(text.to_owned())
}

fn known<'a>(
    f: &Findings,
    fields: &Fields<'_>,
    field: &'static str,
    declared: impl Iterator<Item = &'a Name> + Clone,
) -> Option<BTreeSet<Name>> {
    let node = fields.optional(field)?;
    let name = |item: &Node| {
        let name: Name = f.parsed(item)?;
        if !declared.clone().any(|known| *known == name) {
            let message = format!("`{name}` is none of the `{field}` of this file");
            let finding = Diagnostic::new(Code::Undeclared, item.span, message);
            f.add(suggest(
                finding,
                name.as_str(),
                declared.clone().map(Name::as_str),
            ));
        }
        Some(name)
    };
    Some(f.list(node).iter().filter_map(name).collect())
}

/// Reads an agent bound: a subject of any issuer, or an issuer and a subject.
fn agent(f: &Findings, node: &Node) -> Option<AgentBound> {
    if node.is_text() {
        let issuer = None;
        return Some(AgentBound {
            issuer,
            subject: subject(f, node)?,
        });
    }
    let fields = f.map(node)?;
    let issuer = fields.required("issuer").and_then(|node| f.text(node));
    let subject = fields.required("subject").and_then(|node| subject(f, node));
    fields.finish();
    Some(AgentBound {
        issuer: Some(issuer?.to_owned()),
        subject: subject?,
    })
}

/// Reads a subject pattern: exact, whole segments followed by `*`, or `*` for every agent.
fn subject(f: &Findings, node: &Node) -> Option<SubjectPattern> {
    let text = f.text(node)?;
    match text.strip_suffix('*') {
        None if !text.contains('*') => Some(SubjectPattern::Exact(text.to_owned())),
        Some(prefix)
            if !prefix.contains('*') && (prefix.is_empty() || prefix.ends_with([':', '/'])) =>
        {
            Some(SubjectPattern::Prefix(prefix.to_owned()))
        }
        Some(_) | None => {
            let message = format!("`{}` is no pattern of agents", escaped(text));
            let finding = Diagnostic::new(Code::Value, node.span, message);
            f.add(
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
            (many(101), "expected 1 to 100 namespaces, and these are 101"),
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
