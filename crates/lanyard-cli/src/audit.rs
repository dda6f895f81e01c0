//! `lanyard audit`: what happened, as the journal has it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use lanyard_client::{ClientError, v1};
use lanyard_journal::{OpenError, Then, verify};
use lanyard_vocabulary::id::is_id;
use serde_json::{Value, json};

use crate::lease::{shown, shown_exactly};
use crate::outcome::Outcome;
use crate::output::{Output, print_one};
use crate::terminal::{Screen, say};
use crate::{Global, span, text, yaml};

/// So many records are asked for by their places at once.
const PLACES_PER_CALL: usize = 1000;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Find records, oldest first, one sentence each; `-o json` prints the records themselves.
    Query(Box<Query>),
    /// Show records by their places: `82`, or `82,83,84` as an order's evidence names them.
    Show {
        /// The numbers of the records, separated by commas.
        #[arg(required = true, value_delimiter = ',', value_parser = number)]
        records: Vec<u64>,
    },
    /// Follow the journal: every record, or those that the filters ask for
    Tail(Box<Tail>),
    /// Read a journal again and say whether it is as it was written; offline.
    Verify(Verify),
}

#[derive(Args)]
pub(crate) struct Query {
    /// An id, whose records are followed: a task, lease, plan, approval, kill order, pause or
    /// decision; or a name, or what an action was reported on
    mentions: Option<String>,
    /// Only records up to this time
    #[arg(long, value_name = "WHEN", value_parser = span::moment)]
    until: Option<jiff::Timestamp>,
    #[command(flatten)]
    filters: Filters,
}

#[derive(Args)]
pub(crate) struct Tail {
    /// An id, or a name, or what an action was reported on: records that name it
    mentions: Option<String>,
    /// Begin with this record, instead of with what comes next
    #[arg(long)]
    from: Option<u64>,
    #[command(flatten)]
    filters: Filters,
}

#[derive(Args)]
struct Filters {
    /// A kind of record, for instance `kill`
    #[arg(long, default_value = "", hide_default_value = true)]
    kind: String,
    /// From then on: a span ago (`2h`, `7d`), a time or a day
    #[arg(long, value_name = "WHEN", value_parser = span::moment)]
    since: Option<jiff::Timestamp>,
    /// Only records of this agent or person: a name, a subject or the end of one, or issuer, `#`
    /// and subject
    #[arg(long, default_value = "", hide_default_value = true)]
    who: String,
    /// Only records of tasks under this charter
    #[arg(long, default_value = "", hide_default_value = true)]
    charter: String,
    /// Only records of tasks in this environment
    #[arg(long, default_value = "", hide_default_value = true)]
    environment: String,
    /// Only records of tasks with this ticket
    #[arg(long, default_value = "", hide_default_value = true)]
    ticket: String,
    /// Only records with this outcome
    #[arg(long, value_enum)]
    outcome: Option<Outcomes>,
}

impl Filters {
    fn outcome(&self) -> String {
        self.outcome.map_or("", Outcomes::as_str).to_owned()
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Outcomes {
    /// A task was opened, or a credential allowed.
    Allowed,
    /// A charter or a person said no.
    Denied,
    /// The charter allows it, and it was held up: by a limit, by people who have not answered, by a
    /// kill order or a pause.
    Refused,
    /// A person said yes.
    Approved,
    /// A kill order or a pause stopped or refused it.
    Stopped,
    /// An action or a drill failed.
    Failed,
    /// Actions with another outcome.
    Other,
}

impl Outcomes {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Approved => "approved",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Other => "other",
        }
    }
}

#[derive(Args)]
pub(crate) struct Verify {
    /// The daemon's data directory, or a copy of it.
    #[arg(long)]
    data_dir: PathBuf,
    /// The archive, or a copy of it: segments that `journal.archive` got before their removal.
    #[arg(long)]
    archive: Option<PathBuf>,
    /// The number of records when you last looked: `lanyard status` says it.
    #[arg(long, requires = "root")]
    size: Option<u64>,
    /// The root that the tree had then, in hex: the journal has to go on from it.
    #[arg(long, requires = "size")]
    root: Option<String>,
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    match command {
        Command::Query(asked) => query(global, *asked).await,
        Command::Show { records } => show(global, &records).await,
        Command::Tail(asked) => tail(global, *asked).await,
        Command::Verify(verify) => check(global, &verify),
    }
}

