//! The configuration of people at several issuers: which accounts may belong to one person, and
//! whose people an agents' issuer names as sponsors.

use lanyard_core::charter::Name;
use lanyard_core::document::{Code, Diagnostic, Fields, Findings, Node, escaped};
use lanyard_identity::IssuerKind;
use lanyard_identity::verifier::{PeopleRule, SPONSOR_CLAIM, SponsorBy, SponsorRule};

use super::config::IssuerConfig;

/// Reads `directory` and `person_claim` of an operators' issuer.
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

/// Reads `sponsor: {issuer: …}` of an agents' issuer: the claim, and how it names a person.
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

/// Checks that the rules of all issuers are consistent.
pub(super) fn check(f: &Findings, issuers: &[IssuerConfig], nodes: &[Node]) {
    let fault = |node: &Node, message: String, help: &str| {
        f.add(Diagnostic::new(Code::Issuer, node.span, message).help(help));
    };
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
        match (&issuer.people.directory, &issuer.people.claim) {
            // Without a name nobody could tell two people of the directory from two accounts of one person (S33).
            (Some(directory), None) => fault(
                node,
                format!(
                    "`{name}` draws on the directory `{directory}`, and nothing says which person of the directory a token is of"
                ),
                "name in `person_claim` a claim with the same value for one person at every issuer of the directory, which \
                 people cannot change themselves; `sub` where each account is one person's",
            ),
            (None, Some(claim)) => fault(
                node,
                format!(
                    "`{name}` names people by `{}`, and not of which directory",
                    escaped(claim)
                ),
                "give the directory a name in `directory`: the same at every issuer of the same people",
            ),
            (Some(_), Some(_)) | (None, None) => {}
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
            "set `directory` and `person_claim` of that issuer, or leave `by` out to name sponsors by their subject",
        ));
    }
    let told_apart = operators.people.claim.as_deref();
    match told_apart.filter(|claim| rule.by == SponsorBy::Subject && *claim != "sub") {
        // Another account of the sponsor's would be held for another person, or everybody for the sponsor.
        Some(claim) => Err((
            format!(
                "sponsors are named by their subject, and `{named}` tells people apart by `{}`",
                escaped(claim)
            ),
            "write `by: name`, and name that value in the claim",
        )),
        None => Ok(()),
    }
}

/// One sentence for each issuer whose accounts the configuration does not tell apart.
pub(crate) fn doubts(issuers: &[IssuerConfig]) -> Vec<String> {
    let people = issuers
        .iter()
        .filter(|issuer| issuer.kind == IssuerKind::Operators && issuer.people.directory.is_none());
    let said = people.map(|issuer| {
        format!(
            "each account at issuer `{}` counts as one person, and none beside one at another issuer: whoever has two \
             accounts there has two votes; `directory` and `person_claim` tell people apart",
            escaped(&issuer.name)
        )
    });
    said.collect()
}
