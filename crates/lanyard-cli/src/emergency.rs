//! `lanyard emergency`.

use clap::Subcommand;
use lanyard_client::v1;
use lanyard_vocabulary::text::escaped;

use crate::Global;
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::table::{Rows, key, prose, whole};
use crate::terminal::say;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Declare one under a charter, on the terms that the charter has for it; it ends by itself.
    Declare {
        /// The charter whose emergency begins.
        charter: String,
        /// The reason, for the record.
        #[arg(long)]
        reason: String,
    },
    /// End one before its time.
    End {
        /// The charter whose emergency ends.
        charter: String,
        /// The reason, for the record.
        #[arg(long)]
        reason: String,
    },
    /// The emergencies that last.
    List,
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    match command {
        Command::Declare { charter, reason } => {
            let request = v1::DeclareEmergencyRequest { charter, reason };
            let declared = client.declare_emergency(request).await?;
            let emergency = declared.emergency.unwrap_or_default();
            say(format_args!(
                "EMERGENCY under charter {} until {}; you do not count among those who approve",
                escaped(&emergency.charter),
                shown(emergency.expire_time)
            ));
        }
        Command::End { charter, reason } => {
            let request = v1::EndEmergencyRequest {
                charter: charter.clone(),
                reason,
            };
            client.end_emergency(request).await?;
            global.note(format_args!(
                "the emergency under charter {} is over",
                escaped(&charter)
            ));
        }
        Command::List => {
            let listed = client.list_emergencies(v1::ListEmergenciesRequest {});
            let mut rows = Rows::of([
                key("charter"),
                prose("by", 3, 12),
                whole("since", 4),
                whole("until", 1),
                prose("reason", 2, 20),
            ]);
            for emergency in listed.await?.emergencies {
                rows.push([
                    emergency.charter,
                    emergency.declared_by,
                    shown(emergency.declare_time),
                    shown(emergency.expire_time),
                    emergency.reason,
                ]);
            }
            rows.print(global.output);
        }
    }
    Ok(())
}
