//! `aws` grants: which actions read, hand on credentials, change permissions or run as another
//! role; names that are no actions; conditions; and the ways for work that has to be done.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::collections::BTreeMap;

use lanyard_charter::{Charter, Effect, Usage, World, diff, parse};
use lanyard_core::question::{Question, ask};
use lanyard_vocabulary::time::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
const QUEUE: &str = "arn:aws:sqs:eu-west-1:111122223333:payments-a";

fn world() -> World {
    let declared = include_str!("../../../tests/charters/lanyard.yaml");
    World::of_configuration(declared).unwrap()
}

/// A charter with one grant in staging, with these lines below `aws`, and what one person approves.
fn text(role: &str, aws: &str, more: &str) -> String {
    let aws: String = aws
        .lines()
        .map(|line| format!("        {line}\n"))
        .collect();
    format!(
        "apiVersion: lanyard.dev/v1\nkind: Charter\nmetadata: {{name: it}}\nspec:\n  purpose: Try one grant.\n  \
         owners: {{business: a@acme.example, technical: b@acme.example, security: c@acme.example}}\n  \
         agents: [{{issuer: https://issuer.acme.example, subject: agent:it}}]\n  \
         environments: {{staging: {{autonomy: execute-sandbox}}}}\n  grants:\n    - name: it\n      role: {role}\n      \
         environments: [staging]\n      aws:\n        target: payments-prod\n{aws}  {more}\n  \
         limits: {{ttl: 10m, task: 2h, live_leases: 5, mints: {{count: 30, per: 1h}}}}\n"
    )
}

const TWO: &str = "approvals: [{when: {role: apply}, people: 2, from: [group:oncall]}]";

/// The codes and messages of what is said of it.
fn said(text: &str) -> Vec<String> {
    let found = match parse(text, &world()) {
        Ok(parsed) => parsed.warnings,
        Err(findings) => findings,
    };
    found
        .iter()
        .map(|finding| format!("{} {}", finding.code, finding.message))
        .collect()
}

fn one(actions: &str, resource: &str) -> String {
    format!("allow:\n  - {{actions: [{actions}], resources: [\"{resource}\"]}}")
}

fn has(said: &[String], code: &str) -> bool {
    said.iter().any(|it| it.starts_with(code))
}

fn charter(text: &str) -> Charter {
    parse(text, &world())
        .map_err(|found| format!("{found:?}"))
        .unwrap()
        .charter
}

#[track_caller]
fn refused_in_plan(actions: &[&str]) {
    for action in actions {
        let said = said(&text("plan", &one(&format!("\"{action}\""), "*"), ""));
        assert!(has(&said, "LC102"), "{action}: {said:?}");
    }
}

#[track_caller]
fn allowed_in_plan(actions: &[&str]) {
    for action in actions {
        let said = said(&text("plan", &one(&format!("\"{action}\""), "*"), ""));
        assert_eq!(said, Vec::<String>::new(), "{action}");
    }
}

