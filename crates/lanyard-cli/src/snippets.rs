//! What the pages show of charters and of the command line, held to what this version reads: a
//! reader pastes it.

use std::sync::Arc;

use clap::Parser as _;
use clap::error::ErrorKind;
use lanyard_charter::{
    EnvironmentKind, MoreKinds, PolicyFiles, TargetKind, World, kinds, parse_with,
};
use lanyard_core::decide::ReasonCode;
use lanyard_document::{Severity, render};
use lanyard_testkit::pages::{Block, blocks, docs, parts};
use lanyard_vocabulary::name::Name;

use crate::Arguments;

/// The words of a command as a shell takes them, up to what ends it; none where a quote is open.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut before = ' ';
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if before == ' ' => break,
            (None, '|' | ';' | '&' | '>' | '<' | ')' | '`') => break,
            (None, ' ') => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(c),
        }
        before = c;
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// The commands of this program in a block, with the lines that a backslash joins.
fn commands(block: &Block) -> Vec<Vec<String>> {
    let joined = block.text.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines() {
        let line = line.trim_start().trim_start_matches("$ ");
        // `as agent request` of the first steps is the program under a context.
        let rest = match line.split_once("as ") {
            Some((before, rest)) if before.is_empty() || before.ends_with("$(") => {
                rest.split_once(' ').map(|(_, rest)| rest)
            }
            _ => None,
        };
        let starts = ["lanyard ", "$(lanyard "];
        let rest = rest.or_else(|| {
            starts.iter().find_map(|start| {
                let at = line.find(start)?;
                let before = line.get(..at)?;
                // At the beginning, or behind variables that are set for it.
                let is_command = before.is_empty()
                    || start.starts_with('$')
                    || before.trim_end().split(' ').all(|word| word.contains('='));
                is_command.then(|| line.get(at + start.len()..)).flatten()
            })
        });
        if let Some(words) = rest.and_then(words) {
            found.push(words);
        }
    }
    found
}

