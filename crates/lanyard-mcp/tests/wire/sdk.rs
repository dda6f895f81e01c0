//! The server with the SDK's own client.

use lanyard_mcp::{Program, Settings, TasksAtEnd, serve};
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult,
    ElicitationAction, ElicitationCapability, Implementation, JsonObject, ProtocolVersion,
    UrlElicitationCapability,
};
use rmcp::service::{RequestContext, RoleClient, RunningService};
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt as _, ErrorData};
use serde_json::{Value, json};

use crate::client::plan;
use crate::fake::{APPROVALS_PAGE, Fake, Mood};

/// A person who opens the page and approves there.
#[derive(Clone)]
struct Person {
    fake: Fake,
    version: ProtocolVersion,
}

impl ClientHandler for Person {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        let url = ElicitationCapability::new().with_url(UrlElicitationCapability::new());
        capabilities.elicitation = Some(url);
        ClientConfig::new(capabilities, Implementation::new("test", "1"))
            .with_protocol_version(self.version.clone())
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::UrlElicitationParams { url, .. } = request else {
            return Ok(ElicitResult::new(ElicitationAction::Decline));
        };
        assert!(url.starts_with(APPROVALS_PAGE), "{url}");
        self.fake.kept().approved = Some(true);
        Ok(ElicitResult::new(ElicitationAction::Accept))
    }
}

async fn call(client: &RunningService<RoleClient, Person>, tool: &str, arguments: Value) -> Value {
    let arguments: JsonObject = arguments.as_object().unwrap().clone();
    let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
    let result = client.call_tool(params).await.unwrap();
    assert_eq!(result.is_error, Some(false));
    result.structured_content.unwrap()
}

#[tokio::test]
async fn the_sdks_client_opens_the_page_in_both_handshakes() {
    let modern = ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    };
    let eras = [
        (
            ProtocolVersion::V_2025_11_25,
            ClientLifecycleMode::Initialize,
        ),
        (ProtocolVersion::V_2026_07_28, modern),
    ];
    for (version, mode) in eras {
        let fake = Fake::start();
        fake.kept().mood = Mood::Pages;
        let (own, its) = tokio::io::duplex(64 * 1024);
        let settings = Settings {
            program: Program::of(vec!["lanyard".to_owned()]),
            tasks_at_end: TasksAtEnd::Close,
        };
        let stop = std::future::pending();
        let server = tokio::spawn(serve(fake.clone(), settings, tokio::io::split(its), stop));
        let person = Person {
            fake: fake.clone(),
            version,
        };
        let client = person.serve_with_lifecycle(own, mode).await.unwrap();
        let plan = call(&client, "submit_plan", plan()).await;
        let apply = json!({"task_id": plan["task_id"], "grant": "move-tickets", "plan_id": plan["plan_id"]});
        let issued = call(&client, "request_credential", apply).await;
        assert_eq!(issued["status"], "issued");
        client.cancel().await.unwrap();
        assert_eq!(server.await.unwrap().unwrap().closed.len(), 1);
        assert_eq!(fake.open_tasks(), 0);
    }
}
