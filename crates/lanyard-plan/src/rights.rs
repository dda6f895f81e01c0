//! Attributes that say who may do what, or who reaches what, on whatever kind of resource they stand: a policy within a queue is as
//! grave as one that stands beside the queue.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::secrets::Secrets;
use crate::tree::Tree;

/// What an attribute says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Says {
    /// As whom something runs.
    As,
    /// Who may do what.
    Who,
    /// Who reaches what.
    Reach,
    /// A workload that leaves its container.
    Host,
}

impl Says {
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::As => "says as whom it runs",
            Self::Who => "says who may do what",
            Self::Reach => "says who reaches what",
            Self::Host => "lets a container out to its node",
        }
    }
}

/// Attributes that hold a policy, or name who may do something.
const WHO: &[&str] = &[
    "access_control_list",
    "access_control_policy",
    "access_policies",
    "access_policy",
    "acl",
    "allowed_principals",
    "assume_role_policy",
    "bucket_policy",
    "canned_acl",
    "extended_s3_policy",
    "file_system_policy",
    "grant",
    "grants",
    "iam_policy",
    "identity_policy",
    "inline_policy",
    "key_policy",
    "managed_policy_arns",
    "maproles",
    "mapusers",
    "member",
    "members",
    "permissions_boundary",
    "policy",
    "policy_arn",
    "policy_arns",
    "policy_body",
    "policy_data",
    "policy_document",
    "policy_documents",
    "policy_json",
    "policy_text",
    "principal",
    "principals",
    "queue_policy",
    "repository_policy",
    "resource_policy",
    "role_definition_id",
    "role_definition_name",
    "topic_policy",
    "trust_policy",
    "vault_policy",
];

/// Attributes that open something to a network.
const REACH: &[&str] = &[
    "allowed_cidr_blocks",
    "allowed_ip_ranges",
    "associate_public_ip_address",
    "authorized_networks",
    "cidr_block_allow_list",
    "egress",
    "endpoint_public_access",
    "ingress",
    "ip_rules",
    "map_public_ip_on_launch",
    "master_authorized_networks_config",
    "network_acls",
    "network_rules",
    "public_access_cidrs",
    "public_network_access",
    "public_network_access_enabled",
    "publicly_accessible",
    "security_rule",
    "source_ranges",
    "vpc_security_group_ids",
];

/// Attributes that name the identity of what runs.
const AS: &[&str] = &[
    "execution_role_arn",
    "iam_instance_profile",
    "iam_role",
    "iam_role_arn",
    "instance_profile",
    "role",
    "role_arn",
    "service_account",
    "service_account_email",
    "service_account_name",
    "serviceAccount",
    "serviceAccountName",
    "service_role",
    "service_role_arn",
    "task_role_arn",
];

/// Fields of a Pod that take a container's walls away.
const HOST: &[&str] = &[
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostPath",
    "host_ipc",
    "host_network",
    "host_path",
    "host_pid",
    "privileged",
    "allowPrivilegeEscalation",
    "allow_privilege_escalation",
];

/// How many places are named for each thing that is said, in one resource: people are told enough by these, and the risk is the same.
///
/// # Limit
/// - for: one thing that attributes of a resource say
/// - unit: places
/// - beyond: further places are not named among the reasons; the risk and the lines of what differs have them all
/// - test: `a_risk_many_attributes_are_rated_as_a_few_are`
const MAX_PLACES: usize = 25;
/// A longer path is cut: the lines of what differs have it whole.
const REASON_PATH_BYTES: usize = 400;

/// Where attributes differ that say so, with paths as they are shown.
pub(crate) fn changed(before: &Tree, after: &Tree, secrets: &Secrets) -> Vec<(String, Says)> {
    let mut found = Found {
        places: BTreeMap::new(),
        secrets,
    };
    walk(None, before, after, &mut found);
    let each = found.places.into_iter();
    let each = each.flat_map(|(says, paths)| paths.into_iter().map(move |path| (path, says)));
    let mut each: Vec<_> = each.collect();
    each.sort();
    each
}

struct Found<'a> {
    places: BTreeMap<Says, BTreeSet<String>>,
    secrets: &'a Secrets,
}

impl Found<'_> {
    fn note(&mut self, place: Option<&Place<'_>>, says: Says) {
        let paths = self.places.entry(says).or_default();
        if paths.len() < MAX_PLACES {
            paths.insert(place.map_or_else(String::new, |place| place.path(self.secrets)));
        }
    }
}

/// A key beneath others. The path is put together for what is said alone: a long key may stand above very many.
struct Place<'a> {
    above: Option<&'a Self>,
    key: &'a str,
}

impl Place<'_> {
    fn path(&self, secrets: &Secrets) -> String {
        let above = std::iter::successors(Some(self), |place| place.above);
        let mut keys: Vec<&str> = above.map(|place| place.key).collect();
        keys.reverse();
        let mut path = String::new();
        for key in keys {
            path = crate::difference::join(&path, &secrets.key(key));
            if path.len() > REASON_PATH_BYTES {
                let kept = path.chars().take(REASON_PATH_BYTES).collect::<String>();
                return format!("{kept}…");
            }
        }
        path
    }
}

