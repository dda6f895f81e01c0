//! Checks the server's configuration for a grant, and names what to change. Creates nothing.

use lanyard_charter::VaultGrant;
use lanyard_core::provider::{MintRequest, ProviderError};

use crate::api::{TokenRole, VaultApi};
use crate::provider::{VaultProvider, grant};

/// The capabilities that the broker's policy must give, by path.
const NEEDED_CAPABILITIES: [(&str, &[&str]); 6] = [
    ("auth/token/accessors", &["list", "sudo"]),
    ("auth/token/lookup-accessor", &["update"]),
    ("auth/token/revoke-accessor", &["update"]),
    ("sys/leases/lookup", &["update"]),
    ("sys/leases/revoke", &["update"]),
    ("sys/mounts", &["read"]),
];

impl<A: VaultApi> VaultProvider<A> {
    pub(crate) async fn check_setup(
        &self,
        request: &MintRequest,
    ) -> Result<Vec<String>, ProviderError> {
        let Some(grant) = grant(request) else {
            return Ok(Vec::new());
        };
        let mut lines = self.rights().await?;
        let parent_role = or_line(
            &mut lines,
            self.api.token_role(&self.target.parent_role).await,
        )?;
        if let Some(role) = parent_role {
            lines.extend(parent_role_faults(&self.target.parent_role, role.as_ref()));
        }
        let lease_role = or_line(
            &mut lines,
            self.api.token_role(&self.target.token_role).await,
        )?;
        if let Some(role) = lease_role {
            lines.extend(lease_role_faults(
                &self.target.token_role,
                role.as_ref(),
                grant,
            ));
        }
        if let Some(mounts) = or_line(&mut lines, self.api.mounts().await)? {
            let judged = self.judge(request, grant, &mounts).await;
            or_line(&mut lines, judged)?;
        }
        Ok(lines)
    }

    /// Returns the capabilities that the broker's policy lacks, one sentence each.
    async fn rights(&self) -> Result<Vec<String>, ProviderError> {
        let create = format!("auth/token/create/{}", self.target.parent_role);
        let mut needed = NEEDED_CAPABILITIES.to_vec();
        needed.push((&create, &["update"]));
        let paths: Vec<&str> = needed.iter().map(|(path, _)| *path).collect();
        let mut lines = Vec::new();
        let Some(held) = or_line(&mut lines, self.api.rights(&paths).await)? else {
            return Ok(lines);
        };
        for (path, rights) in needed {
            let held = held.get(path).map(Vec::as_slice).unwrap_or_default();
            let root = held.iter().any(|right| right == "root");
            if root {
                return Ok(vec![
                    "the broker's token has the policy `root`: give it docs/vault/broker.hcl instead"
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
                    "the broker's policy lacks {lacking} on {path}: compare it with docs/vault/broker.hcl"
                ));
            }
        }
        Ok(lines)
    }
}

/// Turns a refusal into a line of the report. Any other error is returned, because it says nothing
/// about the configuration.
fn or_line<T>(
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

fn parent_role_faults(name: &str, role: Option<&TokenRole>) -> Vec<String> {
    let Some(role) = role else {
        return vec![format!(
            "the server has no token role {name}: create it from docs/vault/parent-role.json"
        )];
    };
    let mut lines = common_faults(name, role);
    if !role.orphan {
        lines.push(format!(
            "{name}: parents would end with the broker's token: set orphan=true"
        ));
    }
    if role.allowed_policies.is_empty() {
        lines.push(format!(
            "{name}: parents would get every policy of the broker: set allowed_policies=lanyard-parent"
        ));
    }
    lines
}

fn lease_role_faults(name: &str, role: Option<&TokenRole>, grant: &VaultGrant) -> Vec<String> {
    let Some(role) = role else {
        return vec![format!(
            "the server has no token role {name}: create it from docs/vault/lease-role.json"
        )];
    };
    let mut lines = common_faults(name, role);
    if role.orphan {
        lines.push(format!(
            "{name}: tokens would outlive their parent: set orphan=false"
        ));
    }
    for policy in &grant.policies {
        let globbed = role
            .allowed_policies_glob
            .iter()
            .any(|glob| glob_matches(glob, policy));
        if !globbed && !role.allowed_policies.contains(policy) {
            lines.push(format!(
                "{name}: the role does not allow {policy}: add it to allowed_policies"
            ));
        }
    }
    lines
}

fn common_faults(name: &str, role: &TokenRole) -> Vec<String> {
    let mut lines = Vec::new();
    if !matches!(
        role.token_type.as_str(),
        "service" | "default-service" | "default" | ""
    ) {
        lines.push(format!(
            "{name}: its tokens cannot be revoked: set token_type=service"
        ));
    }
    if role.period != 0 {
        lines.push(format!(
            "{name}: its tokens could be renewed for ever: set token_period=0"
        ));
    }
    if !role.no_default_policy {
        lines.push(format!(
            "{name}: its tokens could have the policy `default`: set token_no_default_policy=true"
        ));
    }
    lines
}

/// Matches a policy name as the server does, with any number of `*`.
fn glob_matches(glob: &str, text: &str) -> bool {
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