#[test]
fn iam1_a_read_that_hands_out_credentials_is_no_plan() {
    refused_in_plan(&[
        "s3:GetDataAccess",
        "s3:Get*",
        "ssm:GetAccessToken",
        "secretsmanager:GetSecretValue",
        "secretsmanager:BatchGetSecretValue",
        "ecr:GetAuthorizationToken",
        "codeartifact:GetAuthorizationToken",
        "lightsail:GetBucketAccessKeys",
        "emr-serverless:GetSessionEndpoint",
        "gamelift:GetComputeAuthToken",
        "lakeformation:GetTemporaryGlueTableCredentials",
        "cognito-idp:DescribeUserPoolClient",
        "redshift:GetIdentityCenterAuthToken",
        "license-manager:GetAccessToken",
        "acm:ExportCertificate",
        "cloudwatch:GetSpaceCredentialsForOrganization",
        "pca-connector-scep:GetChallengePassword",
        "ec2:GetPasswordData",
        "quicksight:GetSessionEmbedUrl",
        "appsync:ListApiKeys",
        "ec2:DescribeVpnConnections",
        "signin:CreateOAuth2Token",
        "eks-auth:AssumeRoleForPodIdentity",
        "ssm:GetParameter",
        "codepipeline:GetJobDetails",
        "storagegateway:DescribeChapCredentials",
        "events:DescribeEventSource",
        "bedrock-agentcore:GetResourceApiKey",
        "directconnect:DescribeVirtualInterfaces",
        "ivs:GetStreamKey",
        "ivs:BatchGetStreamKey",
        "iotwireless:GetWirelessDevice",
        "geo:DescribeKey",
        "kinesisvideo:GetHLSStreamingSessionURL",
        "kinesisvideo:GetDASHStreamingSessionURL",
        "amplify:GetWebHook",
        "amplify:ListWebHooks",
        "auditmanager:GetAssessmentReportUrl",
        "glue:GetDashboardUrl",
        "finspace:GetKxConnectionString",
        "quicksight:GetAnonymousUserEmbedUrl",
        "interconnect:GetConnection",
        "gameliftstreams:GetStreamUrl",
    ]);
    allowed_in_plan(&[
        "s3:GetObject",
        "s3:ListAllMyBuckets",
        "ec2:DescribeInstances",
        "rds:DescribeDBInstances",
        "eks:DescribeCluster",
        "iam:ListAccessKeys",
        "secretsmanager:DescribeSecret",
        "secretsmanager:ListSecrets",
        "elasticloadbalancing:DescribeListeners",
        "kms:DescribeKey",
        "dynamodb:GetItem",
        "logs:FilterLogEvents",
        "cloudwatch:GetMetricData",
        "cloudformation:DescribeStacks",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "s3:GetLifecycleConfiguration",
        "cognito-idp:GetDevice",
        "comprehend:DetectSyntax",
        "kinesis:DescribeStream",
    ]);
}

#[test]
fn iam2_what_one_name_is_refused_for_no_other_name_gives() {
    refused_in_plan(&[
        "lambda:GetFunction",
        "lambda:GetFunctionConfiguration",
        "lambda:ListFunctions",
        "lambda:ListVersionsByFunction",
        "lambda:List*",
        "ecs:DescribeTaskDefinition",
        "ecs:DescribeTasks",
        "batch:DescribeJobs",
        "batch:DescribeJobDefinitions",
        "codebuild:BatchGetBuilds",
        "codebuild:BatchGetProjects",
        "autoscaling:DescribeLaunchConfigurations",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DescribeSpotInstanceRequests",
        "ec2:DescribeInstanceAttribute",
        "apprunner:DescribeService",
        "sagemaker:DescribeTrainingJob",
        "sagemaker:DescribeProcessingJob",
        "amplify:ListApps",
        "amplify:GetApp",
        "elasticbeanstalk:DescribeConfigurationSettings",
        "lightsail:GetContainerServices",
        "config:GetResourceConfigHistory",
        "cloudformation:GetResource",
        "greengrass:GetFunctionDefinitionVersion",
        "pipes:DescribePipe",
        "glue:GetJob",
        "glue:GetJobRun",
        "glue:GetJobRuns",
        "glue:GetTrigger",
    ]);
}

#[test]
fn iam3_a_name_that_is_no_action_is_an_error_wherever_it_stands() {
    let grant = one("\"s3:*Object\"", "arn:aws:s3:::a/*");
    let prohibited = |name: &str| {
        let more =
            format!("{TWO}\n  prohibited: [{{aws: [\"s3:PutObject\", \"{name}\"], reason: none}}]");
        said(&text("apply", &grant, &more))
    };
    assert!(has(&prohibited("s3:DeletObject"), "LC120"));
    assert!(has(&prohibited("s3:Delet?Objekt*"), "LC120"));
    assert!(!has(&prohibited("s3:Delet*"), "LC120"));
    for field in ["destructive", "except"] {
        let grant = format!("{grant}\n{field}: [\"s3:DeletObject\"]");
        let said = said(&text("apply", &grant, TWO));
        assert!(has(&said, "LC120"), "{said:?}");
    }
    let grant = format!("{}\napproved: [ssm:GetParametre]", one("\"ssm:Get*\"", "*"));
    assert!(has(&said(&text("plan", &grant, "")), "LC120"));
    let allowed = said(&text("apply", &one("s3:GetObjekt", "*"), TWO));
    assert!(has(&allowed, "LC120"), "{allowed:?}");
    // An action that is younger than the table is named, counts as a write and takes two people.
    let young = |people: u32| {
        let more = format!(
            "{}\n  unlisted_actions: [s3:GetSoon]",
            TWO.replace('2', &people.to_string())
        );
        said(&text("apply", &one("s3:GetSoon", "*"), &more))
    };
    assert!(
        has(&young(2), "LC214") && !has(&young(2), "LC120"),
        "{:?}",
        young(2)
    );
    assert!(has(&young(1), "LC108"));
    let plan = text(
        "plan",
        &one("s3:GetSoon", "*"),
        "unlisted_actions: [s3:GetSoon]",
    );
    assert!(has(&said(&plan), "LC102"));
}

