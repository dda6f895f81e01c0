//! Conformance suite: cases that every provider must pass, on its fake and on its real server.
//!
//! | module | what it has |
//! |---|---|
//! s/a provider and the server behind it, as the suite meets them/a provider and its server, as the
//! suite sees them/
//! s/the cases by name, and what became of one/the cases by name, and the outcome of one/
//! s/what became of all of them: a column for each server/the outcomes of all cases: a column for
//! each server/
//! s/what answers in the place of a server/a proxy that fails, or answers in the server's place/
//! | [`refuser`] | a server that refuses everything and repeats a secret |
//!
//! A real server cannot be made to lie, so some cases only run on the provider's fake. Every case
//! runs on at least one server, which [`whole`] ensures for a fake.

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

/// Runs every case and records the outcomes in the folder `LANYARD_CONFORMANCE`.
///
/// # Panics
/// When a case fails, with the sentence that does not hold, or when the outcomes cannot be
/// recorded.
pub async fn all(subject: &dyn Subject, seed: u64) {
    column(subject, seed).await.record();
}

/// Like [`all`], but no case may be skipped. For a fake, which can simulate every fault.
///
/// # Panics
/// See [`all`]; also when a case was skipped.
pub async fn whole(subject: &dyn Subject, seed: u64) {
    let column = column(subject, seed).await;
    column.record();
    let left_out = column.left_out();
    assert!(
        left_out.is_empty(),
        "a fake must be able to play every case, and skipped {left_out:?}"
    );
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
