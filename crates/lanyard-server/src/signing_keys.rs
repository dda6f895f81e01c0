//! The keys with which the broker signs its own tokens: their schedule, and the commands of people.

use std::sync::Arc;
use std::time::Duration;

use lanyard_core::command::Command;
use lanyard_core::ledger::CommitError;
use lanyard_core::signing_key::SigningKeyStep;
use lanyard_provider_token::{KeyringError, PublishedKey};
use lanyard_vocabulary::identity::Identity;
use tokio::sync::watch;

use crate::broker::Broker;

/// The interval at which the schedule is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// The reason why a change of the keys failed, wholly or in part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// The keyring does not change.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The keyring has changed, and the journal does not say so.
    #[error("the change of the signing keys is in effect, and is not recorded: {0}")]
    Unrecorded(#[source] CommitError),
}

/// Makes a key on command, and records it.
pub(crate) async fn rotate(
    broker: &Broker,
    by: Identity,
    reason: String,
) -> Result<PublishedKey, ChangeError> {
    let made = broker.keyring.rotate(broker.engine.clock().now())?;
    record_made(broker, &made, Some(by), reason).await?;
    Ok(made)
}

/// Revokes a key on command, and records it. Returns the key that signs in its place, if it was the
/// one that signs.
pub(crate) async fn revoke(
    broker: &Broker,
    kid: &str,
    by: Identity,
    reason: String,
) -> Result<Option<PublishedKey>, ChangeError> {
    // In effect before it is recorded: a leaked key signs for whoever has it, and a disk that takes
    // nothing must not keep it valid.
    let replaced = broker.keyring.revoke(kid, broker.engine.clock().now())?;
    log_failures(&replaced.failures);
    let step = SigningKeyStep::Revoke {
        kid: kid.to_owned(),
        by: by.clone(),
        reason: reason.clone(),
    };
    let mut recorded = record(broker, step).await;
    if let Some(successor) = &replaced.successor {
        recorded = recorded.and(record_made(broker, successor, Some(by), reason).await);
    }
    // A key that comes back at the next start is graver than a record that is not there.
    if let Some(failure) = replaced.failures.into_iter().next() {
        return Err(failure.into());
    }
    recorded?;
    Ok(replaced.successor)
}

fn log_failures(failures: &[KeyringError]) {
    for error in failures {
        let why = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(%error, why, "the disk did not take a change of the signing keys");
    }
}

/// Puts a new key in the place of all others, where the data directory is older than it was: a
/// revoked key may be back, and no journal knows every token that the others signed.
pub(crate) async fn replace_after_loss(broker: &Broker) {
    let replaced = broker.keyring.replace_all(broker.engine.clock().now());
    let recorded = match replaced {
        Ok(replaced) => {
            log_failures(&replaced.failures);
            let reason = "the journal is older than it was".to_owned();
            match &replaced.successor {
                Some(new) => record_made(broker, new, None, reason).await,
                None => Ok(()),
            }
        }
        Err(error) => Err(error.into()),
    };
    if let Err(error) = recorded {
        tracing::error!(%error, "the signing keys were not replaced, or that is not recorded");
    }
}

/// Rotates the keys on schedule until told to stop.
pub(crate) async fn follow(broker: Arc<Broker>, every: Duration, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let made = broker
            .keyring
            .rotate_when_due(every, broker.engine.clock().now());
        let recorded = match made {
            Ok(Some(made)) => {
                let reason = "the newest key has signed for its time".to_owned();
                record_made(&broker, &made, None, reason).await
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = recorded {
            tracing::error!(%error, "the signing keys were not rotated, or that is not recorded");
        }
        tokio::select! {
            () = tokio::time::sleep(CHECK_INTERVAL) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn record_made(
    broker: &Broker,
    made: &PublishedKey,
    by: Option<Identity>,
    reason: String,
) -> Result<(), ChangeError> {
    tracing::info!(kid = made.kid, from = %made.signs_from, "a signing key was made");
    let step = SigningKeyStep::Make {
        kid: made.kid.clone(),
        signs_from: made.signs_from,
        by,
        reason,
    };
    record(broker, step).await
}

async fn record(broker: &Broker, step: SigningKeyStep) -> Result<(), ChangeError> {
    let committed = broker.engine.context().commit(Command::SigningKey(step));
    committed.await.map(drop).map_err(ChangeError::Unrecorded)
}
