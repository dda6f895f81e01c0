//! Lints of `aws` grants: credentials that outlive a kill order, and rights that no request can
//! meet.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_document::{Code, Diagnostic, Findings};
use lanyard_vocabulary::role::Role;

use crate::aws::{Action, ActionPattern, AwsGrant, AwsStatement, ResourceType, matched};
use crate::charter::{Charter, Grant};
use crate::places::Places;
use crate::world::{Check, World};

pub(super) fn look(check: &Check<'_>, grant: &Grant, rights: &AwsGrant) {
    let lints = Lints {
        f: check.f,
        grant,
        rights,
        places: &check.places,
    };
    lints.unlisted(check.charter);
    lints.accounts(check.world);
    lints.credentials();
    for statement in &rights.allow {
        let reach = Reach::of(statement);
        lints.works(statement, &reach);
        if grant.role == Role::Apply {
            lints.everything(statement, &reach);
        }
    }
}

struct Lints<'a> {
    f: &'a Findings,
    grant: &'a Grant,
    rights: &'a AwsGrant,
    places: &'a Places<'a>,
}

/// The resource types of a statement's actions, with the resources that match them.
struct Reach<'a> {
    held: Vec<(&'a ActionPattern, Vec<&'static Action>)>,
    /// By service and name: the type, and for each resource of the statement whether it can be of
    /// the type.
    types: BTreeMap<String, (ResourceType, Vec<bool>)>,
}

impl<'a> Reach<'a> {
    fn of(statement: &'a AwsStatement) -> Self {
        let held = statement
            .actions
            .iter()
            .map(|pattern| (pattern, matched(&pattern.lower())));
        let held: Vec<_> = held.collect();
        let mut types = BTreeMap::new();
        // Each kind is compared with each resource once, however many actions are about it.
        for kind in held
            .iter()
            .flat_map(|(_, held)| held)
            .flat_map(|action| action.types())
        {
            types.entry(kind.arn.to_owned()).or_insert_with(|| {
                let resources = statement.resources.iter();
                (
                    kind,
                    resources
                        .map(|resource| can_be(&resource.0, &kind))
                        .collect(),
                )
            });
        }
        Self { held, types }
    }

    fn meets(&self, action: &Action) -> bool {
        let kinds = action.types();
        let mut known = kinds.iter().filter_map(|kind| self.types.get(kind.arn));
        known.any(|(_, fits)| fits.contains(&true))
    }
}