#[test]
fn iam4_an_unlisted_action_takes_two_people_however_it_is_written() {
    for (named, granted) in [
        ("sso:NewGrant", "sso:newgrant"),
        ("sso:newgrant", "SSO:NewGrant"),
    ] {
        let grant = one(&format!("\"{granted}\""), "*");
        let with = |people: &str| {
            let more = format!(
                "{}\n  unlisted_actions: [\"{named}\"]",
                TWO.replace('2', people)
            );
            said(&text("apply", &grant, &more))
        };
        let (few, two) = (with("1"), with("2"));
        assert!(has(&few, "LC108"), "{granted}: {few:?}");
        assert!(!has(&two, "LC108") && !has(&two, "LC120"), "{two:?}");
    }
}

#[test]
fn iam4_permissions_and_other_roles_take_two_people_in_a_sandbox_too() {
    let one_person = TWO.replace('2', "1");
    for action in [
        "sso:CreateAccountAssignment",
        "eks:AssociateAccessPolicy",
        "cloudformation:ExecuteChangeSet",
        "sqs:SetQueueAttributes",
        "sns:SetTopicAttributes",
        "kms:CreateKey",
        "es:UpdateDomainConfig",
        "lambda:CreateFunction",
        "states:CreateStateMachine",
        "scheduler:CreateSchedule",
        "eks:CreateCluster",
        "dynamodb:PutResourcePolicy",
        "s3:PutBucketAcl",
        "ram:CreateResourceShare",
        "glue:StartJobRun",
        "ec2:ModifySnapshotAttribute",
        "rds:ModifyDBSnapshotAttribute",
        "organizations:CreatePolicy",
        "eks:CreateAccessEntry",
        "emr-serverless:StartJobRun",
        "pipes:CreatePipe",
        "transfer:CreateUser",
        "ecs:RunTask",
        "ssm:SendCommand",
        "codebuild:StartBuild",
        "lakeformation:GrantPermissions",
        "s3:*Policy",
    ] {
        let grant = one(&format!("\"{action}\""), "*");
        let few = said(&text("apply", &grant, &one_person));
        assert!(has(&few, "LC108"), "{action}: {few:?}");
        let two = said(&text("apply", &grant, TWO));
        assert!(!has(&two, "LC108"), "{action}: {two:?}");
    }
    for action in [
        "sqs:SendMessage",
        "s3:PutObject",
        "ecs:TagResource",
        "dynamodb:UpdateItem",
        "lambda:InvokeFunction",
    ] {
        let said = said(&text("apply", &one(action, "*"), &one_person));
        assert!(!has(&said, "LC108"), "{action}: {said:?}");
    }
}

