//! Container images, built by buildah from a folder with a `Containerfile`.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// An image that is not built yet.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// The folder with the `Containerfile` and what the file copies.
    pub context: &'a Path,
    /// The name of the image, with its tag.
    pub name: &'a str,
    /// Values for the file's `ARG` lines.
    pub arguments: &'a [(&'a str, &'a str)],
}

impl Image<'_> {
    /// Builds the image into the store of whoever runs this, where podman finds it as well.
    ///
    /// # Errors
    /// When buildah is not installed, or refuses.
    pub fn store(&self) -> Result<()> {
        self.build(&mut Command::new("buildah"))
    }

    /// Builds the image into an OCI archive. Nothing else is left, and no store of images is touched.
    ///
    /// # Errors
    /// When buildah is not installed, or refuses.
    pub fn archive(&self, file: &Path) -> Result<()> {
        let folder = file.parent().context("an archive needs a folder")?;
        // Beside the archive, because the store is as large, and a machine's /tmp may be in its memory.
        let store = tempfile::tempdir_in(folder)?;
        let buildah = || {
            let mut buildah = Command::new("buildah");
            buildah.arg("--root").arg(store.path().join("root"));
            buildah.arg("--runroot").arg(store.path().join("run"));
            // Works on every file system, also on one that is an overlay itself.
            buildah.args(["--storage-driver", "vfs"]);
            buildah
        };
        self.build(&mut buildah())?;
        let to = format!("oci-archive:{}:{}", file.display(), self.name);
        // Whoever takes the archive somewhere else compresses it on the way.
        let push = ["push", "--quiet", "--disable-compression", self.name, &to];
        succeed(buildah().args(push))
    }

    fn build(&self, buildah: &mut Command) -> Result<()> {
        buildah.args(["build", "--quiet", "--format", "oci", "--tag", self.name]);
        // The same files are the same layer.
        buildah.args(["--timestamp", "0"]);
        for (name, value) in self.arguments {
            buildah.arg("--build-arg").arg(format!("{name}={value}"));
        }
        buildah
            .arg("--file")
            .arg(self.context.join("Containerfile"));
        succeed(buildah.arg(self.context))
    }
}

fn succeed(buildah: &mut Command) -> Result<()> {
    let output = buildah
        .stdin(Stdio::null())
        .output()
        .context("buildah does not start: apt-get install buildah")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("buildah ended with {}: {}", output.status, said.trim())
}
