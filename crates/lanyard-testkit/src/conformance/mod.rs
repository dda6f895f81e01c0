//! What every provider does, on its fake and on its real server, case by case.
//!
//! | module | what it has |
//! |---|---|
//! | [`subject`] | a provider and the server behind it, as the suite meets them |
//! | [`case`](mod@case) | the cases by name, and what became of one |
//! | [`table`] | what became of all of them: a column for each server |
//! | [`between`] | what answers in the place of a server |
//! | [`refuser`] | a server that refuses everything and repeats a secret |
//!
//! A real server cannot be told to lie, so some cases are played on the fake of a provider alone; each is played on one
//! of its servers at the least, which [`whole`] holds a fake to.

pub mod between;
pub mod case;
pub mod refuser;
mod scenes;
mod stage;
pub mod subject;
pub mod table;

pub use case::{Case, Played};
pub use subject::{Fault, Given, Subject, Verdict};

use stage::Stage;
use table::Column;

/// Plays every case, and takes down what became of it where `LANYARD_CONFORMANCE` says.
///
/// # Panics
/// With the sentence that does not hold; and where the column cannot be written.
pub async fn all(subject: &dyn Subject, seed: u64) {
    column(subject, seed).await.record();
}

/// As [`all`], and nothing is left out: for the fake, which can be told to do anything that a server might.
///
/// # Panics
/// As [`all`]; and with the cases that were not played.
pub async fn whole(subject: &dyn Subject, seed: u64) {
    let column = column(subject, seed).await;
    column.record();
    let left_out = column.left_out();
    assert!(left_out.is_empty(), "a fake plays every case: {left_out:?}");
}

async fn column(subject: &dyn Subject, seed: u64) -> Column {
    let mut column = Column::of(subject);
    for case in Case::ALL {
        let stage = Stage::new(subject, case, seed);
        let played = match scenes::play(&stage).await {
            Ok(()) => stage.rested().map_or(Played::Passed, Played::RestsOn),
            Err(played) => stage.not_played(played),
        };
        stage.clear().await;
        column.cells.push((case, played));
    }
    column
}
