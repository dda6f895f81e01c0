//! The form of a plan, recognized by its bytes; files that are given for a plan and are none; and
//! the largest plan.

#![expect(clippy::expect_used, reason = "a test, with tables of inputs")]

mod stage;

use lanyard_charter::plan::{MAX_BYTES_PER_PLAN, PlanFormat};
use lanyard_charter::{KubernetesObject, MoreKinds};
use lanyard_plan::Document;
use serde_json::json;
use stage::{has, lacks};

const TERRAFORM: &str = r#"{"format_version":"1.2","terraform_version":"1.9.8","resource_changes":[{"address":"aws_sqs_queue.shop","mode":"managed","type":"aws_sqs_queue","name":"shop","provider_name":"registry.terraform.io/hashicorp/aws","change":{"actions":["update"],"before":{"arn":"arn:aws:sqs:eu-west-1:111122223333:shop-orders","name":"shop-orders","delay_seconds":0},"after":{"arn":"arn:aws:sqs:eu-west-1:111122223333:shop-orders","name":"shop-orders","delay_seconds":5},"after_unknown":{},"before_sensitive":{},"after_sensitive":{}}}],"configuration":{"provider_config":{"aws":{"name":"aws","full_name":"registry.terraform.io/hashicorp/aws"}},"root_module":{"resources":[{"address":"aws_sqs_queue.shop","mode":"managed","type":"aws_sqs_queue","name":"shop","provider_config_key":"aws"}]}},"complete":true,"applyable":true,"errored":false}"#;
const MANIFEST: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: payments}\n";

fn recognised(content: &[u8]) -> Result<PlanFormat, String> {
    let document = Document::read(None, content).map_err(|error| error.to_string())?;
    Ok(document.format())
}

fn refused(content: &[u8]) -> String {
    recognised(content).expect_err(&String::from_utf8_lossy(content))
}

fn utf16(text: &str, units: fn(u16) -> [u8; 2], mark: bool) -> Vec<u8> {
    let mark = mark.then_some(0xfeff);
    let all = mark.into_iter().chain(text.encode_utf16());
    all.flat_map(units).collect()
}

#[test]
fn c_form_a_plan_is_recognised_by_what_is_in_it() {
    let pretty = serde_json::to_string_pretty(
        &serde_json::from_str::<serde_json::Value>(TERRAFORM).unwrap(),
    );
    let helm = format!("---\n# Source: shop/templates/a.yaml\n{MANIFEST}---\n{MANIFEST}");
    let object = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
    for (content, format) in [
        (TERRAFORM.to_owned(), PlanFormat::TerraformJson),
        (format!("\n  {TERRAFORM}\r\n"), PlanFormat::TerraformJson),
        (pretty.unwrap(), PlanFormat::TerraformJson),
        (MANIFEST.to_owned(), PlanFormat::Manifests),
        (helm, PlanFormat::Manifests),
        (MANIFEST.replace('\n', "\r\n"), PlanFormat::Manifests),
        (object.to_owned(), PlanFormat::Manifests),
        (format!("{object}\n{object}\n"), PlanFormat::Manifests),
        (format!("{object}\n---\n{object}\n"), PlanFormat::Manifests),
        (
            format!(r#"{{"kind":"List","apiVersion":"v1","items":[{object}]}}"#),
            PlanFormat::Manifests,
        ),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}".to_owned(), PlanFormat::Manifests),
        (
            "\"apiVersion\": v1\n\"kind\": ConfigMap\n\"metadata\": {\"name\": a}\n".to_owned(),
            PlanFormat::Manifests,
        ),
        (
            "diff -u -N /tmp/LIVE-1/v1.ConfigMap.a /tmp/MERGED-1/v1.ConfigMap.a\n--- /tmp/LIVE-1\n+++ /tmp/MERGED-1\n".to_owned(),
            PlanFormat::ManifestDiff,
        ),
        ("Move the orders to the new queue.".to_owned(), PlanFormat::Text),
        ("Terraform will perform the following actions:\n  # aws_sqs_queue.shop\n".to_owned(), PlanFormat::Text),
        ("replicas: 3\nimage: shop\n".to_owned(), PlanFormat::Text),
    ] {
        assert_eq!(recognised(content.as_bytes()), Ok(format), "{content}");
    }
}

