//! The engine on fakes, from its own interface.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where its footing gives way"
)]

mod bounds;
mod breakers;
mod clock_stories;
mod clocks;
mod common;
mod conditions;
mod delegation;
mod emergency;
mod ends;
mod faults;
mod held_up;
mod many_tasks;
mod names;
mod orders;
mod people;
mod plans;
mod races;
mod reach;
mod rearms;
mod refusals;
mod repeated;
mod shown;
mod skews;
mod sponsors;
mod strays;
mod volatile;
