//! The clock skew of targets (T62). Nothing is minted at a target whose clock differs too much.

use std::time::Duration;

use lanyard_vocabulary::time::Skew;

/// The distance that the clock of a target may have from the broker's: beyond this nothing is
/// minted there. Less than the leeway of a minute that the targets give each other.
///
/// # Limit
/// - for: the clock of a target
/// - unit: of time
/// - beyond: nothing is minted at that target until the clocks agree; revocations go on
/// - test: `s27_a_target_whose_clock_is_too_far_off_mints_nothing_and_says_so`
pub const MAX_SKEW: Duration = Duration::from_secs(30);

/// True if a clock differs too much to mint by.
pub(crate) fn is_far(skew: Skew) -> bool {
    skew.size() > MAX_SKEW
}

/// Says why nothing is minted at a target with such a clock.
pub(crate) fn too_far(skew: Skew) -> Option<String> {
    is_far(skew).then(|| {
        format!(
            "its clock is {skew} the broker's, and {} s is the limit: set one of them right",
            MAX_SKEW.as_secs()
        )
    })
}
