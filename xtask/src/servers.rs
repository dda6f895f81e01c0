//! Starts the real servers that the tests run against, once for a whole run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use lanyard_rig::{Kubernetes, Moto, PostgreSqlServer, Storage, Vault, VaultServer};

/// The servers that could be started, and for each other one the reason.
pub(crate) struct Servers {
    directory: PathBuf,
    pub(crate) moto: Result<Moto>,
    pub(crate) kubernetes: Result<Kubernetes>,
    /// The command of iam-simulate, which is not a server.
    pub(crate) simulator: Result<Vec<String>>,
    /// The program of Open Policy Agent, which is not a server either.
    pub(crate) opa: Result<PathBuf>,
    pub(crate) vault: Result<VaultServer>,
    pub(crate) postgresql: Result<PostgreSqlServer>,
}

impl Servers {
    pub(crate) fn start(directory: &Path) -> Self {
        let says = |what: &str| eprintln!("servers: {what}");
        says("moto, for AWS");
        let moto = Moto::start(&directory.join("moto.log"));
        says("kube-apiserver and etcd");
        let kubernetes = Kubernetes::start(&directory.join("kubernetes"));
        says("iam-simulate and opa");
        let (simulator, opa) = (lanyard_rig::simulate(&[]), lanyard_rig::opa());
        says("Vault and PostgreSQL");
        Self {
            directory: directory.to_path_buf(),
            moto,
            kubernetes,
            simulator,
            opa,
            vault: VaultServer::start(&directory.join("vault"), Storage::Memory),
            postgresql: PostgreSqlServer::start(),
        }
    }

    /// Returns the variables that tell a child process where the servers are.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let mut environment = Vec::new();
        if let Ok(moto) = &self.moto {
            environment.extend(moto.aws().environment());
            environment.push((
                "AWS_SHARED_CREDENTIALS_FILE",
                self.directory.join("aws-credentials"),
            ));
        }
        if let Ok(kubernetes) = &self.kubernetes {
            environment.extend(kubernetes.cluster().environment());
        }
        if self.simulator.is_ok() {
            environment.push(("LANYARD_IAM_SIMULATE", "yes".into()));
        }
        if let Ok(opa) = &self.opa {
            environment.push(("LANYARD_OPA", opa.clone()));
        }
        if let Ok(vault) = &self.vault {
            environment.extend(vault.vault().environment());
        }
        if let Ok(postgresql) = &self.postgresql {
            environment.push(postgresql.postgresql().environment());
        }
        environment
    }

    /// Returns a line on what each server is for, with the reason where it is missing.
    pub(crate) fn lines(&self) -> [(String, Option<&anyhow::Error>); 6] {
        let vault = match Vault::stand_in() {
            None => "Vault".to_owned(),
            Some(program) => program.display().to_string(),
        };
        [
            (
                "AWS, on the SDK against moto".to_owned(),
                self.moto.as_ref().err(),
            ),
            (
                "Kubernetes, on kube-apiserver and etcd".to_owned(),
                self.kubernetes.as_ref().err(),
            ),
            (
                "what AWS policies mean, by iam-simulate".to_owned(),
                self.simulator.as_ref().err(),
            ),
            (
                "what Rego policies mean, by opa".to_owned(),
                self.opa.as_ref().err(),
            ),
            (
                format!("Vault tokens, on {vault}"),
                self.vault.as_ref().err(),
            ),
            (
                format!("Vault's dynamic secrets, on {vault} with PostgreSQL"),
                self.vault.as_ref().err().or(self.postgresql.as_ref().err()),
            ),
        ]
    }

    /// Prints a line for each server: what ran on it, or why nothing did.
    pub(crate) fn report(&self) {
        for (what, error) in self.lines() {
            match error {
                None => println!("ran: {what}"),
                Some(error) => println!("DID NOT RUN: {what}: {error:#}"),
            }
        }
    }
}

/// Runs `cargo xtask servers COMMAND…`: a command, with the servers up.
pub(crate) fn run(command: &[String]) -> Result<()> {
    let [program, arguments @ ..] = command else {
        anyhow::bail!("usage: cargo xtask servers COMMAND [ARGUMENT…]");
    };
    let directory = tempfile::tempdir()?;
    let servers = Servers::start(directory.path());
    servers.report();
    crate::build::succeed(
        Command::new(program)
            .args(arguments)
            .envs(servers.environment()),
    )
}
