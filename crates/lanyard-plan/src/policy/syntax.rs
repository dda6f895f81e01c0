//! The rules and calls of a policy, from the engine's syntax tree.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Engine;
use serde::Deserialize;
use serde_json::Value;

use super::builtins::{self, Status};
use super::{Fault, Kind};

/// Lists the rules whose names have an effect: file, path and effect.
pub(super) fn rules(
    engine: &Engine,
    modules: &[Module],
) -> Result<Vec<(String, String, Kind)>, String> {
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

/// The syntax tree of one file.
#[derive(Deserialize)]
pub(super) struct Module {
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

/// A rule of the syntax tree, of which only the name and the calls are read.
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
    /// Returns the first name that the rule defines, and whether the rule is a function.
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

/// Parses the engine's syntax trees.
pub(super) fn modules(engine: &Engine) -> Result<Vec<Module>, String> {
    let text = engine
        .get_ast_as_json()
        .map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// Reports calls of functions that are neither built in nor defined in the file. The engine would
/// only notice them during an evaluation, and then deny every plan.
pub(super) fn unknown_functions(modules: &[Module], named: &[&str]) -> Result<(), Vec<Fault>> {
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
            let fault = match builtins::status(&function) {
                Status::Allowed => None,
                Status::Refused(why) => Some(format!("`{function}` may not be called: {why}")),
                Status::Missing => Some(format!("there is no function `{function}`")),
            };
            if let Some(message) = fault {
                let path = &module.source.file;
                faults.push(Fault {
                    place: named
                        .iter()
                        .position(|name| name == path)
                        .unwrap_or_default(),
                    path: path.clone(),
                    at,
                    message,
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

/// Collects the names of called functions, with the position of the first call.
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

/// Renders a reference in dotted form, such as `regex.match`.
fn dotted(reference: &Value) -> Option<String> {
    if let Some(var) = reference.get("Var") {
        return Some(var.get("value")?.as_str()?.to_owned());
    }
    let dot = reference.get("RefDot")?;
    let field = dot.get("field")?.get(1)?.as_str()?;
    Some(format!("{}.{field}", dotted(dot.get("refr")?)?))
}
