//! Helm, and the unit tests of its charts, built from their modules.

use std::path::PathBuf;

use anyhow::Result;

/// The version of helm that is built.
const VERSION: &str = "v3.21.4";

/// The programs.
#[derive(Debug, Clone)]
pub struct HelmTools {
    /// `helm`.
    pub helm: PathBuf,
    /// `helm-unittest`, which runs by itself as well.
    pub unittest: PathBuf,
}

/// Helm and helm-unittest.
///
/// # Errors
/// When there is no Go, or one of them cannot be built.
pub fn helm() -> Result<HelmTools> {
    let programs = [
        "helm.sh/helm/v3/cmd/helm",
        "github.com/helm-unittest/helm-unittest/cmd/helm-unittest",
    ];
    // As its makefile does: without the last two helm takes every chart for one of Kubernetes 1.20.
    let of = "-X helm.sh/helm/v3";
    let stamp = format!(
        "-s -w {of}/internal/version.version={VERSION} {of}/pkg/chartutil.k8sVersionMajor=1 \
         {of}/pkg/chartutil.k8sVersionMinor=36"
    );
    let folder = crate::go::build_packages("helm", VERSION, &programs, &stamp)?;
    Ok(HelmTools {
        helm: folder.join("helm"),
        unittest: folder.join("helm-unittest"),
    })
}
