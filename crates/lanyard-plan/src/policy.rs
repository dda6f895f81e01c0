//! Policies in Rego, evaluated in this process.
//!
//! The rules have conftest's names: `deny` and `violation` deny, `warn` warns, each also with a suffix (`deny_public`), in any
//! package. `risk` and `approval` are Lanyard's own. Built-in functions that fail are errors, and an error denies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use lanyard_core::approval::persons;
use lanyard_core::charter::Policy;
use lanyard_core::digest::Digest;
use lanyard_core::plan::{Judgement, Plan, Risk};
use lanyard_core::task::Task;
use regorus::Engine;
use regorus::utils::limits::ExecutionTimerConfig;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Document;
use crate::shown::line;

/// The rules that every plan's risk is worked out by, as an operator reads them.
pub const RISK_RULES: &str = include_str!("../policies/risk.rego");

/// What those are called where a fault is shown.
const OWN: &str = "lanyard/risk.rego";
/// How long one question to one rule may take.
const LONGEST: Duration = Duration::from_secs(2);
/// How many findings of one kind are kept.
const MOST: usize = 50;
/// How many people a policy may ask for.
const MOST_PEOPLE: u32 = 20;

/// What a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Deny,
    Warn,
    Risk,
    Approval,
}

impl Kind {
    /// By the name of the rule.
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

/// Policies that were compiled together, with the rules of risk.
#[derive(Debug, Clone)]
pub struct PolicySet {
    engine: Engine,
    /// By their paths.
    rules: BTreeMap<String, Kind>,
    digest: Digest,
}

/// What is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which of them.
    pub place: usize,
    /// Its path.
    pub path: String,
    /// Line and column, where they are known.
    pub at: Option<(u32, u32)>,
    /// What.
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

/// What policies are told besides the plan: `data.lanyard`.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Who proposes it, and why.
    pub task: &'a Task,
    /// What was said of it.
    pub plan: &'a Plan,
}

impl Context<'_> {
    fn json(&self) -> Value {
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
        }})
    }
}

