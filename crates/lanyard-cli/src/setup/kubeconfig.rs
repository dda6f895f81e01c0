//! `lanyard setup kube`.

use std::path::PathBuf;

use clap::Args;
use lanyard_client::v1::OpenTaskRequest;
use lanyard_client::v1::credential::Kind;
use lanyard_proto::agent::v1 as agent;

use super::{Helper, How, Standing, file};
use crate::Global;
use crate::exec::kubeconfig::{Entry, document};
use crate::outcome::Outcome;
use crate::terminal::say;

#[derive(Args)]
pub(crate) struct Kubeconfig {
    #[command(flatten)]
    standing: Standing,
    /// The name of the context in it; the grant's otherwise.
    #[arg(long)]
    name: Option<String>,
    /// The file; ~/.kube/lanyard-NAME otherwise.
    #[arg(long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

pub(super) async fn run(global: &Global, asked: &Kubeconfig) -> Result<(), Outcome> {
    let name = super::name_of(asked.name.as_ref(), &asked.standing.grant)?;
    let path = match &asked.file {
        Some(path) => path.clone(),
        None => super::home()?.join(format!(".kube/lanyard-{name}")),
    };
    let found = file::read(&path)?;
    if !asked.how.print && !found.is_empty() && !found.contains(" under lanyard") {
        return Err(file::failed(&path, "changed", "lanyard did not write it"));
    }
    if asked.how.undo {
        if !found.is_empty() {
            std::fs::remove_file(&path).map_err(|error| file::failed(&path, "removed", error))?;
        }
        say(format_args!("there is no {} any more", path.display()));
        return Ok(());
    }
    let text = text(global, asked, &name).await?;
    if asked.how.print {
        print!("{text}");
        return Ok(());
    }
    file::write(&path, &text)?;
    let path = path.display();
    say(format_args!(
        "wrote {path}; try: KUBECONFIG={path} kubectl auth whoami"
    ));
    Ok(())
}

/// Writes the kubeconfig. The cluster's address comes with a credential, so one is asked for.
async fn text(global: &Global, asked: &Kubeconfig, name: &str) -> Result<String, Outcome> {
    let helper = Helper::of(global, "kube", &asked.standing)?;
    let standing = &asked.standing;
    let ask = agent::GetCredentialRequest {
        grant: standing.grant.clone(),
        open: Some(OpenTaskRequest {
            charter: standing.charter.clone(),
            environment: standing.environment.clone(),
            reason: standing.reason.clone(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let issued = crate::agent::connect(global).await?.credential(ask).await?;
    let kind = issued.credential.and_then(|credential| credential.kind);
    let Some(Kind::Kubernetes(kubernetes)) = kind else {
        return Err(Outcome::usage(
            "this grant gives a credential of another kind",
        ));
    };
    Ok(document(&[Entry {
        name,
        kubernetes: &kubernetes,
        program: &helper.program,
        arguments: helper.arguments.clone(),
    }]))
}
