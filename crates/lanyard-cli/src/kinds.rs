//! The registry of kinds of target beside those that are built in.

use lanyard_charter::MoreKinds;

/// The kinds of the program `lanyard`.
const REGISTRY: MoreKinds = MoreKinds(&[]);

tokio::task_local! {
    /// The kinds of one command that runs within this process.
    static GIVEN: MoreKinds;
}

/// The kinds that the command knows beside those that are built in.
pub(crate) fn more() -> MoreKinds {
    GIVEN.try_with(|given| *given).unwrap_or(REGISTRY)
}

/// Runs a command that knows these kinds.
pub(crate) async fn with<T>(kinds: MoreKinds, command: impl Future<Output = T>) -> T {
    GIVEN.scope(kinds, command).await
}
