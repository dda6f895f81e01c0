//! `lanyard charter init`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use lanyard_charter::{EnvironmentKind, Starter, TargetKind, World, description, kinds, parse};
use lanyard_vocabulary::name::Name;

use super::files::Declared;
use crate::Global;
use crate::outcome::Outcome;
use crate::terminal::{say, say_findings};

/// The parts of the new charter. On a terminal, a part that is not given is asked for.
#[derive(Args)]
pub(crate) struct Init {
    /// The name of the new charter.
    name: Option<Name>,
    #[command(flatten)]
    declared: Declared,
    /// The purpose of the agent, in one sentence.
    #[arg(long)]
    purpose: Option<String>,
    /// The agent that may open a task: the issuer and the subject.
    #[arg(long, num_args = 2, value_names = ["ISSUER", "SUBJECT"])]
    agent: Vec<String>,
    /// The environment in which it works.
    #[arg(long)]
    r#in: Option<Name>,
    /// The target where the credentials work.
    #[arg(long)]
    on: Option<Name>,
    /// The owners, who answer for its purpose, for how it works, and for what can go wrong.
    #[arg(long, num_args = 3, value_names = ["BUSINESS", "TECHNICAL", "SECURITY"])]
    owners: Vec<String>,
    /// The kind of work that the agent does: a first charter of that kind.
    #[arg(long, value_enum, default_value_t = Template::Read)]
    template: Template,
    /// Write it there, where no file is yet, and the schema for editors beside it.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// The kinds of first charters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Template {
    /// Read, and change nothing.
    Read,
    /// Read, and change things by plans that people approve.
    Change,
    /// The same in office hours, with breakers, a freeze and an emergency.
    OnCall,
}

/// Everything that a first charter needs.
struct Answers {
    name: Name,
    purpose: String,
    agent: [String; 2],
    environment: Name,
    target: Name,
    owners: [String; 3],
    template: Template,
}

/// The name of the schema's file, and the line by which editors find it.
const SCHEMA: &str = "charter.schema.json";
const MODELINE: &str = "# yaml-language-server: $schema=charter.schema.json\n";

pub(crate) fn run(global: &Global, asked: &Init) -> Result<(), Outcome> {
    let place = asked.out.clone().unwrap_or_else(|| PathBuf::from("."));
    let world = asked.declared.world_of(global, &[place])?;
    let text = text(&answers(global, asked, &world)?, &world)?;
    // What was asked for may not hold together: then nothing is written.
    if let Err(findings) = parse(&text, &world) {
        say_findings("charter.yaml", &text, &findings);
        return Err(Outcome::usage("no charter comes of this"));
    }
    let Some(path) = &asked.out else {
        print!("{text}");
        return Ok(());
    };
    write(path, &format!("{MODELINE}{text}"))?;
    let schema = path.with_file_name(SCHEMA);
    if !schema.exists() {
        write(
            &schema,
            &format!("{:#}\n", description::schema(world.more_kinds)),
        )?;
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

/// The answers that are missing, each with the flag that gives it.
fn missing(asked: &Init, world: &World) -> Vec<String> {
    let names = |all: Vec<&str>| {
        if all.is_empty() {
            "none is declared: give --config, or declare one".to_owned()
        } else {
            format!("one of {}", all.join(", "))
        }
    };
    let environments = names(world.environments.keys().map(Name::as_str).collect());
    let targets = names(world.targets.keys().map(Name::as_str).collect());
    let all = [
        (asked.name.is_none(), "NAME: the charter's name".to_owned()),
        (
            asked.purpose.is_none(),
            "--purpose TEXT: what the agent is for, in one sentence".to_owned(),
        ),
        (
            asked.agent.is_empty(),
            "--agent ISSUER SUBJECT: who may open a task".to_owned(),
        ),
        (
            asked.owners.is_empty(),
            "--owners BUSINESS TECHNICAL SECURITY: who answers for it".to_owned(),
        ),
        (
            asked.r#in.is_none(),
            format!("--in ENVIRONMENT: where ({environments})"),
        ),
        (
            asked.on.is_none(),
            format!("--on TARGET: on which target ({targets})"),
        ),
    ];
    let lacking = all.into_iter().filter(|(is_missing, _)| *is_missing);
    lacking.map(|(_, line)| line).collect()
}

fn answers(global: &Global, asked: &Init, world: &World) -> Result<Answers, Outcome> {
    let lacking = missing(asked, world);
    if !lacking.is_empty() && !global.may_ask() {
        let message = format!(
            "a charter needs more, and nobody can be asked here:\n  {}",
            lacking.join("\n  ")
        );
        return Err(Outcome::usage(message));
    }
    let names = |all: Vec<&str>| all.join(", ");
    let environments = names(world.environments.keys().map(Name::as_str).collect());
    let targets = names(world.targets.keys().map(Name::as_str).collect());
    let several = |given: &[String], what: &[&str]| -> Result<Vec<String>, Outcome> {
        if given.is_empty() {
            return what.iter().map(|what| said(what)).collect();
        }
        Ok(given.to_vec())
    };
    let count = |_| Outcome::usage("two words name an agent, and three the owners");
    let name = |given: &Option<Name>, what: &str| given.clone().map_or_else(|| parsed(what), Ok);
    // In the order in which a person would say it.
    let own = name(&asked.name, "The charter's name")?;
    let purpose = match &asked.purpose {
        Some(purpose) => purpose.clone(),
        None => said("What the agent is for, in one sentence")?,
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
        template: asked.template,
    })
}

/// Asks on the terminal until something is said.
fn said(what: &str) -> Result<String, Outcome> {
    let fault = |error: std::io::Error| Outcome::usage(error.to_string());
    loop {
        eprint!("{what}: ");
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).map_err(fault)? == 0 {
            return Err(Outcome::usage("nothing was written"));
        }
        if !line.trim().is_empty() {
            return Ok(line.trim().to_owned());
        }
    }
}

