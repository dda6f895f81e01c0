//! Helm and the unit tests of its charts, built from their Go modules.

use std::path::PathBuf;

use anyhow::Result;

/// Version of helm to build.
const VERSION: &str = "v3.21.4";

/// Paths of the programs.
#[derive(Debug, Clone)]
pub struct HelmTools {
    /// Path of the `helm` program.
    pub helm: PathBuf,
    /// Path of `helm-unittest`, which also runs on its own.
    pub unittest: PathBuf,
}

/// Builds helm and helm-unittest.
///
/// # Errors
/// When Go is missing, or a program cannot be built.
pub fn helm() -> Result<HelmTools> {
    let programs = [
        "helm.sh/helm/v3/cmd/helm",
        "github.com/helm-unittest/helm-unittest/cmd/helm-unittest",
    ];
    // Like helm's makefile. Without the last two flags, helm assumes Kubernetes 1.20 for every
    // chart.
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
