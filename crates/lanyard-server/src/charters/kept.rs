//! Stored revisions for the tasks that are pinned to them: each a folder with the charter and its
//! policies.

use std::fs;
use std::path::{Path, PathBuf};

use lanyard_charter::{Charter, World, parse_with};
use lanyard_engine::Engine;
use lanyard_plan::PolicyFolder;
use lanyard_secret_file::read_plain_text;

/// The file name of a charter in its revision's folder.
const CHARTER: &str = "charter.yaml";

/// The folder with every revision that was ever in force.
pub(super) struct Kept {
    pub(super) folder: PathBuf,
    pub(super) world: World,
}

impl Kept {
    /// Loads the stored revisions.
    ///
    /// # Errors
    /// When the directory cannot be created or read. Tasks pinned to a stored revision are denied
    /// then.
    pub(super) fn remember(&self, engine: &Engine) -> std::io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let folder = entry.path();
            match self.read(&folder) {
                Some(charter) => engine.charters().remember(charter),
                None => tracing::warn!(
                    folder = %folder.display(),
                    "an earlier revision of a charter cannot be read, or does not hold any more: its tasks are denied"
                ),
            }
        }
        Ok(())
    }

    /// Loads a stored revision, if it is complete.
    fn read(&self, folder: &Path) -> Option<Charter> {
        let text = read_plain_text(&folder.join(CHARTER)).ok()?;
        let policies = PolicyFolder::at(folder.to_owned());
        let parsed = parse_with(&text, &self.world, &policies).ok()?;
        Some(parsed.charter)
    }

    /// True if the revision has a folder.
    pub(super) fn knows(&self, charter: &Charter) -> bool {
        self.place(charter).exists()
    }

    fn place(&self, charter: &Charter) -> PathBuf {
        let name = charter.revision.as_str().replace(':', "-");
        self.folder.join(name)
    }

    /// Stores a revision with its policies as a folder that appears complete or not at all.
    pub(super) fn keep(&self, text: &str, charter: &Charter) -> std::io::Result<()> {
        let folder = self.place(charter);
        if folder.exists() {
            if self
                .read(&folder)
                .is_some_and(|kept| kept.revision == charter.revision)
            {
                return Ok(());
            }
            // A crash, or somebody, left a part of it, or something else in its place.
            if folder.is_dir() {
                fs::remove_dir_all(&folder)?;
            } else {
                fs::remove_file(&folder)?;
            }
        }
        let name = charter.revision.as_str().replace(':', "-");
        let temporary = self.folder.join(format!(".{name}.new"));
        if temporary.exists() {
            fs::remove_dir_all(&temporary)?;
        }
        let policies = charter.policies().iter();
        let files = policies.map(|policy| (policy.path.as_str(), &*policy.text));
        for (path, text) in files.chain([(CHARTER, text)]) {
            let path = temporary.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&temporary))?;
            fs::write(&path, text)?;
            fs::File::open(&path)?.sync_all()?;
            fs::File::open(path.parent().unwrap_or(&temporary))?.sync_all()?;
        }
        fs::rename(temporary, folder)?;
        fs::File::open(&self.folder)?.sync_all()
    }
}
