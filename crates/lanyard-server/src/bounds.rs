//! How long the journal is kept, as the configuration says it under `journal`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_disk::Files;
use lanyard_document::shape::{Form, Map, optional, required};
use lanyard_document::{Code, Item};
use lanyard_journal::{Archive, DirectoryArchive};
use lanyard_ledger::retention::Retention;

use crate::hooks::first_undelivered;
use crate::values::{PATH, path};

/// The most days for which records are kept.
///
/// # Limit
/// - for: `journal.keep`
/// - unit: days
/// - beyond: the configuration is refused; without `journal` everything is kept
/// - test: `the_time_for_which_the_journal_is_kept_has_bounds`
const MAX_DAYS_KEPT: u64 = 36_500;

/// The section `journal`: bounds of the journal's size.
#[derive(Debug, Default)]
pub(crate) struct JournalBounds {
    /// The age at which records are removed; `None` keeps everything.
    keep: Option<Duration>,
    /// The directory that segments are copied to before they are removed.
    archive: Option<PathBuf>,
}

impl JournalBounds {
    /// Describes the section `journal`.
    pub(crate) fn shape() -> Map {
        Map::new()
            .with(required(
                "keep",
                "The age at which records are removed, in whole days.",
                Form::new("a number of days: `400d`", "^[0-9]+d$"),
            ))
            .with(
                optional(
                    "archive",
                    "The directory that segments are copied to before they are removed.",
                    PATH,
                )
                .absent("removed segments are gone"),
            )
    }

    /// Reads the section `journal`.
    pub(crate) fn read(item: Item<'_>, base: &Path) -> Option<Self> {
        let fields = item.section()?;
        let keep = fields.get("keep").and_then(keep);
        let archive = fields.get("archive");
        let archive = archive.map(|item| path(item, base));
        Some(Self {
            keep: Some(keep?),
            archive: match archive {
                Some(read) => Some(read?),
                None => None,
            },
        })
    }

    /// The directory that has to be there, for `lanyardd check`.
    pub(crate) fn archive(&self) -> Option<&Path> {
        self.archive.as_deref()
    }

    /// The ledger's settings. `lanes` are the files with the positions of deliveries.
    pub(crate) fn retention(&self, disk: &Files, lanes: Vec<Vec<PathBuf>>) -> Retention {
        let archive = self.archive.as_deref();
        let archive = archive.map(|path| Arc::new(DirectoryArchive::new(disk, path)));
        Retention {
            keep: self.keep,
            archive: archive.map(|archive| archive as Arc<dyn Archive>),
            first_needed: Arc::new(move || -> io::Result<u64> { first_undelivered(&lanes) }),
            ..Retention::default()
        }
    }
}

/// Reads whole days, as `400d`: records of less than a day are needed to look up what is in effect.
fn keep(item: Item<'_>) -> Option<Duration> {
    let text = item.text()?;
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
    match days {
        Some(days) if (1..=MAX_DAYS_KEPT).contains(&days) => {
            Some(Duration::from_secs(days * 24 * 3600))
        }
        Some(_) | None => {
            let message = format!("this is not 1 to {MAX_DAYS_KEPT} days");
            item.f
                .add(item.finding(Code::Value, message).help("write 400d"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use lanyard_document::shape::Shape;
    use lanyard_document::{Findings, read};

    use super::*;

    fn read_of(text: &str) -> Result<JournalBounds, String> {
        let findings = Findings::default();
        let root = read(text).unwrap();
        let shape = Shape::from(JournalBounds::shape());
        let bounds = JournalBounds::read(findings.item(&root, &shape), Path::new("/etc/lanyard"));
        match (bounds, findings.sorted().first()) {
            (Some(bounds), None) => Ok(bounds),
            (_, fault) => Err(fault.map(|it| it.message.clone()).unwrap_or_default()),
        }
    }

    #[test]
    fn the_time_for_which_the_journal_is_kept_has_bounds() {
        let read = read_of("keep: 400d\narchive: archive\n").unwrap();
        assert_eq!(read.keep, Some(Duration::from_secs(400 * 24 * 3600)));
        assert_eq!(read.archive(), Some(Path::new("/etc/lanyard/archive")));
        assert_eq!(read_of("keep: 1d\n").unwrap().archive(), None);
        for (text, why) in [
            ("keep: 0d\n", "not 1 to 36500 days"),
            ("keep: 36501d\n", "not 1 to 36500 days"),
            ("keep: 36h\n", "not 1 to 36500 days"),
            ("archive: archive\n", "`keep` is missing"),
            ("keep: 400d\narchives: x\n", "no field `archives`"),
        ] {
            let said = read_of(text).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
