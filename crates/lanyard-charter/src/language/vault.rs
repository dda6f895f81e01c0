//! The section `vault` of a grant.

use lanyard_document::{Code, Diagnostic, Findings, Node};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::text::escaped;

use super::names::target;
use super::words::texts;
use crate::rights::Rights;
use crate::vault::{VaultGives, VaultGrant};
use crate::world::{TargetKind, World};

/// The most requests that a token is good for: more would be no bound.
///
/// # Limit
/// - for: a grant of Vault
/// - unit: requests
/// - beyond: the charter is refused
/// - test: `what_a_charter_may_say_has_bounds`
const MAX_TOKEN_USES: u32 = 100_000;
/// The longest name, in bytes: longer than any that somebody reads.
///
/// # Limit
/// - for: a role or a policy of Vault
/// - unit: bytes
/// - beyond: the charter is refused
/// - test: `what_a_charter_may_say_has_bounds`
const MAX_NAME_BYTES: usize = 128;
/// The longest path of a dynamic secret, in bytes.
///
/// # Limit
/// - for: a path of Vault
/// - unit: bytes
/// - beyond: the charter is refused
/// - test: `what_a_charter_may_say_has_bounds`
const MAX_PATH_BYTES: usize = 512;

pub(super) fn vault(f: &Findings, node: &Node, world: &World) -> Option<(Name, Rights)> {
    let fields = f.map(node)?;
    let target = target(f, &fields, world, TargetKind::Vault);
    let policies = fields.required("policies").map(|node| {
        if f.list(node).is_empty() {
            f.add(Diagnostic::new(
                Code::EmptyGrant,
                node.span,
                "this grant allows nothing".to_owned(),
            ));
        }
        let policies = texts(f, node, policy);
        for item in f.list(node) {
            let name = f.text(item).filter(|name| VaultGrant::never_given(name));
            if let Some(name) = name {
                let message = format!("policy `{name}` is never given to an agent");
                f.add(Diagnostic::new(Code::VaultPolicy, item.span, message));
            }
        }
        policies
    });
    let uses = fields
        .optional("uses")
        .map(|node| (f.number(node, 1, MAX_TOKEN_USES), node.span));
    let secret = fields.optional("secret").map(|node| {
        let path = f.text(node)?;
        let fault = path_of_a_secret(path).err();
        if let Some(why) = fault {
            let message = format!("`{}`: {why}", escaped(path));
            f.add(Diagnostic::new(Code::Value, node.span, message));
        }
        fault.is_none().then(|| path.to_owned())
    });
    fields.finish();
    let policies = policies.filter(|policies| !policies.is_empty())?;
    let gives = match (secret, uses) {
        (Some(_), Some((_, span))) => {
            let message = "`uses` counts the requests of a token, and this gives a secret";
            f.add(Diagnostic::new(Code::Value, span, message.to_owned()));
            return None;
        }
        (Some(path), None) => VaultGives::Secret { path: path? },
        (None, Some((uses, _))) => VaultGives::Token { uses: Some(uses?) },
        (None, None) => VaultGives::Token { uses: None },
    };
    Some((target?, Rights::Vault(VaultGrant { policies, gives })))
}

/// Checks a policy's name. Vault accepts more; the characters accepted here need no quoting
/// anywhere.
fn policy(text: &str) -> Result<(), &'static str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let well = text.bytes().all(plain) && !text.starts_with('.');
    if !text.is_empty() && text.len() <= MAX_NAME_BYTES && well {
        Ok(())
    } else {
        Err(
            "a policy is named in lower-case letters, digits, dashes, underscores and dots, and no dot comes first",
        )
    }
}

/// Checks the path of a dynamic secret, as it is read.
fn path_of_a_secret(text: &str) -> Result<(), &'static str> {
    const ENGINES: &str = "this is no path of a secrets engine";
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let segment = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain)
    };
    let segments: Vec<&str> = text.split('/').collect();
    if text.len() > MAX_PATH_BYTES || segments.len() < 2 || !segments.iter().all(|it| segment(it)) {
        return Err("write the path of one secret, without wildcards: database/creds/reader");
    }
    match segments.first() {
        Some(&("sys" | "auth" | "identity" | "cubbyhole")) | None => Err(ENGINES),
        Some(_) => Ok(()),
    }
}
