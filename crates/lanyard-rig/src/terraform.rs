//! Terraform with a provider in a mirror; OpenTofu, built from its module, where this machine has no Terraform.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// The version of OpenTofu that is built.
const OPENTOFU: &str = "v1.12.6";
/// The version of the provider that is built.
const PROVIDER: &str = "1.19.0";

/// What a configuration names to get the provider of the mirror, which applies Kubernetes manifests (`kubectl_manifest`).
pub const KUBECTL_PROVIDER: &str = "lanyard.example/gavinbunney/kubectl";

/// Terraform, and where it finds the provider.
#[derive(Debug, Clone)]
pub struct Terraform {
    /// A folder for `PATH`, which holds `terraform` alone.
    pub folder: PathBuf,
    /// What `.terraformrc` says, so that nothing is fetched.
    pub configuration: String,
}

/// Puts Terraform, or OpenTofu, and the provider into this directory.
///
/// # Errors
/// When there is neither a Terraform nor a Go to build OpenTofu with, or the provider cannot be built.
pub fn terraform(directory: &Path) -> Result<Terraform> {
    let folder = directory.join("terraform-bin");
    fs::create_dir_all(&folder)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).map(|folder| folder.join("terraform"));
    let program = match there.into_iter().find(|program| program.is_file()) {
        Some(program) => program,
        None => {
            let program = "github.com/opentofu/opentofu/cmd/tofu";
            crate::go::build_packages("opentofu", OPENTOFU, &[program], "-s -w")?.join("tofu")
        }
    };
    symlink(program, folder.join("terraform"))?;
    let program = "github.com/gavinbunney/terraform-provider-kubectl";
    let built = crate::go::build_packages("kubectl-provider", PROVIDER, &[program], "-s -w")?;
    let mirror = directory.join("terraform-mirror");
    let machine = match std::env::consts::ARCH {
        "aarch64" => "linux_arm64",
        _ => "linux_amd64",
    };
    let package = mirror.join(KUBECTL_PROVIDER).join(PROVIDER).join(machine);
    fs::create_dir_all(&package)?;
    let named = format!("terraform-provider-kubectl_v{PROVIDER}");
    symlink(
        built.join("terraform-provider-kubectl"),
        package.join(named),
    )?;
    let mirror = mirror.display();
    let configuration =
        format!("provider_installation {{\n  filesystem_mirror {{ path = \"{mirror}\" }}\n}}\n");
    Ok(Terraform {
        folder,
        configuration,
    })
}
