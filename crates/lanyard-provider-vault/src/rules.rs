//! Decides which policies a lease may have, before anything is created (T37).

use std::collections::BTreeSet;

use lanyard_vocabulary::role::Role;

use crate::policy::{Capability, Mounts, Stanza, reaches};

/// Policies that no lease's token may have.
const FORBIDDEN_POLICIES: [&str; 4] = ["root", "default", "response-wrapping", ""];
/// Paths under which Vault keeps its access rules. No wildcard may reach them, and no lease may
/// change them.
const ACCESS_RULE_PATHS: [&str; 3] = ["sys/", "auth/", "identity/"];
/// Paths that concern only the token itself, or change nothing.
const HARMLESS_PATHS: [&str; 8] = [
    "auth/token/lookup-self",
    "auth/token/renew-self",
    "auth/token/revoke-self",
    "sys/capabilities-self",
    "sys/leases/lookup",
    "sys/wrapping/lookup",
    "sys/wrapping/unwrap",
    "sys/tools/hash",
];
/// Paths that only describe the server; a trailing slash covers everything below. Other paths there
/// can return a credential (`identity/oidc/token`) or all data (`sys/storage/raft/snapshot`).
const DESCRIPTIVE_PATHS: [&str; 15] = [
    "sys/auth",
    "sys/ha-status",
    "sys/health",
    "sys/internal/ui/mounts",
    "sys/internal/ui/mounts/",
    "sys/key-status",
    "sys/leader",
    "sys/mounts",
    "sys/mounts/",
    "sys/policies/acl",
    "sys/policies/acl/",
    "sys/policy",
    "sys/policy/",
    "sys/seal-status",
    "sys/version-history",
];
/// Engine types that create no credentials.
const STATIC_ENGINES: [&str; 4] = ["kv", "generic", "cubbyhole", "transit"];
/// Paths of transit that return a key.
const TRANSIT_KEY_PATHS: [&str; 3] = ["export/", "byok-export/", "backup/"];
/// Engine types that really end a secret when it is revoked.
/// <https://developer.hashicorp.com/vault/docs/secrets>
const REVOCABLE_ENGINES: [&str; 5] = ["consul", "database", "ldap", "nomad", "rabbitmq"];

/// The facts that a policy is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// Role of the lease, plan or apply.
    pub role: Role,
    /// Mounted engines of the server.
    pub mounts: &'a Mounts,
    /// Exact paths that the operator vouches for: their secrets end with the token and, for a plan
    /// role, only read.
    pub reading: &'a BTreeSet<String>,
}

/// Refuses names of policies that no lease may have.
///
/// # Errors
/// A sentence for the operator.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let named = FORBIDDEN_POLICIES.contains(&name.to_ascii_lowercase().as_str());
    if named || !name.chars().all(plain) || name.len() > 128 || name.starts_with('.') {
        return Err(format!("no lease may have the policy {name:?}"));
    }
    Ok(())
}

/// Refuses a policy with these stanzas if a lease may not have it.
///
/// # Errors
/// A sentence for the operator.
pub fn check(stanzas: &[Stanza], bounds: &Bounds<'_>) -> Result<(), String> {
    stanzas
        .iter()
        .try_for_each(|stanza| check_one(stanza, bounds))
}

fn check_one(stanza: &Stanza, bounds: &Bounds<'_>) -> Result<(), String> {
    let (path, held) = (stanza.path.as_str(), &stanza.capabilities);
    if held.iter().all(|it| *it == Capability::Deny) {
        return Ok(());
    }
    if held.contains(&Capability::Sudo) {
        return Err(format!("it has sudo on {path}"));
    }
    if path.is_empty() {
        return Err("it has an empty path".to_owned());
    }
    if let Some(power) = ACCESS_RULE_PATHS.iter().find(|power| sweeps(path, power)) {
        return Err(format!("{path} covers paths of {power}"));
    }
    if HARMLESS_PATHS.contains(&path) {
        return Ok(());
    }
    let changes = held.iter().find(|it| !it.only_reads());
    let vouched = is_exact(path) && bounds.reading.contains(path);
    if let Some(power) = ACCESS_RULE_PATHS
        .iter()
        .find(|power| path.starts_with(*power))
    {
        return match changes {
            Some(changes) => Err(format!(
                "it has {changes} on {path}: changes below {power} can create rights"
            )),
            None if vouched || tells(path) => Ok(()),
            None => Err(format!(
                "{path} is not known to be harmless to read: if it is, name the exact path in `reading` of the target"
            )),
        };
    }
    let reached = reached(path, bounds.mounts);
    let Some((mount, _)) = reached.first() else {
        return Err(format!("{path} is not below a mounted engine"));
    };
    if !reached.iter().any(|(mount, _)| path.starts_with(mount)) {
        return Err(format!(
            "{path} has a wildcard before the end of {mount}: it would also match engines that are mounted later, and child namespaces"
        ));
    }
    if bounds.role == Role::Plan
        && let Some(changes) = changes
    {
        return Err(format!(
            "it has {changes} on {path}, and a plan role only reads"
        ));
    }
    if vouched {
        return Ok(());
    }
    let mut reached = reached.into_iter();
    reached.try_for_each(|(mount, kind)| match bounds.role {
        Role::Apply => ends(path, mount, kind),
        Role::Plan => readable(path, mount, kind),
    })
}

