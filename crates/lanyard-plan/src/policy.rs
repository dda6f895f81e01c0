//! Policies in Rego, evaluated by the regorus engine inside this process.
//!
//! The rules have conftest's names: `deny` and `violation` deny, `warn` warns, each also with a
//! suffix (`deny_public`), in any package. `risk` and `approval` are Lanyard's own. A built-in
//! function that fails is an error, and an error denies.

mod builtins;
mod syntax;
mod verdict;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use lanyard_charter::Policy;
use lanyard_charter::plan::Risk;
use lanyard_core::plan::{Judgement, Plan};
use lanyard_core::task::Task;
use lanyard_vocabulary::digest::Digest;
use regorus::Engine;
use regorus::utils::limits::{ExecutionTimerConfig, monotonic_now};
use serde_json::{Value, json};

use syntax::{modules, rules, unknown_functions};
use verdict::Verdict;

use crate::Document;
use crate::contained::ContainedObjects;
use crate::shown::line;

/// The built-in rules for the risk of a plan, as operators read them.
pub const RISK_RULES: &str = include_str!("../policies/risk.rego");

/// File name of the built-in rules in error messages.
const OWN: &str = "lanyard/risk.rego";
/// Time for all rules of a charter over all objects of one plan.
///
/// # Limit
/// - for: the judging of one plan
/// - unit: time
/// - beyond: the plan is denied: its policies did not end in time
/// - test: `s19_all_rules_over_all_objects_have_one_deadline`
pub const MAX_JUDGE_TIME: Duration = Duration::from_secs(10);
/// Steps of an evaluation between two checks of the deadline.
const STEPS_BETWEEN_LOOKS: NonZeroU32 = NonZeroU32::MIN.saturating_add(255);

/// Effect of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Deny,
    Warn,
    Risk,
    Approval,
}

impl Kind {
    /// Returns the effect of a rule by its name.
    fn of(name: &str) -> Option<Self> {
        let (first, suffix) = match name.split_once('_') {
            Some((first, suffix)) => (first, Some(suffix)),
            None => (name, None),
        };
        let suffixed = suffix.is_none_or(|suffix| !suffix.is_empty());
        match (first, suffix) {
            ("deny" | "violation", _) if suffixed => Some(Self::Deny),
            ("warn", _) if suffixed => Some(Self::Warn),
            ("risk", None) => Some(Self::Risk),
            ("approval", None) => Some(Self::Approval),
            _ => None,
        }
    }
}

/// Policies compiled together with the built-in risk rules.
#[derive(Debug, Clone)]
pub struct PolicySet {
    engine: Engine,
    /// Effects by rule path.
    rules: BTreeMap<String, Kind>,
    digest: Digest,
}

/// A fault in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Index of the policy among the compiled files.
    pub place: usize,
    /// Path of the policy file.
    pub path: String,
    /// Line and column, if the engine reports them.
    pub at: Option<(u32, u32)>,
    /// The fault, as one sentence.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Additional input of the policies: `data.lanyard`.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The task that submits the plan.
    pub task: &'a Task,
    /// The plan, with the submitter's summary.
    pub plan: &'a Plan,
}

impl Context<'_> {
    fn json(&self, held: &ContainedObjects) -> Value {
        let (task, plan) = (self.task, self.plan);
        json!({ "lanyard": {
            "task": {
                "id": task.id.to_string(),
                "charter": task.charter.as_str(),
                "environment": task.environment.as_str(),
                "agent": task.agent.0,
                "sponsor": task.sponsor.as_ref().map(ToString::to_string),
                "reason": task.reason,
                "ticket": task.ticket,
            },
            "plan": {
                "grant": plan.grant.as_str(),
                "summary": plan.summary,
                "destructive": plan.destructive,
                "effects": plan.effects,
            },
            "objects": held.json(),
        }})
    }
}

/// Makes an engine with the functions that policies may call. A built-in function that fails is an
/// error, not undefined: an undefined value would let a deny rule pass.
#[must_use]
pub fn rego_engine() -> Engine {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    builtins::install(&mut engine);
    engine
}

/// Lists the functions that policies may call.
pub fn rego_functions() -> impl Iterator<Item = &'static str> {
    builtins::allowed()
}

impl PolicySet {
    /// Compiles the policies of a charter.
    ///
    /// # Errors
    /// The faults of the policies.
    pub fn of(policies: &[Policy]) -> Result<Self, Vec<Fault>> {
        let files = policies.iter().map(|policy| (&*policy.path, &*policy.text));
        let set = Self::compile(files)?;
        Ok(Self {
            digest: Policy::digest(policies),
            ..set
        })
    }

