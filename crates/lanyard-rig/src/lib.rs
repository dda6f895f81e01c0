//! The environment of demo and tests: a daemon with its command line, and servers of other
//! projects.

mod binaries;
mod cli;
mod daemon;
mod git;
mod github;
mod go;
mod helm;
mod http2;
mod https;
mod image;
mod install;
mod kubernetes;
mod listeners;
mod mcp;
mod moto;
mod npm;
mod oidc;
mod opa;
mod pods;
mod postgresql;
mod python;
mod recorder;
mod simulate;
mod terraform;
mod vault;

pub use binaries::binaries;
pub use cli::{Answer, Cli, CommandFunction, Running, first_document};
pub use daemon::{Daemon, Within, daemon_command, free_port};
pub use git::Git;
pub use github::{Asked, Fault, GitHub, Silence};
pub use helm::{HelmTools, helm};
pub use http2::{Abuse, Case, Http2, Seen};
pub use https::Https;
pub use image::Image;
pub use kubernetes::{Cluster, Kubernetes};
pub use listeners::Listeners;
pub use mcp::{Mcp, SDKS, Sdk};
pub use moto::{Account, Aws, Moto};
pub use oidc::Oidc;
pub use opa::opa;
pub use pods::{PodCluster, Pods};
pub use postgresql::{PostgreSql, PostgreSqlServer};
pub use python::{python, python_tools, python_with};
pub use recorder::Recorder;
pub use simulate::simulate;
pub use terraform::{KUBECTL_PROVIDER, TERRAFORM_PROVIDERS, Terraform, terraform};
pub use vault::{AppRole, Storage, Vault, VaultServer};

pub(crate) use install::install;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Returns the folder for installed and built programs: `LANYARD_CACHE` or `~/.cache/lanyard`.
pub(crate) fn cache() -> Result<PathBuf> {
    let named = std::env::var_os("LANYARD_CACHE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/lanyard"));
    named
        .or(home)
        .context("neither LANYARD_CACHE nor HOME is set")
}