#[test]
fn d23_a_byte_order_mark_is_passed_over() {
    for text in [TERRAFORM, MANIFEST, "words"] {
        let marked = format!("\u{feff}{text}");
        assert_eq!(recognised(marked.as_bytes()), recognised(text.as_bytes()));
    }
    let both = format!("\u{feff}{MANIFEST}---\n\u{feff}{MANIFEST}");
    let document = Document::read(PlanFormat::Manifests, both.as_bytes()).unwrap();
    assert_eq!(document.reading(MoreKinds::default()).objects.len(), 2);
    lacks(&document.text(), "feff");
}

#[test]
fn d23_what_is_no_text_is_named_with_what_to_do() {
    let le = |unit: u16| unit.to_le_bytes();
    let be = |unit: u16| unit.to_be_bytes();
    for (content, what) in [
        (
            b"PK\x03\x04\x14\0\x08\0tfplan".to_vec(),
            "`terraform show -json FILE`",
        ),
        (b"\x1f\x8b\x08\0".to_vec(), "gzip"),
        (b"\x28\xb5\x2f\xfd\0".to_vec(), "zstd"),
        (b"tfplan\x02\xff".to_vec(), "before 0.12"),
        (utf16(TERRAFORM, le, true), "UTF-16"),
        (utf16(TERRAFORM, be, true), "UTF-16"),
        (utf16(TERRAFORM, le, false), "UTF-16"),
        (utf16(MANIFEST, be, false), "UTF-16"),
        (b"\xff\xfe\0\0{\0\0\0".to_vec(), "UTF-32"),
        (b"a\nb \xe9\n".to_vec(), "line 2: byte 4 is not UTF-8"),
        (b"a\x07b\0c".to_vec(), "is zero"),
        (b"".to_vec(), "empty"),
        (b"\xef\xbb\xbf \r\n".to_vec(), "empty"),
    ] {
        for format in [
            None,
            Some(PlanFormat::TerraformJson),
            Some(PlanFormat::Manifests),
            Some(PlanFormat::Text),
        ] {
            let why = Document::read(format, &content).unwrap_err().to_string();
            has(&why, what);
        }
    }
    has(
        &refused(&utf16(TERRAFORM, le, true)),
        "Out-File -Encoding utf8",
    );
}

#[test]
fn d23_what_stands_around_a_plan_is_named() {
    for (content, what) in [
        (
            format!("Acquiring state lock. This may take a few moments...\n{TERRAFORM}"),
            "`Acquiring state lock. This may take a few moments...` stands before the plan, which begins in line 2",
        ),
        (
            format!(
                "direnv: loading\n{{\n  \"format_version\": \"1.2\"{}",
                &TERRAFORM["{\"format_version\":\"1.2\"".len()..]
            ),
            "begins in line 2",
        ),
        (
            format!("12:00:00.000 STDOUT terraform: {TERRAFORM}"),
            "stands before the plan",
        ),
        (
            format!("[command]/opt/terraform-bin show -json plan.out\n{TERRAFORM}"),
            "terraform_wrapper: false",
        ),
        (
            format!("{TERRAFORM}\n\n::debug::exitcode: 0\n"),
            "terraform_wrapper: false",
        ),
        (
            format!("{TERRAFORM}\nReleasing state lock\n"),
            "`Releasing state lock` stands behind the plan",
        ),
        (
            format!("{TERRAFORM}\n{TERRAFORM}\n"),
            "it holds more than one plan, as `terragrunt run --all",
        ),
    ] {
        has(&refused(content.as_bytes()), what);
        let told = Document::read(PlanFormat::TerraformJson, content.as_bytes());
        has(&told.unwrap_err().to_string(), what);
    }
}

