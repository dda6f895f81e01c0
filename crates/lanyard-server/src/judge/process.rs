//! Judges one plan in a process of its own: `lanyardd judge` reads everything from standard input
//! and answers in one line. Whatever ends the process (deadline, memory, stack, a fault of the
//! policy engine) denies the plan and affects nothing else.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use lanyard_charter::{Charter, Policy};
use lanyard_core::plan::{Judgement, Plan, Unjudged};
use lanyard_core::task::Task;
use lanyard_document::Position;
use lanyard_plan::{Context, Document, MAX_JUDGE_TIME, PolicySet};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// Memory of the process that judges a plan.
///
/// # Limit
/// - for: the judging of one plan
/// - unit: bytes
/// - beyond: the plan is denied: its policies could not be evaluated
/// - test: `s19_policies_that_take_all_memory_all_time_or_all_stack_deny_the_plan_and_nothing_else`
const MAX_JUDGE_MEMORY: u64 = 512 << 20;
/// The line that a judge answers with.
///
/// # Limit
/// - for: the judging of one plan
/// - unit: bytes
/// - beyond: the plan is denied: its policies could not be evaluated
/// - test: `s19_a_judge_that_says_too_much_or_nothing_denies`
const MAX_ANSWER_BYTES: u64 = 1 << 20;
/// The time by which the process may run longer than its policies, to start, to read the plan and
/// to answer.
const GRACE: Duration = Duration::from_secs(5);
/// The stack that policies are evaluated on, in bytes.
const STACK: usize = 64 << 20;
/// The most files that the process may have open: its three standard streams, and none that a
/// policy could read.
const FILES: u64 = 3;

/// A starter of judging processes.
#[derive(Debug, Clone)]
pub(crate) struct Judges {
    program: PathBuf,
    arguments: Vec<String>,
    deadline: Duration,
}

/// The part of the question that precedes the plan's bytes.
#[derive(Serialize, Deserialize)]
struct Question {
    policies: Vec<Text>,
    task: Task,
    plan: Plan,
}

/// A policy as the process receives it.
#[derive(Serialize, Deserialize)]
struct Text {
    path: String,
    text: String,
}

/// The answer of a judging process.
#[derive(Serialize, Deserialize)]
enum ProcessAnswer {
    Judged(Judgement),
    Not(String),
}

impl Judges {
    /// Starts `program` with the command `judge`.
    pub(crate) fn of(program: PathBuf) -> Self {
        Self {
            program,
            arguments: vec!["judge".to_owned()],
            deadline: MAX_JUDGE_TIME.saturating_add(GRACE),
        }
    }

    /// Evaluates the policies of this charter on the plan.
    ///
    /// # Errors
    /// When no process can be started, or the bytes are not in the plan's format.
    pub(super) async fn judge(
        &self,
        (charter, task): (&Charter, &Task),
        plan: &Plan,
        content: &[u8],
    ) -> Result<Judgement, Unjudged> {
        let policies = charter.policies().iter().map(|policy| Text {
            path: policy.path.clone(),
            text: policy.text.as_ref().to_owned(),
        });
        let question = Question {
            policies: policies.collect(),
            task: task.clone(),
            plan: plan.clone(),
        };
        let no = |error: String| Unjudged::Policies(error);
        let mut told = serde_json::to_vec(&question).map_err(|error| no(error.to_string()))?;
        told.push(b'\n');
        let judge = self.start();
        let judge = judge.map_err(|error| no(format!("no judge can be started: {error}")))?;
        let said = tokio::time::timeout(self.deadline, asked(judge, &told, content)).await;
        let why = match said {
            Ok(Ok(ProcessAnswer::Judged(judgement))) => {
                return Ok(Judgement {
                    policies: charter.policies_digest(),
                    ..judgement
                });
            }
            Ok(Ok(ProcessAnswer::Not(why))) => return Err(no(why)),
            Ok(Err(why)) => why,
            Err(_) => format!("they did not end within {} s", self.deadline.as_secs()),
        };
        tracing::warn!(plan = %plan.id, charter = %charter.name, why, "the policies of a charter could not be evaluated");
        Ok(Judgement {
            denied: vec![format!("the policies cannot be evaluated: {why}")],
            ..Judgement::unread(charter.policies_digest())
        })
    }

    fn start(&self) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}

async fn asked(mut judge: Child, told: &[u8], content: &[u8]) -> Result<ProcessAnswer, String> {
    let (stdin, stdout) = (judge.stdin.take(), judge.stdout.take());
    let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
        return Err("the judge cannot be spoken to".to_owned());
    };
    let tell = async {
        // A judge that is gone takes no more; how it ended says why.
        let told = stdin.write_all(told).await;
        drop((
            told.is_ok().then_some(stdin.write_all(content).await),
            stdin,
        ));
    };
    let mut said = Vec::new();
    let mut stdout = stdout.take(MAX_ANSWER_BYTES + 1);
    let (read, ()) = tokio::join!(stdout.read_to_end(&mut said), tell);
    read.map_err(|error| error.to_string())?;
    if u64::try_from(said.len()).unwrap_or(u64::MAX) > MAX_ANSWER_BYTES {
        return Err(format!("they say more than {MAX_ANSWER_BYTES} bytes"));
    }
    let ended = judge.wait().await.map_err(|error| error.to_string())?;
    if !ended.success() {
        let most = MAX_JUDGE_MEMORY >> 20;
        return Err(format!(
            "the judge ended with {ended}: they may take {most} MiB, and be nested as deep as a stack goes"
        ));
    }
    serde_json::from_slice(&said).map_err(|error| format!("the judge said no judgement: {error}"))
}

/// Runs `lanyardd judge`: one question, one answer. The process has no environment, no further
/// files, and no more memory and time than one plan may take.
pub(crate) fn answer() -> Result<()> {
    let no_more = |resource, most| {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)
    };
    no_more(Resource::Data, MAX_JUDGE_MEMORY)?;
    no_more(
        Resource::Cpu,
        MAX_JUDGE_TIME.saturating_add(GRACE).as_secs(),
    )?;
    no_more(Resource::Fsize, 0)?;
    no_more(Resource::Nofile, FILES)?;
    // What serves comes first: a plan can be judged a little later.
    crate::apart::yield_to_others();
    // The daemon's end is its end as well.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    let question: Question = serde_json::from_slice(&line)?;
    let mut content = Vec::new();
    input.read_to_end(&mut content)?;
    let thread = std::thread::Builder::new().stack_size(STACK);
    let judged = thread.spawn(move || match judged(&question, &content) {
        Ok(judgement) => ProcessAnswer::Judged(judgement),
        Err(why) => ProcessAnswer::Not(format!("{why:#}")),
    })?;
    let answer = judged
        .join()
        .map_err(|_| anyhow!("the evaluation panicked"))?;
    Ok(io::stdout().write_all(&serde_json::to_vec(&answer)?)?)
}

fn judged(question: &Question, content: &[u8]) -> Result<Judgement> {
    let policies = question.policies.iter().map(|policy| Policy {
        path: policy.path.clone(),
        text: Arc::from(policy.text.as_str()),
        at: Position { line: 1, column: 1 },
    });
    let policies: Vec<Policy> = policies.collect();
    let set = PolicySet::of(&policies).map_err(|faults| {
        let first = faults.first().map(ToString::to_string);
        anyhow!(first.unwrap_or_default())
    })?;
    let document = Document::read(question.plan.format, content).context("the plan")?;
    let (task, plan) = (&question.task, &question.plan);
    Ok(set.judge(&document, Context { task, plan }))
}

#[cfg(test)]
mod tests;
