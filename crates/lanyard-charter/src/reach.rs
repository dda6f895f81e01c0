//! The objects that a plan changes, as far as it names them.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of objects that a plan changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// The number of objects created.
    pub created: u32,
    /// Objects changed in place.
    pub updated: u32,
    /// Objects destroyed and created again.
    pub replaced: u32,
    /// The number of objects destroyed.
    pub destroyed: u32,
    /// Objects that are no longer managed and stay as they are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forgotten: u32,
    /// Objects that are managed from now on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub imported: u32,
    /// Objects managed under another address.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moved: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl fmt::Display for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} created, {} updated, {} replaced, {} destroyed",
            self.created, self.updated, self.replaced, self.destroyed
        )?;
        let state = [
            (self.forgotten, "forgotten"),
            (self.imported, "imported"),
            (self.moved, "moved"),
        ];
        for (count, word) in state.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {word}")?;
        }
        Ok(())
    }
}

/// The sensitive values that a plan changes. Their contents are masked, so approvers are told where
/// they are and acknowledge each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sensitive {
    /// The number of values.
    pub count: u32,
    /// The places of the first values. The plan's text names all of them.
    pub names: Vec<String>,
}

impl Sensitive {
    /// The highest number of kept names, and the longest kept name, in characters.
    const KEPT_NAMES: usize = 50;
    const KEPT_NAME_CHARS: usize = 200;

    /// Counts a value, and keeps the beginning of its name if it is among the first.
    pub fn note(&mut self, name: impl FnOnce() -> String) {
        self.count = self.count.saturating_add(1);
        if self.names.len() < Self::KEPT_NAMES {
            let begin = name().chars().take(Self::KEPT_NAME_CHARS).collect();
            self.names.push(begin);
        }
    }
}

/// The effects of narrowing a credential to a plan, in words for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Narrowing {
    /// The rights that the session has.
    pub gives: Vec<String>,
    /// The rights that the grant has and the session does not.
    pub withholds: Vec<String>,
    /// The changes of the plan that the grant does not permit.
    pub lacks: Vec<String>,
}

/// The longest description of what the session for a plan can do. Approvers read all of it.
///
/// # Limit
/// - for: a plan
/// - unit: bytes
/// - beyond: the plan is refused when it is submitted
/// - test: `c14_what_a_session_can_do_is_shown_whole_or_the_plan_is_refused`
const MAX_SESSION_BYTES: usize = 32 * 1024;

impl Narrowing {
    /// Says why no approver can be asked to read what the session can do.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        let bytes: usize = self.gives.iter().map(String::len).sum();
        (bytes > MAX_SESSION_BYTES).then(|| {
            let most = MAX_SESSION_BYTES / 1024;
            format!(
                "its approvers would have to read more than {most} KiB of what the session for it can do, and nothing is left \
                 out of what they read; split it"
            )
        })
    }

    /// The highest number of kept lines of what the session cannot do, and the longest kept line,
    /// in characters.
    const KEPT_LINES: usize = 40;
    const KEPT_LINE_CHARS: usize = 1000;

    /// Cuts the lines of what the session cannot do to what a record may hold. The last line says
    /// how many are missing.
    #[must_use]
    pub fn kept(self) -> Self {
        let kept = |mut lines: Vec<String>| {
            let more = lines.len().saturating_sub(Self::KEPT_LINES);
            lines.truncate(Self::KEPT_LINES);
            for line in &mut lines {
                if let Some((end, _)) = line.char_indices().nth(Self::KEPT_LINE_CHARS) {
                    line.truncate(end);
                    line.push('…');
                }
            }
            if more > 0 {
                lines.push(format!("and {more} more"));
            }
            lines
        };
        Self {
            gives: self.gives,
            withholds: kept(self.withholds),
            lacks: kept(self.lacks),
        }
    }
}

/// The objects that a plan changes, by the kind of credential that can be narrowed to them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReach {
    /// The objects in AWS.
    pub aws: Named<Arn>,
    /// The objects in Kubernetes.
    pub kubernetes: Named<KubernetesObject>,
}

