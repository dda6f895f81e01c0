//! Limits of what charters in a namespace may name.
//!
//! Everyone who may write a Charter object writes a charter. Without limits, that person could give
//! any agent of the broker any right on any target.

use std::collections::BTreeSet;

use lanyard_charter::{AgentRule, Charter, SubjectPattern};
use lanyard_document::Code;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::text::escaped;

use crate::finding::Finding;

/// A set of agents that charters may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentBound {
    /// Issuer of the agents; `None` for any issuer.
    pub issuer: Option<String>,
    /// Subjects of the agents.
    pub subject: SubjectPattern,
}

/// A namespace in which Charter objects are read, and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRule {
    /// Name of the namespace.
    pub namespace: Name,
    /// Prefix of the names of charters there.
    pub names: Option<String>,
    /// Targets that grants there may name; `None` for all.
    pub targets: Option<BTreeSet<Name>>,
    /// Environments that charters there may name; `None` for all.
    pub environments: Option<BTreeSet<Name>>,
    /// Agents that charters there may name.
    pub agents: Vec<AgentBound>,
}

impl AgentBound {
    /// The service accounts of `namespace`, as `issuer` knows them.
    #[must_use]
    pub fn service_accounts(issuer: String, namespace: &Name) -> Self {
        Self {
            issuer: Some(issuer),
            subject: SubjectPattern::Prefix(format!("system:serviceaccount:{namespace}:")),
        }
    }

    /// Returns true if the bound covers every agent that the rule admits.
    fn holds(&self, rule: &AgentRule) -> bool {
        let of_issuer = self.issuer.as_ref().is_none_or(|own| *own == rule.issuer);
        let of_subject = match (&self.subject, &rule.subject) {
            (SubjectPattern::Prefix(all), _) if all.is_empty() => true,
            (own, SubjectPattern::Exact(named)) => own.matches(named),
            // A pattern matches only the last segment of a subject, so one pattern contains another
            // only if they are equal.
            (own, SubjectPattern::Prefix(_)) => *own == rule.subject,
        };
        of_issuer && of_subject
    }
}

impl NamespaceRule {
    /// Returns true if a charter of this name may be in the namespace. A charter that may not does
    /// not reserve its name.
    #[must_use]
    pub fn admits(&self, name: &str) -> bool {
        let prefix = self.names.as_ref();
        prefix.is_none_or(|prefix| name.starts_with(prefix.as_str()))
    }

    /// The parts of a charter that exceed the namespace's limits.
    #[must_use]
    pub fn beyond(&self, charter: &Charter) -> Vec<Finding> {
        let namespace = &self.namespace;
        let mut found = Vec::new();
        let mut add = |path: &str, what: String, may: &str| {
            found.push(Finding {
                code: Code::BeyondBounds,
                path: path.to_owned(),
                message: format!("{what} in namespace `{namespace}` ({may})"),
            });
        };
        if let Some(prefix) = self.names.as_ref()
            && !self.admits(charter.name.as_str())
        {
            let what = format!("no charter may be called `{}`", charter.name);
            add(
                "metadata.name",
                what,
                &format!("names begin with `{prefix}` there"),
            );
        }
        let path = |at| charter.paths.at(at).unwrap_or_default();
        for rule in &charter.agents {
            if !self.agents.iter().any(|bound| bound.holds(rule)) {
                let agent = format!("{}#{}", rule.issuer, rule.subject);
                let what = format!("no charter may name the agent `{}`", escaped(&agent));
                let bounds: Vec<_> = self.agents.iter().map(shown).collect();
                let may = match bounds.as_slice() {
                    [] => "none: set `agents` of the namespace in the configuration".to_owned(),
                    bounds => format!("agents there are {}", bounds.join(", ")),
                };
                add(path(rule.at), what, &may);
            }
        }
        if let Some(environments) = &self.environments {
            let named = charter.environments.keys();
            for name in named.filter(|name| !environments.contains(*name)) {
                let what = format!("no charter may name the environment `{name}`");
                let may = format!("environments there are {}", list(environments));
                add(&format!("spec.environments.{name}"), what, &may);
            }
        }
        if let Some(targets) = &self.targets {
            let grants = charter.grants.values();
            for grant in grants.filter(|grant| !targets.contains(&grant.target)) {
                let what = format!(
                    "grant {}: no charter may name the target `{}`",
                    grant.name, grant.target
                );
                let may = format!("targets there are {}", list(targets));
                add(path(grant.at), what, &may);
            }
        }
        found
    }
}

