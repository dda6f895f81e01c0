//! `lanyard kill ticket`: an order for later, signed offline.

use std::path::PathBuf;

use clap::Args;
use lanyard_client::ticket;
use lanyard_vocabulary::scope::MAX_TICKET_LIFE;
use lanyard_vocabulary::time::Ttl;

use super::ScopeArguments;
use super::plane::json_of;
use crate::outcome::Outcome;
use crate::span;

#[derive(Args)]
pub(super) struct Ticket {
    /// The offline key: Ed25519, PKCS #8.
    #[arg(long)]
    key: PathBuf,
    /// The key's name in the broker's `kill_tickets`.
    #[arg(long)]
    kid: String,
    /// The `audience` in the broker's configuration.
    #[arg(long)]
    audience: String,
    /// The time for which the ticket is good: `90d`, `366d` at most.
    #[arg(long, value_name = "SPAN", value_parser = good_for, default_value = "90d")]
    good_for: Ttl,
    /// The same in days.
    #[arg(long, hide = true, value_parser = days, conflicts_with = "good_for")]
    days: Option<Ttl>,
    #[command(flatten)]
    scope: ScopeArguments,
}

/// Reads the life of a ticket. A longer one is refused here: the broker would refuse the ticket
/// only when it is needed.
fn good_for(text: &str) -> Result<Ttl, String> {
    let span = span::parse(text)?;
    if span.as_duration() > MAX_TICKET_LIFE {
        let days = MAX_TICKET_LIFE.as_secs() / (24 * 3600);
        return Err(format!(
            "`{text}` is more than the {days} days that a broker takes a ticket for"
        ));
    }
    Ok(span)
}

fn days(text: &str) -> Result<Ttl, String> {
    good_for(&format!("{text}d"))
}

impl Ticket {
    pub(super) fn sign(self) -> Result<String, Outcome> {
        let scope = json_of(self.scope.kind().as_ref());
        let life = self.days.unwrap_or(self.good_for).as_duration();
        let signed = ticket::sign(&self.key, &self.kid, &self.audience, &scope, life);
        signed.map_err(|error| Outcome::usage(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n15_a_ticket_is_good_for_a_span_that_a_broker_takes() {
        for (text, days_long) in [("90d", 90), ("366d", 366), ("12h", 0)] {
            let seconds = good_for(text).map(Ttl::as_secs);
            assert_eq!(seconds.map(|all| all / 86_400), Ok(days_long), "{text}");
        }
        assert_eq!(days("90"), good_for("90d"));
        for text in ["367d", "90", "", "-1d", "8785h"] {
            assert!(good_for(text).is_err(), "{text}");
        }
        assert!(days("367").is_err() && days("9d").is_err());
    }
}
