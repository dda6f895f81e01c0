//! The configured names of agents. One name stands for all identities of one agent (S32).

use std::collections::{BTreeMap, BTreeSet};

use lanyard_document::shape::{Choice, Form, List, Map, Shape, required};
use lanyard_document::{Code, Item};
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::text::escaped;

pub(super) fn shape() -> Map {
    let spiffe = required(
        "spiffe",
        "A SPIFFE ID.",
        Form::new("a SPIFFE ID: `spiffe://trust-domain/path`", "^spiffe://"),
    );
    let issuer = required("issuer", "The issuer, byte for byte.", Shape::Text);
    let subject = required("subject", "The subject, exactly.", Shape::Text);
    let identity = Map::new().with(Choice::exactly_one([vec![spiffe], vec![issuer, subject]]));
    Map::new()
        .with(required("name", "The agent's name, once.", Form::NAME))
        .with(required(
            "identities",
            "The identities of the agent, exactly; each is one agent's.",
            List::of(identity),
        ))
}

/// Reads `agents`: names with their identities.
pub(super) fn agents(item: Item<'_>) -> BTreeMap<Identity, AgentName> {
    let (mut named, mut names) = (BTreeMap::new(), BTreeSet::new());
    for item in item.items() {
        let Some(section) = item.section() else {
            continue;
        };
        let read = section.get("name").and_then(Item::parsed::<Name>);
        let identities = section.get("identities").map(Item::items);
        let Some(name) = read else { continue };
        if !names.insert(name.clone()) {
            let message =
                format!("the agent `{name}` is listed twice: list all its identities in one entry");
            item.report(Code::Value, message);
        }
        for item in identities.unwrap_or_default() {
            let Some(identity) = identity(item) else {
                continue;
            };
            let shown = escaped(&identity.to_string()).to_string();
            let agent = AgentName(name.to_string());
            if let Some(other) = named.insert(identity, agent) {
                let message = format!(
                    "`{shown}` is an identity of the agent `{other}` already: an identity belongs to one agent"
                );
                item.report(Code::Value, message);
            }
        }
    }
    named
}

/// Reads `{issuer: …, subject: …}` or `{spiffe: spiffe://…}`, exactly.
fn identity(item: Item<'_>) -> Option<Identity> {
    let section = item.section()?;
    let text = |name| section.get(name).and_then(Item::text);
    let (issuer, subject) = (text("issuer"), text("subject"));
    let read = match section.get("spiffe") {
        Some(id) => spiffe(id),
        None => issuer.zip(subject).map(|(issuer, subject)| Identity {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        }),
    }?;
    if read.subject.contains('*') {
        let message = "an agent's identities are exact: a pattern would make one agent of every workload that matches it";
        item.report(Code::Value, message);
        return None;
    }
    Some(read)
}

fn spiffe(item: Item<'_>) -> Option<Identity> {
    let text = item.text()?;
    let Some(domain) = lanyard_identity::spiffe::trust_domain(text) else {
        let message = format!("`{}` is not a SPIFFE ID", escaped(text));
        let finding = item.finding(Code::Value, message);
        item.f.add(finding.help("write spiffe://trust-domain/path"));
        return None;
    };
    Some(Identity {
        issuer: format!("spiffe://{domain}"),
        subject: text.to_owned(),
    })
}
