//! Attributes that say who may do what, or who reaches what, on whatever kind of resource they stand: a policy within a queue is as
//! grave as one that stands beside the queue.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::embedded;
use crate::secrets::Secrets;
use crate::tree::Tree;
use crate::walls;

/// What an attribute says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Says {
    /// As whom something runs.
    As,
    /// A program that runs where Terraform runs.
    Runs,
    /// A document that cannot be read.
    Unread,
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
            Self::Runs => "runs a program where Terraform runs",
            Self::Unread => "holds a document that cannot be read, so what it allows is not known",
            Self::Who => "says who may do what",
            Self::Reach => "says who reaches what",
            Self::Host => "lets a container out to its node",
        }
    }
}

// The names of attributes are compared without their case and without what separates their words: CloudFormation, Kubernetes and
// Terraform write the same name differently.

/// Attributes that hold a policy, or name who may do something.
const WHO: &[&str] = &[
    "accesscontrollist",
    "accesscontrolpolicy",
    "accesspolicies",
    "accesspolicy",
    "acl",
    "allowedprincipals",
    "assumerolepolicy",
    "assumerolepolicydocument",
    "bucketpolicy",
    "cannedacl",
    "extendeds3policy",
    "filesystempolicy",
    "grant",
    "grants",
    "iampolicy",
    "identitypolicy",
    "inlinepolicy",
    "keypolicy",
    "managedpolicyarns",
    "maproles",
    "mapusers",
    "member",
    "members",
    "permissionsboundary",
    "policy",
    "policyarn",
    "policyarns",
    "policybody",
    "policydata",
    "policydocument",
    "policydocuments",
    "policyjson",
    "policytext",
    "principal",
    "principals",
    "queuepolicy",
    "repositorypolicytext",
    "repositorypolicy",
    "resourcepolicy",
    "roledefinitionid",
    "roledefinitionname",
    "topicpolicy",
    "trustpolicy",
    "vaultpolicy",
];

/// Attributes that open something to a network.
const REACH: &[&str] = &[
    "allowedcidrblocks",
    "allowedipranges",
    "associatepublicipaddress",
    "authorizednetworks",
    "cidrblockallowlist",
    "egress",
    "endpointpublicaccess",
    "ingress",
    "iprules",
    "mappubliciponlaunch",
    "masterauthorizednetworksconfig",
    "networkacls",
    "networkrules",
    "publicaccesscidrs",
    "publiclyaccessible",
    "publicnetworkaccess",
    "publicnetworkaccessenabled",
    "securitygroupegress",
    "securitygroupids",
    "securitygroupingress",
    "securityrule",
    "sourceranges",
    "visibility",
    "vpcsecuritygroupids",
];

/// Attributes that name the identity of what runs.
const AS: &[&str] = &[
    "executionrolearn",
    "iaminstanceprofile",
    "iamrole",
    "iamrolearn",
    "instanceprofile",
    "role",
    "rolearn",
    "serviceaccount",
    "serviceaccountemail",
    "serviceaccountname",
    "servicerole",
    "servicerolearn",
    "taskrolearn",
];

/// Attributes that name a program which runs where Terraform runs.
const RUNS: &[&str] = &[
    "binarypath",
    "interpreter",
    "lifecyclecommands",
    "localexec",
    "postrender",
    "postrenderer",
];

/// Annotations that name the identity of what runs.
const AS_ANNOTATIONS: &[&str] = &[
    "azure.workload.identity/client-id",
    "eks.amazonaws.com/role-arn",
    "iam.amazonaws.com/role",
    "iam.gke.io/gcp-service-account",
];

