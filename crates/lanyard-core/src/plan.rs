//! A plan: what the agent proposes to do. The bytes are kept elsewhere, under their digest.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::charter::{ActionPattern, Name};
use crate::id::{ApprovalId, PlanId, TaskId};
use crate::time::Timestamp;

/// SHA-256 over the exact bytes of a plan.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanDigest([u8; 32]);

/// A text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a plan digest: expected `sha256:` and 64 hex digits")]
pub struct InvalidDigest;

impl PlanDigest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        let mut digest = [0; 32];
        let hash = ring::digest::digest(&ring::digest::SHA256, content);
        digest.copy_from_slice(hash.as_ref());
        Self(digest)
    }
}

impl fmt::Display for PlanDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PlanDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for PlanDigest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix("sha256:").ok_or(InvalidDigest)?;
        if hex.len() != 64
            || !hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Err(InvalidDigest);
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| InvalidDigest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| InvalidDigest)?;
        }
        Ok(Self(digest))
    }
}

impl Serialize for PlanDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PlanDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

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
    pub digest: PlanDigest,
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
