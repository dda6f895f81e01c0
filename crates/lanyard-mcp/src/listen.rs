//! Serving one client, from its first byte to its last.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rmcp::service::{ServerInitializeError, serve_server};
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::broker::Broker;
use crate::connector::AgentConnector;
use crate::server::Server;
use crate::session::{Ending, Session};
use crate::{Settings, TasksAtEnd};

/// Longest message of a client: a plan of the largest size, with room for JSON escapes.
///
/// # Limit
/// - for: a client
/// - unit: bytes
/// - beyond: the line is skipped, and the session goes on
/// - test: `invalid_lines_do_not_end_the_session`
const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;

/// A client could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The first messages do not follow the protocol.
    #[error("the client does not begin as the protocol says")]
    Beginning(#[source] Box<ServerInitializeError>),
    /// A task of the server panicked.
    #[error("the server broke")]
    Broke(#[source] tokio::task::JoinError),
}

/// Serves one client until it closes its side or `stop` completes, and then treats its tasks as
/// `settings` say.
///
/// # Errors
/// When the client does not follow the protocol.
pub async fn serve<R, W>(
    connector: impl AgentConnector,
    settings: Settings,
    (input, output): (R, W),
    stop: impl Future<Output = ()>,
) -> Result<Ending, ServeError>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let broker = Arc::new(Broker::new(connector));
    let session = Arc::new(Session::new());
    let server = Server {
        broker: Arc::clone(&broker),
        session: Arc::clone(&session),
        program: settings.program,
    };
    let input = Watched {
        input,
        session: Arc::clone(&session),
    };
    let transport = AsyncRwTransport::new(input, output).with_max_line_length(MAX_MESSAGE_BYTES);
    let served = converse(server, transport, &session, stop).await;
    let ending = match settings.tasks_at_end {
        TasksAtEnd::Close => session.end(&broker).await,
        TasksAtEnd::Keep => Ending::default(),
    };
    served.map(|()| ending)
}

async fn converse<R, W>(
    server: Server,
    transport: AsyncRwTransport<rmcp::RoleServer, R, W>,
    session: &Session,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let mut stop = std::pin::pin!(stop);
    let begun = tokio::select! {
        begun = serve_server(server, transport) => begun,
        () = &mut stop => return Ok(()),
    };
    let running = match begun {
        Ok(running) => running,
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(ServeError::Beginning(Box::new(error))),
    };
    let cancel = running.cancellation_token();
    let mut served = std::pin::pin!(running.waiting());
    let quit = tokio::select! {
        quit = &mut served => quit,
        () = &mut stop => {
            // Calls that wait for people end first; the service ends when its calls have.
            session.leave();
            cancel.cancel();
            served.await
        }
    };
    quit.map(|_| ()).map_err(ServeError::Broke)
}

/// The client's input. At its end, everything that waits for the client is woken.
struct Watched<R> {
    input: R,
    session: Arc<Session>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Watched<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.input).poll_read(context, buffer);
        let ended = match &read {
            Poll::Ready(Ok(())) => buffer.filled().len() == before && buffer.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if ended {
            self.session.leave();
        }
        read
    }
}
