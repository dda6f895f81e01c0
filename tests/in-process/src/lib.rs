//! The whole product within one process: a daemon on loopback, the command line as a function, and
//! calls of each RPC. A test gives the daemon its clock and its providers.
//!
//! What only a process has stays with the end-to-end tests: signals, crashes, exit of the program,
//! its log, its environment, terminals, and what other programs do with credentials.

mod call;
mod clock;
mod command;
mod stage;
mod usual;

pub use call::{Caller, Refused, Signed};
pub use clock::Ahead;
pub use command::Command;
pub use stage::{Given, Stage};
pub use usual::{on, usual, with, with_helper};
