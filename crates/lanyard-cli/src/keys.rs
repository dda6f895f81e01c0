//! `lanyard keys`: the keys with which the broker signs its own tokens.

use clap::Subcommand;
use lanyard_client::v1;

use crate::Global;
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::print_one;
use crate::table::{Rows, key, whole};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the published keys, the oldest first.
    List,
    /// Make a key; it signs in five minutes, once verifiers can have it.
    Rotate {
        /// The reason, for the record.
        #[arg(long)]
        reason: String,
    },
    /// Revoke a key that leaked: nothing that it signed is valid from then on.
    Revoke {
        /// The id of the key, as `lanyard keys list` shows it.
        key: String,
        /// The reason, for the record.
        #[arg(long)]
        reason: String,
    },
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    match command {
        Command::List => list(global).await,
        Command::Rotate { reason } => rotate(global, reason).await,
        Command::Revoke { key, reason } => revoke(global, key, reason).await,
    }
}

async fn list(global: &Global) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let listed = client
        .list_signing_keys(v1::ListSigningKeysRequest {})
        .await?;
    let mut rows = Rows::of([
        key("key"),
        key("state"),
        whole("signs from", 1),
        whole("signs until", 2),
        whole("leaves the key set", 3),
    ]);
    let mut has_signed = true;
    for found in listed.keys {
        let state = match (found.signs, has_signed) {
            (true, _) => "signs",
            (false, true) => "verifies",
            (false, false) => "next",
        };
        has_signed &= !found.signs;
        rows.push([
            found.kid,
            state.to_owned(),
            shown(found.sign_from_time),
            shown(found.sign_until_time),
            shown(found.retire_time),
        ]);
    }
    rows.print(global.output);
    Ok(())
}

async fn rotate(global: &Global, reason: String) -> Result<(), Outcome> {
    let request = v1::RotateSigningKeyRequest { reason };
    let rotated = global.client().await?.rotate_signing_key(request).await?;
    let made = rotated.key.unwrap_or_default();
    let from = shown(made.sign_from_time);
    if global.output.is_document() {
        print_one(global.output, &[("key", made.kid), ("signs from", from)]);
    } else {
        global.note(format_args!(
            "it signs from {from} on, and is published now:"
        ));
        println!("{}", made.kid);
    }
    Ok(())
}

async fn revoke(global: &Global, kid: String, reason: String) -> Result<(), Outcome> {
    let request = v1::RevokeSigningKeyRequest {
        kid: kid.clone(),
        reason,
    };
    let revoked = global.client().await?.revoke_signing_key(request).await?;
    let cached = shown(revoked.cached_until_time);
    let successor = revoked.successor.map(|key| key.kid).unwrap_or_default();
    if global.output.is_document() {
        let pairs = [
            ("revoked", kid),
            ("signs now", successor),
            ("cached until", cached),
        ];
        print_one(global.output, &pairs);
        return Ok(());
    }
    global.note(format_args!("revoked {kid}"));
    if !successor.is_empty() {
        global.note(format_args!("{successor} signs in its place"));
    }
    global.note(format_args!(
        "a tool that has the key set cached for five minutes accepts tokens of the key until {cached}"
    ));
    global.note(
        "agents that hold a token of the key are refused from then on: they have to ask again",
    );
    Ok(())
}
