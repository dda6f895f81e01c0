//! Which policies are handed on, and which are refused before anything is made (T37).

use std::collections::BTreeSet;

use lanyard_core::charter::Role;

use crate::policy::{Capability, Mounts, Stanza, reaches};

/// Names that no token of a lease carries.
const NAMES: [&str; 4] = ["root", "default", "response-wrapping", ""];
/// Where Vault keeps who may do what. Nothing of it is reached by a wildcard, and nothing of it is changed.
const POWER: [&str; 3] = ["sys/", "auth/", "identity/"];
/// What a token does with itself, and what changes nothing.
const HARMLESS: [&str; 8] = [
    "auth/token/lookup-self",
    "auth/token/renew-self",
    "auth/token/revoke-self",
    "sys/capabilities-self",
    "sys/leases/lookup",
    "sys/wrapping/lookup",
    "sys/wrapping/unwrap",
    "sys/tools/hash",
];
/// What tells how the server is, and nothing more; with a slash at the end, everything below. What else can be read
/// there can give a credential (`identity/oidc/token`) or everything (`sys/storage/raft/snapshot`).
const TELLING: [&str; 15] = [
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
/// The engines that make no credentials.
const LASTING: [&str; 4] = ["kv", "generic", "cubbyhole", "transit"];
/// Reads of transit that give a key.
const KEYS: [&str; 3] = ["export/", "byok-export/", "backup/"];
/// The engines whose revocation ends what they gave.
/// <https://developer.hashicorp.com/vault/docs/secrets>
const REVOCABLE: [&str; 5] = ["consul", "database", "ldap", "nomad", "rabbitmq"];

/// What a policy is judged against.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// plan or apply.
    pub role: Role,
    /// What is mounted.
    pub mounts: &'a Mounts,
    /// The exact paths that the operator vouches for: of a plan, that what they give only reads; of both, that it ends
    /// with the token.
    pub reading: &'a BTreeSet<String>,
}

/// Why no token with a policy of this name is made.
///
/// # Errors
/// In words for the operator.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let named = NAMES.contains(&name.to_ascii_lowercase().as_str());
    if named || !name.chars().all(plain) || name.len() > 128 || name.starts_with('.') {
        return Err(format!("the policy {name:?} is never given to a lease"));
    }
    Ok(())
}

/// Why a policy with these stanzas is not given to a lease.
///
/// # Errors
/// In words for the operator.
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
        return Err(format!("it holds sudo on {path}"));
    }
    if path.is_empty() {
        return Err("it holds a path that is empty".to_owned());
    }
    if let Some(power) = POWER.iter().find(|power| sweeps(path, power)) {
        return Err(format!("{path} reaches over {power}"));
    }
    if HARMLESS.contains(&path) {
        return Ok(());
    }
    let changes = held.iter().find(|it| !it.only_reads());
    let vouched = is_exact(path) && bounds.reading.contains(path);
    if let Some(power) = POWER.iter().find(|power| path.starts_with(*power)) {
        return match changes {
            Some(changes) => Err(format!(
                "it holds {changes} on {path}: what is below {power} hands on power"
            )),
            None if vouched || tells(path) => Ok(()),
            None => Err(format!(
                "{path} is not known to only tell how the server is: where it is right, the target's `reading` names \
                 the exact path"
            )),
        };
    }
    let reached = reached(path, bounds.mounts);
    let Some((mount, _)) = reached.first() else {
        return Err(format!("{path} is below no engine that is mounted here"));
    };
    if !reached.iter().any(|(mount, _)| path.starts_with(mount)) {
        return Err(format!(
            "{path} has a wildcard before the end of {mount}: it would reach what is mounted later, and namespaces below"
        ));
    }
    if bounds.role == Role::Plan
        && let Some(changes) = changes
    {
        return Err(format!(
            "it holds {changes} on {path}, and a plan only reads"
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

/// Whether a path stands for itself alone.
fn is_exact(path: &str) -> bool {
    !path.contains('*')
        && !path
            .split('/')
            .any(|segment| matches!(segment, "" | "+" | ".."))
}

fn tells(path: &str) -> bool {
    let below = |told: &str| told.ends_with('/') && path.starts_with(told);
    TELLING.iter().any(|told| path == *told || below(told))
}

/// Whether a wildcard among the first two segments of a path makes it match more than one place there.
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

/// Whether what an engine gives to a token ends when that token is revoked.
fn ends(path: &str, mount: &str, kind: &str) -> Result<(), String> {
    if LASTING.contains(&kind) || REVOCABLE.contains(&kind) {
        return Ok(());
    }
    Err(format!(
        "{path} reaches {mount}, an engine of type {kind}: what that gives is not known to end with the token. Where it \
         does, the target's `reading` names the exact path"
    ))
}

fn readable(path: &str, mount: &str, kind: &str) -> Result<(), String> {
    let keys = |rest| reaches(path, &format!("{mount}{rest}"));
    if !LASTING.contains(&kind) || (kind == "transit" && KEYS.iter().any(keys)) {
        return Err(format!(
            "{path} reaches {mount}, an engine of type {kind}, whose reads can give credentials: a plan may read it \
             where the target's `reading` names the exact path"
        ));
    }
    Ok(())
}

/// Whether a read of this path gives a secret that revoking its lease ends, and that this role may have.
///
/// # Errors
/// In words for the operator.
pub fn check_secret(path: &str, bounds: &Bounds<'_>) -> Result<(), String> {
    if !is_exact(path) {
        return Err(format!("{path:?} is no path of a secret"));
    }
    let mounts = bounds.mounts.iter();
    let below = mounts.filter(|(mount, _)| path.starts_with(mount.as_str()));
    let Some((mount, kind)) = below.max_by_key(|(mount, _)| mount.len()) else {
        return Err(format!("{path} is below no engine that is mounted here"));
    };
    if !REVOCABLE.contains(&kind.as_str()) {
        return Err(format!(
            "{mount} is an engine of type {kind}: revoking what it gives is not known to end it, as it is for {}",
            REVOCABLE.join(", ")
        ));
    }
    if bounds.role == Role::Plan && !bounds.reading.contains(path) {
        return Err(format!(
            "a plan may have {path} where the target's `reading` names it: what it gives is not known to only read"
        ));
    }
    Ok(())
}
