//! What at the server stands in the way of a lease, and how that is mended. Nothing is made.

use lanyard_core::charter::VaultGrant;
use lanyard_core::provider::{MintRequest, ProviderError};

use crate::api::{TokenRole, VaultApi};
use crate::provider::{VaultProvider, grant};

/// What the broker has to be allowed, by its policy.
const RIGHTS: [(&str, &[&str]); 6] = [
    ("auth/token/accessors", &["list", "sudo"]),
    ("auth/token/lookup-accessor", &["update"]),
    ("auth/token/revoke-accessor", &["update"]),
    ("sys/leases/lookup", &["update"]),
    ("sys/leases/revoke", &["update"]),
    ("sys/mounts", &["read"]),
];

impl<A: VaultApi> VaultProvider<A> {
    pub(crate) async fn look_over(
        &self,
        request: &MintRequest,
    ) -> Result<Vec<String>, ProviderError> {
        let Some(grant) = grant(request) else {
            return Ok(Vec::new());
        };
        let mut lines = self.rights().await?;
        let parent_role = said(
            &mut lines,
            self.api.token_role(&self.target.parent_role).await,
        )?;
        if let Some(role) = parent_role {
            lines.extend(parents(&self.target.parent_role, role.as_ref()));
        }
        let lease_role = said(
            &mut lines,
            self.api.token_role(&self.target.token_role).await,
        )?;
        if let Some(role) = lease_role {
            lines.extend(children(&self.target.token_role, role.as_ref(), grant));
        }
        if let Some(mounts) = said(&mut lines, self.api.mounts().await)? {
            let judged = self.judge(request, grant, &mounts).await;
            said(&mut lines, judged)?;
        }
        Ok(lines)
    }

    /// What the broker's policy lacks.
    async fn rights(&self) -> Result<Vec<String>, ProviderError> {
        let create = format!("auth/token/create/{}", self.target.parent_role);
        let mut needed = RIGHTS.to_vec();
        needed.push((&create, &["update"]));
        let paths: Vec<&str> = needed.iter().map(|(path, _)| *path).collect();
        let mut lines = Vec::new();
        let Some(held) = said(&mut lines, self.api.rights(&paths).await)? else {
            return Ok(lines);
        };
        for (path, rights) in needed {
            let held = held.get(path).map(Vec::as_slice).unwrap_or_default();
            let root = held.iter().any(|right| right == "root");
            if root {
                return Ok(vec![
                    "the broker's token has the policy root: give it docs/vault/broker.hcl"
                        .to_owned(),
                ]);
            }
            let lacking = rights
                .iter()
                .filter(|right| !held.iter().any(|it| it == *right));
            let lacking: Vec<&str> = lacking.copied().collect();
            if !lacking.is_empty() {
                let lacking = lacking.join(", ");
                lines.push(format!(
                    "the broker's policy lacks {lacking} on {path}: docs/vault/broker.hcl"
                ));
            }
        }
        Ok(lines)
    }
}

/// A refusal is something to say; that the server cannot be asked is not.
fn said<T>(
    lines: &mut Vec<String>,
    answer: Result<T, ProviderError>,
) -> Result<Option<T>, ProviderError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(refusal @ ProviderError::Refused { .. }) => {
            lines.push(refusal.to_string());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn parents(name: &str, role: Option<&TokenRole>) -> Vec<String> {
    let Some(role) = role else {
        return vec![format!(
            "there is no token role {name}: docs/vault/parent-role.json"
        )];
    };
    let mut lines = both(name, role);
    if !role.orphan {
        lines.push(format!(
            "{name}: parents end with the broker's token: orphan=true"
        ));
    }
    if role.allowed_policies.is_empty() {
        lines.push(format!(
            "{name}: parents get all that the broker has: allowed_policies=lanyard-parent"
        ));
    }
    lines
}

fn children(name: &str, role: Option<&TokenRole>, grant: &VaultGrant) -> Vec<String> {
    let Some(role) = role else {
        return vec![format!(
            "there is no token role {name}: docs/vault/lease-role.json"
        )];
    };
    let mut lines = both(name, role);
    if role.orphan {
        lines.push(format!(
            "{name}: tokens would outlive their parent: orphan=false"
        ));
    }
    for policy in &grant.policies {
        let globbed = role
            .allowed_policies_glob
            .iter()
            .any(|glob| globs(glob, policy));
        if !globbed && !role.allowed_policies.contains(policy) {
            lines.push(format!(
                "{name}: it does not allow {policy}: allowed_policies"
            ));
        }
    }
    lines
}

fn both(name: &str, role: &TokenRole) -> Vec<String> {
    let mut lines = Vec::new();
    if !matches!(
        role.token_type.as_str(),
        "service" | "default-service" | "default" | ""
    ) {
        lines.push(format!(
            "{name}: its tokens cannot be revoked: token_type=service"
        ));
    }
    if role.period != 0 {
        lines.push(format!(
            "{name}: its tokens would live as long as its period: token_period=0"
        ));
    }
    if !role.no_default_policy {
        lines.push(format!(
            "{name}: its tokens could have the policy default: token_no_default_policy=true"
        ));
    }
    lines
}

/// As the server reads it: any number of `*`.
fn globs(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}
