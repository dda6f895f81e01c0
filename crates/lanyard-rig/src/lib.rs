//! What the demo and the tests run against: a daemon with its command line, and servers of others.

mod cli;
mod daemon;
mod moto;
mod python;

pub use cli::{Answer, Cli};
pub use daemon::{Daemon, binaries, free_port};
pub use moto::Moto;
pub use python::python;
