//! The intersection of two grants. Sound: the result is never wider than either, and drops an entry
//! that neither contains wholly.

mod explained;
mod plan;

use std::collections::{BTreeMap, BTreeSet};

pub use plan::ToPlan;

use crate::aws::{AwsGrant, AwsStatement};
use crate::github::GitHubGrant;
use crate::kubernetes::{KubernetesGrant, KubernetesRights, PolicyRule};
use crate::pattern::pattern_contains;
use crate::rights::Rights;
use crate::token::TokenGrant;
use crate::vault::{VaultGives, VaultGrant};

fn within<T: Ord + Clone>(
    one: &BTreeSet<T>,
    other: &BTreeSet<T>,
    contains: impl Fn(&T, &T) -> bool,
) -> BTreeSet<T> {
    let kept = |from: &BTreeSet<T>, by: &BTreeSet<T>| -> Vec<T> {
        from.iter()
            .filter(|entry| by.iter().any(|wide| contains(wide, entry)))
            .cloned()
            .collect()
    };
    kept(one, other)
        .into_iter()
        .chain(kept(other, one))
        .collect()
}

impl Rights {
    /// The rights that both allow; `None` if there are none, or if the two are of different kinds.
    #[must_use]
    pub fn narrowed(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Token(one), Self::Token(two)) => one.narrowed(two).map(Self::Token),
            (Self::Aws(one), Self::Aws(two)) => one.narrowed(two).map(Self::Aws),
            (Self::Kubernetes(one), Self::Kubernetes(two)) => {
                one.narrowed(two).map(Self::Kubernetes)
            }
            (Self::Vault(one), Self::Vault(two)) => one.narrowed(two).map(Self::Vault),
            (Self::GitHub(one), Self::GitHub(two)) => one.narrowed(two).map(Self::GitHub),
            (
                Self::Token(_)
                | Self::Aws(_)
                | Self::Kubernetes(_)
                | Self::Vault(_)
                | Self::GitHub(_),
                _,
            ) => None,
        }
    }
}

impl Rights {
    /// The union of two rights that were narrowed from the same.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Token(mut one), Self::Token(two)) if one.audience == two.audience => {
                one.scopes.extend(two.scopes.iter().cloned());
                Self::Token(one)
            }
            (Self::Aws(mut one), Self::Aws(two)) => {
                let new = two.allow.iter().filter(|more| !one.allow.contains(more));
                let new: Vec<_> = new.cloned().collect();
                one.allow.extend(new);
                one.destructive.extend(two.destructive.iter().cloned());
                one.except.extend(two.except.iter().cloned());
                one.approved.extend(two.approved.iter().cloned());
                Self::Aws(one)
            }
            (Self::Kubernetes(mut one), Self::Kubernetes(two))
                if one.namespace == two.namespace =>
            {
                if let (KubernetesRights::Rules(rules), KubernetesRights::Rules(more)) =
                    (&mut one.rights, &two.rights)
                {
                    let all: BTreeSet<_> = rules.drain(..).chain(more.iter().cloned()).collect();
                    rules.extend(all);
                }
                one.destructive.extend(two.destructive.iter().cloned());
                Self::Kubernetes(one)
            }
            // About different things: there is no more than the first.
            (first, _) => first,
        }
    }
}

impl TokenGrant {
    fn narrowed(&self, other: &Self) -> Option<Self> {
        let scopes: BTreeSet<_> = self.scopes.intersection(&other.scopes).cloned().collect();
        let same =
            self.audience == other.audience && (!scopes.is_empty() || self.scopes == other.scopes);
        same.then(|| Self {
            audience: self.audience.clone(),
            scopes,
        })
    }
}

impl VaultGrant {
    fn narrowed(&self, other: &Self) -> Option<Self> {
        let policies: BTreeSet<_> = self
            .policies
            .intersection(&other.policies)
            .cloned()
            .collect();
        let gives = match (&self.gives, &other.gives) {
            (VaultGives::Token { uses: one }, VaultGives::Token { uses: two }) => {
                let uses = [*one, *two].into_iter().flatten().min();
                Some(VaultGives::Token { uses })
            }
            (VaultGives::Secret { path: one }, VaultGives::Secret { path: two }) => {
                (one == two).then(|| self.gives.clone())
            }
            (VaultGives::Token { .. } | VaultGives::Secret { .. }, _) => None,
        };
        let gives = gives.filter(|_| !policies.is_empty())?;
        Some(Self { policies, gives })
    }
}

