//! Connecting to the local agent, which is started if none runs.

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

use crate::socket::AgentSocket;
use crate::tasks::CONTEXT;

/// Time for a started local agent to answer.
///
/// # Limit
/// - for: a command that starts a local agent
/// - unit: time
/// - beyond: the command fails, and names the local agent's log
/// - test: `a_local_agent_that_does_not_answer_is_given_up`
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between attempts to connect to a local agent that was just started.
const TRY_INTERVAL: Duration = Duration::from_millis(20);
/// Deadline of a call. It exceeds the deadline of the calls that the local agent itself makes to
/// the broker.
///
/// # Limit
/// - for: a call of the local agent
/// - unit: time
/// - beyond: the call fails as unavailable
/// - test: `a_call_of_the_local_agent_says_how_long_it_may_take`
const CALL_TIMEOUT: Duration = Duration::from_secs(40);

/// The local agent cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// No environment variable names a folder for the socket.
    #[error("no folder for the local agent's socket: set HOME, XDG_RUNTIME_DIR or LANYARD_STATE")]
    Homeless,
    /// The folder of the socket cannot be used.
    #[error("cannot use the local agent's folder: {0}")]
    Folder(io::Error),
    /// The local agent cannot be started.
    #[error("cannot start the local agent `{program}`: {source}")]
    Start {
        /// The program that should run the local agent.
        program: PathBuf,
        /// The system's I/O error.
        source: io::Error,
    },
    /// The local agent was started and does not answer. Holds the path of its log.
    #[error("the local agent was started and does not answer: see `{0}`")]
    Silent(PathBuf),
}

/// A connection to the local agent for the calls of one context. Clones share the connection.
#[derive(Clone)]
pub struct Connection {
    channel: Channel,
    context: Option<MetadataValue<tonic::metadata::Ascii>>,
}

/// Transport of clients whose calls name the context.
pub type Proxied = InterceptedService<Channel, Named>;

/// Adds the context and a deadline to each call.
#[derive(Clone)]
pub struct Named(Option<MetadataValue<tonic::metadata::Ascii>>);

impl Interceptor for Named {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(context) = &self.0 {
            request.metadata_mut().insert(CONTEXT, context.clone());
        }
        // The deadline only covers the time until the answer begins, so it does not cut streams
        // short.
        if !request.metadata().contains_key("grpc-timeout") {
            request.set_timeout(CALL_TIMEOUT);
        }
        Ok(request)
    }
}

impl Connection {
    /// Connects to the local agent of this user, and starts one with `program agent run` if none
    /// runs.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub async fn open(program: &Path, context: Option<&Path>) -> Result<Self, ConnectionError> {
        let place = AgentSocket::of_user().ok_or(ConnectionError::Homeless)?;
        if let Ok(channel) = reach(&place).await {
            return Ok(Self::over(channel, context));
        }
        start(&place, program)?;
        Ok(Self::over(answering(&place).await?, context))
    }

    /// Connects to the local agent of this user if one runs.
    pub async fn existing(context: Option<&Path>) -> Option<Self> {
        let channel = reach(&AgentSocket::of_user()?).await.ok()?;
        Some(Self::over(channel, context))
    }

    fn over(channel: Channel, context: Option<&Path>) -> Self {
        let absolute =
            context.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
        // A header cannot hold such a path. Without any header the local agent would use the
        // current context, which is another one.
        let context = absolute.map(|path| {
            MetadataValue::try_from(path.display().to_string())
                .unwrap_or_else(|_| MetadataValue::from_static("a path that is not ASCII"))
        });
        Self { channel, context }
    }

    /// Returns the transport for clients of `lanyard.v1` and of the local agent.
    #[must_use]
    pub fn proxied(&self) -> Proxied {
        InterceptedService::new(self.channel.clone(), Named(self.context.clone()))
    }

    /// Returns the channel, and the value of the metadata `lanyard-context` for each call.
    #[must_use]
    pub fn into_parts(self) -> (Channel, Option<MetadataValue<tonic::metadata::Ascii>>) {
        (self.channel, self.context)
    }

    /// Returns a client of the local agent's own service.
    #[must_use]
    pub fn agent(&self) -> AgentServiceClient<Proxied> {
        AgentServiceClient::new(self.proxied())
    }

    /// Requests a credential under a grant of a task.
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

/// Waits until the started local agent answers.
async fn answering(place: &AgentSocket) -> Result<Channel, ConnectionError> {
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

async fn reach(place: &AgentSocket) -> Result<Channel, Unreached> {
    // Another user's socket could be that of an impostor, and calls carry plans and reasons.
    if !place.is_own() {
        return Err(Unreached);
    }
    let socket = place.socket().display();
    let endpoint = Endpoint::try_from(format!("unix:{socket}")).map_err(|_| Unreached)?;
    endpoint.connect().await.map_err(|_| Unreached)
}

/// No process answers at the socket, or the socket belongs to another user.
struct Unreached;

/// Names the folder in an error of the system, which names none.
fn unusable(place: &AgentSocket, error: io::Error) -> ConnectionError {
    ConnectionError::Folder(if error.raw_os_error().is_some() {
        let folder = place.socket().parent().unwrap_or(place.socket());
        let named = format!(
            "`{}`: {error}; name another folder in LANYARD_STATE",
            folder.display()
        );
        io::Error::new(error.kind(), named)
    } else {
        error
    })
}

/// Starts the local agent in the background. It outlives the process that starts it.
fn start(place: &AgentSocket, program: &Path) -> Result<(), ConnectionError> {
    let unusable = |error| unusable(place, error);
    place.prepare().map_err(unusable)?;
    let log = place.log().map_err(unusable)?;
    let mut command = Command::new(program);
    // The local agent runs in the root directory, where relative paths would mean something else.
    let socket = std::path::absolute(place.socket()).map_err(ConnectionError::Folder)?;
    command.env(crate::socket::SOCKET, socket);
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
        let named = |name: &str| (name == crate::socket::SOCKET).then(|| socket.clone().into());
        let place = AgentSocket::by(named, |_| None).unwrap();
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