fn shown(bound: &AgentBound) -> String {
    match &bound.issuer {
        Some(issuer) => format!("{}#{}", escaped(issuer), bound.subject),
        None => bound.subject.to_string(),
    }
}

fn list(names: &BTreeSet<Name>) -> String {
    let names: Vec<_> = names.iter().map(Name::as_str).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use lanyard_charter::parse;
    use lanyard_testkit::world;

    use super::*;

    fn rule() -> NamespaceRule {
        NamespaceRule {
            namespace: world::name("shop"),
            names: None,
            targets: None,
            environments: None,
            agents: vec![AgentBound {
                issuer: None,
                subject: SubjectPattern::Prefix(String::new()),
            }],
        }
    }

    fn beyond(rule: &NamespaceRule) -> Vec<String> {
        let charter = parse(world::CHARTER, &world::world()).unwrap().charter;
        let found = rule.beyond(&charter);
        found
            .iter()
            .map(|finding| finding.message.clone())
            .collect()
    }

    #[test]
    fn each_bound_is_held() {
        assert_eq!(beyond(&rule()), Vec::<String>::new());
        let none = Some(BTreeSet::new());
        for (rule, said) in [
            (
                NamespaceRule {
                    names: Some("shop-".to_owned()),
                    ..rule()
                },
                "no charter may be called `payments-terraform`",
            ),
            (
                NamespaceRule {
                    targets: none.clone(),
                    ..rule()
                },
                "may name the target `",
            ),
            (
                NamespaceRule {
                    environments: none,
                    ..rule()
                },
                "may name the environment `production` in namespace `shop` (environments there are none)",
            ),
            (
                NamespaceRule {
                    agents: vec![AgentBound::service_accounts(
                        "https://cluster".to_owned(),
                        &world::name("shop"),
                    )],
                    ..rule()
                },
                "agents there are https://cluster#system:serviceaccount:shop:*",
            ),
            (
                NamespaceRule {
                    agents: Vec::new(),
                    ..rule()
                },
                "none: set `agents`",
            ),
        ] {
            let found = beyond(&rule);
            assert!(found.iter().any(|line| line.contains(said)), "{found:?}");
        }
    }

    #[test]
    fn no_agent_is_named_beyond_a_prefix_or_at_another_issuer() {
        let agent = |issuer: &str, subject: SubjectPattern| AgentRule {
            issuer: issuer.to_owned(),
            subject,
            claims: std::collections::BTreeMap::new(),
            at: lanyard_document::Position { line: 1, column: 1 },
        };
        let own = AgentBound::service_accounts("https://a".to_owned(), &world::name("shop"));
        let exact = |text: &str| SubjectPattern::Exact(text.to_owned());
        let prefix = |text: &str| SubjectPattern::Prefix(text.to_owned());
        for (rule, is_held) in [
            (
                agent("https://a", exact("system:serviceaccount:shop:web")),
                true,
            ),
            (
                agent("https://a", prefix("system:serviceaccount:shop:")),
                true,
            ),
            (agent("https://a", prefix("system:serviceaccount:")), false),
            (
                agent("https://a", exact("system:serviceaccount:shop-2:web")),
                false,
            ),
            (
                agent("https://b", exact("system:serviceaccount:shop:web")),
                false,
            ),
        ] {
            assert_eq!(own.holds(&rule), is_held, "{rule:?}");
        }
        let one = AgentBound {
            issuer: None,
            subject: exact("system:serviceaccount:shop:web"),
        };
        assert!(one.holds(&agent("https://b", exact("system:serviceaccount:shop:web"))));
        assert!(!one.holds(&agent("https://b", prefix("system:serviceaccount:shop:"))));
    }
}
