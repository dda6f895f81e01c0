//! The bounds that several sections of a charter share.

use lanyard_document::{Code, Item};
use lanyard_vocabulary::time::Ttl;

/// The longest life of a credential.
///
/// # Limit
/// - for: a credential
/// - unit: of time
/// - beyond: the charter is refused
/// - test: `what_a_charter_may_say_has_bounds`
pub(crate) const MAX_TTL: Ttl = Ttl::at_least_a_second(12 * 3600);
/// The longest life of a task, and the longest window of a rate.
///
/// # Limit
/// - for: a task
/// - unit: of time
/// - beyond: the charter is refused
/// - test: `what_a_charter_may_say_has_bounds`
pub(crate) const MAX_SPAN: Ttl = Ttl::at_least_a_second(24 * 3600);

/// Checks the number of entries. What is compared with each other has to be bounded (T27).
pub(crate) fn at_most(item: Item<'_>, what: &str, count: usize) -> bool {
    /// Entries of one kind, such as patterns of prohibitions, that a charter has.
    ///
    /// # Limit
    /// - for: a charter
    /// - unit: entries of one kind
    /// - beyond: the charter is refused
    /// - test: `what_a_charter_may_say_has_bounds`
    const MAX_ENTRIES_PER_CHARTER: usize = 200;
    if count > MAX_ENTRIES_PER_CHARTER {
        let message = format!(
            "a charter has {MAX_ENTRIES_PER_CHARTER} {what} at most, and these are {count}"
        );
        item.report(Code::Value, message);
    }
    count <= MAX_ENTRIES_PER_CHARTER
}