#[test]
fn iam4_what_opens_the_perimeter_or_deletes_state_takes_two_people_in_a_sandbox_too() {
    let one_person = TWO.replace('2', "1");
    for action in [
        "fsx:DeleteFileSystem",
        "rds:DeleteGlobalCluster",
        "dsql:DeleteCluster",
        "docdb-elastic:DeleteCluster",
        "redshift-serverless:DeleteNamespace",
        "s3express:DeleteBucket",
        "s3tables:DeleteTableBucket",
        "cassandra:Drop",
        "aoss:DeleteCollection",
        "kms:DeleteImportedKeyMaterial",
        "ecr:BatchDeleteImage",
        "redshift:BatchDeleteClusterSnapshots",
        "sqs:PurgeQueue",
        "ec2:AuthorizeClientVpnIngress",
        "ec2:ModifyNetworkInterfaceAttribute",
        "ec2:CreateTransitGatewayRoute",
        "redshift:AuthorizeClusterSecurityGroupIngress",
        "elasticache:AuthorizeCacheSecurityGroupIngress",
        "network-firewall:UpdateRuleGroup",
        "wafv2:UpdateIPSet",
        "ec2:CreateReplaceRootVolumeTask",
        "glue:UpdateTrigger",
        "glue:CreateTrigger",
        "opsworks:CreateDeployment",
        "ssm:SendAutomationSignal",
        "appsync:UpdateFunction",
        "appsync:UpdateResolver",
        "apigateway:PUT",
        "apigateway:PATCH",
        "cognito-idp:UpdateIdentityProvider",
        "cognito-identity:UpdateIdentityPool",
        "ds-data:AddGroupMember",
        "elasticache:ModifyUser",
        "memorydb:UpdateAcl",
        "quicksight:RegisterUser",
    ] {
        let grant = one(&format!("\"{action}\""), "*");
        let few = said(&text("apply", &grant, &one_person));
        assert!(has(&few, "LC108"), "{action}: {few:?}");
    }
    for action in [
        "ec2:DeleteRouteTable",
        "ecs:DeleteCluster",
        "firehose:DeleteDeliveryStream",
        "ec2:RevokeSecurityGroupIngress",
        "sqs:DeleteMessage",
        "dynamodb:DeleteItem",
    ] {
        let said = said(&text("apply", &one(action, "*"), &one_person));
        assert!(!has(&said, "LC108"), "{action}: {said:?}");
    }
}

#[test]
fn iam4_what_an_exception_takes_out_asks_for_nobody() {
    let one_person = TWO.replace('2', "1");
    let said = |pattern: &str, except: &str| {
        let grant = format!(
            "{}\nexcept: [{except}]",
            one(&format!("\"{pattern}\""), "*")
        );
        said(&text("apply", &grant, &one_person))
    };
    for (pattern, except) in [
        (
            "dynamodb:Delete*",
            "dynamodb:DeleteTable, dynamodb:DeleteBackup, dynamodb:DeleteTableReplica, dynamodb:DeleteResourcePolicy",
        ),
        ("sqs:Delete*", "sqs:DeleteQueue"),
        (
            "ec2:*SecurityGroup*",
            "\"ec2:Authorize*\", \"ec2:Modify*\", \"ec2:Apply*\"",
        ),
    ] {
        let found = said(pattern, except);
        assert!(!has(&found, "LC108"), "{pattern}: {found:?}");
    }
    let found = said("dynamodb:Delete*", "dynamodb:DeleteBackup");
    assert!(has(&found, "LC108"), "{found:?}");
}

#[test]
fn iam5_what_aws_calls_a_read_and_acts_is_no_plan() {
    refused_in_plan(&[
        "bedrock:InvokeAgent",
        "bedrock:InvokeModel",
        "sqs:ReceiveMessage",
        "sqs:Rec*",
        "ssm:PutConfigurePackageResult",
        "eks:AccessKubernetesApi",
        "s3:AllowVendedLogDeliveryForResource",
        "cloudshell:ApproveCommand",
        "codestar-connections:UseConnection",
        "config:DeliverConfigSnapshot",
        "dms:TestConnection",
        "securityhub:SendInsightEvents",
        "sagemaker:InvokeEndpoint",
        "quicksight:PassDataSet",
    ]);
    // What it is called says that it queries, starts, tries or takes; what it is given says what
    // else it does.
    refused_in_plan(&[
        "athena:*Query*",
        "athena:StartCalculationExecution",
        "athena:StartQueryExecution",
        "athena:StopQueryExecution",
        "cassandra:Modify",
        "cloudtrail:StartQuery",
        "dynamodb:PartiQL*",
        "dynamodb:PartiQLInsert",
        "dynamodb:PartiQLUpdate",
        "dynamodb:PartiQLDelete",
        "ec2messages:GetMessages",
        "events:PutEvents",
        "glue:RunStatement",
        "glue:StartJobRun",
        "lambda:InvokeFunction",
        "lambda:InvokeAsync",
        "qldb:PartiQLDelete",
        "rds-data:BatchExecuteStatement",
        "rds-data:ExecuteSql",
        "rds-data:ExecuteStatement",
        "redshift-data:BatchExecuteStatement",
        "redshift-data:ExecuteStatement",
        "ses:SendEmail",
        "sms:GetMessages",
        "ssm:SendCommand",
        "ssm:StartAutomationExecution",
        "states:StartExecution",
        "states:StartSyncExecution",
        "timestream:Unload",
    ]);
    allowed_in_plan(&[
        "athena:GetQueryResults",
        "athena:BatchGetQueryExecution",
        "cloudtrail:GetQueryResults",
        "dynamodb:PartiQLSelect",
        "redshift-data:GetStatementResult",
        "s3:GetObject",
        "timestream:Select",
    ]);
    allowed_in_plan(&[
        "logs:StartQuery",
        "cloudformation:DetectStackDrift",
        "iam:SimulatePrincipalPolicy",
        "dynamodb:Scan",
    ]);
}

