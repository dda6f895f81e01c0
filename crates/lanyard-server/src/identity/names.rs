//! The names of agents, each for all identities of one agent (S32).

use std::collections::{BTreeMap, BTreeSet};

use lanyard_core::charter::Name;
use lanyard_core::document::{Code, Diagnostic, Findings, Node, escaped};
use lanyard_core::identity::Identity;
use lanyard_core::scope::AgentName;

/// Reads `agents`: names with their identities.
pub(super) fn agents(f: &Findings, node: &Node) -> BTreeMap<Identity, AgentName> {
    let (mut named, mut names) = (BTreeMap::new(), BTreeSet::new());
    for item in f.list(node) {
        let Some(fields) = f.map(item) else { continue };
        let name = fields.required("name");
        let read = name.and_then(|node| f.parsed::<Name>(node));
        let identities = fields.required("identities");
        let identities = identities.map(|node| f.list(node)).unwrap_or_default();
        fields.finish();
        let Some(name) = read else { continue };
        if !names.insert(name.clone()) {
            let message = format!(
                "the agent `{name}` stands here twice: list all its identities in one place"
            );
            f.add(Diagnostic::new(Code::Value, item.span, message));
        }
        for node in identities {
            let Some(identity) = identity(f, node) else {
                continue;
            };
            let shown = escaped(&identity.to_string()).to_string();
            let agent = AgentName(name.to_string());
            if let Some(other) = named.insert(identity, agent) {
                let message = format!(
                    "`{shown}` is an identity of the agent `{other}` already: an identity is one agent's"
                );
                f.add(Diagnostic::new(Code::Value, node.span, message));
            }
        }
    }
    named
}

/// Reads `{issuer: …, subject: …}` or `{spiffe: spiffe://…}`, exactly.
fn identity(f: &Findings, node: &Node) -> Option<Identity> {
    let fields = f.map(node)?;
    let read = match fields.optional("spiffe") {
        Some(id) => spiffe(f, id),
        None => {
            let text = |name| fields.required(name).and_then(|node| f.text(node));
            let (issuer, subject) = (text("issuer"), text("subject"));
            issuer.zip(subject).map(|(issuer, subject)| Identity {
                issuer: issuer.to_owned(),
                subject: subject.to_owned(),
            })
        }
    };
    fields.finish();
    let read = read?;
    if read.subject.contains('*') {
        let message = "an agent's name is over exact identities: a pattern would make one agent of whoever meets it".to_owned();
        f.add(Diagnostic::new(Code::Value, node.span, message));
        return None;
    }
    Some(read)
}

fn spiffe(f: &Findings, node: &Node) -> Option<Identity> {
    let text = f.text(node)?;
    let Some(domain) = lanyard_identity::spiffe::trust_domain(text) else {
        let message = format!("`{}` is not a SPIFFE ID", escaped(text));
        f.add(
            Diagnostic::new(Code::Value, node.span, message)
                .help("write spiffe://trust-domain/path"),
        );
        return None;
    };
    Some(Identity {
        issuer: format!("spiffe://{domain}"),
        subject: text.to_owned(),
    })
}
