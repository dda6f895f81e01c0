//! What a plan changes: how much, and which objects, as far as it names them.

mod objects;
mod registered;
mod resource;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use objects::{KindReached, Named, PlanObject, PlanReach, Reached, RecordedReach};
pub use registered::PlanObjects;
pub use resource::ResourceChange;

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
