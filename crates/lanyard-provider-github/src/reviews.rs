//! Checks that proposals have to be reviewed. Pushing a branch needs `contents: write`, and so does
//! merging (page «Permissions required for GitHub Apps»): only a branch rule separates the two.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use lanyard_core::provider::ProviderError;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;

use crate::answer::refused;
use crate::client::{Client, TokenVerdict};

/// Number of repositories that are checked concurrently.
pub(crate) const CONCURRENT_CHECKS: usize = 8;
/// Interval of the checks whether GitHub knows a new token; with the number of checks below, five
/// seconds in total, as in GitHub's own client (octokit/auth-app.js).
const TOKEN_CHECK_INTERVAL: Duration = Duration::from_millis(250);
const TOKEN_CHECKS: u32 = 20;
/// Number of repositories that an error names.
const NAMED_REPOSITORIES: usize = 5;
const OPERATION: &str = "check branch rules";

/// Returns a line for each repository whose branch rules are missing or can be bypassed.
pub(crate) async fn missing(
    client: &Client,
    token: &Secret<String>,
    repositories: &BTreeSet<String>,
    now: Timestamp,
) -> Result<Vec<String>, ProviderError> {
    wait_until_known(client, token).await?;
    let asked = stream::iter(repositories.clone())
        .map(|name| async move { one(client, token, &name, now).await })
        .buffered(CONCURRENT_CHECKS);
    let found: Vec<Option<String>> = asked.try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// Turns the lines into a refusal; no lines are a success.
pub(crate) fn required(mut missing: Vec<String>) -> Result<(), ProviderError> {
    if missing.is_empty() {
        return Ok(());
    }
    let more = missing.len().saturating_sub(NAMED_REPOSITORIES);
    missing.truncate(NAMED_REPOSITORIES);
    if more > 0 {
        missing.push(format!("and {more} more"));
    }
    Err(refused(OPERATION, missing.join("; ")))
}

/// Waits until GitHub knows the token, since a new one may be answered with 401 for some seconds.
async fn wait_until_known(client: &Client, token: &Secret<String>) -> Result<(), ProviderError> {
    for _ in 0..TOKEN_CHECKS {
        if client.try_token(token).await? == TokenVerdict::Valid {
            return Ok(());
        }
        tokio::time::sleep(TOKEN_CHECK_INTERVAL).await;
    }
    Err(refused(
        OPERATION,
        "GitHub rejects the token that reads them",
    ))
}

/// Checks one repository; `None` when a rule demands reviews and the app cannot bypass it.
async fn one(
    client: &Client,
    token: &Secret<String>,
    name: &str,
    now: Timestamp,
) -> Result<Option<String>, ProviderError> {
    let branch = client.default_branch(token, name, now).await?;
    let rules = client.branch_rules(token, (name, &branch), now).await?;
    let demands = rules.into_iter().filter(|rule| {
        rule.kind == "pull_request" && rule.parameters.required_approving_review_count >= 1
    });
    let mut passed_by = false;
    for rule in demands {
        let passes = match rule.ruleset_id {
            Some(ruleset) => may_bypass(client, token, (name, ruleset), now).await?,
            None => false,
        };
        if !passes {
            return Ok(None);
        }
        passed_by = true;
    }
    let owner = client.owner();
    Ok(Some(if passed_by {
        format!(
            "{owner}/{name}: the app may bypass the ruleset that demands reviews on {branch}: take it off the bypass list"
        )
    } else {
        format!(
            "{owner}/{name}: no rule demands a review on {branch}, so a proposal could merge itself: add a ruleset with \
             «Require a pull request before merging» and at least one required approval (older branch protection does not \
             show to an app)"
        )
    }))
}

/// Asks whether the app may bypass a ruleset. If the app may not see an organization's ruleset, the
/// answer is no.
async fn may_bypass(
    client: &Client,
    token: &Secret<String>,
    ruleset: (&str, u64),
    now: Timestamp,
) -> Result<bool, ProviderError> {
    match client.may_bypass_ruleset(token, ruleset, now).await {
        Err(ProviderError::Refused { code, .. }) if code == "404" => Ok(false),
        said => said,
    }
}