impl Lints<'_> {
    fn add(&self, code: Code, word: &str, message: String) {
        let span = self.places.word(self.grant.at, word);
        self.f.add(Diagnostic::new(code, span, message));
    }

    fn unlisted(&self, charter: &Charter) {
        for action in self
            .rights
            .allow
            .iter()
            .flat_map(|statement| &statement.actions)
        {
            let meant = charter
                .unlisted
                .iter()
                .any(|one| one.lower() == action.lower());
            if meant && matched(&action.lower()).is_empty() {
                let message = format!(
                    "grant {}: AWS lists no action {action}, and nobody has looked at what it does",
                    self.grant.name
                );
                self.add(Code::UnknownAction, &action.0, message);
            }
        }
    }

    fn credentials(&self) {
        if let Some((action, why)) = self.rights.gives_credential() {
            let message = format!(
                "grant {}: what {action} hands on outlives a kill: {why}",
                self.grant.name
            );
            let held = self
                .rights
                .allow
                .iter()
                .flat_map(|statement| &statement.actions);
            let mut words = held.filter(|pattern| pattern.matches(&action.0));
            let word = words
                .next()
                .map_or(action.0.as_str(), |pattern| pattern.0.as_str());
            self.add(Code::HandsOnCredential, word, message);
        }
    }

    fn accounts(&self, world: &World) {
        let grant = self.grant;
        let own = world.accounts.get(&grant.target);
        let resources = self
            .rights
            .allow
            .iter()
            .flat_map(|statement| &statement.resources);
        for resource in resources {
            let account = resource.0.split(':').nth(4).unwrap_or_default();
            let foreign = own.is_some_and(|own| account != own) && is_account(account);
            if let Some(own) = own.filter(|_| foreign) {
                let message = format!(
                    "grant {}: {resource} is in account {account}, and target {} is account {own}",
                    grant.name, grant.target
                );
                self.add(Code::ForeignAccount, &resource.0, message);
            }
        }
    }

    /// Lints rights that no request can meet: no resource of the type, or a key that no request
    /// has.
    fn works(&self, statement: &AwsStatement, reach: &Reach<'_>) {
        let name = &self.grant.name;
        let every = statement.resources.iter().any(|resource| resource.0 == "*");
        for (pattern, held) in &reach.held {
            let works = |action: &&Action| every || reach.meets(action);
            if !held.is_empty() && !held.iter().any(works) {
                let kinds: BTreeSet<_> = held
                    .iter()
                    .flat_map(|action| action.types())
                    .map(|kind| kind.name)
                    .collect();
                let why = if kinds.is_empty() {
                    "it takes no resource but `*`".to_owned()
                } else {
                    let kinds: Vec<&str> = kinds.into_iter().collect();
                    format!(
                        "no resource here is one of its kinds ({})",
                        kinds.join(", ")
                    )
                };
                let message = format!("grant {name}: {pattern} can never be used here: {why}");
                self.add(Code::CannotWork, &pattern.0, message);
            }
            for (key, _) in statement.when.iter().filter(|(key, _)| !key.is_global()) {
                let lower = key.lower();
                if !held.is_empty() && !held.iter().any(|action| action.knows(&lower)) {
                    let message = format!(
                        "grant {name}: {pattern} can never be used here: no request of it has {key}"
                    );
                    self.add(Code::CannotWork, &pattern.0, message);
                }
            }
        }
        for resource in &statement.resources {
            if let Some(why) = misshapen(&resource.0, reach) {
                let message = format!("grant {name}: {resource} can never be reached: {why}");
                self.add(Code::CannotWork, &resource.0, message);
            }
        }
    }

    /// Lints changes to every resource of a type whose resources can be told apart.
    fn everything(&self, statement: &AwsStatement, reach: &Reach<'_>) {
        for resource in &statement.resources {
            let changed = reach
                .held
                .iter()
                .flat_map(|(_, held)| held)
                .find_map(|action| {
                    action.beyond(&statement.when)?;
                    let kinds = action.types();
                    let every = |kind: &ResourceType| holds_every(&resource.0, kind);
                    kinds.into_iter().find(every)
                });
            let unknown = reach.held.iter().any(|(_, held)| held.is_empty()) && resource.0 == "*";
            if changed.is_some() || unknown {
                let what = changed.map_or("resource", |kind| kind.name);
                let message = format!(
                    "grant {} can change every {what}: {resource}",
                    self.grant.name
                );
                self.add(Code::EveryResource, &resource.0, message);
            }
        }
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parts(arn: &str) -> Option<[&str; 6]> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    parts.try_into().ok()
}

/// True if service, region and account can be those of the type.
fn head_fits([_, _, service, region, account, _]: &[&str; 6], kind: &ResourceType) -> bool {
    let Some([_, _, its_service, its_region, its_account, _]) = parts(kind.arn) else {
        return true;
    };
    let part = |of: &str, its: &str| match its {
        "*" => !of.is_empty(),
        its => of == its,
    };
    let of_service = its_service == "*" || its_service == *service;
    of_service && part(region, its_region) && part(account, its_account)
}

/// True if a resource of a statement can be of the type.
fn can_be(resource: &str, kind: &ResourceType) -> bool {
    let (Some(own), Some(its)) = (parts(resource), parts(kind.arn)) else {
        return resource == "*";
    };
    let [.., name] = own;
    let [.., its_name] = its;
    // A bucket's name has no `/`, and the reference says `*` of it as of any name.
    let bucket = kind.arn == "arn:*:s3:::*" && name.contains('/');
    head_fits(&own, kind) && !bucket && meet(name, its_name)
}

/// True if a resource of a statement covers every resource of the type.
fn holds_every(resource: &str, kind: &ResourceType) -> bool {
    let (Some(own), Some(its)) = (parts(resource), parts(kind.arn)) else {
        return resource == "*";
    };
    let [.., name] = own;
    let [.., its_name] = its;
    // `?*` is every name too: there is none without a character.
    let name = name.replace('?', "*");
    head_fits(&own, kind)
        && its_name.contains('*')
        && crate::pattern::wildcard_matches(&name, its_name)
}