async fn query(global: &Global, asked: Query) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let (mentions, filters) = (asked.mentions.unwrap_or_default(), asked.filters);
    let mut request = v1::QueryRecordsRequest {
        follow: is_id(mentions.trim()),
        mentions,
        outcome: filters.outcome(),
        kind: filters.kind,
        page_size: 1000,
        since: filters.since.map(wire),
        until: asked.until.map(wire),
        who: filters.who,
        charter: filters.charter,
        environment: filters.environment,
        ticket: filters.ticket,
        ..v1::QueryRecordsRequest::default()
    };
    let mut printed = Printed::new(global.output);
    let mut unknown = Vec::new();
    loop {
        let page = client.query_records(request.clone()).await?;
        printed.take(&page.records);
        unknown.extend(page.unknown_names);
        if page.truncated {
            global.note("there is more to follow: query the ids in it one by one");
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    if printed.end() > 0 {
        return Ok(());
    }
    if !unknown.is_empty() {
        return Err(Outcome::usage(unknown.join("\n")));
    }
    if !global.output.is_document() {
        global.hint("no record is as asked for");
    }
    Ok(())
}

async fn show(global: &Global, places: &[u64]) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let mut printed = Printed::new(global.output);
    let mut missing = Vec::new();
    for some in places.chunks(PLACES_PER_CALL) {
        let request = v1::QueryRecordsRequest {
            indices: some.to_vec(),
            ..v1::QueryRecordsRequest::default()
        };
        let found = client.query_records(request).await?.records;
        printed.take_whole(&found);
        let is_there = |place: &&u64| found.iter().any(|record| record.index == **place);
        missing.extend(some.iter().filter(|place| !is_there(place)).copied());
    }
    printed.end();
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<String> = missing.iter().map(u64::to_string).collect();
    Err(Outcome::usage(format!(
        "the journal has no record {}: `lanyard status` says how many there are, from 0 on",
        missing.join(", ")
    )))
}

async fn tail(global: &Global, asked: Tail) -> Result<(), Outcome> {
    let filters = asked.filters;
    let from = asked.from.map(i64::try_from);
    let request = v1::TailRecordsRequest {
        from_index: from.map_or(-1, |from| from.unwrap_or(i64::MAX)),
        mentions: asked.mentions.unwrap_or_default(),
        outcome: filters.outcome(),
        kind: filters.kind,
        since: filters.since.map(wire),
        who: filters.who,
        charter: filters.charter,
        environment: filters.environment,
        ticket: filters.ticket,
    };
    let mut records = global.client().await?.tail_records(request).await?;
    while let Some(some) = records.message().await.map_err(ClientError::from)? {
        for why in &some.unknown_names {
            global.note(format_args!("{why}; its records are shown as they come"));
        }
        for record in &some.records {
            match global.output {
                Output::Json | Output::Jsonl => {
                    println!("{}", text::json(whole(record).to_string()))
                }
                Output::Yaml => global.output.next_document(&whole(record)),
                Output::Name => println!("{}", record.index),
                Output::Table => println!("{}", sentence(record, &shown(record.time))),
            }
        }
    }
    Ok(())
}

/// Records as they are printed: sentences as they come, documents in one.
struct Printed {
    output: Output,
    documents: Vec<Value>,
    count: usize,
}

impl Printed {
    const fn new(output: Output) -> Self {
        Self {
            output,
            documents: Vec::new(),
            count: 0,
        }
    }

    fn take(&mut self, records: &[v1::AuditRecord]) {
        self.count += records.len();
        match self.output {
            Output::Table => records
                .iter()
                .for_each(|record| println!("{}", sentence(record, &shown(record.time)))),
            Output::Name => records
                .iter()
                .for_each(|record| println!("{}", record.index)),
            Output::Json | Output::Jsonl | Output::Yaml => {
                self.documents.extend(records.iter().map(whole));
            }
        }
    }

    /// Each with everything that it holds.
    fn take_whole(&mut self, records: &[v1::AuditRecord]) {
        if self.output != Output::Table {
            return self.take(records);
        }
        for record in records {
            if self.count > 0 {
                println!();
            }
            self.count += 1;
            println!("{}", sentence(record, &shown_exactly(record.time)));
            let command = whole(record).get("command").cloned().unwrap_or_default();
            print!("{}", indented(&yaml::text(&command)));
        }
    }

    fn end(self) -> usize {
        if self.output.is_document() {
            self.output.document(&Value::Array(self.documents));
        }
        self.count
    }
}

/// Reads the place of a record.
fn number(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| {
        "expected the number of a record, as `lanyard audit query` shows it, or several: `82,83`"
            .to_owned()
    })
}

fn indented(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| format!("    {}\n", text::line(line)));
    lines.collect()
}

/// A record as it stands in the journal, with its place and what it is about.
fn whole(record: &v1::AuditRecord) -> Value {
    let mut value: Value = serde_json::from_str(&record.body).unwrap_or_default();
    if let Value::Object(members) = &mut value {
        members.insert("record".to_owned(), json!(record.index));
        members.insert("time".to_owned(), json!(shown_exactly(record.time)));
        members.insert("kind".to_owned(), json!(record.kind));
        let about = [
            ("said", &record.said),
            ("charter", &record.charter),
            ("environment", &record.environment),
            ("agent", &record.agent),
            ("task", &record.task_id),
            ("ticket", &record.ticket),
            ("outcome", &record.outcome),
            ("reason_code", &record.reason_code),
        ];
        for (name, text) in about.into_iter().filter(|(_, text)| !text.is_empty()) {
            members.insert(name.to_owned(), json!(text));
        }
    }
    value
}

