//! `lanyard charter test`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use lanyard_charter::requirement::persons;
use lanyard_charter::{Charter, World};
use lanyard_core::question::{CharterAnswer, ask};
use lanyard_document::Position;
use lanyard_vocabulary::count::{counted, verb_for};

use super::cases::{self, Case, Cases, Expected};
use super::files::{self, Declared};
use super::plans::{PlanFile, with_plan};
use super::report::xml;
use crate::outcome::Outcome;
use crate::terminal::{say, say_findings, tell};
use crate::{Global, text};

/// The form in which results are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line for each case.
    Text,
    /// JUnit's XML, for a CI system.
    Junit,
}

#[derive(Args)]
pub(crate) struct Test {
    /// Files of cases (`name.test.yaml`), or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    declared: Declared,
    /// Name the parts of each charter that no case met.
    #[arg(long)]
    coverage: bool,
    /// Write what the charter answers into the files.
    #[arg(long)]
    update: bool,
    /// The form in which results are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

struct Result {
    file: String,
    case: String,
    wrong: Vec<String>,
    why: Option<String>,
}

pub(crate) fn run(global: &Global, asked: &Test) -> std::result::Result<(), Outcome> {
    let world = asked.declared.world_of(global, &asked.paths)?;
    let mut results = Vec::new();
    for path in files::case_files(&asked.paths)? {
        file(asked, &path, &world, &mut results)?;
    }
    match asked.format {
        Format::Text => results.iter().for_each(print),
        Format::Junit => print!("{}", junit(&results)),
    }
    let failed = results
        .iter()
        .filter(|result| !result.wrong.is_empty())
        .count();
    let all = results.len() as u64;
    let holds = verb_for(all, "holds", "hold");
    let (held, cases) = (results.len() - failed, counted(all, "case"));
    say(format_args!("{held} of {cases} {holds}"));
    if failed == 0 {
        Ok(())
    } else {
        Err(Outcome::Negative)
    }
}

fn file(
    asked: &Test,
    path: &Path,
    world: &World,
    results: &mut Vec<Result>,
) -> std::result::Result<(), Outcome> {
    let name = path.display().to_string();
    let text = files::read(path)?;
    let Cases { charter, cases } = cases::parse(path, &text).map_err(|faults| {
        // The charter itself is given in the place of its cases.
        if text.lines().any(|line| line.trim_end() == "kind: Charter") {
            return Outcome::usage(format!(
                "{name} is a charter, and no file of cases: these stand beside it, in {}",
                path.with_extension("test.yaml").display()
            ));
        }
        say_findings(&name, &text, &faults);
        Outcome::usage(format!("{name} cannot be read"))
    })?;
    let (charter_file, (charter, _)) = (charter.clone(), files::charter(&charter, world)?);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut answers = Vec::with_capacity(cases.len());
    for case in &cases {
        answers.push(match &case.plan_file {
            Some(file) => {
                let path = folder.join(&file.path);
                let file = PlanFile {
                    path,
                    ..file.clone()
                };
                let question = with_plan(&charter, &case.question, &file, case.now)?;
                ask(&charter, &question, case.now)
            }
            None => ask(&charter, &case.question, case.now),
        });
    }
    if asked.update {
        let updated = updated(&text, &cases, &answers);
        if updated != text {
            std::fs::write(path, updated)
                .map_err(|error| Outcome::usage(format!("{name} cannot be written: {error}")))?;
            say(format_args!("updated {}", text::line(&name)));
        }
    }
    for (case, answer) in cases.iter().zip(&answers) {
        let wrong = case.expected.against(&Expected::of(answer));
        results.push(Result {
            file: name.clone(),
            case: case.name.clone(),
            wrong: if asked.update { Vec::new() } else { wrong },
            why: answer.verdict.as_ref().err().map(ToString::to_string),
        });
    }
    if asked.coverage {
        coverage(&charter, &charter_file, &answers);
    }
    Ok(())
}

fn print(result: &Result) {
    if result.wrong.is_empty() {
        let line = format!("ok    {}: {}", result.file, result.case);
        tell(text::line(&line));
        return;
    }
    let wrong = result.wrong.join("; ");
    let line = format!("FAIL  {}: {}: {wrong}", result.file, result.case);
    tell(text::line(&line));
    if let Some(why) = &result.why {
        tell(format_args!("      {}", text::line(why)));
    }
}

/// The file with each expectation replaced; from the end, so that places stay true.
fn updated(text: &str, cases: &[Case], answers: &[CharterAnswer]) -> String {
    let mut updated = text.to_owned();
    for (case, answer) in cases.iter().zip(answers).rev() {
        let found = Expected::of(answer);
        if case.expected.against(&found).is_empty() {
            continue;
        }
        let written = updated.get(case.at.start..case.at.end).unwrap_or_default();
        // A map over several lines ends behind its last line.
        let end = case.at.start + written.trim_end().len();
        updated.replace_range(case.at.start..end, &found.to_string());
    }
    updated
}

/// The parts of the charter that no case met.
fn coverage(charter: &Charter, file: &Path, answers: &[CharterAnswer]) {
    let met: BTreeSet<Position> = answers
        .iter()
        .flat_map(|answer| {
            let denied = answer.verdict.as_ref().err().and_then(|denial| denial.at);
            answer.met.iter().filter_map(|met| met.at).chain(denied)
        })
        .collect();
    let environments: BTreeSet<&str> = answers
        .iter()
        .flat_map(|answer| &answer.met)
        .filter_map(|met| met.what.split_once(": ").map(|(name, _)| name))
        .collect();
    let mut parts: Vec<(String, Position)> = Vec::new();
    let mut part = |what: String, at| parts.push((what, at));
    charter
        .agents
        .iter()
        .for_each(|rule| part(format!("agent {}", rule.issuer), rule.at));
    for grant in charter.grants.values() {
        part(format!("grant {}", grant.name), grant.at);
    }
    for rule in &charter.prohibited {
        part(format!("prohibition: {}", rule.reason), rule.at);
    }
    for freeze in &charter.freezes {
        part(format!("freeze: {}", freeze.reason), freeze.at);
    }
    if let Some(hours) = &charter.hours {
        part(format!("hours: {}", hours.shown()), hours.at);
    }
    if let Some(rule) = &charter.emergency {
        part("emergency".to_owned(), rule.at);
    }
    for rule in &charter.versions {
        part(format!("version {}", rule.version()), rule.at);
    }
    charter
        .plans
        .iter()
        .for_each(|rule| part("plans.required".to_owned(), rule.at));
    for rule in &charter.approvals {
        part(format!("approval by {}", persons(rule.people)), rule.at);
    }
    let all = parts.len() + charter.environments.len();
    parts.retain(|(_, at)| !met.contains(at));
    let unmet: Vec<_> = charter
        .environments
        .keys()
        .filter(|name| !environments.contains(name.as_str()))
        .collect();
    for (what, at) in &parts {
        let line = format!("unmet {}:{at}: {what}", file.display());
        tell(text::line(&line));
    }
    for name in &unmet {
        let line = format!("unmet {}: environment {name}", file.display());
        tell(text::line(&line));
    }
    let left = parts.len() + unmet.len();
    let line = format!(
        "{}: {} of {} {} met by a case",
        file.display(),
        all - left,
        counted(all as u64, "part"),
        verb_for(all as u64, "is", "are")
    );
    tell(text::line(&line));
}

fn junit(results: &[Result]) -> String {
    let failed = results
        .iter()
        .filter(|result| !result.wrong.is_empty())
        .count();
    let mut document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"charter cases\" tests=\"{}\" failures=\"{failed}\">\n",
        results.len()
    );
    for result in results {
        let (file, case) = (xml(&result.file), xml(&result.case));
        document.push_str(&format!("<testcase classname=\"{file}\" name=\"{case}\">"));
        if !result.wrong.is_empty() {
            let why = result.why.as_deref().unwrap_or_default();
            document.push_str(&format!(
                "<failure message=\"{}\">{}</failure>",
                xml(&result.wrong.join("; ")),
                xml(why)
            ));
        }
        document.push_str("</testcase>\n");
    }
    document.push_str("</testsuite>\n</testsuites>\n");
    document
}