impl GitHubGrant {
    fn narrowed(&self, other: &Self) -> Option<Self> {
        let repositories: BTreeSet<_> = self
            .repositories
            .intersection(&other.repositories)
            .cloned()
            .collect();
        let permissions: BTreeMap<_, _> = self
            .permissions
            .iter()
            .filter_map(|(name, access)| {
                let least = *other.permissions.get(name)?.min(access);
                Some((name.clone(), least))
            })
            .collect();
        (!repositories.is_empty() && !permissions.is_empty()).then_some(Self {
            repositories,
            permissions,
            // What one of the two calls a proposal is held to be no more than one.
            proposes: self.proposes || other.proposes,
        })
    }
}

impl AwsGrant {
    fn narrowed(&self, other: &Self) -> Option<Self> {
        let allow: Vec<_> = self
            .allow
            .iter()
            .flat_map(|one| other.allow.iter().filter_map(move |two| one.narrowed(two)))
            .collect();
        let destructive = self
            .destructive
            .union(&other.destructive)
            .cloned()
            .collect();
        let except = self.except.union(&other.except).cloned().collect();
        let approved = self.approved.union(&other.approved).cloned().collect();
        (!allow.is_empty()).then_some(Self {
            allow,
            destructive,
            except,
            approved,
        })
    }
}

impl AwsStatement {
    fn narrowed(&self, other: &Self) -> Option<Self> {
        let actions = within(&self.actions, &other.actions, |wide, narrow| {
            pattern_contains(&wide.0.to_ascii_lowercase(), &narrow.0.to_ascii_lowercase())
        });
        let resources = within(&self.resources, &other.resources, |wide, narrow| {
            pattern_contains(&wide.0, &narrow.0)
        });
        let when = self.when.narrowed(&other.when)?;
        // What one of the two lets a plan narrow is narrowed.
        let both = self.unnarrowed.as_ref().zip(other.unnarrowed.as_ref());
        let unnarrowed = both.map(|(one, two)| one.min(two).clone());
        (!actions.is_empty() && !resources.is_empty()).then_some(Self {
            actions,
            resources,
            when,
            unnarrowed,
        })
    }
}

impl KubernetesGrant {
    fn narrowed(&self, other: &Self) -> Option<Self> {
        if self.namespace != other.namespace {
            return None;
        }
        let rights = match (&self.rights, &other.rights) {
            (KubernetesRights::ClusterRole(one), KubernetesRights::ClusterRole(two)) => {
                (one == two).then(|| KubernetesRights::ClusterRole(one.clone()))
            }
            (KubernetesRights::Rules(one), KubernetesRights::Rules(two)) => {
                let rules: Vec<_> = one
                    .iter()
                    .flat_map(|rule| two.iter().filter_map(move |wide| rule.narrowed(wide)))
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect();
                (!rules.is_empty()).then_some(KubernetesRights::Rules(rules))
            }
            (KubernetesRights::Rules(_) | KubernetesRights::ClusterRole(_), _) => None,
        }?;
        Some(Self {
            namespace: self.namespace.clone(),
            rights,
            destructive: self
                .destructive
                .union(&other.destructive)
                .cloned()
                .collect(),
        })
    }
}

