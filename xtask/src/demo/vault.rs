//! The Vault of the story.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Result, bail};
use lanyard_rig::Vault;

/// The grants of the story's charter on the Vault.
pub(super) const GRANTS: &str = "
    - name: read-config
      role: plan
      environments: [production]
      vault: {target: vault, policies: [payments-shop]}
";
const POLICY: &str = "path \"kv/data/payments\" { capabilities = [\"read\"] }\n";
/// The path of the secret that the agent reads.
pub(super) const CONFIG: &str = "kv/data/payments";

/// Returns the target of the daemon's configuration.
pub(super) fn target(vault: &Vault, directory: &Path) -> Result<String> {
    vault.policy("payments-shop", POLICY)?;
    let role = vault.broker("demo")?;
    let secret = directory.join("secret-id");
    std::fs::write(&secret, &role.secret_id)?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
    Ok(format!(
        "vault: {{kind: vault, address: '{}', token_role: {}, parent_role: {}, \
         login: {{kind: approle, role_id: {}, secret_id_file: '{}'}}}}\n",
        vault.url(),
        role.token_role,
        role.parent_role,
        role.role_id,
        secret.display()
    ))
}

/// Reads with a token, and fails unless the answer has the expected status.
pub(super) fn reads(vault: &Vault, token: &str, expected: u16) -> Result<()> {
    let (code, _) = vault.call("GET", CONFIG, Some(token), None)?;
    if code != expected {
        bail!("it answered {code}, not {expected}");
    }
    println!("         {code}");
    Ok(())
}
