//! What the configuration says of people at several issuers: which accounts can be one person's, and whose people an
//! agents' issuer names as sponsors.

use std::collections::BTreeMap;

use lanyard_core::charter::Name;
use lanyard_core::document::{Code, Diagnostic, Fields, Findings, Node, escaped};
use lanyard_identity::IssuerKind;
use lanyard_identity::verifier::{PeopleRule, SPONSOR_CLAIM, SponsorBy, SponsorRule};

use super::config::IssuerConfig;

/// `directory` and `person_claim` of an operators' issuer.
pub(super) fn rule(f: &Findings, fields: &Fields<'_>) -> Option<PeopleRule> {
    let directory = fields.optional("directory");
    let directory = directory.map(|node| f.parsed::<Name>(node));
    let claim = fields.optional("person_claim").map(|node| f.text(node));
    Some(PeopleRule {
        directory: match directory {
            Some(read) => Some(read?),
            None => None,
        },
        claim: match claim {
            Some(read) => Some(read?.to_owned()),
            None => None,
        },
    })
}

/// `sponsor: {issuer: …}` of an agents' issuer, with the claim, and by what it names a person.
pub(super) fn sponsor(f: &Findings, node: &Node) -> Option<SponsorRule> {
    let fields = f.map(node)?;
    let claim = fields.optional("claim");
    let claim = claim.map_or(Some(SPONSOR_CLAIM), |node| f.text(node));
    let issuer = fields.required("issuer").and_then(|node| f.text(node));
    let words = [("subject", SponsorBy::Subject), ("name", SponsorBy::Name)];
    let by = fields
        .optional("by")
        .map_or(Some(SponsorBy::Subject), |node| f.one_of(node, &words));
    fields.finish();
    Some(SponsorRule {
        claim: claim?.to_owned(),
        issuer: issuer?.to_owned(),
        by: by?,
    })
}

/// Whether what is said of one issuer holds together with what is said of the others.
pub(super) fn check(f: &Findings, issuers: &[IssuerConfig], nodes: &[Node]) {
    let fault = |node: &Node, message: String, help: &str| {
        f.add(Diagnostic::new(Code::Issuer, node.span, message).help(help));
    };
    let mut sharing: BTreeMap<&Name, usize> = BTreeMap::new();
    let directories = issuers.iter().filter_map(|it| it.people.directory.as_ref());
    directories.for_each(|directory| *sharing.entry(directory).or_default() += 1);
    for (issuer, node) in issuers.iter().zip(nodes) {
        let name = escaped(&issuer.name);
        let says_people = issuer.people != PeopleRule::default();
        if issuer.kind == IssuerKind::Agents && says_people {
            fault(
                node,
                format!(
                    "`{name}` vouches for agents, and `directory` and `person_claim` are about people"
                ),
                "move them to the operators' issuer",
            );
        }
        if let Some(directory) = &issuer.people.directory
            && sharing.get(directory).is_some_and(|count| *count > 1)
            && issuer.people.claim.is_none()
        {
            fault(
                node,
                format!(
                    "`{name}` shares the directory `{directory}` with another issuer, and nothing says which person of \
                     the directory a token is of"
                ),
                "name in `person_claim` a claim with the same value for one person at every issuer of the directory, which people cannot change themselves",
            );
        }
        if let Some(rule) = &issuer.sponsor {
            sponsored(issuer, rule, issuers)
                .unwrap_or_else(|(message, help)| fault(node, message, help));
        }
    }
}

fn sponsored(
    issuer: &IssuerConfig,
    rule: &SponsorRule,
    all: &[IssuerConfig],
) -> Result<(), (String, &'static str)> {
    if issuer.kind == IssuerKind::Operators {
        let message = "a person acts on nobody's behalf: `sponsor` is about agents".to_owned();
        return Err((message, "move it to the agents' issuer"));
    }
    let named = escaped(&rule.issuer);
    let mut operators = all
        .iter()
        .filter(|other| other.kind == IssuerKind::Operators);
    let Some(operators) = operators.find(|other| other.name == rule.issuer) else {
        return Err((
            format!("`{named}` is no operators' issuer of this file"),
            "write the `issuer` whose people the claim names, byte for byte",
        ));
    };
    if rule.by == SponsorBy::Name && operators.people.claim.is_none() {
        return Err((
            format!(
                "sponsors are named by the name that `{named}` gives a person, and it gives none"
            ),
            "set `person_claim` of that issuer, or leave `by` out to name sponsors by their subject",
        ));
    }
    Ok(())
}
