//! `lanyard exec`: a command with the credentials of a task, and no others.

mod begin;
mod child;
pub(crate) mod folder;
mod git;
mod given;
mod home;
pub(crate) mod kubeconfig;
mod lfs;
mod names;
mod surroundings;
mod tools;
mod values;

use std::ffi::OsString;

use clap::{Args, ValueEnum as _};
use lanyard_agent::{AgentSocket, Connection};
use lanyard_client::v1;
use lanyard_client::v1::credential::Kind;
use lanyard_proto::agent::v1 as agent;
use lanyard_vocabulary::id::{PlanId, TaskId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Ttl;
use rustix::process::Signal;
use tokio::process::Command;

pub(crate) use begin::close;
pub(crate) use git::{Transport, transport};

use crate::outcome::Outcome;
use crate::terminal::say;
use crate::{Global, text, words};
use child::{NotRun, OnKill, Signals, Stopping};
use folder::Folder;
use given::{Environment, Given, Helper, Mode};

/// The variable that tells a command its task. A `lanyard` within the command reads it.
const TASK: &str = "LANYARD_TASK";
const GRANTS: &str = "LANYARD_GRANTS";
/// The plan that it carries out, where it does.
const PLAN: &str = "LANYARD_PLAN";

/// The task and the grants that are asked for.
struct Needs {
    task: String,
    grants: Vec<String>,
    /// A plan, and the grant that it goes with.
    plan: Option<(String, String)>,
}

#[derive(Args)]
pub(crate) struct Exec {
    /// The charter; that of the task around it, where there is one.
    charter: Option<String>,
    /// The environment; the only one of the charter if it is left out.
    #[arg(long)]
    environment: Option<String>,
    /// A grant that the command gets; every plan grant of the environment otherwise.
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// The reason of the task.
    #[arg(long)]
    reason: Option<String>,
    /// The ticket that it belongs to.
    #[arg(long, default_value = "", hide_default_value = true)]
    ticket: String,
    /// With the credential of a plan, in the plan's task; waits for people where it is not approved
    /// yet.
    #[arg(long, conflicts_with_all = ["charter", "task"])]
    plan: Option<String>,
    /// In a task that is open: goes on where waiting for people was broken off. It is closed at the
    /// end.
    #[arg(long)]
    task: Option<String>,
    /// The way in which tools get the credentials.
    #[arg(long, value_enum, default_value_t = Mode::Files)]
    mode: Mode,
    /// The action on the command when a kill reaches its task.
    #[arg(long, value_enum, default_value_t = OnKill::Term)]
    on_kill: OnKill,
    /// The time for which the command has to end by itself after SIGTERM when a kill reaches its
    /// task.
    #[arg(long, value_name = "SPAN", value_parser = crate::span::parse, default_value = "30s")]
    grace: Ttl,
    /// Keep a variable that would be taken away because somebody could log in with it.
    #[arg(long = "keep", value_name = "NAME")]
    keep: Vec<String>,
    /// The command to run, with its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs it; whatever keeps the command from being run at all is 125.
pub(crate) async fn run(global: &Global, exec: Exec) -> Result<(), Outcome> {
    Err(match attend(global, exec).await {
        Ok(code) => Outcome::Child(code),
        Err(Ended::Interrupted(signal)) => {
            Outcome::Child(u8::try_from(128 + signal.as_raw()).unwrap_or(u8::MAX))
        }
        Err(Ended::Late) => Outcome::Child(124),
        Err(Ended::Unable(why)) => Outcome::NotRun(Box::new(why)),
        Err(Ended::NotRun(code)) => Outcome::Child(code),
    })
}

/// The reason why a command was not run to its end.
enum Ended {
    /// A signal while people were waited for, Ctrl-C say.
    Interrupted(Signal),
    /// The people were waited for as long as was asked for.
    Late,
    /// The command is not there, or cannot be run: said already.
    NotRun(u8),
    /// An error of Lanyard's, before the command ran.
    Unable(Outcome),
}

impl<T: Into<Outcome>> From<T> for Ended {
    fn from(error: T) -> Self {
        Self::Unable(error.into())
    }
}

async fn attend(global: &Global, exec: Exec) -> Result<u8, Ended> {
    lanyard_agent::hide().map_err(unusable)?;
    let connection = crate::agent::connect(global).await?;
    let (needs, own) = match within(&connection, &exec).await? {
        Some(needs) => (needs, false),
        None => (needs(&connection, &exec).await?, true),
    };
    let given = begin::first_credentials(&connection, &needs);
    let given = match global.timeout {
        None => given.await,
        Some(most) => tokio::time::timeout(most.as_duration(), given)
            .await
            .unwrap_or(Err(Ended::Late)),
    };
    let ran = match given {
        Ok(given) => in_task(global, &connection, (&exec, &needs.task, given)).await,
        Err(stopped @ (Ended::Interrupted(_) | Ended::Late)) if own => {
            let go_on = resume(global, &exec, &needs);
            say(format_args!(
                "lanyard: {} is open; go on with: {go_on}",
                needs.task
            ));
            return Err(stopped);
        }
        Err(error) => Err(error),
    };
    if own {
        begin::close(&connection, &needs.task).await;
    }
    ran
}

fn unusable(error: std::io::Error) -> Outcome {
    Outcome::usage(format!(
        "the command's surroundings cannot be made: {error}"
    ))
}

/// The task around this one, where there is one: nothing wider is run within it.
async fn within(connection: &Connection, exec: &Exec) -> Result<Option<Needs>, Outcome> {
    let Some(task) = std::env::var(TASK).ok().filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    let all = std::env::var(GRANTS).unwrap_or_default();
    let all: Vec<String> = all
        .split(',')
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect();
    let wider = |what: &str| {
        let all = all.join(", ");
        let line = format!(
            "this runs within {task}, which has {all}; {what} would be wider: run it outside"
        );
        Err(Outcome::usage(line))
    };
    if let Some(charter) = &exec.charter {
        return wider(&format!("a task of its own under {charter}"));
    }
    let around = std::env::var(PLAN).ok().filter(|it| !it.is_empty());
    let other_plan = exec.plan.is_some() && exec.plan != around;
    if other_plan || exec.task.as_ref().is_some_and(|other| *other != task) {
        return wider("what belongs to another task");
    }
    if let Some(grant) = exec.grants.iter().find(|grant| !all.contains(grant)) {
        return wider(&format!("the grant {grant}"));
    }
    let grants = if exec.grants.is_empty() {
        all
    } else {
        exec.grants.clone()
    };
    let plan = match &around {
        Some(plan) => begin::of_plan(connection, exec, plan).await?.plan,
        None => None,
    };
    Ok(Some(Needs { task, grants, plan }))
}

/// Finds the task and its grants: the plan's own task, one that is open, or one that is opened now.
async fn needs(connection: &Connection, exec: &Exec) -> Result<Needs, Outcome> {
    let leftovers = AgentSocket::of_user().map(|place| folder::leftovers(&place));
    for leftover in leftovers.into_iter().flatten() {
        let (path, task) = (leftover.path.display(), leftover.task);
        let line = format!("{path} was left behind by a command under {task}: see lanyard doctor");
        say(format_args!("lanyard: {}", text::line(&line)));
    }
    if let Some(plan) = &exec.plan {
        return begin::of_plan(connection, exec, plan).await;
    }
    if let Some(task) = &exec.task {
        if exec.grants.is_empty() {
            return Err(Outcome::usage(
                "--task needs --grant: which of its credentials?",
            ));
        }
        let (task, grants) = (task.clone(), exec.grants.clone());
        return Ok(Needs {
            task,
            grants,
            plan: None,
        });
    }
    let charter = exec
        .charter
        .as_ref()
        .ok_or_else(|| Outcome::usage("under which charter?"))?;
    let reason = exec
        .reason
        .as_ref()
        .ok_or_else(|| Outcome::usage("why? name a --reason"))?;
    let choice = begin::choose(connection, exec, charter).await?;
    let asked = v1::OpenTaskRequest {
        charter: charter.clone(),
        environment: choice.environment,
        reason: reason.clone(),
        ticket: exec.ticket.clone(),
        ..Default::default()
    };
    let task = begin::open(connection, asked).await?;
    Ok(Needs {
        task,
        grants: choice.grants,
        plan: None,
    })
}

/// The command that goes on where this one was broken off.
fn resume(global: &Global, exec: &Exec, needs: &Needs) -> String {
    let mut line = vec!["lanyard".to_owned()];
    if let Some(context) = &global.context {
        line.extend(["--context".to_owned(), context.display().to_string()]);
    }
    line.push("exec".to_owned());
    let mut flag = |name: &str, value: &str| line.extend([name, value].map(str::to_owned));
    match &needs.plan {
        Some((plan, _)) => flag("--plan", plan),
        None => flag("--task", &needs.task),
    }
    needs.grants.iter().for_each(|grant| flag("--grant", grant));
    if exec.mode != Mode::Files
        && let Some(mode) = exec.mode.to_possible_value()
    {
        flag("--mode", mode.get_name());
    }
    if exec.on_kill != OnKill::Term
        && let Some(how) = exec.on_kill.to_possible_value()
    {
        flag("--on-kill", how.get_name());
    }
    for name in &exec.keep {
        line.extend(["--keep".to_owned(), name.clone()]);
    }
    line.push("--".to_owned());
    let command = exec.command.iter().map(|word| word.to_string_lossy());
    line.extend(command.map(std::borrow::Cow::into_owned));
    words::pasted(line)
}

async fn in_task(
    global: &Global,
    connection: &Connection,
    (exec, task, given): (&Exec, &str, Vec<Given>),
) -> Result<u8, Ended> {
    let place =
        AgentSocket::of_user().ok_or_else(|| Outcome::usage("there is no place for files"))?;
    let helper = Helper {
        program: crate::agent::program()?,
        context: global.whole_context()?,
        task: task.to_owned(),
    };
    are_names(task, &given)?;
    if let Some(fault) = helper.fault() {
        return Err(Outcome::usage(fault).into());
    }
    let folder = Folder::create(&place, task).map_err(unusable)?;
    let mut environment =
        tools::lay_out(&folder, &helper, &given, exec.mode, &exec.keep).map_err(unusable)?;
    refuse_keeping(exec, &given, &environment)?;
    let gone = environment.removed.iter().filter(|name| {
        // A variable that the task sets is another one, not none.
        !name.to_str().is_some_and(|name| environment.sets(name))
    });
    if let Some(line) = surroundings::line(&gone.cloned().collect()) {
        global.note(format_args!("lanyard: {line}"));
    }
    match exec.mode {
        Mode::Files => {}
        Mode::Endpoint => endpoint(connection, (task, &given), &mut environment).await?,
        Mode::Env => say(
            "lanyard: secrets are in the environment of the command and of all that it starts, and are not renewed",
        ),
    }
    let grants: Vec<_> = given.iter().map(|given| given.grant.as_str()).collect();
    let grants = grants.join(",");
    let plan = given.iter().find_map(|given| given.plan.clone());
    // From here on this process holds no secret.
    drop(given);
    let mut command = command(exec, environment)?;
    command
        .env(TASK, task)
        .env(GRANTS, grants)
        .env(PLAN, plan.unwrap_or_default())
        .env("LANYARD_CONTEXT", &helper.context)
        .env("LANYARD_AGENT", tools::absolute(place.socket()))
        .env("LANYARD_BIN", &helper.program);
    let signals = Signals::listen().map_err(unusable)?;
    let child = match child::start(command) {
        Ok(child) => child,
        Err(NotRun::NotFound) => return Err(not_run(exec, 127, "is not found")),
        Err(NotRun::NotExecutable(error)) => {
            return Err(not_run(exec, 126, &format!("cannot be run: {error}")));
        }
    };
    let stopping = Stopping {
        on_kill: exec.on_kill,
        grace: exec.grace.as_duration(),
    };
    let ended = child::attend(child, signals, connection, task, stopping).await;
    Ok(ended.map_err(unusable)?)
}

/// A variable of the user's that tools would use in place of what the task gives them is not kept.
fn refuse_keeping(exec: &Exec, given: &[Given], environment: &Environment) -> Result<(), Outcome> {
    let in_the_way = |name: &&String| {
        let goes_before = |given: &Given| surroundings::goes_before(name, &given.kind);
        environment.sets(name) || given.iter().any(goes_before)
    };
    match exec.keep.iter().find(in_the_way) {
        None => Ok(()),
        Some(name) => Err(Outcome::usage(format!(
            "`--keep {name}`: tools would use `{name}` in place of the credential of the task; run the command outside \
             lanyard exec to use your own"
        ))),
    }
}

/// Refuses names that a shell or a tool would act on, since they are written into the settings of
/// tools.
fn are_names(task: &str, given: &[Given]) -> Result<(), Outcome> {
    let fault = |what: &str, text: &str| {
        Outcome::usage(format!(
            "{text:?} is no {what}: the broker speaks another language"
        ))
    };
    task.parse::<TaskId>().map_err(|_| fault("task", task))?;
    for given in given {
        let grant = &given.grant;
        grant.parse::<Name>().map_err(|_| fault("grant", grant))?;
        if let Some(plan) = &given.plan {
            plan.parse::<PlanId>().map_err(|_| fault("plan", plan))?;
        }
        if let Kind::Aws(aws) = &given.kind {
            aws.region
                .parse::<Name>()
                .map_err(|_| fault("region", &aws.region))?;
        }
    }
    Ok(())
}

fn not_run(exec: &Exec, code: u8, why: &str) -> Ended {
    let name = exec.command.first().map(|name| name.to_string_lossy());
    let line = format!("{} {why}", name.unwrap_or_default());
    say(format_args!("lanyard: {}", text::line(&line)));
    Ended::NotRun(code)
}

/// Returns the address at which AWS tools ask: the first such grant, on loopback.
async fn endpoint(
    connection: &Connection,
    (task, given): (&str, &[Given]),
    environment: &mut Environment,
) -> Result<(), Outcome> {
    let Some(given) = given.iter().find(|it| matches!(it.kind, Kind::Aws(_))) else {
        return Ok(());
    };
    if given.plan.is_some() {
        return Err(Outcome::usage(
            "the endpoint knows no plan: use --mode files",
        ));
    }
    let request = agent::OpenEndpointRequest {
        task_id: task.to_owned(),
    };
    let opened = connection.agent().open_endpoint(request).await;
    let opened = opened
        .map_err(lanyard_client::ClientError::from)?
        .into_inner();
    let url = format!("{}/v1/aws/{}", opened.url, given.grant);
    let set = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", opened.token_file),
    ];
    let set = set.map(|(name, value)| (name.to_owned(), value.into()));
    environment.set.extend(set);
    Ok(())
}

fn command(exec: &Exec, environment: Environment) -> Result<Command, Outcome> {
    let none = || Outcome::usage("no command");
    let (program, arguments) = exec.command.split_first().ok_or_else(none)?;
    let mut command = Command::new(program);
    command.args(arguments);
    for name in environment.removed.into_iter().chain(git::around()) {
        command.env_remove(name);
    }
    command.envs(environment.set);
    Ok(command)
}