/// `2026-11-30T03:00:12Z  82  agent:router opened task T-…`
fn sentence(record: &v1::AuditRecord, at: &str) -> String {
    let before = format!("{at}  {:>5}  ", record.index);
    let said = match record.said.as_str() {
        // Of a broker of before, or of a record that it does not know.
        "" => format!("{}: {}", record.kind, what(&record.body)),
        said => said.to_owned(),
    };
    let screen = Screen::columns(&std::io::stdout());
    text::wrapped(&before, &text::line(&said), 4, screen)
}

fn wire(at: jiff::Timestamp) -> lanyard_client::Time {
    lanyard_client::Time {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

/// The members of a record besides its kind and its time, on one line.
fn what(body: &str) -> String {
    let parsed: Value = serde_json::from_str(body).unwrap_or_default();
    let Some(Value::Object(members)) = parsed.get("command") else {
        return String::new();
    };
    let parts = members
        .iter()
        .filter(|(name, value)| *name != "type" && !value.is_null())
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => format!("{name}={value}"),
        });
    parts.collect::<Vec<_>>().join(" ")
}

fn check(global: &Global, asked: &Verify) -> Result<(), Outcome> {
    let journal = asked.data_dir.join("journal");
    let archive = asked.archive.as_deref();
    let found = match verify(&journal, archive, asked.size.unwrap_or(0)) {
        Ok(found) => found,
        Err(error @ OpenError::Damaged(_)) => {
            let place = journal.display();
            let line = format!("the journal in `{place}` is not as it was written: {error}");
            say(format_args!("lanyard: {}", text::line(&line)));
            return Err(Outcome::Negative);
        }
        // Nothing was verified, and so nothing is proved against the journal.
        Err(error) => {
            let place = asked.data_dir.display();
            return Err(Outcome::usage(format!(
                "`--data-dir {place}` cannot be verified: {error}; name the folder that `data_dir` of the daemon's configuration names, or a copy of it"
            )));
        }
    };
    let hex = |root: &[u8]| -> String { root.iter().map(|byte| format!("{byte:02x}")).collect() };
    if let (Some(size), Some(root)) = (asked.size, &asked.root) {
        let then = match &found.then {
            Then::Root(root) => Some(hex(root)),
            Then::Shorter => None,
            // The root that somebody saw can be neither confirmed nor denied.
            Then::Removed => {
                return Err(Outcome::usage(format!(
                    "the root of the first {size} records cannot be computed: retention removed records before {}; name the archive with `--archive`",
                    found.removed
                )));
            }
        };
        if then.as_deref() != Some(root.as_str()) {
            say(format_args!(
                "lanyard: this journal does not go on from the one with {size} records and that root"
            ));
            return Err(Outcome::Negative);
        }
    }
    let (size, root) = (found.size, hex(&found.root));
    if global.output.is_document() {
        let fields = [
            ("records", size.to_string()),
            ("root", root),
            ("removed", found.removed.to_string()),
        ];
        print_one(global.output, &fields);
    } else if found.removed == 0 {
        println!("ok: {size} records, root {root}");
    } else {
        println!(
            "ok: {size} records, root {root}; retention removed the first {}, whose root fits what follows",
            found.removed
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> v1::AuditRecord {
        v1::AuditRecord {
            index: 82,
            time: Some(lanyard_client::Time {
                seconds: 1_796_007_600,
                nanos: 42_000_000,
            }),
            kind: "close-task".to_owned(),
            body: r#"{"at":1000,"command":{"type":"close-task","task":"T-1"}}"#.to_owned(),
            said: "task T-1 of agent:router was closed".to_owned(),
            environment: "production".to_owned(),
            ..v1::AuditRecord::default()
        }
    }

    #[test]
    fn u12_a_document_is_the_record_and_no_string_of_it() {
        let document = whole(&record());
        let of = |path: &str| document.pointer(path).and_then(Value::as_str);
        assert_eq!(of("/command/task"), Some("T-1"));
        assert_eq!(of("/environment"), Some("production"));
        assert_eq!(document.get("record"), Some(&json!(82)));
        assert_eq!(of("/time"), Some("2026-11-30T03:00:00.042Z"));
        assert!(sentence(&record(), "").ends_with("   82  task T-1 of agent:router was closed"));
    }

    #[test]
    fn u12_a_record_that_the_broker_has_no_words_for_is_told_by_its_fields() {
        let unknown = v1::AuditRecord {
            said: String::new(),
            ..record()
        };
        assert!(sentence(&unknown, "").ends_with("close-task: task=T-1"));
    }
}
