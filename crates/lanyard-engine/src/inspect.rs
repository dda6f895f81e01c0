//! Checks whether a charter's grants are set up at their targets.

use std::sync::Arc;

use lanyard_charter::{Charter, Grant};
use lanyard_core::question::{Question, mint_request};

use crate::context::Context;
use crate::targets::make_ready;

/// Checks grants at their targets.
pub struct Inspection {
    pub(crate) context: Arc<Context>,
}

impl Inspection {
    /// The faults in the way of each grant, one line each. Records nothing and issues nothing.
    pub async fn inspect(&self, charter: Charter) -> Vec<(Grant, String)> {
        let charter = charter.on_a_good_day();
        let mut found = Vec::new();
        for grant in charter.grants.values() {
            let lines = self.inspect_grant(&charter, grant).await;
            found.extend(lines.into_iter().map(|line| (grant.clone(), line)));
        }
        found
    }

    async fn inspect_grant(&self, charter: &Charter, grant: &Grant) -> Vec<String> {
        let (Some(environment), Some(provider)) = (
            grant.environments.first(),
            self.context.targets.providers.get(&grant.target),
        ) else {
            return vec![format!("target {} is not served here", grant.target)];
        };
        let question = Question::usual(charter, grant, environment);
        let question = Question {
            worst_case: self.context.targets.worst_case(grant),
            ..question
        };
        let request = match mint_request(charter, &question, self.context.now()) {
            Ok(request) => request,
            Err(denial) => return vec![denial.message],
        };
        match provider.check_setup(&request).await {
            // With nothing in the way of it, it has to be one that could be asked for.
            Ok(lines) if lines.is_empty() => {
                let ready = make_ready(provider.as_ref(), &request).await;
                let ready = ready.map_err(|error| error.to_string());
                let rendered =
                    ready.and_then(|()| provider.prepare(&request).map_err(|it| it.to_string()));
                rendered.err().into_iter().collect()
            }
            Ok(lines) => lines,
            Err(error) => vec![format!(
                "target {} could not be asked: {error}",
                grant.target
            )],
        }
    }
}
