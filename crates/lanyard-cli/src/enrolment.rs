//! `lanyard enrolment`: agents that hold a key of their own, where no platform vouches for them.

use std::io::Read;
use std::path::PathBuf;

use clap::Subcommand;
use lanyard_client::enrolment::{Joining, join, rotate};
use lanyard_client::{Contexts, Span, v1};
use lanyard_vocabulary::text::visible;
use lanyard_vocabulary::time::Ttl;

use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::print_one;
use crate::table::{Rows, key, prose, whole};
use crate::{Global, streams};

/// The longest text that is taken for a join token.
///
/// # Limit
/// - for: a join token on standard input
/// - unit: bytes
/// - beyond: the rest is not read, and the broker refuses the token
/// - test: `a_join_token_has_so_many_bytes_and_no_more`
const MAX_JOIN_TOKEN_BYTES: u64 = 1024;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Invite an agent; prints a token that is good once.
    Invite {
        /// The name of the agent.
        agent: String,
        /// The time for which the token is good: `10m`, `2h`; a day at most.
        #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = crate::span::parse)]
        lasts: Ttl,
    },
    /// The enrolled agents, and the open invitations.
    List,
    /// Remove an agent: its key is nobody's from then on. Stop what it holds with `lanyard kill
    /// --agent`.
    Remove {
        /// The name of the agent.
        agent: String,
        /// The reason, for the record.
        #[arg(long)]
        reason: String,
    },
    /// Show an invitation from standard input, enrol a key that stays on this machine, and keep a
    /// context for it.
    Join {
        /// The address of the broker.
        #[arg(long, value_name = "URL")]
        endpoint: String,
        /// The authority of its certificate, in PEM.
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
        /// The name of the new context.
        #[arg(long, value_name = "CONTEXT")]
        name: String,
    },
    /// Replace the key of the agent of the context.
    Rotate,
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    match command {
        Command::Invite { agent, lasts } => invite(global, agent, lasts).await,
        Command::List => list(global).await,
        Command::Remove { agent, reason } => {
            let request = v1::RemoveEnrolledAgentRequest {
                agent: agent.clone(),
                reason,
            };
            global
                .client()
                .await?
                .remove_enrolled_agent(request)
                .await?;
            global.note(format_args!(
                "removed {agent}; what it holds lives on: lanyard kill --agent stops that"
            ));
            Ok(())
        }
        Command::Join {
            endpoint,
            ca_file,
            name,
        } => {
            let token = join_token(streams::Input);
            let token =
                token.map_err(|error| Outcome::usage(format!("the join token: {error}")))?;
            let joining = Joining {
                endpoint: &endpoint,
                ca_file: ca_file.as_deref(),
                context: &name,
            };
            let contexts = Contexts::of_user()?;
            let joined = join(&contexts, &joining, token.trim()).await?;
            global.note(format_args!(
                "enrolled {}; the context is {name}",
                joined.agent
            ));
            println!("{}#{}", visible(&joined.issuer), visible(&joined.subject));
            Ok(())
        }
        Command::Rotate => {
            rotate(&global.context()?).await?;
            global.note("the key was replaced");
            Ok(())
        }
    }
}

async fn invite(global: &Global, agent: String, lasts: Ttl) -> Result<(), Outcome> {
    let request = v1::InviteAgentRequest {
        agent,
        ttl: Some(Span {
            seconds: i64::from(lasts.as_secs()),
            nanos: 0,
        }),
    };
    let invited = global.client().await?.invite_agent(request).await?;
    let until = shown(invited.expire_time);
    if global.output.is_document() {
        let pairs = [("join token", invited.join_token), ("good until", until)];
        print_one(global.output, &pairs);
    } else {
        global.note(format_args!("good once, until {until}:"));
        println!("{}", invited.join_token);
    }
    Ok(())
}

async fn list(global: &Global) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let listed = client
        .list_enrolled_agents(v1::ListEnrolledAgentsRequest {})
        .await?;
    let mut rows = Rows::of([
        key("agent"),
        whole("key", 1),
        prose("invited by", 2, 12),
        whole("enrolled", 3),
        whole("key replaced", 4),
    ]);
    for agent in listed.agents {
        rows.push([
            agent.agent,
            agent.thumbprint,
            agent.invited_by,
            shown(agent.enrol_time),
            shown(agent.rotate_time),
        ]);
    }
    for invitation in listed.invitations {
        let until = shown(invitation.expire_time);
        rows.push([
            invitation.agent,
            format!("invited until {until}"),
            invitation.invited_by,
            String::new(),
            String::new(),
        ]);
    }
    rows.print(global.output);
    Ok(())
}

fn join_token(input: impl Read) -> std::io::Result<String> {
    let mut token = String::new();
    input
        .take(MAX_JOIN_TOKEN_BYTES)
        .read_to_string(&mut token)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_token_has_so_many_bytes_and_no_more() {
        let read = |bytes: usize| join_token("x".repeat(bytes).as_bytes()).unwrap().len();
        assert_eq!((read(1024), read(1025)), (1024, 1024));
    }
}