#[test]
fn iam6_an_apply_that_hands_on_credentials_says_so() {
    for action in [
        "redshift:GetClusterCredentials",
        "lightsail:CreateKeyPair",
        "ssm:CreateActivation",
        "airflow:CreateWebLoginToken",
        "ecr:GetAuthorizationToken",
        "ec2:CreateKeyPair",
    ] {
        let said = said(&text("apply", &one(action, "*"), TWO));
        assert!(has(&said, "LC230"), "{action}: {said:?}");
    }
    for action in [
        "rds:ModifyDBInstance",
        "rds:RebootDBInstance",
        "cognito-idp:TagResource",
        "s3:PutObject",
    ] {
        let said = said(&text("apply", &one(action, "*"), TWO));
        assert!(!has(&said, "LC230"), "{action}: {said:?}");
    }
}

#[test]
fn iam7_rights_that_no_request_can_meet_are_named() {
    for (actions, resource) in [
        ("s3:GetObject", "arn:aws:s3:::logs"),
        ("s3:ListBucket", "arn:aws:s3:::logs/*"),
        ("sqs:GetQueueUrl", "arn:aws:sqs:eu-west-1::payments"),
        ("sqs:GetQueueUrl", "arn:aws:sqs::111122223333:payments"),
        ("sqs:GetQueueUrl", "arn:aws:sqs:eu-west-1:11112222:payments"),
        (
            "ec2:DescribeInstances",
            "arn:aws:ec2:eu-west-1:111122223333:instance/*",
        ),
        (
            "dynamodb:GetItem",
            "arn:aws:dynamodb:eu-west-1:111122223333:payments",
        ),
        (
            "dynamodb:GetItem",
            "arn:aws:sqs:eu-west-1:111122223333:payments",
        ),
    ] {
        let said = said(&text("plan", &one(actions, resource), ""));
        assert!(has(&said, "LC231"), "{actions} on {resource}: {said:?}");
    }
    let foreign = said(&text(
        "plan",
        &one("s3:GetObject", "arn:aws-cn:s3:::logs/*"),
        "",
    ));
    assert!(has(&foreign, "LC122"), "{foreign:?}");
    let many: Vec<String> = (0..60)
        .map(|n| format!("\"arn:aws:s3:::a-bucket-of-the-logs-{n:02}/*\""))
        .collect();
    let many = format!(
        "allow:\n  - {{actions: [s3:GetObject], resources: [{}]}}",
        many.join(", ")
    );
    assert!(has(&said(&text("plan", &many, "")), "LC121"));
}

#[test]
fn iam8_warnings_are_right_or_gone() {
    let apply = |actions: &str, resource: &str| said(&text("apply", &one(actions, resource), TWO));
    assert!(!has(&apply("s3:GetObject", "*"), "LC210"));
    assert!(!has(&apply("ec2:CreateDefaultVpc", "*"), "LC210"));
    for every in ["*", "arn:aws:s3:::?*", "arn:aws:s3:::*", "arn:aws:s3:::*/*"] {
        let said = apply("s3:PutObject", every);
        assert!(has(&said, "LC210"), "{every}: {said:?}");
    }
    assert!(!has(&apply("s3:PutObject", "arn:aws:s3:::a/*"), "LC210"));
    let plan = said(&text("plan", &one("\"organizations:List*\"", "*"), ""));
    assert_eq!(plan, Vec::<String>::new());
    let idle = "prohibited: [{aws: [\"kms:ScheduleKeyDeletion\"], reason: keys}, {kubernetes: {resources: [secrets]}, reason: none}]";
    let sound = said(&text("plan", &one("s3:GetObject", "*"), idle));
    assert_eq!(sound, Vec::<String>::new());
}

