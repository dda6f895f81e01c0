//! The language of charters: a file becomes a [`Charter`], or every fault of it in one run.

mod allow;
mod grants;
mod lints;
mod places;
mod powers;
mod reads;
mod rules;
mod sections;

use super::{Charter, World};
use crate::document::{Diagnostic, Findings, Severity, read};

/// A charter and what is odd about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The charter.
    pub charter: Charter,
    /// Findings that do not keep it out of force.
    pub warnings: Vec<Diagnostic>,
}

/// Parses one file.
///
/// # Errors
/// Every fault, in the order of the file; at least one is an error.
pub fn parse(text: &str, world: &World) -> Result<Parsed, Vec<Diagnostic>> {
    let root = read(text).map_err(|fault| vec![fault])?;
    let findings = Findings::default();
    let charter = sections::charter(&findings, &root, text, world);
    if let Some(charter) = &charter {
        rules::check(&findings, charter, &root, world);
    }
    if let Some(charter) = charter.as_ref().filter(|_| findings.is_sound()) {
        // What is odd about a charter that is wrong mostly comes from what is wrong.
        lints::look(&findings, charter, &root, world);
    }
    let all = allow::apply(text, findings.sorted());
    match charter {
        Some(charter)
            if all
                .iter()
                .all(|finding| finding.severity() == Severity::Warning) =>
        {
            Ok(Parsed {
                charter,
                warnings: all,
            })
        }
        Some(_) | None => Err(all),
    }
}