/// The type of a Secret that a cluster fills with a login.
const TOKEN_SECRET: &str = "kubernetes.io/service-account-token";

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
            for kind in [before, after].map(|side| side.get("Type").and_then(Tree::scalar)) {
                // A resource of CloudFormation.
                if let Some(kind) = kind.filter(|kind| kind.starts_with("AWS::")) {
                    unread(place, kind, found);
                }
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
                    Tree::Text(text) => unread(place, &text.raw, found),
                    Tree::Null | Tree::Plain(_) | Tree::Unknown | Tree::Hidden(_) => {}
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

/// A longer key is no name of an attribute that is known: a long one may stand above very many, and is not copied for each.
///
/// # No limit
/// A longer key is taken: it is compared with nothing.
const LONGEST_NAME_BYTES: usize = 64;

/// A name without its case, and without what separates its words; nothing where it is too long to be one that is known.
pub(crate) fn plain_name(key: &str) -> String {
    if key.len() > LONGEST_NAME_BYTES {
        return String::new();
    }
    let kept = key.chars().filter(|c| !matches!(c, '_' | '-'));
    kept.map(|c| c.to_ascii_lowercase()).collect()
}

fn attribute(place: Place<'_>, was: &Tree, is: &Tree, found: &mut Found<'_>) {
    let key = place.key;
    let name = plain_name(key);
    let is_in = |names: &[&str]| names.contains(&name.as_str());
    let speaks = says_something(was) || says_something(is);
    let comes = says_something(is);
    let is_as = is_in(AS) || AS_ANNOTATIONS.contains(&key);
    let above = place.above.map(|above| above.key);
    if is_in(WHO) && speaks && !(is_lifecycle(was) && is_lifecycle(is))
        || key == "type" && revealed(is).scalar() == Some(TOKEN_SECRET)
    {
        found.note(Some(&place), Says::Who);
    } else if is_in(REACH) && speaks {
        found.note(Some(&place), Says::Reach);
    } else if is_in(RUNS) && comes {
        found.note(Some(&place), Says::Runs);
    } else if walls::fall(above, key, &revealed(is)) {
        found.note(Some(&place), Says::Host);
    } else if is_as && speaks && was.scalar() != is.scalar() {
        found.note(Some(&place), Says::As);
    } else {
        walk(Some(&place), was, is, found);
    }
}

/// Whether a value is more than the absence of one.
pub(crate) fn says_something(side: &Tree) -> bool {
    match side {
        Tree::Null => false,
        Tree::Plain(text) => !matches!(&*text.raw, "false" | "null" | "~" | ""),
        Tree::Text(text) => !text.raw.trim().is_empty(),
        Tree::Map(map) => !map.is_empty(),
        Tree::List(items) => !items.is_empty(),
        Tree::Document { root, .. } => **root != Tree::Map(BTreeMap::new()),
        Tree::Unknown | Tree::Hidden(_) => true,
    }
}

/// What a text says that is no document, or that cannot be read as the one that it begins as.
fn unread(place: Option<&Place<'_>>, text: &str, found: &mut Found<'_>) {
    static STATEMENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
        // Boundaries are those of ASCII words: the regex engine takes a hundred times as long for others. With quotes, escaped or
        // not, and as HCL writes it; the kinds of CloudFormation that say who may do what.
        let key = r#"\\*["']?\s*[:=]"#;
        Regex::new(&format!(
            r#"(?-u:\b)Statement{key}|(?-u:\b)Effect{key}\s*(?:!\S+\s+)*\\*["']?(?:Allow|Deny)(?-u:\b)|(?-u:\b)(?:Not)?Principal{key}|(?-u:\b)(?:assume_role_policy|AssumeRolePolicyDocument|ManagedPolicyArns|PolicyDocument|mapRoles|mapUsers|role-arn){key}|(?-u:\b)AWS::(?:IAM|SSO|Organizations|RAM)::|(?-u:\b)AWS::\w+::\w*(?:Polic|Permission|Grant|AccessEntry|AccessPoint)\w*"#
        ))
        .ok()
    });
    static REACHES: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?-u:\b)AWS::\w+::(?:\w*SecurityGroup|NetworkAcl|Route|Url|VPCEndpoint|VPCPeering|InternetGateway)\w*|(?-u:\b)PubliclyAccessible(?-u:\b)").ok()
    });
    // The expressions are constants; if one did not compile, everything would count.
    let says = |regex: &LazyLock<Option<Regex>>| regex.as_ref().is_none_or(|it| it.is_match(text));
    if says(&STATEMENT) {
        found.note(place, Says::Who);
    }
    if says(&REACHES) {
        found.note(place, Says::Reach);
    }
    if walls::fall_in(text) {
        found.note(place, Says::Host);
    }
    if embedded::is_unread(text) {
        found.note(place, Says::Unread);
    }
}

/// A policy of IAM's language, or a binding of Google's, by its shape.
fn is_statement(tree: &Tree) -> bool {
    let has = |keys: &[&str]| keys.iter().all(|key| tree.get(key).is_some());
    has(&["Statement"])
        || has(&["Effect", "Action"])
        || has(&["Effect", "NotAction"])
        || has(&["Effect", "NotPrincipal"])
        || has(&["Effect", "Principal"])
        || has(&["role", "members"])
        || has(&["mapRoles"])
        || has(&["mapUsers"])
}

/// What a registry calls a policy, and says when images go.
fn is_lifecycle(side: &Tree) -> bool {
    *side == Tree::Null || side.get("rules").is_some() && !is_statement(side)
}
