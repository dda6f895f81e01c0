//! An agent that reads tickets from a tool until somebody stops it.
//!
//!     cargo run -p lanyard-client --example agent -- CONTEXT-FILE TOOL
//!
//! The context says where the broker is and who asks; TOOL is the address of a tool that takes
//! Lanyard's tokens, such as the example `tickets` of lanyard-verifier.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use lanyard_client::v1::credential::Kind;
use lanyard_client::{Client, ClientError, Stop, Task, v1};

/// The pause between two reads of the tickets.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Deadline of one read of the tickets.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the tickets once, with the token that is valid now.
async fn tickets(
    task: &Task,
    http: &reqwest::Client,
    tool: &str,
) -> Result<String, Box<dyn Error>> {
    // Ask for each use and store nothing: the task renews a token in time, and drops one that was
    // revoked.
    let held = task.credential("read-tickets", None).await?;
    let Some(Kind::Token(token)) = &held.credential.kind else {
        return Err("the grant read-tickets gives another kind of credential".into());
    };
    let answer = http.get(format!("{tool}/tickets")).bearer_auth(&token.jwt);
    Ok(answer.send().await?.error_for_status()?.text().await?)
}

async fn work(task: &Task, tool: &str) -> Result<(), Box<dyn Error>> {
    let http = reqwest::Client::builder()
        .timeout(REQUEST_TIMEOUT)
        .build()?;
    loop {
        print!("{}", tickets(task, &http, tool).await?);
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let context = arguments.next().ok_or("the context file is missing")?;
    let tool = arguments.next().ok_or("the tool's address is missing")?;
    // One implementation of cryptography for all connections of the process.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "another implementation of cryptography is installed")?;
    let client = Client::connect(context.as_ref()).await?;
    let asked = v1::OpenTaskRequest {
        charter: "ticket-router".into(),
        environment: "production".into(),
        reason: "read the new tickets".into(),
        ..Default::default()
    };
    let task = client.begin(asked).await?;
    eprintln!("task {}", task.id());
    let mut stops = task.stops();
    let ended = tokio::select! {
        ended = work(&task, &tool) => ended,
        // The channel reports a kill within a moment, in the middle of whatever the agent does.
        stop = stops.wait_for(Option::is_some) => match stop?.clone() {
            Some(Stop::Killed { line, .. }) => Err(line.into()),
            Some(Stop::Closed) | None => Ok(()),
        },
    };
    match task.close().await {
        // A kill has closed the task already.
        Ok(()) | Err(ClientError::Killed(_) | ClientError::NotFound(_)) => ended,
        Err(error) => ended.and(Err(error.into())),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line that names the order or the rule, and what to do.
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
