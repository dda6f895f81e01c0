//! One call of a tool: by whom, with what, and the task that it is about.

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

/// A call.
pub(crate) struct Call<'a> {
    pub(crate) broker: &'a Arc<Broker>,
    pub(crate) session: &'a Session,
    pub(crate) program: &'a Program,
    pub(crate) context: &'a RequestContext<RoleServer>,
    /// What the client did between two rounds of the same call.
    pub(crate) responses: Option<&'a InputResponses>,
    /// What the round before said to bring along.
    pub(crate) state: Option<&'a str>,
}

/// A task that there is, or what it takes to open one.
pub(crate) struct Under {
    pub(crate) task_id: Option<TaskId>,
    pub(crate) charter: Option<Name>,
    pub(crate) environment: Option<Name>,
    pub(crate) reason: Option<Sentence>,
    pub(crate) ticket: Option<Sentence>,
}

impl Call<'_> {
    /// Until the client is gone, or does not want an answer any more.
    pub(crate) async fn gone(&self) {
        tokio::select! {
            () = self.session.gone() => (),
            () = self.context.ct.cancelled() => (),
        }
    }

    /// The task of a call; opened where there is none yet.
    pub(crate) async fn task(&self, under: Under) -> Result<TaskId, Refused> {
        if let Some(state) = self.state {
            return state.parse().map_err(Refused::input);
        }
        match under {
            Under {
                task_id: Some(task),
                charter: None,
                environment: None,
                reason: None,
                ticket: None,
            } => Ok(task),
            Under {
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
            Under { .. } => Err(Refused::input(
                "give either task_id alone, or charter, environment and reason (and ticket, where the charter asks for one) to open a task",
            )),
        }
    }
}