    /// Compiles policy files together.
    ///
    /// # Errors
    /// A fault for each file that cannot be used.
    pub fn compile<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<Fault>> {
        let mut engine = rego_engine();
        let own = engine.add_policy(OWN.to_owned(), RISK_RULES.to_owned());
        let mut faults: Vec<_> = own
            .err()
            .map(|error| fault(0, OWN, &error))
            .into_iter()
            .collect();
        let mut named = Vec::new();
        for (place, (path, text)) in files.into_iter().enumerate() {
            named.push(path);
            if let Err(why) = add(&mut engine, path, text) {
                faults.push(fault(place, path, &why));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let of_set = |message: String| {
            let path = (*named.first().unwrap_or(&OWN)).to_owned();
            vec![Fault {
                place: 0,
                path,
                at: None,
                message,
            }]
        };
        let modules = modules(&engine).map_err(of_set)?;
        unknown_functions(&modules, &named)?;
        let found = rules(&engine, &modules).map_err(of_set)?;
        let asks = found.iter().any(|(file, ..)| file != OWN);
        if !named.is_empty() && !asks {
            let message =
                "there is no deny, violation, warn, risk or approval rule in these policies";
            return Err(of_set(message.to_owned()));
        }
        let rules: BTreeMap<_, _> = found
            .into_iter()
            .map(|(_, rule, kind)| (rule, kind))
            .collect();
        for rule in rules.keys() {
            let compiled = engine.compile_with_entrypoint(&rule.as_str().into());
            if let Err(error) = compiled {
                let place = |path: &&str| error.to_string().contains(&format!("--> {path}:"));
                let place = named.iter().position(place).unwrap_or_default();
                return Err(vec![fault(place, named.get(place).unwrap_or(&OWN), &error)]);
            }
        }
        Ok(Self {
            engine,
            rules,
            digest: Policy::digest(&[]),
        })
    }

    /// Evaluates all rules on a plan. A rule that cannot be evaluated denies, and so does a plan
    /// whose rules exceed [`MAX_JUDGE_TIME`].
    #[must_use]
    pub fn judge(&self, document: &Document, context: Context<'_>) -> Judgement {
        self.judge_within(MAX_JUDGE_TIME, document, context)
    }

    fn judge_within(
        &self,
        limit: Duration,
        document: &Document,
        context: Context<'_>,
    ) -> Judgement {
        let began = monotonic_now().unwrap_or_default();
        let mut said = Verdict::of(document.secrets());
        let inputs = document.inputs(context.plan.namespace.as_deref());
        if inputs.is_empty() {
            let message = "the plan has no form that rules can read".to_owned();
            said.risks.insert((Risk::High, message));
        }
        for finding in document.findings() {
            said.find(finding);
        }
        let mut engine = self.engine.clone();
        let told =
            serde_json::to_string(&context.json(&document.contained_objects())).unwrap_or_default();
        if let Err(error) = engine.add_data_json(&told) {
            said.fails("data.lanyard", &error.to_string());
        }
        let questions = inputs.len() * self.rules.len();
        let mut asked: usize = 0;
        'all: for input in inputs {
            match regorus::Value::from_json_str(&input.to_string()) {
                Ok(input) => engine.set_input(input),
                Err(error) => {
                    said.fails("input", &error.to_string());
                    continue;
                }
            }
            for (rule, kind) in &self.rules {
                let spent = monotonic_now().unwrap_or_default().saturating_sub(began);
                let Some(left) = limit.checked_sub(spent).filter(|left| !left.is_zero()) else {
                    let within = limit.as_secs_f32();
                    let why = format!(
                        "they did not end within {within} s: {asked} of {questions} questions were asked"
                    );
                    said.fails("the policies", &why);
                    break 'all;
                };
                engine.set_execution_timer_config(ExecutionTimerConfig {
                    limit: left,
                    check_interval: STEPS_BETWEEN_LOOKS,
                });
                asked += 1;
                match engine.eval_rule(rule.clone()) {
                    Ok(value) => said.take(rule, *kind, &value),
                    Err(error) => said.fails(rule, &error.to_string()),
                }
            }
        }
        said.judgement(self.digest)
    }
}

fn add(engine: &mut Engine, path: &str, text: &str) -> anyhow::Result<()> {
    let mut try_as = |v0| {
        engine.set_rego_v0(v0);
        let added = engine.add_policy(path.to_owned(), text.to_owned());
        engine.set_rego_v0(false);
        added.map(drop)
    };
    // Older conftest policies have no `if`, so they are parsed as Rego v0 if v1 asks for that
    // keyword. For other errors the v1 message is shown, since new policies are v1.
    match try_as(false) {
        Err(error) if error.to_string().contains("keyword is required") => {
            try_as(true).map_err(|_| error)
        }
        other => other,
    }
}

/// Extracts position and sentence from the engine's message, which includes an excerpt of the
/// source.
fn fault(place: usize, path: &str, error: &anyhow::Error) -> Fault {
    let text = error.to_string();
    let at = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("--> "))
        .and_then(|place| {
            let mut parts = place.rsplitn(3, ':');
            let (column, line) = (parts.next()?, parts.next()?);
            Some((line.parse().ok()?, column.parse().ok()?))
        });
    let sentence = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("error: "));
    Fault {
        place,
        path: path.to_owned(),
        at,
        message: line(sentence.unwrap_or(&text)),
    }
}

#[cfg(test)]
mod tests;
