//! Whether what an agent proposes has to be reviewed. `contents: write` is what a push of a branch needs, and it is all that
//! a merge needs too (page «Permissions required for GitHub Apps»): only a rule on the branch keeps the two apart.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use lanyard_core::provider::ProviderError;
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;

use crate::answer::refused;
use crate::client::{Client, Said};

/// How many repositories are asked about at the same time.
pub(crate) const AT_ONCE: usize = 8;
/// How often, and how many times, it is asked whether a new token is known: for the five seconds that GitHub's own client
/// waits (octokit/auth-app.js).
const ASK_EVERY: Duration = Duration::from_millis(250);
const ASK_TIMES: u32 = 20;
/// How many repositories an error names.
const NAMED_REPOSITORIES: usize = 5;
const OPERATION: &str = "check branch rules";

/// What is missing, of each of these repositories.
pub(crate) async fn missing(
    client: &Client,
    token: &Secret<String>,
    repositories: &BTreeSet<String>,
    now: Timestamp,
) -> Result<Vec<String>, ProviderError> {
    arrived(client, token).await?;
    let asked = stream::iter(repositories.clone())
        .map(|name| async move { one(client, token, &name, now).await })
        .buffered(AT_ONCE);
    let found: Vec<Option<String>> = asked.try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// An error out of what is missing.
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

/// A token that was just made may be answered with 401 for some seconds.
async fn arrived(client: &Client, token: &Secret<String>) -> Result<(), ProviderError> {
    for _ in 0..ASK_TIMES {
        if client.try_token(token).await? == Said::Yes {
            return Ok(());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    Err(refused(
        OPERATION,
        "the token that looks at them is not accepted",
    ))
}

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
            Some(ruleset) => may_pass_by(client, token, (name, ruleset), now).await?,
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
            "{owner}/{name}: nothing demands a review on {branch}, so that a proposal could merge itself: add a ruleset with \
             «Require a pull request before merging» and at least one required approval (older branch protection does not \
             show to an app)"
        )
    }))
}

/// A ruleset of the organization may not be for the app to see: then nothing says that the app may pass it by.
async fn may_pass_by(
    client: &Client,
    token: &Secret<String>,
    ruleset: (&str, u64),
    now: Timestamp,
) -> Result<bool, ProviderError> {
    match client.passes_by(token, ruleset, now).await {
        Err(ProviderError::Refused { code, .. }) if code == "404" => Ok(false),
        said => said,
    }
}
