//! AWS workloads: the request that is sent to STS and the caller that its answer names, under every
//! published attack on this scheme.
//!
//! "Project Zero" is "Enter the Vault: Authentication Issues in HashiCorp Vault" (October 2020,
//! CVE-2020-16250); CVE-2022-2385 is of aws-iam-authenticator, CVE-2025-11621 of HashiCorp Vault.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod answers;
mod requests;

use lanyard_identity::aws::AwsCallers;
use lanyard_vocabulary::time::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const SERVER: &str = "lanyard.acme.example";
const ACCOUNT: &str = "123456789012";

fn callers() -> AwsCallers {
    AwsCallers::new(
        SERVER.parse().unwrap(),
        ["eu-west-1", "us-east-1", "cn-north-1"]
            .map(|region| region.parse().unwrap())
            .into(),
        [ACCOUNT.parse().unwrap()].into(),
        [format!("arn:aws:iam::{ACCOUNT}:role/lanyard/Orders-plan")
            .parse()
            .unwrap()]
        .into(),
    )
}
