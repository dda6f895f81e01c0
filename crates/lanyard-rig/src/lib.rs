//! A daemon of its own directory and port, and the command line to talk to it with.

mod cli;
mod daemon;

pub use cli::{Answer, Cli};
pub use daemon::{Daemon, binaries, free_port};
