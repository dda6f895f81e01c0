//! Protection of secrets in memory: no core dumps, and no access by other processes of the user.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Denies other processes access to the memory, and excludes it from core dumps. For a process that
/// holds secrets and starts others.
///
/// # Errors
/// The system's error.
pub fn hide() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Disables core dumps as well, for this process and those it starts.
///
/// # Errors
/// The system's error.
pub fn harden() -> std::io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    hide()
}
