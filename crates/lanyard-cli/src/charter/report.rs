//! Findings in the forms that people, editors and CI systems read.

use clap::ValueEnum;
use lanyard_document::{Code, Diagnostic, Severity, render, render_within};
use lanyard_vocabulary::text::visible;
use serde_json::{Value, json};

use crate::output::Output;
use crate::terminal::Screen;
use crate::text;

/// The form in which findings are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The line, the place underlined, the help.
    Text,
    /// A line for each finding.
    Concise,
    /// A list of objects.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of a GitHub workflow.
    Github,
    /// JUnit XML: a test for each file.
    Junit,
}

/// A file and what was found in it.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) findings: Vec<Diagnostic>,
}

impl File {
    pub(crate) fn is_sound(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.all(|finding| finding.severity() == Severity::Warning)
    }
}

/// `output` counts where the format was left to it.
pub(crate) fn print(format: Format, output: Output, files: &[File]) {
    match format {
        Format::Text if output.is_document() => output.document(&json(files)),
        Format::Text => {
            let columns = Screen::columns(&std::io::stdout());
            for file in files {
                let shown = render_within(&file.name, &file.text, &file.findings, columns);
                print!("{shown}");
            }
        }
        Format::Concise => each(files, |file, finding| {
            println!("{}", finding.line(&file.name))
        }),
        Format::Github => each(files, |file, finding| println!("{}", github(file, finding))),
        Format::Json => println!("{}", text::json(format!("{:#}", json(files)))),
        Format::Sarif => println!("{}", text::json(format!("{:#}", sarif(files)))),
        Format::Junit => print!("{}", junit(files)),
    }
}

fn each(files: &[File], print: impl Fn(&File, &Diagnostic)) {
    for file in files {
        file.findings
            .iter()
            .for_each(|finding| print(file, finding));
    }
}

/// Line and column behind the last character, both from 1.
fn end(file: &File, finding: &Diagnostic) -> (usize, usize) {
    let before = file.text.get(..finding.span.end).unwrap_or(&file.text);
    let line = before.matches('\n').count() + 1;
    let last = before.rsplit('\n').next().unwrap_or_default();
    (line, last.chars().count() + 1)
}

fn json(files: &[File]) -> Value {
    let mut all = Vec::new();
    for file in files {
        for finding in &file.findings {
            let (end_line, end_column) = end(file, finding);
            all.push(json!({
                "file": file.name,
                "line": finding.span.at.line,
                "column": finding.span.at.column,
                "end_line": end_line,
                "end_column": end_column,
                "code": finding.code.id(),
                "name": finding.code.name(),
                "severity": finding.severity().to_string(),
                "message": finding.message,
                "help": finding.help,
                "fixable": finding.fix.is_some(),
            }));
        }
    }
    Value::Array(all)
}

fn sarif(files: &[File]) -> Value {
    let level = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let rules: Vec<Value> = Code::ALL
        .iter()
        .map(|code| {
            json!({
                "id": code.id(),
                "name": code.name(),
                "shortDescription": {"text": code.summary()},
                "fullDescription": {"text": code.explanation()},
                "defaultConfiguration": {"level": level(code.severity())},
            })
        })
        .collect();
    let mut results = Vec::new();
    for file in files {
        for finding in &file.findings {
            let (end_line, end_column) = end(file, finding);
            let place = Code::ALL.iter().position(|code| *code == finding.code);
            let help = finding.help.as_ref();
            let help = help.map_or_else(String::new, |help| format!(" ({help})"));
            results.push(json!({
                "ruleId": finding.code.id(),
                "ruleIndex": place,
                "level": level(finding.severity()),
                "message": {"text": format!("{}{help}", finding.message)},
                "locations": [{"physicalLocation": {
                    "artifactLocation": {"uri": file.name},
                    "region": {
                        "startLine": finding.span.at.line,
                        "startColumn": finding.span.at.column,
                        "endLine": end_line,
                        "endColumn": end_column,
                    },
                }}],
            }));
        }
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "lanyard charter lint",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// A workflow command; what would end it early is written as the runner wants it.
fn github(file: &File, finding: &Diagnostic) -> String {
    let data = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let (end_line, end_column) = end(file, finding);
    let mut message = finding.message.clone();
    if let Some(help) = &finding.help {
        message.push_str(&format!("\n{help}"));
    }
    format!(
        "::{} file={},line={},col={},endLine={end_line},endColumn={end_column},title={}::{}",
        finding.severity(),
        property(&file.name),
        finding.span.at.line,
        finding.span.at.column,
        property(&format!("{} {}", finding.code, finding.code.name())),
        data(&message)
    )
}

/// Text of an XML document, which may not hold control characters at all.
pub(crate) fn xml(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(visible).collect();
    lines
        .join("\n")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn junit(files: &[File]) -> String {
    let failed = files.iter().filter(|file| !file.is_sound()).count();
    let mut document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"charters\" tests=\"{}\" failures=\"{failed}\">\n",
        files.len()
    );
    for file in files {
        let name = xml(&file.name);
        let text = xml(&render(&file.name, &file.text, &file.findings));
        document.push_str(&format!("<testcase classname=\"lint\" name=\"{name}\">"));
        let (open, close) = if file.is_sound() {
            ("<system-out>", "</system-out>")
        } else {
            (
                "<failure message=\"the charter does not hold together\">",
                "</failure>",
            )
        };
        if !text.is_empty() {
            document.push_str(&format!("{open}{text}{close}"));
        }
        document.push_str("</testcase>\n");
    }
    document.push_str("</testsuite>\n</testsuites>\n");
    document
}
