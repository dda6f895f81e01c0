//! Whether what a charter grants is set up at its targets.

use lanyard_core::charter::{Charter, Grant};
use lanyard_core::question::{Question, mint_request};

use crate::engine::Engine;

impl Engine {
    /// What stands in the way of each grant, a line each. Nothing is made, and nothing is recorded.
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
            self.providers().get(&grant.target),
        ) else {
            return vec![format!("target {} is not served here", grant.target)];
        };
        let question = Question::usual(charter, grant, environment);
        let question = Question {
            worst_case: self.worst_case(grant),
            ..question
        };
        let request = match mint_request(charter, &question, self.now()) {
            Ok(request) => request,
            Err(denial) => return vec![denial.message],
        };
        if let Err(error) = provider.prepare(&request) {
            return vec![error.to_string()];
        }
        match provider.inspect(&request).await {
            Ok(lines) => lines,
            Err(error) => vec![format!(
                "target {} could not be asked: {error}",
                grant.target
            )],
        }
    }
}
