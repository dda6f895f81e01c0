//! A plan: what the agent proposes to do. The bytes are kept elsewhere, under their digest.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::charter::{ActionPattern, Name};
use crate::digest::Digest;
use crate::id::{ApprovalId, PlanId, TaskId};
use crate::time::Timestamp;

/// In what form the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanFormat {
    /// As `terraform show -json` prints it.
    TerraformJson,
    /// A unified diff of manifests.
    ManifestDiff,
    /// What has no format.
    Text,
}

/// The largest plan, in bytes.
pub const PLAN_LIMIT: usize = 4 * 1024 * 1024;

/// One submitted plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// The task that proposes it.
    pub task: TaskId,
    /// The apply grant that it is for.
    pub grant: Name,
    /// In what form the bytes are.
    pub format: PlanFormat,
    /// Over the exact bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// The agent's own words.
    pub summary: String,
    /// The destructive actions of the grant that the plan asks for by name.
    pub destructive: BTreeSet<ActionPattern>,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// The approval it waits for, where the charter asks for one.
    pub approval: Option<ApprovalId>,
}
