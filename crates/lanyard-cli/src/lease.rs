//! `lanyard request` and `lanyard lease`.

use clap::{Args, Subcommand};
use lanyard_client::v1;
use lanyard_core::time::Ttl;

use crate::Global;
use crate::outcome::Outcome;
use crate::output::{Rows, print_one};
use crate::span;

#[derive(Args)]
pub(crate) struct Request {
    /// The task.
    #[arg(long)]
    task: String,
    /// The grant of its charter.
    grant: String,
    /// The approved plan that an apply goes with.
    #[arg(long)]
    plan: Option<String>,
    /// For less time than the charter allows: `90s`, `5m`.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    ttl: Option<Ttl>,
    /// Decide, and mint nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Your own leases; an operator sees all.
    List,
    /// Give a lease back before its time.
    Release {
        /// The lease.
        id: String,
    },
}

async fn issue(global: &Global, request: Request) -> Result<v1::IssueCredentialResponse, Outcome> {
    let ask = v1::IssueCredentialRequest {
        task_id: request.task,
        grant: request.grant,
        plan_id: request.plan.unwrap_or_default(),
        validate_only: request.dry_run,
        ttl: request.ttl.map(|ttl| prost_duration(ttl.as_secs().into())),
        request_id: String::new(),
    };
    Ok(global.client().await?.issue_credential(ask).await?)
}

fn prost_duration(seconds: i64) -> lanyard_client::Span {
    lanyard_client::Span { seconds, nanos: 0 }
}

pub(crate) async fn request(global: &Global, request: Request) -> Result<(), Outcome> {
    let dry = request.dry_run;
    let issued = issue(global, request).await?;
    if dry {
        eprintln!("this would be issued");
        return Ok(());
    }
    let revocability = issued.revocability.unwrap_or_default();
    let bound = revocability
        .worst_case
        .map(|worst| format!("{} s", worst.seconds));
    print_one(
        global.output,
        &[
            ("lease", issued.lease_id),
            ("expires", shown(issued.expire_time)),
            ("revoked by", revocability.mechanism),
            (
                "at worst within",
                bound.unwrap_or_else(|| {
                    "unbounded: open streams, or what it hands on, outlive a kill".to_owned()
                }),
            ),
        ],
    );
    Ok(())
}

pub(crate) fn shown(at: Option<lanyard_client::Time>) -> String {
    at.and_then(|at| jiff::Timestamp::from_second(at.seconds).ok())
        .map_or_else(String::new, |at| at.to_string())
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let mut page_token = String::new();
    match command {
        Command::Release { id } => {
            client
                .release_lease(v1::ReleaseLeaseRequest { id: id.clone() })
                .await?;
            global.note(format_args!("released {id}; it is being revoked"));
        }
        Command::List => {
            let mut rows = Rows::new(&[
                "lease", "state", "charter", "grant", "role", "target", "expires", "kill",
            ]);
            loop {
                let request = v1::ListLeasesRequest {
                    page_size: 0,
                    page_token: page_token.clone(),
                };
                let page = client.list_leases(request).await?;
                for lease in page.leases {
                    let state = state(lease.state()).to_owned();
                    let expires = shown(lease.expire_time);
                    rows.push([
                        lease.id,
                        state,
                        lease.charter,
                        lease.grant,
                        lease.role,
                        lease.target,
                        expires,
                        lease.kill_id,
                    ]);
                }
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            rows.print(global.output);
        }
    }
    Ok(())
}

/// A state in the words of the product.
pub(crate) const fn state(state: v1::LeaseState) -> &'static str {
    match state {
        v1::LeaseState::Unspecified => "unknown",
        v1::LeaseState::Intent => "intent",
        v1::LeaseState::Issued => "issued",
        v1::LeaseState::Fenced => "fenced",
        v1::LeaseState::Requested => "requested",
        v1::LeaseState::Acknowledged => "acknowledged",
        v1::LeaseState::PresumedDead => "presumed dead",
        v1::LeaseState::ProvedDead => "proved dead",
        v1::LeaseState::Expired => "expired",
    }
}
