//! Attributes that grant rights or open access, on any kind of resource: a policy inside a queue is
//! as grave as one beside the queue.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::isolation;
use crate::names::plain_name;
use crate::secrets::Secrets;
use crate::tree::{Tree, is_unread};

/// The right that an attribute grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// The identity under which something runs.
    Identity,
    /// A program that runs on the machine where Terraform runs.
    Program,
    /// A document that cannot be parsed.
    Unread,
    /// Permissions of a principal.
    Permission,
    /// Access over a network.
    Network,
    /// A workload that leaves its container.
    Host,
}

impl Right {
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::Identity => "says as whom it runs",
            Self::Program => "runs a program where Terraform runs",
            Self::Unread => "holds a document that cannot be read, so what it allows is not known",
            Self::Permission => "says who may do what",
            Self::Network => "says who reaches what",
            Self::Host => "lets a container out to its node",
        }
    }
}

// Names are compared without case and without separators: CloudFormation, Kubernetes and Terraform
// spell the same name differently.

/// Attributes that hold a policy or name a principal.
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

/// Attributes that open network access.
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

/// Attributes that name the identity under which something runs.
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

/// Attributes that name a program that runs where Terraform runs.
const RUNS: &[&str] = &[
    "binarypath",
    "interpreter",
    "lifecyclecommands",
    "localexec",
    "postrender",
    "postrenderer",
];

/// Annotations that name the identity under which something runs.
const AS_ANNOTATIONS: &[&str] = &[
    "azure.workload.identity/client-id",
    "eks.amazonaws.com/role-arn",
    "iam.amazonaws.com/role",
    "iam.gke.io/gcp-service-account",
];

/// Type of a Secret that the cluster fills with a credential.
const TOKEN_SECRET: &str = "kubernetes.io/service-account-token";

/// Places that are named for each right of one resource. People learn enough from these, and the
/// risk is the same.
///
/// # Limit
/// - for: one thing that attributes of a resource say
/// - unit: places
/// - beyond: further places are not named among the reasons; the risk and the lines of what differs
///   have them all
/// - test: `a_risk_many_attributes_are_rated_as_a_few_are`
const MAX_PLACES: usize = 25;
/// Longest path in a reason, in bytes. The lines of the difference show the whole path.
const REASON_PATH_BYTES: usize = 400;

/// Lists the changed attributes that grant rights, with their paths as shown.
pub(crate) fn changed(before: &Tree, after: &Tree, secrets: &Secrets) -> Vec<(String, Right)> {
    let mut found = FoundRights {
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

struct FoundRights<'a> {
    places: BTreeMap<Right, BTreeSet<String>>,
    secrets: &'a Secrets,
}

impl FoundRights<'_> {
    fn note(&mut self, place: Option<&KeyPath<'_>>, says: Right) {
        let paths = self.places.entry(says).or_default();
        if paths.len() < MAX_PLACES {
            paths.insert(place.map_or_else(String::new, |place| place.path(self.secrets)));
        }
    }
}

/// A key below other keys. The path is built only for findings: a long key may stand above very
/// many others.
struct KeyPath<'a> {
    above: Option<&'a Self>,
    key: &'a str,
}

impl KeyPath<'_> {
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

fn walk(place: Option<&KeyPath<'_>>, before: &Tree, after: &Tree, found: &mut FoundRights<'_>) {
    if before == after {
        return;
    }
    match (before, after) {
        // Masking does not make a value less grave. Only the position inside the masked value stays
        // hidden.
        (Tree::Hidden(_), _) | (_, Tree::Hidden(_)) => {
            let mut within = FoundRights {
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
                found.note(place, Right::Permission);
                return;
            }
            for kind in [before, after].map(|side| side.get("Type").and_then(Tree::scalar)) {
                // A resource of CloudFormation carries its kind in `Type`.
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
                    attribute(KeyPath { above: place, key }, was, is, found);
                }
            }
        }
        (Tree::List(one), Tree::List(two)) => {
            // An entry of both lists did not change, whatever its position.
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

/// Returns the value behind a mask.
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

fn attribute(place: KeyPath<'_>, was: &Tree, is: &Tree, found: &mut FoundRights<'_>) {
    let key = place.key;
    let name = plain_name(key);
    let is_in = |names: &[&str]| names.contains(&name.as_str());
    let speaks = was.says_something() || is.says_something();
    let comes = is.says_something();
    let is_as = is_in(AS) || AS_ANNOTATIONS.contains(&key);
    let above = place.above.map(|above| above.key);
    if is_in(WHO) && speaks && !(is_lifecycle(was) && is_lifecycle(is))
        || key == "type" && revealed(is).scalar() == Some(TOKEN_SECRET)
    {
        found.note(Some(&place), Right::Permission);
    } else if is_in(REACH) && speaks {
        found.note(Some(&place), Right::Network);
    } else if is_in(RUNS) && comes {
        found.note(Some(&place), Right::Program);
    } else if isolation::is_broken_by(above, key, &revealed(is)) {
        found.note(Some(&place), Right::Host);
    } else if is_as && speaks && was.scalar() != is.scalar() {
        found.note(Some(&place), Right::Identity);
    } else {
        walk(Some(&place), was, is, found);
    }
}

/// Searches a text that is no document, or that cannot be parsed as one.
fn unread(place: Option<&KeyPath<'_>>, text: &str, found: &mut FoundRights<'_>) {
    static STATEMENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
        // The boundaries are ASCII: Unicode word boundaries make the regex a hundred times slower.
        // The alternatives cover quotes, escaped quotes, the syntax of HCL, and the CloudFormation
        // kinds that grant rights.
        let key = r#"\\*["']?\s*[:=]"#;
        Regex::new(&format!(
            r#"(?-u:\b)Statement{key}|(?-u:\b)Effect{key}\s*(?:!\S+\s+)*\\*["']?(?:Allow|Deny)(?-u:\b)|(?-u:\b)(?:Not)?Principal{key}|(?-u:\b)(?:assume_role_policy|AssumeRolePolicyDocument|ManagedPolicyArns|PolicyDocument|mapRoles|mapUsers|role-arn){key}|(?-u:\b)AWS::(?:IAM|SSO|Organizations|RAM)::|(?-u:\b)AWS::\w+::\w*(?:Polic|Permission|Grant|AccessEntry|AccessPoint)\w*"#
        ))
        .ok()
    });
    static REACHES: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?-u:\b)AWS::\w+::(?:\w*SecurityGroup|NetworkAcl|Route|Url|VPCEndpoint|VPCPeering|InternetGateway)\w*|(?-u:\b)PubliclyAccessible(?-u:\b)").ok()
    });
    // The expressions are constants. If one did not compile, every text would match, which is the
    // safe side.
    let says = |regex: &LazyLock<Option<Regex>>| regex.as_ref().is_none_or(|it| it.is_match(text));
    if says(&STATEMENT) {
        found.note(place, Right::Permission);
    }
    if says(&REACHES) {
        found.note(place, Right::Network);
    }
    if isolation::is_broken_in(text) {
        found.note(place, Right::Host);
    }
    if is_unread(text) {
        found.note(place, Right::Unread);
    }
}

/// True for the shape of an IAM policy statement, or of a Google IAM binding.
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

/// True for the lifecycle policy of an image registry, which grants no rights.
fn is_lifecycle(side: &Tree) -> bool {
    *side == Tree::Null || side.get("rules").is_some() && !is_statement(side)
}
