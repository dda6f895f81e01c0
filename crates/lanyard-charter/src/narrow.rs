//! What narrowing a grant does: to what another grant allows too, and to what a plan needs.
//!
//! Every entry of the outcome is within one of the grant's. What only reads stays as it is, because
//! a tool reads more than it changes; so does what the grant gives on `*`, which is for actions
//! that name no resource, and what the charter marks as `unnarrowed`, since every apply needs it
//! and no plan names it. The intersection of two grants drops an entry that neither contains
//! wholly.

#[cfg(test)]
mod to_plan_tests;

use crate::reach::{Narrowing, PlanReach};
use crate::rights::{Rights, ToPlan};

impl Rights {
    /// Lists what a session narrowed to this reach is given, and what it is not.
    #[must_use]
    pub fn narrowing(&self, reach: Option<&PlanReach>) -> Narrowing {
        let narrowed = match reach.map(|reach| (reach, self.to_plan(reach))) {
            Some((reach, ToPlan::Narrowed(rights) | ToPlan::Partly(rights, _))) => {
                Some((reach, rights))
            }
            Some((_, ToPlan::Whole(_) | ToPlan::Nothing)) | None => None,
        };
        let Some((reach, rights)) = narrowed else {
            return Narrowing {
                gives: self.lines(),
                ..Narrowing::default()
            };
        };
        Narrowing {
            gives: rights.lines(),
            withholds: self.withheld(&rights, reach),
            lacks: self.lacking(&rights, reach),
        }
    }
}

impl PlanReach {
    /// Lists briefly what the plan changes.
    #[must_use]
    pub fn in_short(&self) -> String {
        shortened(self.parts().flat_map(|part| part.named()))
    }
}

/// The most objects that a message names.
const NAMED: usize = 3;

pub(crate) fn shortened(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    let named: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
    let named = named.join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

pub(crate) fn joined<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = all.into_iter().map(|it| it.to_string()).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::collections::{BTreeMap, BTreeSet};

    use crate::aws::{
        ActionPattern, AwsStatement, ConditionKey, Conditions, ResourcePattern, Test,
    };
    use crate::kinds::{Access, GitHubGrant, VaultGives, VaultGrant};
    use crate::pattern::{pattern_contains, wildcard_matches};
    use crate::rights::Rights;

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
            Rights::from(VaultGrant {
                policies: texts(policies),
                gives: VaultGives::Token { uses },
            })
        };
        let secret = |path: &str| {
            Rights::from(VaultGrant {
                policies: texts(&["a"]),
                gives: VaultGives::Secret {
                    path: path.to_owned(),
                },
            })
        };
        let github = |repositories: &[&str], contents, proposes| {
            Rights::from(GitHubGrant {
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
