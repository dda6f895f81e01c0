//! The way to the local agent: it is started where there is none.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lanyard_client::ClientError;
use lanyard_proto::agent::v1;
use lanyard_proto::agent::v1::agent_service_client::AgentServiceClient;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::place::Place;
use crate::tasks::CONTEXT;

/// How long a local agent that was started has until it answers.
///
/// # Limit
/// - for: a command that starts a local agent
/// - unit: time
/// - beyond: the command fails, and names the local agent's log
/// - test: `a_local_agent_that_does_not_answer_is_given_up`
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is tried meanwhile.
const TRY_INTERVAL: Duration = Duration::from_millis(20);
/// How long a call may take that the local agent answers from memory or by the broker: longer than the calls that it makes
/// itself.
///
/// # Limit
/// - for: a call of the local agent
/// - unit: time
/// - beyond: the call fails as unavailable
/// - test: `a_call_of_the_local_agent_says_how_long_it_may_take`
const CALL_TIMEOUT: Duration = Duration::from_secs(40);

/// Why the agent cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// There is no place for its socket.
    #[error(
        "there is no place for the local agent's socket: set HOME, XDG_RUNTIME_DIR or LANYARD_STATE"
    )]
    Homeless,
    /// Its folder cannot be used.
    #[error("the local agent's folder cannot be used: {0}")]
    Folder(io::Error),
    /// It does not start.
    #[error("the local agent does not start: {program}: {source}")]
    Start {
        /// The program that was to be the local agent.
        program: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// It was started, and does not answer.
    #[error("the local agent was started and does not answer: see {0}")]
    Silent(PathBuf),
}

/// A connection to the agent, for the calls of one context. Clones share it.
#[derive(Clone)]
pub struct Connection {
    channel: Channel,
    context: Option<MetadataValue<tonic::metadata::Ascii>>,
}

/// Clients over this name the context with each call.
pub type Proxied = InterceptedService<Channel, Named>;

/// Names the context.
#[derive(Clone)]
pub struct Named(Option<MetadataValue<tonic::metadata::Ascii>>);

impl Interceptor for Named {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(context) = &self.0 {
            request.metadata_mut().insert(CONTEXT, context.clone());
        }
        // Until it begins to answer: what lasts is not cut short.
        if !request.metadata().contains_key("grpc-timeout") {
            request.set_timeout(CALL_TIMEOUT);
        }
        Ok(request)
    }
}

impl Connection {
    /// Connects to the agent of this user; `program agent run` starts one where there is none.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub async fn open(program: &Path, context: Option<&Path>) -> Result<Self, ConnectionError> {
        let place = Place::of_user().ok_or(ConnectionError::Homeless)?;
        if let Ok(channel) = reach(&place).await {
            return Ok(Self::over(channel, context));
        }
        start(&place, program)?;
        Ok(Self::over(answering(&place).await?, context))
    }

    /// Connects to the agent of this user, if there is one.
    pub async fn existing(context: Option<&Path>) -> Option<Self> {
        let channel = reach(&Place::of_user()?).await.ok()?;
        Some(Self::over(channel, context))
    }

    fn over(channel: Channel, context: Option<&Path>) -> Self {
        let absolute =
            context.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
        // A path that no header can hold names no context: the current one would be another.
        let context = absolute.map(|path| {
            MetadataValue::try_from(path.display().to_string())
                .unwrap_or_else(|_| MetadataValue::from_static("a path that is not ASCII"))
        });
        Self { channel, context }
    }

    /// What a client of `lanyard.v1` or of the agent is made over.
    #[must_use]
    pub fn proxied(&self) -> Proxied {
        InterceptedService::new(self.channel.clone(), Named(self.context.clone()))
    }

    /// The channel, and what each call over it says in the metadata `lanyard-context`.
    #[must_use]
    pub fn into_parts(self) -> (Channel, Option<MetadataValue<tonic::metadata::Ascii>>) {
        (self.channel, self.context)
    }

    /// A client of the agent itself.
    #[must_use]
    pub fn agent(&self) -> AgentServiceClient<Proxied> {
        AgentServiceClient::new(self.proxied())
    }

    /// A credential under a grant of a task.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn credential(
        &self,
        asked: v1::GetCredentialRequest,
    ) -> Result<v1::GetCredentialResponse, ClientError> {
        let mut request = Request::new(asked);
        request.set_timeout(CALL_TIMEOUT);
        Ok(self.agent().get_credential(request).await?.into_inner())
    }
}

/// The agent that was started, once it answers.
async fn answering(place: &Place) -> Result<Channel, ConnectionError> {
    let reached = tokio::time::timeout(START_TIMEOUT, async {
        loop {
            if let Ok(channel) = reach(place).await {
                return channel;
            }
            tokio::time::sleep(TRY_INTERVAL).await;
        }
    });
    let silent = |_| ConnectionError::Silent(place.beside("agent.log"));
    reached.await.map_err(silent)
}

async fn reach(place: &Place) -> Result<Channel, Unreached> {
    // Somebody else's socket in our place is nobody to give an identity to.
    if !place.is_own() {
        return Err(Unreached);
    }
    let socket = place.socket().display();
    let endpoint = Endpoint::try_from(format!("unix:{socket}")).map_err(|_| Unreached)?;
    endpoint.connect().await.map_err(|_| Unreached)
}

/// There is nobody there, or somebody else.
struct Unreached;

/// In the background, for good: it outlives whoever starts it.
fn start(place: &Place, program: &Path) -> Result<(), ConnectionError> {
    place.prepare().map_err(ConnectionError::Folder)?;
    let log = place.log().map_err(ConnectionError::Folder)?;
    let mut command = Command::new(program);
    // It runs at the root, where what is relative here is something else.
    let socket = std::path::absolute(place.socket()).map_err(ConnectionError::Folder)?;
    command.env(crate::place::SOCKET, socket);
    if let Some(state) = std::env::var_os("LANYARD_STATE").filter(|it| !it.is_empty()) {
        let state = std::path::absolute(state).map_err(ConnectionError::Folder)?;
        command.env("LANYARD_STATE", state);
    }
    let started = command
        .args(["agent", "run", "--detach"])
        .env_remove("LANYARD_TASK")
        .env_remove("LANYARD_GRANTS")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    started.map(drop).map_err(|source| ConnectionError::Start {
        program: program.to_path_buf(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_local_agent_that_does_not_answer_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let named = |name: &str| (name == crate::place::SOCKET).then(|| socket.clone().into());
        let place = Place::by(named, |_| None).unwrap();
        let began = tokio::time::Instant::now();
        let error = answering(&place).await.unwrap_err();
        assert!(matches!(error, ConnectionError::Silent(_)), "{error}");
        assert_eq!(began.elapsed(), Duration::from_secs(10));
    }

    #[test]
    fn a_call_of_the_local_agent_says_how_long_it_may_take() {
        let timeout = |request: Request<()>| {
            let named = Named(None).call(request).unwrap();
            named.metadata().get("grpc-timeout").unwrap().clone()
        };
        assert_eq!(timeout(Request::new(())), "40000000u");
        let mut shorter = Request::new(());
        shorter.set_timeout(Duration::from_secs(1));
        assert_eq!(timeout(shorter), "1000000u");
    }
}
