//! The part of a plan that charters refer to: its size, its format and its risk.

use std::fmt;

use lanyard_document::shape::Word;
use serde::{Deserialize, Serialize};

/// The largest plan, in bytes.
///
/// # Limit
/// - for: a plan
/// - unit: bytes
/// - beyond: the plan is refused while it is submitted
/// - test: `t44_a_plan_over_the_limit_and_a_large_message_are_refused`
pub const MAX_BYTES_PER_PLAN: usize = 4 * 1024 * 1024;

/// The format of a plan's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanFormat {
    /// The output of `terraform show -json`.
    TerraformJson,
    /// Kubernetes manifests, as they would be applied.
    Manifests,
    /// A unified diff of manifests.
    ManifestDiff,
    /// Text without a known format.
    Text,
}

/// The formats by the names that people write.
pub const PLAN_FORMATS: &[Word<PlanFormat>] = &[
    Word::new("terraform-json", PlanFormat::TerraformJson),
    Word::new("manifests", PlanFormat::Manifests),
    Word::new("manifest-diff", PlanFormat::ManifestDiff),
    Word::new("text", PlanFormat::Text),
];

impl fmt::Display for PlanFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TerraformJson => "terraform-json",
            Self::Manifests => "manifests",
            Self::ManifestDiff => "manifest-diff",
            Self::Text => "text",
        })
    }
}

/// The damage that a plan could do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Another apply can undo the plan.
    Low,
    /// A change of things that run.
    Medium,
    /// Data, identities or the network perimeter change, or nothing can read the plan.
    High,
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}
