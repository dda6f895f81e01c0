//! Sponsors: the person on whose behalf an agent acts, named by the agent's token, certificate or
//! enrolment.

use lanyard_vocabulary::person::{Person, Sponsor};
use serde_json::Value;

use super::{Claims, Issuer, IssuerKind, MAX_SUBJECT_BYTES, SPONSOR_CLAIM, SponsorBy, Verifier};

impl Verifier {
    /// Finds the person behind an agent. Anything but one certain person of an operators' issuer
    /// makes the sponsor unknown.
    pub(super) fn sponsor(&self, issuer: &Issuer, claims: &Claims) -> Sponsor {
        let unmapped = |why: String| Sponsor::Unmapped { why };
        let Some(rule) = &issuer.sponsor else {
            return match claims.others.get(SPONSOR_CLAIM) {
                None => Sponsor::Nobody,
                Some(_) => unmapped(format!(
                    "the token has a claim `{SPONSOR_CLAIM}`, and the configuration of issuer `{}` has no rule for it (`sponsor`)",
                    issuer.name.escape_debug()
                )),
            };
        };
        let named = match claims.others.get(&rule.claim) {
            None => return Sponsor::Nobody,
            Some(Value::String(named))
                if !named.trim().is_empty() && named.len() <= MAX_SUBJECT_BYTES =>
            {
                named.clone()
            }
            Some(_) => {
                return unmapped(format!(
                    "the claim `{}` is not the name of one person",
                    rule.claim.escape_debug()
                ));
            }
        };
        let operators = self.issuers.get(&rule.issuer);
        let Some(operators) = operators.filter(|it| it.kind == IssuerKind::Operators) else {
            return unmapped(no_operators(&rule.issuer));
        };
        let is_name = rule.by == SponsorBy::Name;
        let subject_is_name = operators.people.claim.as_deref() == Some("sub");
        Sponsor::Person(Person {
            issuer: operators.name.clone(),
            directory: operators.people.directory.clone(),
            subject: (!is_name || subject_is_name).then(|| named.clone()),
            name: (is_name || subject_is_name).then_some(named),
        })
    }

    /// Returns the sponsor of an agent whose evidence has no claims. If a claim of the issuer names
    /// sponsors, the sponsor is unknown.
    #[must_use]
    pub fn sponsor_without_claims(&self, issuer: &str) -> Sponsor {
        let rule = self.issuers.get(issuer).and_then(|it| it.sponsor.as_ref());
        rule.map_or(Sponsor::Nobody, |rule| Sponsor::Unmapped {
            why: format!(
                "issuer `{}` names sponsors in the claim `{}`, and a certificate has no claims: present a token",
                issuer.escape_debug(),
                rule.claim.escape_debug()
            ),
        })
    }

    /// Returns the sponsor of an enrolled agent: the person who invited that agent.
    #[must_use]
    pub fn sponsor_who_invited(&self, by: Person) -> Sponsor {
        let issuer = self.issuers.get(&by.issuer);
        let Some(operators) = issuer.filter(|it| it.kind == IssuerKind::Operators) else {
            return Sponsor::Unmapped {
                why: no_operators(&by.issuer),
            };
        };
        let directory = operators.people.directory.clone();
        let name = if operators.people.claim.as_deref() == Some("sub") {
            by.subject.clone()
        } else {
            // A name is unique only in the directory under which it was read.
            by.name.filter(|_| by.directory == directory)
        };
        Sponsor::Person(Person {
            issuer: by.issuer,
            subject: by.subject,
            directory,
            name,
        })
    }

    /// Maps an earlier sponsor to the current configuration.
    #[must_use]
    pub fn current_sponsor(&self, sponsor: Sponsor) -> Sponsor {
        let Sponsor::Person(person) = sponsor else {
            return sponsor;
        };
        let issuer = self.issuers.get(&person.issuer);
        match issuer.filter(|it| it.kind == IssuerKind::Operators) {
            None => Sponsor::Unmapped {
                why: no_operators(&person.issuer),
            },
            Some(issuer) if issuer.people.directory == person.directory => Sponsor::Person(person),
            Some(_) => Sponsor::Unmapped {
                why: format!(
                    "the directory of issuer `{}` has changed since the agent's session began",
                    person.issuer.escape_debug()
                ),
            },
        }
    }
}

fn no_operators(issuer: &str) -> String {
    format!(
        "the sponsor is a person of issuer `{}`, which is not a configured operators' issuer",
        issuer.escape_debug()
    )
}
