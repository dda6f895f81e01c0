//! The configuration of people with accounts at several issuers: which accounts may belong to one
//! person, and which issuer's people may be named as sponsors.

use lanyard_document::shape::{Form, Map, Shape, Word, optional, required};
use lanyard_document::{Code, Item, Section};
use lanyard_identity::IssuerKind;
use lanyard_identity::verifier::{PeopleRule, SPONSOR_CLAIM, SponsorBy, SponsorRule};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::text::escaped;

use super::issuer::IssuerConfig;

/// Reads `directory` and `person_claim` of an operators' issuer.
pub(super) fn rule(section: &Section<'_>) -> Option<PeopleRule> {
    let directory = section.get("directory").map(Item::parsed::<Name>);
    let claim = section.get("person_claim").map(Item::text);
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

/// The ways in which a claim names a sponsor, by the words of the configuration.
const BY: &[Word<SponsorBy>] = &[
    Word::new("subject", SponsorBy::Subject),
    Word::meaning("name", SponsorBy::Name, "by the issuer's `person_claim`"),
];

/// Describes the rules of people to the fields of an issuer.
pub(super) fn describe(issuer: Map) -> Map {
    let sponsor = Map::new()
        .with(optional("claim", "The claim that names the sponsor.", Shape::Text).or(SPONSOR_CLAIM))
        .with(required(
            "issuer",
            "The operators' issuer whose people the claim names, byte for byte.",
            Shape::Text,
        ))
        .with(optional("by", "How the claim names a person.", Shape::words(BY)).or("subject"));
    issuer
        .with(
            optional(
                "directory",
                "For people: the directory that the issuer draws on, always with `person_claim`.",
                Form::NAME,
            )
            .absent("unknown"),
        )
        .with(
            optional(
                "person_claim",
                "For people: the claim with a person's name in the directory, always with `directory`.",
                Shape::Text,
            )
            .absent("none"),
        )
        .with(
            optional(
                "sponsor",
                "For agents: on whose behalf an agent acts.",
                sponsor,
            )
            .absent("nobody's"),
        )
}

/// Reads `sponsor: {issuer: …}` of an agents' issuer: the claim, and how it names a person.
pub(super) fn sponsor(item: Item<'_>) -> Option<SponsorRule> {
    let section = item.section()?;
    let claim = section.get("claim").and_then(Item::text);
    let issuer = section.get("issuer").and_then(Item::text);
    let by = section.get("by").and_then(|item| item.word(BY));
    Some(SponsorRule {
        claim: claim?.to_owned(),
        issuer: issuer?.to_owned(),
        by: by?,
    })
}

/// Checks that the rules of all issuers are consistent.
pub(super) fn check(issuers: &[IssuerConfig], nodes: &[Item<'_>]) {
    let fault = |item: &Item<'_>, message: String, help: &str| {
        let finding = item.finding(Code::Issuer, message);
        item.f.add(finding.help(help));
    };
    for (issuer, node) in issuers.iter().zip(nodes) {
        let name = escaped(&issuer.name);
        let says_people = issuer.people != PeopleRule::default();
        if issuer.kind == IssuerKind::Agents && says_people {
            fault(
                node,
                format!(
                    "`directory` and `person_claim` are for people, and `{name}` is an agents' issuer"
                ),
                "move them to the operators' issuer",
            );
        }
        match (&issuer.people.directory, &issuer.people.claim) {
            // Without a name, two people of the directory look like two accounts of one person
            // (S33).
            (Some(directory), None) => fault(
                node,
                format!(
                    "`{name}` has the directory `{directory}` and no claim that says which person of it a token names"
                ),
                "name in `person_claim` a claim with the same value for one person at every issuer of the directory, which \
                 people cannot change themselves; `sub` where each account is one person's",
            ),
            (None, Some(claim)) => fault(
                node,
                format!(
                    "`{name}` names people by `{}`, and does not say of which directory",
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
        let message = "`sponsor` is for agents' issuers: a person has no sponsor".to_owned();
        return Err((message, "move it to the agents' issuer"));
    }
    let named = escaped(&rule.issuer);
    let mut operators = all
        .iter()
        .filter(|other| other.kind == IssuerKind::Operators);
    let Some(operators) = operators.find(|other| other.name == rule.issuer) else {
        return Err((
            format!("`{named}` is not an operators' issuer of this configuration"),
            "write the `issuer` whose people the claim names, byte for byte",
        ));
    };
    if rule.by == SponsorBy::Name && operators.people.claim.is_none() {
        return Err((
            format!("`by: name` needs names of people, and the issuer `{named}` gives none"),
            "set `directory` and `person_claim` of that issuer, or leave `by` out to name sponsors by their subject",
        ));
    }
    let told_apart = operators.people.claim.as_deref();
    match told_apart.filter(|claim| rule.by == SponsorBy::Subject && *claim != "sub") {
        // Two accounts of the sponsor would count as two people, or every person as the sponsor.
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

/// Returns a warning for each issuer whose accounts the configuration cannot assign to people.
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