impl PolicyRule {
    fn narrowed(&self, other: &Self) -> Option<Self> {
        let both = |one: &BTreeSet<String>, two: &BTreeSet<String>| -> BTreeSet<String> {
            one.intersection(two).cloned().collect()
        };
        let resource_names = match (
            self.resource_names.is_empty(),
            other.resource_names.is_empty(),
        ) {
            (true, _) => other.resource_names.clone(),
            (_, true) => self.resource_names.clone(),
            (false, false) => {
                let names = both(&self.resource_names, &other.resource_names);
                if names.is_empty() {
                    return None;
                }
                names
            }
        };
        let rule = Self {
            api_groups: both(&self.api_groups, &other.api_groups),
            resources: both(&self.resources, &other.resources),
            verbs: both(&self.verbs, &other.verbs),
            resource_names,
        };
        let some =
            !rule.api_groups.is_empty() && !rule.resources.is_empty() && !rule.verbs.is_empty();
        some.then_some(rule)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aws::{ActionPattern, ConditionKey, Conditions, ResourcePattern, Test};
    use crate::github::Access;
    use crate::pattern::wildcard_matches;

    fn patterns() -> impl Strategy<Value = String> {
        proptest::string::string_regex("[ab*?]{0,6}").unwrap()
    }

    fn set<T: Ord>(of: Vec<String>, make: impl Fn(String) -> T) -> BTreeSet<T> {
        of.into_iter().map(make).collect()
    }

    fn statements() -> impl Strategy<Value = AwsStatement> {
        let many = || proptest::collection::vec(patterns(), 1..3);
        (many(), many(), conditions()).prop_map(|(actions, resources, when)| AwsStatement {
            actions: set(actions, ActionPattern),
            resources: set(resources, ResourcePattern),
            when,
            unnarrowed: None,
        })
    }

    fn conditions() -> impl Strategy<Value = Conditions> {
        let key = proptest::sample::select(vec!["s3:prefix", "S3:Prefix", "aws:ResourceTag/a"]);
        let values = proptest::collection::btree_set("[ab*]{1,3}", 1..3);
        proptest::collection::vec((key, values), 0..3).prop_map(|all| {
            let mut when = Conditions::default();
            for (key, values) in all {
                let (key, kind) = ConditionKey::parse(key).unwrap();
                when.add(key, Test { kind, values });
            }
            when
        })
    }

    fn contexts() -> impl Strategy<Value = BTreeMap<String, String>> {
        let key = proptest::sample::select(vec!["s3:prefix", "aws:resourcetag/A"]);
        proptest::collection::btree_map(key.prop_map(str::to_owned), "[ab]{1,3}", 0..3)
    }

    // T27: what takes exponential time would not end here.
    #[test]
    fn a_pathological_pattern_takes_its_text_times_its_stars() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!wildcard_matches(&pattern, &"a".repeat(20_000)));
        assert!(!pattern_contains(&pattern, &"*a".repeat(2_000)));
    }

    #[test]
    fn of_two_grants_on_vault_or_github_what_both_allow_is_left() {
        let texts = |of: &[&str]| of.iter().map(|&it| it.to_owned()).collect::<BTreeSet<_>>();
        let vault = |policies: &[&str], uses| {
            Rights::Vault(VaultGrant {
                policies: texts(policies),
                gives: VaultGives::Token { uses },
            })
        };
        let secret = |path: &str| {
            Rights::Vault(VaultGrant {
                policies: texts(&["a"]),
                gives: VaultGives::Secret {
                    path: path.to_owned(),
                },
            })
        };
        let github = |repositories: &[&str], contents, proposes| {
            Rights::GitHub(GitHubGrant {
                repositories: texts(repositories),
                permissions: [("contents".to_owned(), contents)].into(),
                proposes,
            })
        };
        let both = |one: &Rights, two: &Rights| {
            assert_eq!(one.narrowed(two), two.narrowed(one));
            one.narrowed(two)
        };
        assert_eq!(
            both(&vault(&["a", "b"], Some(3)), &vault(&["b", "c"], None)),
            Some(vault(&["b"], Some(3)))
        );
        assert_eq!(both(&vault(&["a"], None), &vault(&["b"], None)), None);
        assert_eq!(both(&vault(&["a"], None), &secret("x/y")), None);
        assert_eq!(both(&secret("x/z"), &secret("x/y")), None);
        assert_eq!(
            both(
                &github(&["a", "b"], Access::Write, true),
                &github(&["b"], Access::Read, false)
            ),
            Some(github(&["b"], Access::Read, true))
        );
        assert_eq!(
            both(
                &github(&["a"], Access::Read, false),
                &github(&["b"], Access::Read, false)
            ),
            None
        );
    }

    proptest! {
        #[test]
        fn containment_is_sound(wide in patterns(), narrow in patterns(), text in "[ab]{0,8}") {
            if pattern_contains(&wide, &narrow) && wildcard_matches(&narrow, &text) {
                prop_assert!(wildcard_matches(&wide, &text));
            }
        }

        // T17
        #[test]
        fn the_narrower_allows_only_what_both_allow(
            one in statements(), two in statements(), action in "[ab]{0,5}", arn in "[ab]{0,5}", context in contexts(),
        ) {
            if let Some(narrow) = one.narrowed(&two) && narrow.matches(&action, &arn, &context) {
                prop_assert!(one.matches(&action, &arn, &context) && two.matches(&action, &arn, &context));
            }
        }

        #[test]
        fn iam9_conditions_that_are_within_others_are_met_by_no_more(
            one in conditions(), two in conditions(), context in contexts(),
        ) {
            if one.within(&two) && one.matches(&context) {
                prop_assert!(two.matches(&context));
            }
            if let Some(both) = one.narrowed(&two) {
                prop_assert!(!both.matches(&context) || one.matches(&context) && two.matches(&context));
                prop_assert!(both.within(&one) && both.within(&two));
            }
        }
    }
}