/// Objects with a name, and the places of those without one yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<T: Ord> {
    /// The objects with a name.
    pub named: BTreeSet<T>,
    /// The places in the plan of the objects without one.
    pub unnamed: BTreeSet<String>,
}

impl<T: Ord> Default for Named<T> {
    fn default() -> Self {
        Self {
            named: BTreeSet::new(),
            unnamed: BTreeSet::new(),
        }
    }
}

impl<T: Ord> Named<T> {
    /// True if a credential can be narrowed to it: there is an object, and every object has a name.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.named.is_empty() && self.unnamed.is_empty()
    }
}

/// An Amazon Resource Name. A plan may leave region and account to the provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Arn {
    /// The partition, such as `aws-cn`; `None` matches every partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// The service, such as `sqs`.
    pub service: String,
    /// The region; empty if the service has none, `None` matches every region.
    pub region: Option<String>,
    /// The account; empty if the service has none, `None` matches every account.
    pub account: Option<String>,
    /// The part after the fifth colon. The only wildcard in it is `?`, for characters that AWS
    /// chooses.
    pub resource: String,
}

impl Arn {
    /// Parses a complete ARN; `None` if the text is none, or has parts that a policy would take for
    /// more than a name (T30).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut part = || parts.next();
        let (arn, partition, service) = (part()?, part()?, part()?);
        let (region, account, resource) = (part()?, part()?, part()?);
        let plain = |text: &str| {
            let odd = |c: char| c.is_control() || c.is_whitespace() || "*?${}".contains(c);
            !text.contains(odd)
        };
        let whole = [partition, service, resource]
            .iter()
            .all(|part| !part.is_empty());
        (arn == "arn" && whole && plain(text)).then(|| Self {
            partition: Some(partition.to_owned()),
            service: service.to_owned(),
            region: Some(region.to_owned()),
            account: Some(account.to_owned()),
            resource: resource.to_owned(),
        })
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
        let (partition, region) = (known(&self.partition), known(&self.region));
        write!(
            f,
            "arn:{partition}:{}:{region}:{}:{}",
            self.service,
            known(&self.account),
            self.resource
        )
    }
}

/// An object of a Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KubernetesObject {
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource, such as `deployments`.
    pub resource: String,
    /// The namespace; empty if the plan names none.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
    /// True if the plan creates the object. RBAC cannot narrow the verb `create` to a name.
    pub created: bool,
}

impl KubernetesObject {
    /// True if the object's kind has no namespaces, among the kinds that plans name.
    #[must_use]
    pub fn is_of_the_cluster(&self) -> bool {
        self.group.is_empty()
            && matches!(self.resource.as_str(), "namespaces" | "persistentvolumes")
    }

    /// True if the object is in this namespace of a grant. An object without a namespace is applied
    /// to the credential's namespace, as `kubectl` does.
    #[must_use]
    pub fn is_in(&self, namespace: &str) -> bool {
        !self.is_of_the_cluster() && (self.namespace.is_empty() || self.namespace == namespace)
    }
}

impl fmt::Display for KubernetesObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{}{dot}{}/{}", self.resource, self.group, self.name)?;
        match self.namespace.as_str() {
            _ if self.is_of_the_cluster() => Ok(()),
            "" => f.write_str(" in the grant's namespace"),
            namespace => write!(f, " in {namespace}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c14_what_a_session_can_do_is_shown_whole_or_the_plan_is_refused() {
        let of = |lines: usize, bytes: usize| Narrowing {
            gives: vec!["x".repeat(bytes); lines],
            withholds: vec!["y".repeat(bytes); lines],
            lacks: Vec::new(),
        };
        let most = of(64, 512);
        assert_eq!(most.refused(), None);
        let kept = most.clone().kept();
        assert_eq!(kept.gives, most.gives);
        assert_eq!(
            kept.withholds.last().map(String::as_str),
            Some("and 24 more")
        );
        let one_line = of(1, 32 * 1024);
        assert_eq!(one_line.clone().kept().gives, one_line.gives);
        let refused = of(1, 32 * 1024 + 1).refused().unwrap_or_default();
        assert!(refused.contains("more than 32 KiB"), "{refused}");
    }
}