#[test]
fn u17_the_commands_of_the_pages_are_commands_of_this_version() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for block in blocks() {
        let is_shell = matches!(
            block.language.as_deref(),
            None | Some("sh" | "console" | "bash" | "")
        );
        if !is_shell {
            continue;
        }
        for command in commands(&block) {
            // Output of the program begins alike: `lanyard: …`, or a sentence about it.
            let Some(first) = command.first() else {
                continue;
            };
            if !first
                .chars()
                .all(|c| c.is_ascii_lowercase() || "-<".contains(c))
            {
                continue;
            }
            seen += 1;
            // What a reader puts there is no value yet.
            let filled = command.iter().map(|word| match word.as_str() {
                "…" | "..." => "x".to_owned(),
                word => word.replace('…', "0"),
            });
            let asked =
                Arguments::try_parse_from(std::iter::once("lanyard".to_owned()).chain(filled));
            let error = asked.err().map(|error| error.kind());
            let is_fine = matches!(
                error,
                None | Some(ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
            );
            if !is_fine {
                wrong.push(format!(
                    "{}:{}: {error:?}: lanyard {}",
                    block.page,
                    block.line,
                    command.join(" ")
                ));
            }
        }
    }
    assert!(seen > 100, "only {seen} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn u03_every_reason_code_is_on_the_page_about_refusals() {
    let page = std::fs::read_to_string(docs().join("refusals.md")).unwrap();
    for code in ReasonCode::ALL {
        assert!(page.contains(&format!("`{code}`")), "{code}");
    }
}

/// The sections of a charter's spec that a page may show alone.
const SECTIONS: &[&str] = &[
    "purpose",
    "owners",
    "mode",
    "agents",
    "environments",
    "delegates",
    "grants",
    "prohibited",
    "plans",
    "approvals",
    "limits",
    "requires",
    "unlisted_actions",
    "freezes",
    "hours",
    "emergency",
    "breakers",
    "versions",
    "expires",
];

/// A charter that a shown section is put into.
const BASE: &str = "purpose: Restart deployments.
owners: {business: a@acme.example, technical: b@acme.example, security: c@acme.example}
agents:
  - {issuer: https://issuer.acme.example, subject: 'system:serviceaccount:agents:worker'}
environments:
  staging: {autonomy: execute-sandbox}
  production: {autonomy: execute-production}
grants:
  - name: look
    role: plan
    environments: [staging, production]
    kubernetes:
      target: prod-eu
      namespace: payments
      rules:
        - {apiGroups: [apps], resources: [deployments], verbs: [get, list]}
  - name: restart
    role: apply
    environments: [staging, production]
    kubernetes:
      target: prod-eu
      namespace: payments
      rules:
        - {apiGroups: [apps], resources: [deployments/scale], verbs: [get, patch]}
plans:
  required: {role: apply, environments: [production]}
approvals:
  - {when: {role: apply, environment: production}, people: 2, from: [group:oncall]}
limits:
  ttl: 10m
  task: 2h
  live_leases: 3
  mints: {count: 30, per: 1h}
  revocable_within: 10m
";

/// The policies that a charter names are there.
struct AnyPolicy;

impl PolicyFiles for AnyPolicy {
    fn read(&self, paths: &[&str]) -> Result<Vec<Arc<str>>, Vec<(usize, String)>> {
        Ok(paths.iter().map(|_| Arc::from("package shown\n")).collect())
    }
}

/// Everything that a charter names, declared.
fn world(text: &str) -> World {
    let mut world = World::default();
    let mut environment = |word: &str| {
        if let Ok(name) = word.trim().parse::<Name>() {
            let kind = if word.trim().starts_with("prod") {
                EnvironmentKind::Production
            } else {
                EnvironmentKind::Sandbox
            };
            world.environments.insert(name, kind);
        }
    };
    for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
        if ["production", "staging", "prod", "sandbox", "dev"].contains(&word) {
            environment(word);
        }
    }
    for line in text.lines() {
        if let Some((name, _)) = line.split_once(": {autonomy:") {
            environment(name);
        }
    }
    let mut kind = TargetKind::TOKEN;
    for line in text.lines() {
        for (word, found) in kinds::names(MoreKinds::default()) {
            if line.contains(&format!("{word}:")) {
                kind = found;
            }
        }
        let named = line.split_once("target: ").map(|(_, rest)| rest);
        let named = named.and_then(|rest| rest.split([',', '}', ' ']).next());
        if let Some(name) = named.and_then(|name| name.parse::<Name>().ok()) {
            world.targets.insert(name, kind);
        }
    }
    world
}

/// The charter that a block shows, or that its sections make with the rest of a usual one.
fn charter(block: &Block) -> Option<String> {
    let shown = parts(&block.text)?;
    if shown.contains_key("kind") {
        let is_one = shown
            .get("kind")
            .is_some_and(|kind| kind.trim_end().trim_end_matches('#').trim() == "kind: Charter");
        let is_object = shown
            .get("metadata")
            .is_some_and(|it| it.contains("namespace:"));
        return (is_one && !is_object && shown.contains_key("spec")).then(|| block.text.clone());
    }
    let shown = match shown.get("spec") {
        Some(spec) if shown.len() == 1 => {
            let inner: Vec<&str> = spec.lines().skip(1).collect();
            let inner: Vec<&str> = inner
                .iter()
                .map(|line| line.strip_prefix("  ").unwrap_or(line))
                .collect();
            parts(&inner.join("\n"))?
        }
        _ => shown,
    };
    let is_charter = !shown.is_empty()
        && shown.keys().all(|name| SECTIONS.contains(&name.as_str()))
        && shown
            .get("environments")
            .is_none_or(|it| it.contains("autonomy"));
    if !is_charter {
        return None;
    }
    let mut all = parts(BASE)?;
    for (name, part) in shown {
        // A page may show one of the limits.
        if name == "limits" && !part.contains("ttl:") {
            let more: String = part
                .lines()
                .skip(1)
                .map(|line| format!("{line}\n"))
                .collect();
            all.entry(name).or_default().push_str(&more);
        } else {
            all.insert(name, part);
        }
    }
    let spec: String = SECTIONS
        .iter()
        .filter_map(|name| all.get(*name))
        .cloned()
        .collect();
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    Some(format!(
        "apiVersion: lanyard.dev/v1\nkind: Charter\nmetadata:\n  name: shown\nspec:\n{spec}"
    ))
}

#[test]
fn u17_every_block_of_yaml_is_yaml() {
    let (mut seen, mut wrong) = (0, String::new());
    for block in blocks() {
        if block.language.as_deref() != Some("yaml") {
            continue;
        }
        seen += 1;
        for document in block.text.split("\n---\n") {
            if let Err(finding) = lanyard_document::read(document) {
                let place = format!("{}:{}", block.page, block.line);
                wrong.push_str(&render(&place, document, &[finding]));
            }
        }
    }
    assert!(seen > 15, "only {seen} blocks were found");
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn u17_the_charters_of_the_pages_lint() {
    let (mut seen, mut wrong) = (0, String::new());
    for block in blocks() {
        let is_yaml = matches!(block.language.as_deref(), None | Some("yaml"));
        let Some(text) = charter(&block).filter(|_| is_yaml) else {
            continue;
        };
        seen += 1;
        let text = text.replace("sha256:…", &format!("sha256:{}", "0".repeat(64)));
        if let Err(findings) = parse_with(&text, &world(&text), &AnyPolicy) {
            let errors: Vec<_> = findings
                .into_iter()
                .filter(|finding| finding.severity() == Severity::Error)
                .collect();
            let place = format!("{}:{}", block.page, block.line);
            wrong.push_str(&render(&place, &text, &errors));
        }
    }
    assert!(seen > 15, "only {seen} charters were found");
    assert!(wrong.is_empty(), "{wrong}");
}
