//! The protocol handler: the server's self-description, its tools, and the dispatch of calls.

use std::sync::Arc;

use rmcp::handler::server::tool::schema_for_input;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Implementation, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool as Listed,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};

use crate::arguments;
use crate::broker::Broker;
use crate::call::Call;
use crate::handle::Program;
use crate::reply;
use crate::session::Session;
use crate::tool::Tool;
use crate::tools::{Explain, ListCharters, Release, RequestCredential, SubmitPlan, TaskStatus};

const INSTRUCTIONS: &str = "Lanyard hands out short-lived credentials for one task. You never see a secret: request_credential answers with a handle \
    and with the command lines by which tools get the credential themselves; run those, and never print, log or store what they carry. \
    Begin with list_charters. Say honestly why you ask: people read the reason. For a grant of role `apply`, submit_plan first, and wait \
    for people where it says so. A denial is final, and a kill means stop: show its message to the user as it is. Release what you no \
    longer need.";

/// The server for one client.
pub(crate) struct Server {
    pub(crate) broker: Arc<Broker>,
    pub(crate) session: Arc<Session>,
    pub(crate) program: Program,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let own = Implementation::new("lanyard", env!("CARGO_PKG_VERSION")).with_title("Lanyard");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(own)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = [
            listed::<ListCharters>(),
            listed::<RequestCredential>(),
            listed::<SubmitPlan>(),
            listed::<TaskStatus>(),
            listed::<Release>(),
            listed::<Explain>(),
        ];
        let tools: Result<Vec<Listed>, String> = tools.into_iter().collect();
        let tools = tools.map_err(|why| ErrorData::internal_error(why, None))?;
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let call = Call {
            broker: &self.broker,
            session: &self.session,
            program: &self.program,
            context: &context,
            responses: request.input_responses.as_ref(),
            state: request.request_state.as_deref(),
        };
        Ok(match request.name.as_ref() {
            ListCharters::NAME => run::<ListCharters>(&call, arguments).await,
            RequestCredential::NAME => run::<RequestCredential>(&call, arguments).await,
            SubmitPlan::NAME => run::<SubmitPlan>(&call, arguments).await,
            TaskStatus::NAME => run::<TaskStatus>(&call, arguments).await,
            Release::NAME => run::<Release>(&call, arguments).await,
            Explain::NAME => run::<Explain>(&call, arguments).await,
            _ => return Err(ErrorData::invalid_params("unknown tool", None)),
        })
    }
}

fn listed<T: Tool>() -> Result<Listed, String> {
    let input = schema_for_input::<T::Input>()?;
    let input = reply::plain(&input);
    let mut tool = Listed::new(T::NAME, T::DESCRIPTION, input);
    tool.title = Some(T::TITLE.to_owned());
    tool.output_schema = Some(Arc::new(reply::schema::<T::Output>()));
    tool.annotations = Some(T::annotations());
    Ok(tool)
}

/// Runs a tool. A faulty call is answered by a tool result, not by a protocol error, so that the
/// model can read it.
async fn run<T: Tool>(call: &Call<'_>, arguments: JsonObject) -> CallToolResponse {
    let input = arguments::read(arguments);
    let ready = call.session.call().and_then(|place| Ok((place, input?)));
    reply::response(match ready {
        Ok((_place, input)) => T::run(call, input).await,
        Err(refused) => Err(refused.into()),
    })
}