impl PolicySet {
    /// The policies of a charter.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn of(policies: &[Policy]) -> Result<Self, Vec<Fault>> {
        let files = policies.iter().map(|policy| (&*policy.path, &*policy.text));
        let set = Self::compile(files)?;
        Ok(Self {
            digest: Policy::digest(policies),
            ..set
        })
    }

    /// Compiles files together.
    ///
    /// # Errors
    /// Each file that cannot be used.
    pub fn compile<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<Fault>> {
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(true);
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: LONGEST,
            check_interval: NonZeroU32::MIN.saturating_add(255),
        });
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
        let idle = named
            .iter()
            .position(|_| !found.iter().any(|(file, ..)| *file != OWN));
        if idle.is_some() {
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

    /// What the rules say of a plan. A rule that cannot be evaluated denies.
    #[must_use]
    pub fn judge(&self, document: &Document, context: Context<'_>) -> Judgement {
        let mut said = Said::default();
        let inputs = document.inputs();
        if inputs.is_empty() {
            let message = "the plan has no form that rules can read".to_owned();
            said.risks.insert((Risk::High, message));
        }
        let mut engine = self.engine.clone();
        let told = serde_json::to_string(&context.json()).unwrap_or_default();
        if let Err(error) = engine.add_data_json(&told) {
            said.fails("data.lanyard", &error.to_string());
        }
        for input in inputs {
            match regorus::Value::from_json_str(&input.to_string()) {
                Ok(input) => engine.set_input(input),
                Err(error) => {
                    said.fails("input", &error.to_string());
                    continue;
                }
            }
            for (rule, kind) in &self.rules {
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
    // What conftest's users wrote for years has no `if`; what is new is meant to be v1, and its error is the one to show.
    match try_as(false) {
        Err(error) if error.to_string().contains("keyword is required") => {
            try_as(true).map_err(|_| error)
        }
        other => other,
    }
}

/// The rules with a name that means something: the file, the path, and what it is for.
fn rules(engine: &Engine, modules: &[Module]) -> Result<Vec<(String, String, Kind)>, String> {
    let packages = engine.get_policy_package_components();
    let packages = packages.map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for (package, module) in packages.iter().zip(modules) {
        let path = package.components.iter().map(|part| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if part.chars().all(plain) && !part.starts_with(|c: char| c.is_ascii_digit()) {
                format!(".{part}")
            } else {
                format!("[{}]", Value::String(part.clone()))
            }
        });
        let path = format!("data{}", path.collect::<String>());
        for rule in &module.ast.rules {
            let name = rule.name().filter(|(_, function)| !function);
            if let Some((name, kind)) = name.and_then(|(name, _)| Some((name, Kind::of(name)?))) {
                found.push((package.source_file.clone(), format!("{path}.{name}"), kind));
            }
        }
    }
    Ok(found)
}

#[derive(Deserialize)]
struct Module {
    ast: Ast,
    source: File,
}

#[derive(Deserialize)]
struct File {
    file: String,
}

#[derive(Deserialize)]
struct Ast {
    rules: Vec<Rule>,
    #[serde(default)]
    imports: Vec<Value>,
}

/// A rule of the syntax tree: of all of it, its name.
#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "Spec")]
    spec: Option<Spec>,
}

#[derive(Deserialize)]
struct Spec {
    head: Value,
    bodies: Value,
}

impl Rule {
    /// The first word of what it defines, and whether that is a function.
    fn name(&self) -> Option<(&str, bool)> {
        let (kind, head) = self.spec.as_ref()?.head.as_object()?.iter().next()?;
        let mut reference = head.get("refr")?;
        let function = kind == "Func";
        loop {
            let (kind, inner) = reference.as_object()?.iter().next()?;
            match kind.as_str() {
                "Var" => return Some((inner.get("value")?.as_str()?, function)),
                _ => reference = inner.get("refr")?,
            }
        }
    }
}

/// The syntax trees.
fn modules(engine: &Engine) -> Result<Vec<Module>, String> {
    let text = engine
        .get_ast_as_json()
        .map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// Calls of what is neither built in nor a function of the file. The engine finds out when it comes to the call, and by
/// then every plan would be denied.
fn unknown_functions(modules: &[Module], named: &[&str]) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    for module in modules {
        let own: BTreeSet<&str> = module
            .ast
            .rules
            .iter()
            .filter_map(|rule| rule.name().map(|(name, _)| name))
            .collect();
        let imported = |first: &str| {
            let imports = module.ast.imports.iter();
            let mut texts = imports.map(Value::to_string);
            texts.any(|text| text.contains(&format!("\"{first}\"")))
        };
        let mut calls = BTreeMap::new();
        for spec in module
            .ast
            .rules
            .iter()
            .filter_map(|rule| rule.spec.as_ref())
        {
            collect_calls(&spec.head, &mut calls);
            collect_calls(&spec.bodies, &mut calls);
        }
        for (function, at) in calls {
            let first = function.split('.').next().unwrap_or_default();
            if own.contains(first) || matches!(first, "data" | "input") || imported(first) {
                continue;
            }
            let asked = Engine::new().eval_query(format!("{function}()"), false);
            let unknown = "could not find function";
            if asked.is_err_and(|error| error.to_string().contains(unknown)) {
                let path = &module.source.file;
                faults.push(Fault {
                    place: named
                        .iter()
                        .position(|name| name == path)
                        .unwrap_or_default(),
                    path: path.clone(),
                    at,
                    message: format!("there is no function {function} here"),
                });
            }
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

/// The names of what is called, and where first.
fn collect_calls(node: &Value, calls: &mut BTreeMap<String, Option<(u32, u32)>>) {
    match node {
        Value::Object(map) => {
            if let Some(call) = map.get("Call")
                && let Some(name) = call.get("fcn").and_then(dotted)
            {
                let part = |name: &str| {
                    let number = call.get("span")?.get(name)?.as_u64()?;
                    u32::try_from(number).ok()
                };
                let at = part("line").zip(part("col"));
                calls.entry(name).or_insert(at);
            }
            map.values().for_each(|inner| collect_calls(inner, calls));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect_calls(inner, calls)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `regex.match` of its syntax tree.
fn dotted(reference: &Value) -> Option<String> {
    if let Some(var) = reference.get("Var") {
        return Some(var.get("value")?.as_str()?.to_owned());
    }
    let dot = reference.get("RefDot")?;
    let field = dot.get("field")?.get(1)?.as_str()?;
    Some(format!("{}.{field}", dotted(dot.get("refr")?)?))
}

/// The place and the sentence in the engine's own words, which come with a picture.
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

/// What the rules have said so far.
#[derive(Debug, Default)]
struct Said {
    denied: BTreeSet<String>,
    warned: BTreeSet<String>,
    risks: BTreeSet<(Risk, String)>,
    people: u32,
    groups: BTreeSet<String>,
    /// Why so many people, or those: the message, and who.
    asks: BTreeSet<(String, String)>,
}

impl Said {
    fn fails(&mut self, what: &str, why: &str) {
        let sentence = why
            .lines()
            .find_map(|line| line.trim().strip_prefix("error: "));
        let why = sentence.unwrap_or(why);
        self.denied
            .insert(line(&format!("{what} cannot be evaluated: {why}")));
    }

    fn take(&mut self, rule: &str, kind: Kind, value: &regorus::Value) {
        let Ok(value) = value
            .to_json_str()
            .and_then(|text| Ok(serde_json::from_str::<Value>(&text)?))
        else {
            // What is undefined says nothing.
            if !matches!(value, regorus::Value::Undefined) {
                self.fails(rule, "its value is no JSON");
            }
            return;
        };
        let items = match value {
            Value::Array(items) => items,
            Value::Bool(false) => return,
            Value::Bool(true) => vec![Value::String(format!("{rule} holds"))],
            Value::Null | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                let found = value.to_string();
                return self.fails(rule, &format!("expected a set of messages, found {found}"));
            }
        };
        for item in items {
            self.item(rule, kind, &item);
        }
    }

    fn item(&mut self, rule: &str, kind: Kind, item: &Value) {
        let message = message(item);
        match kind {
            Kind::Deny => drop(self.denied.insert(message)),
            Kind::Warn => drop(self.warned.insert(message)),
            Kind::Risk => match item.get("level").map(Risk::deserialize) {
                Some(Ok(level)) => drop(self.risks.insert((level, message))),
                Some(Err(_)) | None => {
                    self.fails(rule, "each of its items needs a level: low, medium or high");
                }
            },
            Kind::Approval => self.approval(rule, item),
        }
    }

    fn approval(&mut self, rule: &str, item: &Value) {
        let people = item.get("people").map(Value::as_u64);
        let group = item.get("group").map(Value::as_str);
        let count = match people {
            None => 0,
            Some(count) => match count.and_then(|count| u32::try_from(count).ok()) {
                Some(count @ 1..=MOST_PEOPLE) => count,
                _ => return self.fails(rule, "people is a number from 1 to 20"),
            },
        };
        match group {
            Some(Some(group)) if !group.is_empty() => drop(self.groups.insert(group.to_owned())),
            Some(_) => return self.fails(rule, "group is the name of a group"),
            None if people.is_none() => {
                return self.fails(rule, "each of its items needs people or a group");
            }
            None => {}
        }
        self.people = self.people.max(count);
        let who = match (group, count) {
            (Some(Some(group)), 0) => format!("somebody of {group}"),
            (Some(Some(group)), _) => format!("{}, one of {group}", persons(count)),
            _ => persons(count),
        };
        self.asks.insert((message(item), who));
    }

    fn judgement(self, policies: Digest) -> Judgement {
        let most = |messages: BTreeSet<String>| {
            let more = messages.len().saturating_sub(MOST);
            let kept = messages.into_iter().take(MOST);
            let rest = (more > 0).then(|| format!("and {more} more"));
            kept.chain(rest).collect::<Vec<_>>()
        };
        let risk = self.risks.last().map_or(Risk::Low, |(risk, _)| *risk);
        let reasons = self.risks.into_iter().rev();
        let reasons: Vec<(Risk, String)> = reasons.collect();
        // What makes a plan risky need not be said again as why people are asked.
        let known = |message: &String| reasons.iter().any(|(_, reason)| reason == message);
        let asks = self.asks.iter().filter(|(message, _)| !known(message));
        let asks = asks.map(|(message, who)| format!("asks for {who}: {message}"));
        let asks: Vec<String> = asks.collect();
        let reasons: Vec<String> = reasons
            .into_iter()
            .filter(|(_, message)| !message.is_empty())
            .map(|(risk, message)| format!("{risk}: {message}"))
            .chain(asks)
            .take(MOST)
            .collect();
        Judgement {
            policies,
            denied: most(self.denied),
            warned: most(self.warned),
            risk,
            reasons,
            people: self.people,
            groups: self.groups,
        }
    }
}

/// The words of a finding: a text, or the `msg` of an object, as conftest has it.
fn message(item: &Value) -> String {
    let text = item
        .as_str()
        .or_else(|| item.get("msg").and_then(Value::as_str));
    text.map_or_else(|| line(&item.to_string()), line)
}