/// Says why an ARN cannot be of any type that the actions have, whatever its name.
fn misshapen(resource: &str, reach: &Reach<'_>) -> Option<String> {
    let own = parts(resource)?;
    let [_, _, service, region, account, _] = own;
    if !account.is_empty() && !is_account(account) && account != "aws" {
        return Some(format!(
            "`{account}` is no account: its number has twelve digits"
        ));
    }
    let words: Vec<&str> = region.split('-').collect();
    let number = words
        .last()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if !region.is_empty() && (words.len() < 3 || !number) {
        return Some(format!("`{region}` is no region"));
    }
    let kinds = reach.types.values().map(|(kind, _)| kind);
    let of_service =
        |kind: &&ResourceType| parts(kind.arn).is_some_and(|its| its.get(2) == Some(&service));
    let mut kinds = kinds.filter(of_service).peekable();
    let first = *kinds.peek()?;
    let fits = kinds.any(|kind| head_fits(&own, kind));
    (!fits).then(|| {
        let [_, _, _, its_region, its_account, _] = parts(first.arn).unwrap_or_default();
        let said = |part: &str, what: &str| {
            if part.is_empty() {
                format!("no {what}")
            } else {
                format!("its {what}")
            }
        };
        format!(
            "the ARN of a {} has {} and {}",
            first.name,
            said(its_region, "region"),
            said(its_account, "account")
        )
    })
}

/// True if one text can match both patterns. A `?` or `*` on both sides counts as a match.
fn meet(one: &str, two: &str) -> bool {
    let (one, two): (Vec<char>, Vec<char>) = (one.chars().collect(), two.chars().collect());
    // Row by row: whether what is left of both from here can be the same.
    let mut below = vec![false; two.len() + 1];
    for at in (0..=one.len()).rev() {
        let mut row = vec![false; two.len() + 1];
        for with in (0..=two.len()).rev() {
            let (a, b) = (one.get(at), two.get(with));
            let right = row.get(with + 1).copied().unwrap_or_default();
            let down = below.get(with).copied().unwrap_or_default();
            let both = below.get(with + 1).copied().unwrap_or_default();
            let found = match (a, b) {
                (None, None) => true,
                (Some('*'), Some('*')) => right || down,
                (Some('*'), Some(_)) => right || down,
                (Some('*'), None) => down,
                (None, Some('*')) => right,
                (Some(_), Some('*')) => down || right,
                (Some(a), Some(b)) => (a == b || *a == '?' || *b == '?') && both,
                (None, Some(_)) | (Some(_), None) => false,
            };
            if let Some(cell) = row.get_mut(with) {
                *cell = found;
            }
        }
        below = row;
    }
    below.first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pattern::wildcard_matches;

    proptest! {
        #[test]
        fn patterns_that_hold_a_text_in_common_meet(one in "[ab*?]{0,5}", two in "[ab*?]{0,5}", text in "[ab]{0,6}") {
            if wildcard_matches(&one, &text) && wildcard_matches(&two, &text) {
                prop_assert!(meet(&one, &two));
            }
        }
    }

    #[test]
    fn iam7_a_bucket_is_no_object() {
        let types = |name: &str| matched(name).pop().unwrap().types();
        let can = |arn: &str, action: &str| types(action).iter().any(|kind| can_be(arn, kind));
        assert!(!can("arn:aws:s3:::logs", "s3:getobject"));
        assert!(can("arn:aws:s3:::logs/*", "s3:getobject"));
        assert!(can("arn:aws:s3:::logs*", "s3:getobject"));
        assert!(can("arn:aws:s3:::logs", "s3:listbucket"));
        assert!(!can("arn:aws:s3:::logs/*", "s3:listbucket"));
        assert!(!can("arn:aws:sqs:eu-west-1::queue", "sqs:sendmessage"));
        assert!(can(
            "arn:aws:sqs:eu-west-1:111122223333:queue",
            "sqs:sendmessage"
        ));
        assert!(!can(
            "arn:aws:dynamodb:eu-west-1:111122223333:index/x",
            "dynamodb:getitem"
        ));
    }
}