#[test]
fn iam9_there_is_a_way_for_real_work_and_it_is_bounded() {
    // Each is refused without its bound, and allowed with it.
    let key = "arn:aws:kms:eu-west-1:111122223333:key/a";
    let decrypt = |when: &str| {
        let grant = format!("allow:\n  - {{actions: [kms:Decrypt], resources: [\"{key}\"]{when}}}");
        said(&text("plan", &grant, ""))
    };
    assert!(has(&decrypt(""), "LC102"));
    assert!(has(
        &decrypt(", when: {aws:RequestedRegion: [eu-west-1]}"),
        "LC102"
    ));
    assert_eq!(
        decrypt(", when: {kms:ViaService: [s3.eu-west-1.amazonaws.com]}"),
        Vec::<String>::new()
    );
    let put = |via: &str| {
        let grant = format!(
            "allow:\n  - {{actions: [s3:PutObject], resources: [\"arn:aws:s3:::r/*\"], when: {{aws:CalledViaFirst: [{via}]}}}}"
        );
        said(&text("plan", &grant, ""))
    };
    assert_eq!(put("athena.amazonaws.com"), Vec::<String>::new());
    assert!(has(&put("\"*\""), "LC102") && has(&put("lambda.amazonaws.com"), "LC102"));
    let query = |approved: &str| {
        let grant = format!("{}{approved}", one("athena:StartQueryExecution", "*"));
        said(&text("plan", &grant, TWO))
    };
    assert!(has(&query(""), "LC102"));
    assert!(!has(
        &query("\napproved: [athena:StartQueryExecution]"),
        "LC102"
    ));
    allowed_in_plan(&["iam:Get*", "iam:List*", "iam:GetRole"]);
    let wide = one("\"ec2:Describe*\"", "*");
    assert!(has(&said(&text("plan", &wide, "")), "LC102"));
    let identity = said(&text("apply", &one("\"iam:*Role\"", "*"), TWO));
    assert!(has(&identity, "LC101"), "{identity:?}");
    let assumed = said(&text("plan", &one("sts:GetCallerIdentity", "*"), ""));
    assert!(has(&assumed, "LC101"));
}

#[test]
fn iam9_a_passed_role_is_named_with_its_service_and_takes_two_people() {
    let role = "arn:aws:iam::111122223333:role/worker";
    let pass = |resource: &str, when: &str, people: &str| {
        let grant = format!(
            "allow:\n  - {{actions: [\"iam:PassRole\"], resources: [\"{resource}\"]{when}}}"
        );
        said(&text("apply", &grant, people))
    };
    let to = ", when: {iam:PassedToService: [lambda.amazonaws.com]}";
    let sound = pass(role, to, TWO);
    assert!(!sound.iter().any(|it| it.starts_with("LC1")), "{sound:?}");
    assert!(has(&pass(role, to, &TWO.replace('2', "1")), "LC108"));
    assert!(has(&pass(role, "", TWO), "LC125"));
    assert!(has(
        &pass("arn:aws:iam::111122223333:role/*", to, TWO),
        "LC125"
    ));
    assert!(has(&pass("*", to, TWO), "LC125"));
    assert!(has(
        &pass(role, ", when: {iam:PassedToService: [\"*\"]}", TWO),
        "LC125"
    ));
}

#[test]
fn iam9_a_read_of_secrets_is_named_and_asks_a_person() {
    let grant = |approved: &str| format!("{}{approved}", one("secretsmanager:GetSecretValue", "*"));
    assert!(has(&said(&text("plan", &grant(""), "")), "LC102"));
    let text = text(
        "plan",
        &grant("\napproved: [secretsmanager:GetSecretValue]"),
        "",
    );
    let charter = charter(&text);
    let it = charter.grants.values().next().unwrap();
    let environment = it.environments.first().unwrap();
    let answer = ask(&charter, &Question::usual(&charter, it, environment), NOW);
    assert_eq!(answer.verdict.unwrap().people(), 1);
}

