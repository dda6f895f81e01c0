//! `list_charters`: what the agent may ask for.

use lanyard_proto::v1;
use rmcp::model::ToolAnnotations;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lines;
use crate::call::Call;
use crate::refused::Failure;
use crate::reply::Reply;
use crate::shown;
use crate::tool::Tool;

/// How many charters are listed, and grants of each.
///
/// # Limit
/// - for: a list of charters
/// - unit: charters
/// - beyond: the list says that it is `truncated`
/// - test: `lists_of_tools_have_bounds`
const MAX_CHARTERS: usize = 200;

pub(crate) struct ListCharters;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {}

/// What you may ask for.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Output {
    charters: Vec<Charter>,
    /// Whether there is more than is listed.
    truncated: bool,
}

#[derive(Serialize, JsonSchema)]
struct Charter {
    /// What request_credential takes as `charter`.
    name: String,
    /// What it is for: stay within it.
    purpose: String,
    /// Where tasks can run: what request_credential takes as `environment`.
    environments: Vec<String>,
    grants: Vec<Grant>,
}

#[derive(Serialize, JsonSchema)]
struct Grant {
    /// What request_credential takes as `grant`.
    name: String,
    /// `plan` reads; `apply` can change things, and may take a plan that people have approved.
    role: String,
    /// `token`, `aws` or `kubernetes`.
    kind: String,
    /// Where the credential works.
    target: String,
    /// In which environments it can be asked for.
    environments: Vec<String>,
}

impl Tool for ListCharters {
    const NAME: &'static str = "list_charters";
    const TITLE: &'static str = "What may be asked for";
    const DESCRIPTION: &'static str = "Lists the charters that name you: what each is for, in which environments, and the grants that you may ask for, with their \
        role (`plan` reads, `apply` changes) and kind. Call this first. What is not listed is not to be had.";
    type Input = Input;
    type Output = Output;

    fn annotations() -> ToolAnnotations {
        ToolAnnotations::new().read_only(true).open_world(false)
    }

    async fn run(call: &Call<'_>, Input {}: Input) -> Result<Reply<Output>, Failure> {
        Ok(Reply::Done(listed(call.broker.list_charters().await?)))
    }
}

fn listed(charters: Vec<v1::Charter>) -> Output {
    let too_many = |charter: &v1::Charter| charter.grant_details.len() > MAX_CHARTERS;
    Output {
        truncated: charters.len() > MAX_CHARTERS || charters.iter().any(too_many),
        charters: charters
            .into_iter()
            .take(MAX_CHARTERS)
            .map(charter)
            .collect(),
    }
}

fn charter(charter: v1::Charter) -> Charter {
    Charter {
        name: shown::line(&charter.name),
        purpose: shown::line(&charter.purpose),
        environments: lines(&charter.environments),
        grants: charter
            .grant_details
            .into_iter()
            .take(MAX_CHARTERS)
            .map(grant)
            .collect(),
    }
}

fn grant(grant: v1::Grant) -> Grant {
    Grant {
        name: shown::line(&grant.name),
        role: shown::line(&grant.role),
        kind: shown::line(&grant.kind),
        target: shown::line(&grant.target),
        environments: lines(&grant.environments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tools_have_bounds() {
        let charters = |count| listed(vec![v1::Charter::default(); count]);
        assert!(!charters(MAX_CHARTERS).truncated);
        let more = charters(MAX_CHARTERS + 1);
        assert!(more.truncated);
        assert_eq!(more.charters.len(), MAX_CHARTERS);
    }
}
