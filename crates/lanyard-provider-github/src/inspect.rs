//! Checks the installation at GitHub for a grant; each fault is a line with its remedy.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use lanyard_charter::GitHubGrant;
use lanyard_core::provider::ProviderError;
use lanyard_vocabulary::time::Timestamp;

use crate::client::{Client, Installation};
use crate::reviews::CONCURRENT_CHECKS;

/// The rank of an access level; an unknown level ranks below all known ones.
fn rank(access: &str) -> u8 {
    match access {
        "read" => 1,
        "write" => 2,
        "admin" => 3,
        _ => 0,
    }
}

/// The installation that the app would use.
pub(crate) enum Usable {
    /// The installation is there and not suspended.
    Yes(Installation),
    /// No installation can be used, for this reason.
    No(String),
}

/// Reads the installation from GitHub.
///
/// # Errors
/// When GitHub could not be asked.
pub(crate) async fn installation(client: &Client, now: Timestamp) -> Result<Usable, ProviderError> {
    let owner = client.owner();
    Ok(match client.find_installation(now).await {
        Ok(Some(found)) if found.is_suspended() => Usable::No(found.suspension().to_owned()),
        Ok(Some(found)) => Usable::Yes(found),
        Ok(None) => Usable::No(format!(
            "the app is not installed on {owner}: have an owner install it, on the repositories of the grant"
        )),
        Err(ProviderError::Refused { code, .. }) => Usable::No(code),
        Err(other) => return Err(other),
    })
}

/// Returns a line for each permission of the grant that the app lacks.
pub(crate) fn lacking(granted: &BTreeMap<String, String>, grant: &GitHubGrant) -> Vec<String> {
    let lacks = grant.permissions.iter().filter_map(|(name, access)| {
        let (has, needs) = (granted.get(name), access.to_string());
        let enough = has.is_some_and(|has| rank(has) >= rank(&needs));
        let has = has.map_or("nothing", |has| has.as_str());
        (!enough).then(|| {
            format!(
                "the app was granted {name}: {has}, and the grant needs {name}: {needs}: change it in the settings of the \
                 app, and have an owner accept that"
            )
        })
    });
    lacks.collect()
}

/// Returns a line for each repository of the grant that the installation lacks.
pub(crate) async fn outside(
    client: &Client,
    installation: u64,
    grant: &GitHubGrant,
    now: Timestamp,
) -> Result<Vec<String>, ProviderError> {
    let asked = stream::iter(grant.repositories.clone())
        .map(|name| async move {
            let there = client.has_repository(installation, &name, now).await?;
            Ok((!there).then(|| {
                let owner = client.owner();
                format!(
                    "{owner}/{name} does not exist or is not among the repositories of the installation: have an owner add it in \
                     the settings of the installed app"
                )
            }))
        })
        .buffered(CONCURRENT_CHECKS);
    let found: Vec<Option<String>> = asked.try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}