fn walk(place: Option<&Place<'_>>, before: &Tree, after: &Tree, found: &mut Found<'_>) {
    if before == after {
        return;
    }
    match (before, after) {
        // What is hidden is no less grave; where in it is not shown.
        (Tree::Hidden(_), _) | (_, Tree::Hidden(_)) => {
            let mut within = Found {
                places: BTreeMap::new(),
                secrets: found.secrets,
            };
            walk(None, &revealed(before), &revealed(after), &mut within);
            within
                .places
                .keys()
                .for_each(|says| found.note(place, *says));
        }
        (Tree::Map(one), Tree::Map(two)) => {
            if is_statement(before) || is_statement(after) {
                found.note(place, Says::Who);
                return;
            }
            for key in one
                .keys()
                .chain(two.keys().filter(|key| !one.contains_key(*key)))
            {
                let was = one.get(key).unwrap_or(&Tree::Null);
                let is = two.get(key).unwrap_or(&Tree::Null);
                if was != is {
                    attribute(Place { above: place, key }, was, is, found);
                }
            }
        }
        (Tree::List(one), Tree::List(two)) => {
            // What stands in both lists did not change, wherever it stands.
            let (old, new): (HashSet<_>, HashSet<_>) = (one.iter().collect(), two.iter().collect());
            let gone = one.iter().filter(|item| !new.contains(item));
            let come = two.iter().filter(|item| !old.contains(item));
            gone.for_each(|item| walk(place, item, &Tree::Null, found));
            come.for_each(|item| walk(place, &Tree::Null, item, found));
        }
        (Tree::Document { root: was, .. }, Tree::Document { root: is, .. }) => {
            walk(place, was, is, found);
        }
        (before, after) => {
            for side in [before, after] {
                match side {
                    Tree::Map(_) => walk(place, &Tree::Map(BTreeMap::new()), side, found),
                    Tree::List(_) => walk(place, &Tree::List(Vec::new()), side, found),
                    Tree::Document { root, .. } => walk(place, &Tree::Null, root, found),
                    Tree::Null
                    | Tree::Plain(_)
                    | Tree::Text(_)
                    | Tree::Unknown
                    | Tree::Hidden(_) => {}
                }
            }
        }
    }
}

/// What is hidden, as it is.
fn revealed(side: &Tree) -> Cow<'_, Tree> {
    match side {
        Tree::Hidden(hidden) => Cow::Owned(hidden.revealed()),
        Tree::Null
        | Tree::Plain(_)
        | Tree::Text(_)
        | Tree::Unknown
        | Tree::Map(_)
        | Tree::List(_)
        | Tree::Document { .. } => Cow::Borrowed(side),
    }
}

fn attribute(place: Place<'_>, was: &Tree, is: &Tree, found: &mut Found<'_>) {
    let key = place.key;
    let lower = key.to_ascii_lowercase();
    let is_in = |names: &[&str]| names.iter().any(|name| *name == key || *name == lower);
    let says_something = |side: &Tree| match side {
        Tree::Null => false,
        Tree::Plain(text) => text.raw != "false",
        Tree::Text(text) => !text.raw.trim().is_empty(),
        Tree::Map(map) => !map.is_empty(),
        Tree::List(items) => !items.is_empty(),
        Tree::Document { root, .. } => **root != Tree::Map(BTreeMap::new()),
        Tree::Unknown | Tree::Hidden(_) => true,
    };
    let speaks = says_something(was) || says_something(is);
    let comes = says_something(is);
    if is_in(WHO) && speaks && !(is_lifecycle(was) && is_lifecycle(is)) {
        found.note(Some(&place), Says::Who);
    } else if is_in(REACH) && speaks {
        found.note(Some(&place), Says::Reach);
    } else if is_in(HOST) && comes {
        found.note(Some(&place), Says::Host);
    } else if is_in(AS) && speaks && was.scalar() != is.scalar() {
        found.note(Some(&place), Says::As);
    } else {
        walk(Some(&place), was, is, found);
    }
}

/// A policy of IAM's language, or a binding of Google's, by its shape.
fn is_statement(tree: &Tree) -> bool {
    let has = |keys: &[&str]| keys.iter().all(|key| tree.get(key).is_some());
    has(&["Statement"])
        || has(&["Effect", "Action"])
        || has(&["Effect", "NotAction"])
        || has(&["Effect", "Principal"])
        || has(&["role", "members"])
        || has(&["mapRoles"])
        || has(&["mapUsers"])
}

/// What a registry calls a policy, and says when images go.
fn is_lifecycle(side: &Tree) -> bool {
    *side == Tree::Null || side.get("rules").is_some() && !is_statement(side)
}
