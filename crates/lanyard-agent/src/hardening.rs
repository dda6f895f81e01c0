//! What keeps secrets in memory from being read beside: no core files, and no other process of the user looks in.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// For a process that holds secrets for a while, and starts others: nobody looks in, and none of it is in a core file.
///
/// # Errors
/// As of the system.
pub fn hide() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// For a process that holds secrets. What it starts has no core files either.
///
/// # Errors
/// As of the system.
pub fn harden() -> std::io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    hide()
}
