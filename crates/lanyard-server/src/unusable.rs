//! Components that cannot be used at a start. None of them disables the kill switch: each is a
//! reason to issue nothing, and requests that need it are refused.

use lanyard_core::condition::Reason;
use lanyard_engine::Engine;

/// The reasons found so far.
#[derive(Debug, Default)]
pub(crate) struct Unusable(Vec<Reason>);

impl Unusable {
    /// Returns the component; `None`, with a reason, if it cannot be used.
    pub(crate) fn note<T, E: Into<anyhow::Error>>(
        &mut self,
        what: &str,
        opened: Result<T, E>,
    ) -> Option<T> {
        opened
            .map_err(|error| {
                let why = crate::causes::chain(&error.into());
                tracing::error!(what, why, "a part cannot be used: nothing is issued");
                let what = what.to_owned();
                self.0.push(Reason::PartUnusable { what, why });
            })
            .ok()
    }

    /// Returns the reasons that were gathered.
    pub(crate) fn into_reasons(self) -> Vec<Reason> {
        self.0
    }

    /// Stops issuing for all reasons.
    pub(crate) fn raise(self, engine: &Engine) {
        for reason in self.0 {
            engine.conditions().raise(reason);
        }
    }
}
