//! Calls of single RPCs, under the identity of a context.

use std::future::Future;

use anyhow::{Context as _, Result};
use tokio::runtime::Runtime;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

/// The refusal that a call got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The gRPC code of the refusal.
    pub code: Code,
    /// The reason in the details, for programs; empty where there are none.
    pub reason: String,
    /// The message, for people.
    pub message: String,
}

/// A caller with a connection of its own.
pub struct Caller {
    runtime: Runtime,
    channel: Channel,
    token: Token,
}

/// Makes a fresh token for each call; `None` shows nobody's identity.
pub(crate) type Token = Box<dyn Fn() -> Result<Option<String>>>;

/// Adds the caller's token to a call.
pub type Signed = Box<dyn FnMut(Request<()>) -> Result<Request<()>, Status> + Send>;

impl Caller {
    /// Connects to `url`, whose certificate is signed by `authority`.
    pub(crate) fn connect(url: String, authority: &[u8], token: Token) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
        let endpoint = Endpoint::from_shared(url)?.tls_config(tls)?;
        let channel = runtime.block_on(endpoint.connect())?;
        Ok(Self {
            runtime,
            channel,
            token,
        })
    }

    /// Returns the connection with a fresh token for one call.
    ///
    /// # Errors
    /// When there is no token to be had.
    pub fn channel(&self) -> Result<InterceptedService<Channel, Signed>> {
        let header =
            (self.token)()?.map(|token| MetadataValue::try_from(format!("Bearer {token}")));
        let header = header.transpose().context("a token is plain text")?;
        let sign = move |mut request: Request<()>| {
            if let Some(header) = &header {
                request
                    .metadata_mut()
                    .insert("authorization", header.clone());
            }
            Ok(request)
        };
        Ok(InterceptedService::new(
            self.channel.clone(),
            Box::new(sign),
        ))
    }

    /// Waits for a future on the runtime of the connection.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Reads the code, the reason and the facts out of a gRPC status.
    #[must_use]
    pub fn refusal(status: &Status) -> Refused {
        let info = status.get_details_error_info();
        Refused {
            code: status.code(),
            reason: info.map(|info| info.reason).unwrap_or_default(),
            message: status.message().to_owned(),
        }
    }
}

/// Calls an RPC that must answer, and returns the answer. The list of RPCs is compared with the
/// uses of this macro: `answers!(agent, TaskServiceClient::open_task(request))`.
#[macro_export]
macro_rules! answers {
    ($caller:expr, $service:ident :: $method:ident ( $request:expr )) => {{
        let caller = &$caller;
        let mut service = $service::new(caller.channel().unwrap());
        let answer = caller.wait(service.$method($request));
        answer
            .unwrap_or_else(|status| panic!("{}: {status}", stringify!($method)))
            .into_inner()
    }};
}

/// Calls an RPC that must refuse, and returns the refusal. The list of RPCs is compared with the
/// uses of this macro. A stream that is refused with its first message counts.
#[macro_export]
macro_rules! refuses {
    ($caller:expr, $service:ident :: $method:ident ( $request:expr )) => {{
        let caller = &$caller;
        let mut service = $service::new(caller.channel().unwrap());
        let answer = caller.wait(service.$method($request));
        match answer {
            Ok(answer) => panic!("{} answered {:?}", stringify!($method), answer.into_inner()),
            Err(status) => $crate::Caller::refusal(&status),
        }
    }};
}
