//! Tool `list_charters`: the charters and grants that the agent may ask for.

use lanyard_proto::v1;
use rmcp::model::ToolAnnotations;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lines;
use crate::call::Call;
use crate::redact;
use crate::refused::Failure;
use crate::reply::Reply;
use crate::tool::Tool;

/// Charters that are listed, and grants of each charter.
///
/// # Limit
/// - for: a list of charters
/// - unit: charters
/// - beyond: the list says that it is `truncated`
/// - test: `list_charters_is_truncated_at_its_bounds`
const MAX_CHARTERS: usize = 200;

pub(crate) struct ListCharters;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {}

/// The charters that name you.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Output {
    charters: Vec<Charter>,
    /// True if the list is incomplete.
    truncated: bool,
}

#[derive(Serialize, JsonSchema)]
struct Charter {
    /// Value for `charter` of request_credential.
    name: String,
    /// Purpose of the charter: stay within it.
    purpose: String,
    /// Environments of the charter: values for `environment` of request_credential.
    environments: Vec<String>,
    grants: Vec<Grant>,
}

#[derive(Serialize, JsonSchema)]
struct Grant {
    /// Value for `grant` of request_credential.
    name: String,
    /// `plan` reads; `apply` can change things, and may need a plan that people have approved.
    role: String,
    /// `token`, `aws` or `kubernetes`.
    kind: String,
    /// Target where the credential works.
    target: String,
    /// Environments in which the grant can be requested.
    environments: Vec<String>,
}

impl Tool for ListCharters {
    const NAME: &'static str = "list_charters";
    const TITLE: &'static str = "List charters and grants";
    const DESCRIPTION: &'static str = "Lists the charters that name you: what each is for, in which environments, and the grants that you may ask for, with their \
        role (`plan` reads, `apply` changes) and kind. Call this first. What is not listed is not to be had.";
    type Input = Input;
    type Output = Output;

    fn annotations() -> ToolAnnotations {
        ToolAnnotations::new().read_only(true).open_world(false)
    }

    async fn run(call: &Call<'_>, Input {}: Input) -> Result<Reply<Output>, Failure> {
        let charters = call.broker.list_charters().await?;
        let now = jiff::Timestamp::now().as_second();
        Ok(Reply::Done(listed(charters, now)))
    }
}

/// A charter that has ended gives nothing, and is left out.
fn listed(mut charters: Vec<v1::Charter>, now_seconds: i64) -> Output {
    charters.retain(|charter| {
        let end = charter.expire_time.as_ref();
        end.is_none_or(|end| end.seconds > now_seconds)
    });
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
        name: redact::line(&charter.name),
        purpose: redact::line(&charter.purpose),
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
        name: redact::line(&grant.name),
        role: redact::line(&grant.role),
        kind: redact::line(&grant.kind),
        target: redact::line(&grant.target),
        environments: lines(&grant.environments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_charters_is_truncated_at_its_bounds() {
        let charters = |count| listed(vec![v1::Charter::default(); count], 0);
        assert!(!charters(MAX_CHARTERS).truncated);
        let more = charters(MAX_CHARTERS + 1);
        assert!(more.truncated);
        assert_eq!(more.charters.len(), MAX_CHARTERS);
    }

    #[test]
    fn exec_an_expired_charter_is_not_listed() {
        let charter = |name: &str, seconds: Option<i64>| v1::Charter {
            name: name.to_owned(),
            expire_time: seconds.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 }),
            ..v1::Charter::default()
        };
        let all = vec![
            charter("ended", Some(100)),
            charter("ends", Some(101)),
            charter("never-ends", None),
        ];
        let offered = listed(all, 100).charters.into_iter();
        let names: Vec<String> = offered.map(|charter| charter.name).collect();
        assert_eq!(names, ["ends", "never-ends"]);
    }
}
