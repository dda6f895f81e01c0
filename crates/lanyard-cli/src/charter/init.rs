//! `lanyard charter init`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use lanyard_core::charter::{Name, TargetKind, World, parse};
use lanyard_core::document::render;

use super::files::Declared;
use super::schema;
use crate::Global;
use crate::outcome::Outcome;

/// What is not said is asked for, on a terminal.
#[derive(Args)]
pub(crate) struct Init {
    /// The charter's name.
    name: Option<Name>,
    #[command(flatten)]
    declared: Declared,
    /// What the agent is for, in one sentence.
    #[arg(long)]
    purpose: Option<String>,
    /// Who may open a task: the issuer and the subject.
    #[arg(long, num_args = 2, value_names = ["ISSUER", "SUBJECT"])]
    agent: Vec<String>,
    /// Where.
    #[arg(long)]
    r#in: Option<Name>,
    /// On which target.
    #[arg(long)]
    on: Option<Name>,
    /// Who answers for it: for what it is for, for how it works, and for what can go wrong.
    #[arg(long, num_args = 3, value_names = ["BUSINESS", "TECHNICAL", "SECURITY"])]
    owners: Vec<String>,
    /// Write it there, where no file is yet, and the schema for editors beside it.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Everything that a first charter needs.
struct Answers {
    name: Name,
    purpose: String,
    agent: [String; 2],
    environment: Name,
    target: Name,
    owners: [String; 3],
}

/// The name of the schema's file, and the line by which editors find it.
const SCHEMA: &str = "charter.schema.json";
const MODELINE: &str = "# yaml-language-server: $schema=charter.schema.json\n";

pub(crate) fn run(global: &Global, asked: &Init) -> Result<(), Outcome> {
    let world = asked.declared.world()?;
    let text = text(&answers(global, asked, &world)?, &world)?;
    // What was asked for may not hold together: then nothing is written.
    if let Err(findings) = parse(&text, &world) {
        eprint!("{}", render("charter.yaml", &text, &findings));
        return Err(Outcome::usage("no charter comes of this"));
    }
    let Some(path) = &asked.out else {
        print!("{text}");
        return Ok(());
    };
    write(path, &format!("{MODELINE}{text}"))?;
    let schema = path.with_file_name(SCHEMA);
    if !schema.exists() {
        write(&schema, &format!("{:#}\n", schema::charter()))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Outcome> {
    let file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written
        .map_err(|error| Outcome::usage(format!("{} cannot be written: {error}", path.display())))
}

fn answers(global: &Global, asked: &Init, world: &World) -> Result<Answers, Outcome> {
    let names = |all: Vec<&str>| all.join(", ");
    let environments = names(world.environments.keys().map(Name::as_str).collect());
    let targets = names(world.targets.keys().map(Name::as_str).collect());
    let several = |given: &[String], what: &[&str]| -> Result<Vec<String>, Outcome> {
        if given.is_empty() {
            return what.iter().map(|what| said(global, what)).collect();
        }
        Ok(given.to_vec())
    };
    let count = |_| Outcome::usage("two words name an agent, and three the owners");
    let name =
        |given: &Option<Name>, what: &str| given.clone().map_or_else(|| parsed(global, what), Ok);
    // In the order in which a person would say it.
    let own = name(&asked.name, "The charter's name")?;
    let purpose = match &asked.purpose {
        Some(purpose) => purpose.clone(),
        None => said(global, "What the agent is for, in one sentence")?,
    };
    let agent = several(&asked.agent, &["The agent's issuer", "The agent's subject"])?;
    let owners = several(
        &asked.owners,
        &[
            "Who answers for what it is for",
            "Who answers for how it works",
            "Who answers for what can go wrong",
        ],
    )?;
    Ok(Answers {
        name: own,
        purpose,
        agent: agent.try_into().map_err(count)?,
        environment: name(&asked.r#in, &format!("Where ({environments})"))?,
        target: name(&asked.on, &format!("On which target ({targets})"))?,
        owners: owners.try_into().map_err(count)?,
    })
}

/// Asks on the terminal until something is said.
fn said(global: &Global, what: &str) -> Result<String, Outcome> {
    let fault = |error: std::io::Error| Outcome::usage(error.to_string());
    if !global.may_ask() {
        let message = format!("not said, and nobody can be asked here: {what}; see --help");
        return Err(Outcome::usage(message));
    }
    loop {
        eprint!("{what}: ");
        std::io::stderr().flush().map_err(fault)?;
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).map_err(fault)? == 0 {
            return Err(Outcome::usage("nothing was written"));
        }
        if !line.trim().is_empty() {
            return Ok(line.trim().to_owned());
        }
    }
}

fn parsed(global: &Global, what: &str) -> Result<Name, Outcome> {
    loop {
        match said(global, what)?.parse() {
            Ok(name) => return Ok(name),
            Err(error) => eprintln!("{error}"),
        }
    }
}

fn text(asked: &Answers, world: &World) -> Result<String, Outcome> {
    let ([issuer, subject], [business, technical, security]) = (&asked.agent, &asked.owners);
    let Some(kind) = world.targets.get(&asked.target) else {
        return Err(Outcome::usage(format!(
            "no target {} is declared",
            asked.target
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
        TargetKind::Vault => "vault: {target: TARGET, policies: [reader]}\n",
        TargetKind::GitHub => {
            "github: {target: TARGET, repositories: [repository], permissions: {contents: read}}\n"
        }
    };
    let rights = rights.replace("TARGET", asked.target.as_str());
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
        asked.environment,
        asked.environment,
    ))
}
