//! The outcomes of all cases, one column per server.
//!
//! Test programs run separately. Each writes its column to the folder `LANYARD_CONFORMANCE`, and
//! `cargo xtask test` joins them; without the variable, a column is printed.

use std::fmt;
use std::path::Path;

use serde_json::json;

use super::{Case, Played, Subject};

/// The outcomes of all cases on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name of the provider.
    pub provider: &'static str,
    /// Name of the server.
    pub server: &'static str,
    /// Outcomes in the order of the cases.
    pub cells: Vec<(Case, Played)>,
}

impl Column {
    /// Makes an empty column for a subject.
    pub(super) fn of(subject: &dyn Subject) -> Self {
        Self {
            provider: subject.provider().capabilities().provider,
            server: subject.server(),
            cells: Vec::new(),
        }
    }

    /// Lists the cases that another server of the provider must play.
    #[must_use]
    pub fn left_out(&self) -> Vec<Case> {
        let cells = self.cells.iter();
        let left = cells.filter(|(_, played)| matches!(played, Played::NotHere(_)));
        left.map(|(case, _)| *case).collect()
    }

    /// Writes the column to the folder of the test command, or prints it.
    pub(super) fn record(&self) {
        match std::env::var_os("LANYARD_CONFORMANCE") {
            Some(folder) => self
                .write(Path::new(&folder))
                .expect("LANYARD_CONFORMANCE names a folder"),
            None => println!("{self}"),
        }
    }

    fn write(&self, folder: &Path) -> std::io::Result<()> {
        let cells: Vec<_> = self
            .cells
            .iter()
            .map(|(case, played)| {
                let (word, reason) = word(*played);
                json!({"case": case.name(), "played": word, "reason": reason})
            })
            .collect();
        let column = json!({"provider": self.provider, "server": self.server, "cells": cells});
        let name = format!("{} {}.json", self.provider, self.server);
        std::fs::write(folder.join(name), column.to_string())
    }
}

const fn word(played: Played) -> (&'static str, &'static str) {
    match played {
        Played::Passed => ("passed", ""),
        Played::RestsOn(what) => ("rests on", what),
        Played::NotHere(why) => ("not here", why),
        Played::Never(why) => ("never", why),
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.provider, self.server)?;
        for (case, played) in &self.cells {
            let (word, reason) = word(*played);
            let between = if reason.is_empty() { "" } else { ": " };
            writeln!(f, "  {:<20}{word}{between}{reason}", case.name())?;
        }
        Ok(())
    }
}
