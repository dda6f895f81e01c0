//! `lanyard kill ticket`: an order for later, signed offline.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lanyard_client::{ticket, v1};
use serde_json::json;

use super::ScopeArguments;
use crate::outcome::Outcome;

#[derive(Args)]
pub(super) struct Ticket {
    /// The offline key: Ed25519, PKCS #8.
    #[arg(long)]
    key: PathBuf,
    /// The key's name in the broker's `kill_tickets`.
    #[arg(long)]
    kid: String,
    /// The broker's `audience`.
    #[arg(long)]
    audience: String,
    /// How long it is good for; a year at most.
    #[arg(long, default_value_t = 90)]
    days: u32,
    #[command(flatten)]
    scope: ScopeArguments,
}

impl Ticket {
    pub(super) fn sign(self) -> Result<String, Outcome> {
        use v1::scope::Kind;
        let scope = match self.scope.kind() {
            Some(Kind::Environment(name)) => json!({"environment": name}),
            Some(Kind::Target(name)) => json!({"target": name}),
            Some(Kind::Charter(name)) => json!({"charter": name}),
            Some(Kind::Agent(name)) => json!({"agent": name}),
            Some(Kind::TaskId(id)) => json!({"task": id}),
            Some(Kind::LeaseId(id)) => json!({"lease": id}),
            Some(Kind::All(_)) | None => json!("all"),
        };
        let life = Duration::from_secs(u64::from(self.days) * 24 * 3600);
        let signed = ticket::sign(&self.key, &self.kid, &self.audience, &scope, life);
        signed.map_err(|error| Outcome::usage(error.to_string()))
    }
}