/// True for a path that matches only itself.
fn is_exact(path: &str) -> bool {
    !path.contains('*')
        && !path
            .split('/')
            .any(|segment| matches!(segment, "" | "+" | ".."))
}

fn tells(path: &str) -> bool {
    let below = |told: &str| told.ends_with('/') && path.starts_with(told);
    DESCRIPTIVE_PATHS
        .iter()
        .any(|told| path == *told || below(told))
}

/// Returns true if a wildcard in a path's first two segments makes it match several paths under
/// `power`.
fn sweeps(path: &str, power: &str) -> bool {
    let literal = path.strip_prefix(power);
    match literal {
        None => reaches(path, power) || path == power.trim_end_matches('/'),
        Some(rest) => {
            let first = rest.split('/').next().unwrap_or_default();
            first.is_empty() || first == "+" || first.ends_with('*')
        }
    }
}

fn reached<'a>(path: &str, mounts: &'a Mounts) -> Vec<(&'a str, &'a str)> {
    let mounts = mounts
        .iter()
        .map(|(mount, kind)| (mount.as_str(), kind.as_str()));
    mounts.filter(|(mount, _)| reaches(path, mount)).collect()
}

/// Checks that secrets of this engine end when the token that read them is revoked.
fn ends(path: &str, mount: &str, kind: &str) -> Result<(), String> {
    if STATIC_ENGINES.contains(&kind) || REVOCABLE_ENGINES.contains(&kind) {
        return Ok(());
    }
    Err(format!(
        "{path} reaches {mount}, an engine of type {kind}: its secrets are not known to end with the token. If they \
         does, the target's `reading` names the exact path"
    ))
}

fn readable(path: &str, mount: &str, kind: &str) -> Result<(), String> {
    let keys = |rest| reaches(path, &format!("{mount}{rest}"));
    if !STATIC_ENGINES.contains(&kind) || (kind == "transit" && TRANSIT_KEY_PATHS.iter().any(keys))
    {
        return Err(format!(
            "{path} reaches {mount}, an engine of type {kind}, whose reads can give credentials: a plan may read it \
             where the target's `reading` names the exact path"
        ));
    }
    Ok(())
}

/// Checks that a read of `path` gives a secret that revocation ends, and that the role may have.
///
/// # Errors
/// A sentence for the operator.
pub fn check_secret(path: &str, bounds: &Bounds<'_>) -> Result<(), String> {
    if !is_exact(path) {
        return Err(format!("{path:?} is no path of a secret"));
    }
    let mounts = bounds.mounts.iter();
    let below = mounts.filter(|(mount, _)| path.starts_with(mount.as_str()));
    let Some((mount, kind)) = below.max_by_key(|(mount, _)| mount.len()) else {
        return Err(format!("{path} is not below a mounted engine"));
    };
    if !REVOCABLE_ENGINES.contains(&kind.as_str()) {
        return Err(format!(
            "{mount} is an engine of type {kind}: its secrets are not known to end when they are revoked, unlike those of {}",
            REVOCABLE_ENGINES.join(", ")
        ));
    }
    if bounds.role == Role::Plan && !bounds.reading.contains(path) {
        return Err(format!(
            "a plan role may read {path} only if `reading` of the target names it: its secret is not known to be read-only"
        ));
    }
    Ok(())
}