fn parsed(what: &str) -> Result<Name, Outcome> {
    loop {
        match said(what)?.parse() {
            Ok(name) => return Ok(name),
            Err(error) => say(error),
        }
    }
}

/// The sections that a new charter begins with on a target of this kind.
fn starter(kind: TargetKind, world: &World) -> Starter {
    let kinds = kinds::all(world.more_kinds).into_iter();
    let mut starters = kinds.filter(|it| it.id() == kind).map(|it| it.starter());
    starters.next().unwrap_or_default()
}

/// The parts that a template adds: the autonomy, the grant that changes things, and the sections
/// after the grants.
struct Parts {
    autonomy: &'static str,
    grant: String,
    sections: String,
}

fn parts(asked: &Answers, starter: Starter, is_production: bool) -> Parts {
    if asked.template == Template::Read {
        return Parts {
            autonomy: "observe",
            grant: String::new(),
            sections: String::new(),
        };
    }
    let environment = &asked.environment;
    let people = if is_production { 2 } else { 1 };
    let mut sections = format!(
        "  plans:\n    required: {{role: apply, environments: [{environment}]}}\n  approvals:\n    # Put the group of the people who \
         approve in the place of `approvers`.\n    - {{when: {{role: apply, environment: {environment}}}, people: {people}, from: \
         [group:approvers]}}\n"
    );
    if asked.template == Template::OnCall {
        sections.push_str(&format!(
            "  emergency: {{grants: [change], people: 1, lasts: 1h}}\n  hours: {{zone: Etc/UTC, days: [mon, tue, wed, thu, fri], from: \
             \"08:00\", to: \"18:00\", outside: require-approval, roles: [apply]}}\n  freezes:\n    - {{from: 2030-12-20, to: \
             2031-01-04, roles: [apply], environments: [{environment}], reason: year-end}}\n  breakers:\n    - {{on: denied, count: 5, \
             within: 10m, then: stop-agent}}\n    - {{on: provider-error, count: 5, within: 5m, then: pause-target}}\n"
        ));
    }
    Parts {
        autonomy: if is_production {
            "execute-production"
        } else {
            "execute-sandbox"
        },
        grant: format!(
            "    # What it changes, by a plan that people approved.\n    - name: change\n      role: apply\n      environments: \
             [{environment}]\n      {}",
            starter.changes.replace("TARGET", asked.target.as_str())
        ),
        sections,
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
    let starter = starter(*kind, world);
    let reads = starter.reads.replace("TARGET", asked.target.as_str());
    let production =
        world.environments.get(&asked.environment) == Some(&EnvironmentKind::Production);
    let Parts {
        autonomy,
        grant,
        sections,
    } = parts(asked, starter, production);
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    Ok(format!(
        "apiVersion: lanyard.dev/v1\nkind: Charter\nmetadata:\n  name: {}\nspec:\n  purpose: {}\n  owners:\n    business: {}\n    \
         technical: {}\n    security: {}\n  agents:\n    - issuer: {}\n      subject: {}\n  environments:\n    {}: {{autonomy: \
         {autonomy}}}\n  grants:\n    # What it reads. A grant that changes things has the role apply: see docs/charter.md.\n    - name: \
         read\n      role: plan\n      environments: [{}]\n      {reads}{grant}{sections}  limits:\n    ttl: 10m\n    task: 2h\n    \
         live_leases: 3\n    mints: {{count: 30, per: 1h}}\n    revocable_within: 10m\n",
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

#[cfg(test)]
mod tests {
    use lanyard_charter::{ENVIRONMENT_KINDS, MoreKinds};
    use lanyard_document::shape::Word;

    use super::*;

    #[test]
    fn friction_every_template_holds_together_on_every_kind_of_target() {
        for Word {
            name: environment,
            value: environment_kind,
            ..
        } in ENVIRONMENT_KINDS
        {
            for (target, target_kind) in kinds::names(MoreKinds::default()) {
                for template in [Template::Read, Template::Change, Template::OnCall] {
                    let name = |text: &str| text.parse::<Name>().unwrap();
                    let mut world = World::default();
                    world.environments.insert(name("here"), *environment_kind);
                    world.targets.insert(name("there"), target_kind);
                    let asked = Answers {
                        name: name("first"),
                        purpose: "Look after the queues.".to_owned(),
                        agent: ["https://issuer.example", "agent"].map(str::to_owned),
                        environment: name("here"),
                        target: name("there"),
                        owners: ["a@x.example", "b@x.example", "c@x.example"].map(str::to_owned),
                        template,
                    };
                    let Ok(text) = text(&asked, &world) else {
                        panic!("{target} is not declared");
                    };
                    let parsed = parse(&text, &world);
                    let of = format!("{environment} {target} {template:?}\n{text}");
                    assert!(parsed.is_ok(), "{of}\n{parsed:?}");
                }
            }
        }
    }
}
