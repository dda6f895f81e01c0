//! `lanyard charter init`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use lanyard_core::charter::{Name, TargetKind, World, parse};
use lanyard_core::document::render;

use super::files::Declared;
use crate::outcome::Outcome;

#[derive(Args)]
pub(crate) struct Init {
    /// The charter's name.
    name: Name,
    #[command(flatten)]
    declared: Declared,
    /// What the agent is for, in one sentence.
    #[arg(long)]
    purpose: String,
    /// Who may open a task: the issuer and the subject.
    #[arg(long, num_args = 2, value_names = ["ISSUER", "SUBJECT"], required = true)]
    agent: Vec<String>,
    /// Where.
    #[arg(long)]
    r#in: Name,
    /// On which target.
    #[arg(long)]
    on: Name,
    /// Who answers for it: for what it is for, for how it works, and for what can go wrong.
    #[arg(long, num_args = 3, value_names = ["BUSINESS", "TECHNICAL", "SECURITY"], required = true)]
    owners: Vec<String>,
    /// Write it there, where no file is yet.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(crate) fn run(asked: &Init) -> Result<(), Outcome> {
    let world = asked.declared.world()?;
    let text = text(asked, &world)?;
    // What was asked for may not hold together: then nothing is written.
    if let Err(findings) = parse(&text, &world) {
        eprint!("{}", render("charter.yaml", &text, &findings));
        return Err(Outcome::usage("no charter comes of this"));
    }
    let Some(path) = &asked.out else {
        print!("{text}");
        return Ok(());
    };
    let created = std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(path);
    let written = created.and_then(|mut file| file.write_all(text.as_bytes()));
    written
        .map_err(|error| Outcome::usage(format!("{} cannot be written: {error}", path.display())))
}

fn text(asked: &Init, world: &World) -> Result<String, Outcome> {
    let ([issuer, subject], [business, technical, security]) =
        (asked.agent.as_slice(), asked.owners.as_slice())
    else {
        return Err(Outcome::usage(
            "two words name an agent, and three the owners",
        ));
    };
    let Some(kind) = world.targets.get(&asked.on) else {
        return Err(Outcome::usage(format!(
            "no target {} is declared",
            asked.on
        )));
    };
    let rights = match kind {
        TargetKind::Token => {
            "token: {target: TARGET, audience: https://service.example, scopes: [read]}\n"
        }
        TargetKind::Aws => {
            "aws:\n        target: TARGET\n        allow:\n          - actions: [s3:GetObject]\n            resources: [\"arn:aws:s3:::bucket/*\"]\n"
        }
        TargetKind::Kubernetes => {
            "kubernetes:\n        target: TARGET\n        namespace: default\n        rules:\n          - {apiGroups: [\"\"], resources: [pods, events], verbs: [get, list]}\n"
        }
    };
    let rights = rights.replace("TARGET", asked.on.as_str());
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    Ok(format!(
        "apiVersion: lanyard.dev/v1\nkind: Charter\nmetadata:\n  name: {}\nspec:\n  purpose: {}\n  owners:\n    business: {}\n    \
         technical: {}\n    security: {}\n  agents:\n    - issuer: {}\n      subject: {}\n  environments:\n    {}: {{autonomy: observe}}\n  \
         grants:\n    # What it reads. A grant that changes things has the role apply: see docs/charter.md.\n    - name: read\n      \
         role: plan\n      environments: [{}]\n      {rights}  limits:\n    ttl: 10m\n    task: 2h\n    live_leases: 3\n    \
         mints: {{count: 30, per: 1h}}\n    revocable_within: 10m\n",
        asked.name,
        quoted(&asked.purpose),
        quoted(business),
        quoted(technical),
        quoted(security),
        quoted(issuer),
        quoted(subject),
        asked.r#in,
        asked.r#in,
    ))
}
