//! Container images, built by buildah from a folder with a `Containerfile`.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// An image to build.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// The folder with the `Containerfile` and the files that it copies.
    pub context: &'a Path,
    /// Name of the image, with its tag.
    pub name: &'a str,
    /// Values for the `ARG` lines of the file.
    pub arguments: &'a [(&'a str, &'a str)],
}

impl Image<'_> {
    /// Builds the image into the current user's image store, where podman finds it too.
    ///
    /// # Errors
    /// When buildah is missing, or fails.
    pub fn store(&self) -> Result<()> {
        self.build(&mut Command::new("buildah"))
    }

    /// Builds the image into an OCI archive, without touching any image store.
    ///
    /// # Errors
    /// When buildah is missing, or fails.
    pub fn archive(&self, file: &Path) -> Result<()> {
        let folder = file.parent().context("an archive needs a folder")?;
        // The temporary store lies beside the archive, because it is as large, and /tmp may be in
        // memory.
        let store = tempfile::tempdir_in(folder)?;
        let buildah = || {
            let mut buildah = Command::new("buildah");
            buildah.arg("--root").arg(store.path().join("root"));
            buildah.arg("--runroot").arg(store.path().join("run"));
            // vfs works on every file system, including an overlay.
            buildah.args(["--storage-driver", "vfs"]);
            buildah
        };
        self.build(&mut buildah())?;
        let to = format!("oci-archive:{}:{}", file.display(), self.name);
        // Uncompressed: a later transfer compresses the archive.
        let push = ["push", "--quiet", "--disable-compression", self.name, &to];
        succeed(buildah().args(push))
    }

    fn build(&self, buildah: &mut Command) -> Result<()> {
        buildah.args(["build", "--quiet", "--format", "oci", "--tag", self.name]);
        // A fixed timestamp gives equal files equal layers.
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