#[test]
fn c_form_json_that_is_no_plan_is_named() {
    for (content, what) in [
        (
            r#"{"@level":"info","@message":"Terraform 1.9.8","@module":"terraform.ui","type":"version"}"#,
            "the log that `terraform plan -json` prints",
        ),
        (
            r#"{"format_version":"1.0","terraform_version":"1.9.8","values":{"root_module":{}}}"#,
            "it is a state, which",
        ),
        (r#"{"format_version":"1.0"}"#, "it is a state, which"),
        (
            r#"{"version":4,"serial":3,"lineage":"a","outputs":{},"resources":[]}"#,
            "a state file of Terraform",
        ),
        (
            r#"{"format_version":"1.0","provider_schemas":{}}"#,
            "providers schema",
        ),
        (
            r#"{"serial":3,"lineage":"a","meta":{"key_provider.pbkdf2.it":"e30="},"encrypted_data":"AA==","encryption_version":"v0"}"#,
            "OpenTofu has encrypted: submit what `tofu show -json FILE` prints",
        ),
        (
            r#"{"meta":{},"encrypted_data":"AA==","encryption_version":"v0"}"#,
            "a plan file or a state that OpenTofu has encrypted",
        ),
        (
            r#"{"plan_format_version":"1.2","resource_changes":[]}"#,
            "json-output",
        ),
        (
            r#"{"AWSTemplateFormatVersion":"2010-09-09","Resources":{}}"#,
            "CloudFormation",
        ),
        (
            r#"{"format_version":"1.2","resource_changes":[{"addr"#,
            "cut off",
        ),
        (r#"[{"apiVersion":"v1"}]"#, "it is a list"),
        (r#"{"hello":"world"}"#, "with the form `text`"),
    ] {
        has(&refused(content.as_bytes()), what);
    }
    // Somebody may mean it nevertheless.
    assert!(Document::read(PlanFormat::Text, br#"{"hello":"world"}"#).is_ok());
}

#[test]
fn c_form_what_looks_like_manifests_and_is_none_is_refused_and_not_shown_as_words() {
    for (content, what) in [
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}-shop\n",
            "submit what `helm template` prints",
        ),
        (
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n",
            "submit what `kubectl kustomize` prints",
        ),
        (
            "NAME: shop\nLAST DEPLOYED: Thu\nMANIFEST:\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
            "`helm install --dry-run`",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\n  name: a\n",
            "with the form `text`",
        ),
        (
            "Apply this:\n```yaml\napiVersion: v1\nkind: ConfigMap\n```\n",
            "with the form `text`",
        ),
    ] {
        has(&refused(content.as_bytes()), what);
    }
}

#[test]
fn d18_a_manifest_is_as_large_as_a_plan() {
    let line = "    {\"panel\": 1, \"expr\": \"sum(rate(http_requests_total[5m]))\"}\n";
    let of = |bytes: usize| {
        let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: d, namespace: payments}\ndata:\n  all.json: |\n";
        format!("{head}{}", line.repeat(bytes / line.len()))
    };
    for bytes in [200 << 10, 300 << 10, 900 << 10] {
        let content = of(bytes);
        assert!(content.len() < MAX_BYTES_PER_PLAN);
        assert_eq!(
            recognised(content.as_bytes()),
            Ok(PlanFormat::Manifests),
            "{bytes}"
        );
    }
    // In several documents, none of which is large, and as JSON.
    let many = format!("{MANIFEST}---\n").repeat(150);
    assert_eq!(recognised(many.as_bytes()), Ok(PlanFormat::Manifests));
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}, "data": {"x": "y".repeat(400 << 10)}});
    assert_eq!(
        recognised(object.to_string().as_bytes()),
        Ok(PlanFormat::Manifests)
    );
}

fn objects(text: &str) -> Result<Vec<serde_json::Value>, String> {
    let document = Document::read(PlanFormat::Manifests, text.as_bytes());
    Ok(document
        .map_err(|error| error.to_string())?
        .reading(MoreKinds::default())
        .objects)
}

