//! STS and IAM, on moto. Whether a session is denied is read on its role, at moto itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use lanyard_charter::TargetKind;
use lanyard_charter::kinds::Credential;
use lanyard_core::provider::Provider;
use lanyard_provider_aws::api::AwsApi as _;
use lanyard_provider_aws::{Access, AwsProvider, AwsTarget, Sdk};
use lanyard_testkit::conformance::between::{Answer, Between, Fault, Rule};
use lanyard_testkit::world;
use lanyard_vocabulary::id::LeaseId;

use crate::play::{Site, play};

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;
const REGION: &str = "eu-west-1";
const POLICY: &str = "lanyard-deny-wrong";
const XML: &str = "text/xml";
/// The answers to other questions: who the caller is, the policy of another role, and that another
/// thing was put.
const OTHERS: [(&str, &str); 3] = [
    (
        XML,
        r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/other</Arn><UserId>1</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"#,
    ),
    (
        XML,
        r#"<GetRolePolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetRolePolicyResult><RoleName>other</RoleName><PolicyName>lanyard-deny-other</PolicyName><PolicyDocument>%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D</PolicyDocument></GetRolePolicyResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetRolePolicyResponse>"#,
    ),
    (
        XML,
        r#"<PutUserPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></PutUserPolicyResponse>"#,
    ),
];
const THROTTLES: [Answer; 2] = [
    Answer {
        status: "400 Bad Request",
        media: XML,
        body: r#"<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error><RequestId>1</RequestId></ErrorResponse>"#,
    },
    Answer {
        status: "503 Service Unavailable",
        media: "text/html",
        body: "<html><body>later</body></html>",
    },
];

struct Behind {
    iam: aws_sdk_iam::Client,
    between: Between,
    /// A client of moto itself.
    direct: Sdk,
    stages: AtomicU32,
}

async fn behind() -> Option<Behind> {
    let Ok(url) = std::env::var("LANYARD_MOTO_URL") else {
        eprintln!("NOT RUN: LANYARD_MOTO_URL names no moto; `cargo xtask test` starts one");
        return None;
    };
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(&url)
        .http_client(http)
        .load()
        .await;
    let server = url.strip_prefix("http://").unwrap().parse().unwrap();
    Some(Behind {
        iam: aws_sdk_iam::Client::new(&config),
        between: Between::start(server),
        direct: Sdk::connect(&access(url)).await,
        stages: AtomicU32::new(0),
    })
}

fn access(endpoint: String) -> Access {
    Access {
        region: REGION.to_owned(),
        minter_profile: None,
        revoker_profile: None,
        endpoint: Some(endpoint),
    }
}

impl Behind {
    fn role(&self, role: &str) -> String {
        let (process, stage) = (std::process::id(), self.stages.load(Ordering::SeqCst));
        format!("wrong-{process}-{stage}-{role}")
    }

    async fn made(&self, role: &str) -> String {
        let made = self.iam.create_role().role_name(self.role(role));
        let made = made.assume_role_policy_document(TRUST).send().await;
        made.unwrap().role.unwrap().arn
    }
}

#[async_trait]
impl Site for Behind {
    fn kind(&self) -> TargetKind {
        TargetKind::AWS
    }

    fn charter(&self) -> String {
        world::CHARTER.replace("ttl: 10m", "ttl: 1h")
    }

    /// With roles of its own: one that was cut does not mint for a while.
    async fn provider(&self) -> Arc<dyn Provider> {
        self.stages.fetch_add(1, Ordering::SeqCst);
        let target = AwsTarget {
            region: REGION.to_owned(),
            plan_role: self.made("plan").await,
            apply_role: self.made("apply").await,
            boundary: None,
            instance: "wrong".to_owned(),
        };
        let through = access(format!("http://{}", self.between.address()));
        Arc::new(AwsProvider::new(target, Sdk::connect(&through).await))
    }

    fn between(&self) -> &Between {
        &self.between
    }

    fn calls(&self) -> Vec<Rule> {
        [
            "Action=ListRolePolicies",
            "Action=GetRolePolicy",
            "Action=PutRolePolicy",
            "Action=DeleteRolePolicy",
        ]
        .map(|action| Rule::method("POST").saying(action))
        .into()
    }

    fn faults(&self) -> Vec<Fault> {
        Fault::all(&THROTTLES, &OTHERS)
    }

    /// Unless its role denies it by name, or everything that was issued up to now.
    async fn works(&self, lease: LeaseId, _credential: &Credential) -> bool {
        let found = self.direct.role_policy(&self.role("plan"), POLICY).await;
        let found = found.unwrap().unwrap_or_default();
        !found.contains(&lease.to_string()) && !found.contains("aws:TokenIssueTime")
    }
}

#[tokio::test]
async fn s47_aws_no_session_is_called_dead_before_its_role_denies_it_and_never_proved() {
    if let Some(behind) = behind().await {
        play(&behind).await;
    }
}
