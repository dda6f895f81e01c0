//! Parts of the broker that cannot be used at a start. None of them keeps a kill from anybody: each is a reason to issue
//! nothing, and whatever belongs to it is refused.

use lanyard_core::condition::Reason;
use lanyard_engine::Engine;

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Unusable(Vec<Reason>);

impl Unusable {
    /// The part, or none where it cannot be used.
    pub(crate) fn note<T, E: Into<anyhow::Error>>(
        &mut self,
        what: &str,
        opened: Result<T, E>,
    ) -> Option<T> {
        opened
            .map_err(|error| {
                let why = crate::fault::chain(&error.into());
                tracing::error!(what, why, "a part cannot be used: nothing is issued");
                let what = what.to_owned();
                self.0.push(Reason::PartUnusable { what, why });
            })
            .ok()
    }

    /// What cannot be used, and why.
    pub(crate) fn into_reasons(self) -> Vec<Reason> {
        self.0
    }

    /// Stops issuing for all of them.
    pub(crate) fn raise(self, engine: &Engine) {
        for reason in self.0 {
            engine.conditions().raise(reason);
        }
    }
}