#[test]
fn d18_anchors_and_merge_keys_are_expanded_as_kubectl_does() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: &labels {app: shop, tier: web}\n  annotations:\n    <<: *labels\n    tier: back\n\
                data:\n  one: &one x\n  two: *one\n  ? &key three\n  : *key\n";
    let object = &objects(text).unwrap()[0];
    assert_eq!(
        object["metadata"]["annotations"],
        json!({"app": "shop", "tier": "back"})
    );
    assert_eq!(
        object["data"],
        json!({"one": "x", "two": "x", "three": "three"})
    );
    // Of several maps, the first one that has a key gives its value.
    let several = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nx: [&a {k: one}, &b {k: two, l: two}]\ndata:\n  <<: [*a, *b]\n";
    assert_eq!(
        objects(several).unwrap()[0]["data"],
        json!({"k": "one", "l": "two"})
    );
    for (fields, why) in [
        ("data: {k: own, <<: {k: merged}}", "put `<<` first"),
        ("data: {<<: {k: a}, <<: {l: b}}", "stands here once"),
        ("data: {\"<<\": {k: a}}", "without quotes"),
        ("data: {<<: text}", "takes a map"),
        ("data: &d {k: *d}", "the value of its own anchor"),
        ("data: {k: *nowhere}", "YAML"),
        ("data: {k: !!str 1}", "tags are not used"),
    ] {
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n{fields}\n");
        has(&objects(&text).unwrap_err(), why);
    }
    // An anchor is its document's own.
    let two = format!("{MANIFEST}data: {{k: &a x}}\n---\n{MANIFEST}data: {{k: *a}}\n");
    assert!(objects(&two).is_err());
}

#[test]
fn d18_aliases_stand_for_so_much_and_no_more() {
    let of = |bytes: usize, aliases: usize| {
        let value = "v".repeat(bytes);
        let all = vec!["*a"; aliases].join(", ");
        format!("{MANIFEST}x: &a {value}\ny: [{all}]\n")
    };
    // 16 bytes a value are counted besides, and the anchor's own as well.
    assert!(objects(&of(1008, 1023)).is_ok());
    has(&objects(&of(1008, 1024)).unwrap_err(), "more than 1024 KiB");
    // Over all documents of a plan, not over each.
    let each = format!("{}---\n", of(1008, 600));
    assert!(objects(&each).is_ok());
    has(&objects(&each.repeat(2)).unwrap_err(), "more than 1024 KiB");
    // A billion values in a few lines, and levels that no reader walks.
    let bomb = (0..9).fold(format!("{MANIFEST}a0: &a0 [x]\n"), |text, level| {
        let aliases = vec![format!("*a{level}"); 10].join(", ");
        format!("{text}a{}: &a{} [{aliases}]\n", level + 1, level + 1)
    });
    has(&objects(&bomb).unwrap_err(), "more than 1024 KiB");
    let deep = (0..70).fold(format!("{MANIFEST}a0: &a0 [x]\n"), |text, level| {
        format!("{text}a{}: &a{} [*a{level}]\n", level + 1, level + 1)
    });
    has(&objects(&deep).unwrap_err(), "deeper than 64 levels");
}

#[test]
fn c15_a_manifest_without_a_namespace_is_shown_as_the_grants() {
    let text = |content: &str| Document::read(None, content.as_bytes()).unwrap().text();
    let without = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    has(&text(without), "v1 ConfigMap a in the grant's namespace");
    has(&text(MANIFEST), "v1 ConfigMap a in payments");
    let cluster = text("apiVersion: v1\nkind: Namespace\nmetadata: {name: payments}\n");
    has(&cluster, "v1 Namespace payments");
    lacks(&cluster, "payments in");
    let unknown = text("apiVersion: acme.example/v1\nkind: Widget\nmetadata: {name: a}\n");
    has(&unknown, "Widget a without a namespace");
    let reading = Document::read(None, without.as_bytes())
        .unwrap()
        .reading(MoreKinds::default());
    let objects = reading.reach.of::<KubernetesObject>();
    let object = objects.named.first().unwrap();
    assert!(object.is_in("payments") && object.is_in("other"));
    assert_eq!(object.to_string(), "configmaps/a in the grant's namespace");
}
