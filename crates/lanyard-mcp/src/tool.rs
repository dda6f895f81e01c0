//! One tool of the protocol: what it is called, what it takes and answers, and what it does.

use rmcp::model::ToolAnnotations;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::refused::Failure;
use crate::reply::Reply;

/// A tool.
pub(crate) trait Tool {
    /// What it is called.
    const NAME: &'static str;
    /// What people see.
    const TITLE: &'static str;
    /// What a model is told.
    const DESCRIPTION: &'static str;
    /// What it takes.
    type Input: DeserializeOwned + JsonSchema + Send + 'static;
    /// What it answers.
    type Output: Serialize + JsonSchema + Send + 'static;

    /// What clients may conclude.
    fn annotations() -> ToolAnnotations;

    /// Does it.
    fn run(
        call: &Call<'_>,
        input: Self::Input,
    ) -> impl Future<Output = Result<Reply<Self::Output>, Failure>> + Send;
}
