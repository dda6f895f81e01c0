//! A tool call: the client's session, its context, and the task of the call.

use std::sync::Arc;

use lanyard_proto::v1;
use lanyard_vocabulary::id::TaskId;
use lanyard_vocabulary::name::Name;
use rmcp::RoleServer;
use rmcp::model::InputResponses;
use rmcp::service::RequestContext;

use crate::broker::Broker;
use crate::handle::Program;
use crate::refused::Refused;
use crate::session::Session;
use crate::text::Sentence;

/// The circumstances of one tool call.
pub(crate) struct Call<'a> {
    pub(crate) broker: &'a Arc<Broker>,
    pub(crate) session: &'a Session,
    pub(crate) program: &'a Program,
    pub(crate) context: &'a RequestContext<RoleServer>,
    /// Answers of the client to the requests of the previous round.
    pub(crate) responses: Option<&'a InputResponses>,
    /// State that the previous round handed to the client.
    pub(crate) state: Option<&'a str>,
}

/// The task of a call: an existing one, or the arguments that open one.
pub(crate) struct TaskArguments {
    pub(crate) task_id: Option<TaskId>,
    pub(crate) charter: Option<Name>,
    pub(crate) environment: Option<Name>,
    pub(crate) reason: Option<Sentence>,
    pub(crate) ticket: Option<Sentence>,
}

impl Call<'_> {
    /// Completes when the client has disconnected or cancelled the call.
    pub(crate) async fn gone(&self) {
        tokio::select! {
            () = self.session.gone() => (),
            () = self.context.ct.cancelled() => (),
        }
    }

    /// Returns the task of the call, and opens it if the call asks for a new one.
    pub(crate) async fn task(&self, under: TaskArguments) -> Result<TaskId, Refused> {
        // The state comes back from the client. A forged task id gets no further than the same id
        // given as an argument.
        if let Some(state) = self.state {
            return state.parse().map_err(Refused::input);
        }
        match under {
            TaskArguments {
                task_id: Some(task),
                charter: None,
                environment: None,
                reason: None,
                ticket: None,
            } => Ok(task),
            TaskArguments {
                task_id: None,
                charter: Some(charter),
                environment: Some(environment),
                reason: Some(reason),
                ticket,
            } => {
                let ask = v1::OpenTaskRequest {
                    charter: charter.to_string(),
                    environment: environment.to_string(),
                    reason: reason.into_inner(),
                    ticket: ticket.map(Sentence::into_inner).unwrap_or_default(),
                    ..v1::OpenTaskRequest::default()
                };
                self.session.open(self.broker, ask).await
            }
            TaskArguments { .. } => Err(Refused::input(
                "give either task_id alone, or charter, environment and reason (and ticket, where the charter asks for one) to open a task",
            )),
        }
    }
}
