//! Terraform with a provider mirror. If the machine has no Terraform, OpenTofu is built from its Go
//! module.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// Version of OpenTofu to build.
const OPENTOFU: &str = "v1.12.6";
/// Version of the kubectl provider.
const PROVIDER: &str = "1.19.0";

/// Source address of the provider in the mirror, which applies Kubernetes manifests
/// (`kubectl_manifest`).
pub const KUBECTL_PROVIDER: &str = "lanyard.example/gavinbunney/kubectl";

/// Variable that names a further mirror, for tests with providers that no source registry has.
pub const TERRAFORM_PROVIDERS: &str = "LANYARD_TERRAFORM_PROVIDERS";

/// Terraform, and its provider configuration.
#[derive(Debug, Clone)]
pub struct Terraform {
    /// Folder for `PATH`, which only contains `terraform`.
    pub folder: PathBuf,
    /// Content for `.terraformrc`, so that nothing is downloaded.
    pub configuration: String,
}

/// Puts Terraform or OpenTofu and the provider into `directory`.
///
/// # Errors
/// When there is neither Terraform nor Go, or the provider cannot be built.
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
    let named = std::env::var_os(TERRAFORM_PROVIDERS).map(PathBuf::from);
    let mirrors = [mirror].into_iter().chain(named);
    let mirrors = mirrors.map(|mirror| {
        format!(
            "  filesystem_mirror {{ path = \"{}\" }}\n",
            mirror.display()
        )
    });
    let mirrors: String = mirrors.collect();
    let configuration = format!("provider_installation {{\n{mirrors}}}\n");
    Ok(Terraform {
        folder,
        configuration,
    })
}