#[test]
fn iam9_conditions_hold_in_an_answer_and_a_removed_one_is_a_widening() {
    let with = |when: &str| {
        let grant = format!(
            "allow:\n  - {{actions: [s3:ListBucket], resources: [\"arn:aws:s3:::logs\"]{when}}}"
        );
        charter(&text("plan", &grant, ""))
    };
    let (free, bound) = (with(""), with(", when: {s3:prefix: [\"a/*\"]}"));
    let answer = |charter: &Charter, context: &[(&str, &str)]| {
        let it = charter.grants.values().next().unwrap();
        let context: BTreeMap<_, _> = context
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let usage = Usage {
            action: "s3:ListBucket".to_owned(),
            resource: "arn:aws:s3:::logs".to_owned(),
            context,
        };
        let question = Question {
            usage: Some(usage),
            ..Question::usual(charter, it, it.environments.first().unwrap())
        };
        ask(charter, &question, NOW).verdict.is_ok()
    };
    assert!(answer(&free, &[]) && !answer(&bound, &[]));
    assert!(answer(&bound, &[("S3:PREFIX", "a/b")]) && !answer(&bound, &[("s3:prefix", "b/a")]));
    let widens = |old: &Charter, new: &Charter| {
        diff(old, new)
            .iter()
            .any(|it| it.effect == Effect::Widening)
    };
    assert!(widens(&bound, &free) && !widens(&free, &bound));
    let wider = with(", when: {s3:prefix: [\"*\"]}");
    assert!(widens(&bound, &wider) && !widens(&wider, &bound));
    let two = with(", when: {s3:prefix: [\"a/*\"], aws:RequestedRegion: [eu-west-1]}");
    assert!(widens(&two, &bound) && !widens(&bound, &two));
}

#[test]
fn iam9_an_exception_that_goes_is_a_widening() {
    let with = |except: &str| {
        let grant = format!("{}\nexcept: [{except}]", one("\"sqs:*Message*\"", QUEUE));
        charter(&text("apply", &grant, TWO))
    };
    let (one, two) = (
        with("sqs:DeleteMessage"),
        with("sqs:DeleteMessage, sqs:SendMessage"),
    );
    let widens = |old: &Charter, new: &Charter| {
        diff(old, new)
            .iter()
            .any(|it| it.effect == Effect::Widening)
    };
    assert!(widens(&two, &one));
}

// T35
#[test]
fn reads_are_told_from_writes_by_the_table() {
    allowed_in_plan(&[
        "s3:GetObject",
        "S3:getobject",
        "s3:ListBucket",
        "ec2:Describe*Instances",
        "logs:FilterLogEvents",
    ]);
    refused_in_plan(&[
        "s3:PutObject",
        "s3:PutBucketPolicy",
        "s3:*",
        "kms:Decrypt",
        "secretsmanager:Get*",
        "s3:GetObjekt",
        "nothing:Get",
    ]);
}

#[test]
fn iam8_what_is_said_of_a_charter_is_so() {
    // What writes cannot be approved, and is named for `except` alone.
    let text_of = text("plan", &one("\"secretsmanager:*Value\"", "*"), "");
    let found = parse(&text_of, &world()).unwrap_err();
    let help = found
        .iter()
        .find_map(|it| it.help.clone())
        .unwrap_or_default();
    let (except, approved) = help.split_once("; ").unwrap();
    assert!(except.contains("PutSecretValue"), "{help}");
    assert!(!approved.contains("PutSecretValue"), "{help}");
    assert!(approved.contains("GetSecretValue"), "{help}");

    for key in ["aws:CurrentTime", "aws:PrincipalTag/team", "aws:CalledVia"] {
        let grant = format!(
            "allow:\n  - {{actions: [s3:GetObject], resources: [\"*\"], when: {{\"{key}\": [a]}}}}"
        );
        let said = said(&text("plan", &grant, ""));
        let line = said.iter().find(|line| line.contains(key));
        let line = line.unwrap_or_else(|| unreachable!("{said:?}"));
        assert!(
            line.ends_with("conditions on this key are not in the language"),
            "{line}"
        );
    }

    let said = said(&text(
        "plan",
        &one("s3:GetObject", "arn:aws:s3:::b/日本/*"),
        "",
    ));
    assert!(
        said.iter()
            .any(|line| line.contains("a character that STS does not take")),
        "{said:?}"
    );
}
