//! A client that writes the protocol's lines itself, and records all messages.

use lanyard_mcp::{Ending, Program, ServeError, Settings, TasksAtEnd, serve};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::task::JoinHandle;

use crate::fake::Fake;

/// The protocol's last revision, which has no `initialize`.
pub(crate) const MODERN: &str = "2026-07-28";

pub(crate) struct Client {
    write: WriteHalf<DuplexStream>,
    read: BufReader<ReadHalf<DuplexStream>>,
    server: JoinHandle<Result<Ending, ServeError>>,
    /// The messages in both directions, in order.
    pub(crate) transcript: String,
    /// The description of this client in each request, where the revision asks for one.
    about: Option<Value>,
    next: u64,
}

impl Client {
    /// Starts a client of the last revision with `initialize`, without capabilities.
    pub(crate) async fn plain(fake: &Fake) -> Self {
        Self::of("2025-11-25", json!({}), fake).await.0
    }

    /// Starts a client of this revision with these capabilities, and returns it with the server's
    /// first answer.
    pub(crate) async fn of(version: &str, capabilities: Value, fake: &Fake) -> (Self, Value) {
        let mut client = Self::silent(fake, TasksAtEnd::Close);
        let name = json!({"name": "test", "version": "1"});
        if version == MODERN {
            client.about = Some(json!({
                "io.modelcontextprotocol/protocolVersion": version,
                "io.modelcontextprotocol/clientInfo": name,
                "io.modelcontextprotocol/clientCapabilities": capabilities,
            }));
            let found = client.request("server/discover", json!({})).await;
            return (client, found);
        }
        let hello =
            json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": name});
        let begun = client.request("initialize", hello).await;
        client
            .say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        (client, begun)
    }

    /// Starts a client that has sent nothing yet.
    pub(crate) fn silent(fake: &Fake, tasks_at_end: TasksAtEnd) -> Self {
        let (own, its) = tokio::io::duplex(64 * 1024);
        let settings = Settings {
            program: Program::of(vec!["lanyard".to_owned()]),
            tasks_at_end,
        };
        let stop = std::future::pending();
        let server = tokio::spawn(serve(fake.clone(), settings, tokio::io::split(its), stop));
        let (read, write) = tokio::io::split(own);
        Self {
            write,
            read: BufReader::new(read),
            server,
            transcript: String::new(),
            about: None,
            next: 0,
        }
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        self.say_line(&message.to_string()).await;
    }

    pub(crate) async fn say_line(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.transcript.push_str(&line);
        self.write.write_all(line.as_bytes()).await.unwrap();
    }

    pub(crate) async fn hear(&mut self) -> Value {
        let mut line = String::new();
        let read = self.read.read_line(&mut line).await.unwrap();
        assert!(read > 0, "the server has ended");
        self.transcript.push_str(&line);
        serde_json::from_str(&line).unwrap()
    }

    /// Sends a request and returns its id.
    pub(crate) async fn ask(&mut self, method: &str, mut params: Value) -> u64 {
        self.next += 1;
        if let Some(about) = &self.about {
            params["_meta"] = about.clone();
        }
        let id = self.next;
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        id
    }

    /// Sends a request and returns the whole answer, which must be the next message.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params).await;
        let heard = self.hear().await;
        assert_eq!(heard["id"], json!(id), "{heard}");
        heard
    }

    /// Calls a tool and returns its result.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.again(tool, arguments, Map::new()).await
    }

    /// Calls a tool with more parameters besides its arguments, and returns its result.
    pub(crate) async fn again(
        &mut self,
        tool: &str,
        arguments: Value,
        besides: Map<String, Value>,
    ) -> Value {
        let mut params = json!({"name": tool, "arguments": arguments});
        params.as_object_mut().unwrap().extend(besides);
        let mut heard = self.request("tools/call", params).await;
        assert!(heard.get("error").is_none(), "{heard}");
        heard["result"].take()
    }

    /// Calls a tool that has to succeed, and returns its structured content.
    pub(crate) async fn done(&mut self, tool: &str, arguments: Value) -> Value {
        let mut result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], json!(false), "{result}");
        let text = result.pointer("/content/0/text").and_then(Value::as_str);
        let text: Value = serde_json::from_str(text.unwrap()).unwrap();
        assert_eq!(text, result["structuredContent"]);
        result["structuredContent"].take()
    }

    /// Calls a tool that has to fail, and returns the error and the line for people.
    pub(crate) async fn refused(&mut self, tool: &str, arguments: Value) -> (Value, String) {
        let mut result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], json!(true), "{result}");
        let line = result.pointer("/content/0/text").and_then(Value::as_str);
        let line = line.unwrap().to_owned();
        let error = result["structuredContent"]["error"].take();
        assert_eq!(error["message"], json!(line));
        (error, line)
    }

    /// Opens a task for a credential.
    pub(crate) async fn first(&mut self, grant: &str) -> Value {
        self.done("request_credential", opening(grant)).await
    }

    /// Closes the client's side, and returns how the server ended.
    pub(crate) async fn leave(self) -> Result<Ending, ServeError> {
        drop((self.write, self.read));
        self.server.await.unwrap()
    }
}

/// Returns arguments that open a task for a credential.
pub(crate) fn opening(grant: &str) -> Value {
    json!({"charter": "ticket-router", "environment": "production", "reason": "ticket 12", "grant": grant})
}

/// Returns arguments that open a task for a plan.
pub(crate) fn plan() -> Value {
    let mut arguments = opening("move-tickets");
    let plan = json!({"content": "move ticket 7\n", "format": "text", "summary": "move ticket 7"});
    arguments
        .as_object_mut()
        .unwrap()
        .extend(plan.as_object().unwrap().clone());
    arguments
}
