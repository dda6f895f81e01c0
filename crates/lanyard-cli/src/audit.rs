//! `lanyard audit`: what happened, as the journal has it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lanyard_client::{ClientError, v1};
use lanyard_journal::verify;
use serde_json::Value;

use crate::Global;
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::{Output, Rows, print_one};
use crate::terminal::Screen;
use crate::text;

/// How wide the kinds of records are that follow one another.
const KIND_COLUMNS: usize = 18;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Find records, oldest first.
    Query {
        /// An id, or a name of an agent, a person, a charter, a target, an environment or a grant.
        mentions: Option<String>,
        /// A kind of record, for instance `kill`.
        #[arg(long)]
        kind: Option<String>,
    },
    /// Follow the journal.
    Tail {
        /// The first record; without it, what comes next.
        #[arg(long)]
        from: Option<u64>,
    },
    /// Read a journal again and say whether it is as it was written; offline.
    Verify(Verify),
}

#[derive(Args)]
pub(crate) struct Verify {
    /// The daemon's data directory, or a copy of it.
    #[arg(long)]
    data_dir: PathBuf,
    /// How many records there were when you last looked: `lanyard status` says it.
    #[arg(long, requires = "root")]
    size: Option<u64>,
    /// The root that the tree had then, in hex: the journal has to go on from it.
    #[arg(long, requires = "size")]
    root: Option<String>,
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    match command {
        Command::Query { mentions, kind } => query(global, mentions, kind).await,
        Command::Tail { from } => tail(global, from).await,
        Command::Verify(verify) => check(global, &verify),
    }
}

async fn query(
    global: &Global,
    mentions: Option<String>,
    kind: Option<String>,
) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let mut rows = Rows::new(&["record", "time", "kind", "what"]);
    let mut request = v1::QueryRecordsRequest {
        mentions: mentions.unwrap_or_default(),
        kind: kind.unwrap_or_default(),
        page_size: 1000,
        page_token: String::new(),
    };
    loop {
        let page = client.query_records(request.clone()).await?;
        for record in page.records {
            let time = shown(record.time);
            let what = what(&record.body);
            rows.push([record.index.to_string(), time, record.kind, what]);
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    rows.print(global.output);
    Ok(())
}

async fn tail(global: &Global, from: Option<u64>) -> Result<(), Outcome> {
    let mut records = global.client().await?.tail_records(from).await?;
    while let Some(some) = records.message().await.map_err(ClientError::from)? {
        for record in some.records {
            match global.output {
                Output::Json | Output::Jsonl => println!("{}", text::json(record.body)),
                Output::Yaml => {
                    let parsed: Value = serde_json::from_str(&record.body).unwrap_or_default();
                    global.output.next_document(&parsed);
                }
                Output::Name => println!("{}", record.index),
                Output::Table => {
                    let kind = text::padded(&text::cell(&record.kind), KIND_COLUMNS);
                    let before = format!("{:>8}  {}  {kind}  ", record.index, shown(record.time));
                    let what = text::line(&what(&record.body));
                    let screen = Screen::columns(&std::io::stdout());
                    println!("{}", text::wrapped(&before, &what, 4, screen));
                }
            }
        }
    }
    Ok(())
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
    let found = match verify(&journal, asked.size.unwrap_or(0)) {
        Ok(found) => found,
        Err(error) => {
            let place = journal.display();
            let line = format!("the journal in {place} is not whole: {error}");
            eprintln!("lanyard: {}", text::line(&line));
            return Err(Outcome::Negative);
        }
    };
    let hex = |root: &[u8]| -> String { root.iter().map(|byte| format!("{byte:02x}")).collect() };
    if let (Some(size), Some(root)) = (asked.size, &asked.root) {
        let then = found.root_then.as_ref().map(|root| hex(root));
        if then.as_deref() != Some(root.as_str()) {
            eprintln!(
                "lanyard: this journal does not go on from the one with {size} records and that root"
            );
            return Err(Outcome::Negative);
        }
    }
    let (size, root) = (found.size, hex(&found.root));
    if global.output.is_document() {
        let fields = [("records", size.to_string()), ("root", root)];
        print_one(global.output, &fields);
    } else {
        println!("ok: {size} records, root {root}");
    }
    Ok(())
}
