//! The tools of the protocol, each with its name, arguments, answer and effect.

use rmcp::model::ToolAnnotations;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::refused::Failure;
use crate::reply::Reply;

/// A tool of the server.
pub(crate) trait Tool {
    /// Name in the protocol.
    const NAME: &'static str;
    /// Title for people to read.
    const TITLE: &'static str;
    /// Description for the model.
    const DESCRIPTION: &'static str;
    /// Arguments of a call.
    type Input: DeserializeOwned + JsonSchema + Send + 'static;
    /// Answer of a call.
    type Output: Serialize + JsonSchema + Send + 'static;

    /// Hints for clients, such as read-only.
    fn annotations() -> ToolAnnotations;

    /// Executes one tool call.
    fn run(
        call: &Call<'_>,
        input: Self::Input,
    ) -> impl Future<Output = Result<Reply<Self::Output>, Failure>> + Send;
}
