//! Values that approvers are not shown: secrets, wherever a plan repeats one, and Kubernetes
//! Secrets, wherever one stands.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test, with tables of inputs"
)]

mod stage;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lanyard_charter::MoreKinds;
use lanyard_charter::plan::{PlanFormat, Risk};
use lanyard_plan::{Document, compared};
use serde_json::{Value, json};
use stage::{change, create, has, judged, judged_by, lacks, manifests, terraform, update};

const CANARY: &str = "CANARY-4711/x?y";

/// Returns everything that anybody is told of a plan.
fn said(document: &Document) -> String {
    let judged = judged(document);
    format!(
        "{}\n{:?}\n{:?}\n{:?}",
        document.text(),
        document.reading(MoreKinds::default()).sensitive,
        document.reading(MoreKinds::default()).reach,
        (judged.reasons, judged.denied, judged.warned)
    )
}

/// A resource with one sensitive value, and these.
fn beside_secret(secret: Value, after: &Value) -> Document {
    let mut all = json!({"password": secret, "seen": "seen"});
    for (key, value) in after.as_object().unwrap() {
        all[key] = value.clone();
    }
    change(
        "a_b",
        json!({"actions": ["create"], "before": null, "after": all, "after_sensitive": {"password": true}}),
    )
}

#[test]
fn a03_a_secret_is_masked_in_every_form_of_a_scalar() {
    let long = format!(
        "-----BEGIN KEY-----\n{}\n-----END KEY-----\n",
        "CANARYabc/".repeat(6)
    );
    let behind = |before: &str| STANDARD.encode(format!("{before}{CANARY}\n"));
    for (what, value) in [
        ("plain", format!("a: {CANARY}\nb: 1\n")),
        ("within a plain scalar", format!("a: x={CANARY};y\nb: 1\n")),
        ("quoted", format!("a: \"{CANARY}\"\nb: 1\n")),
        ("block scalar", format!("a: |\n  one\n  {CANARY}\nb: 1\n")),
        (
            "folded scalar",
            format!("a: >\n  one {CANARY}\n  two\nb: 1\n"),
        ),
        ("comment", format!("# {CANARY}\na: 1\n")),
        (
            "comment behind a value",
            format!("a: 1 # was {CANARY}\nb: 1\n"),
        ),
        ("key", format!("{CANARY}: 1\nb: 2\n")),
        ("part of a key", format!("x-{CANARY}-y: 1\nb: 2\n")),
        ("nested key", format!("a:\n  {CANARY}:\n    c: 1\n")),
        (
            "in flow style",
            format!("a: {{{CANARY}: [{CANARY}]}}\nb: 2\n"),
        ),
        (
            "base64, plain",
            format!("a: {}\nb: 1\n", STANDARD.encode(CANARY)),
        ),
        ("base64 behind one", format!("a: {}\nb: 1\n", behind("x"))),
        ("base64 behind two", format!("a: {}\nb: 1\n", behind("me"))),
        (
            "base64 behind three",
            format!("a: {}\nb: 1\n", behind("me:")),
        ),
        ("base64 of a login", format!("a: x {}\n", behind("user:"))),
        (
            "base64 for addresses",
            format!("a={}", URL_SAFE_NO_PAD.encode(format!("ab{CANARY}??>>"))),
        ),
        ("address", "postgres://u:CANARY-4711%2Fx%3Fy@h/d".to_owned()),
        ("JSON within text", format!("x = {}", Value::from(CANARY))),
        (
            "JSON",
            format!("{{\"k\": {{\"{CANARY}\": [\"{CANARY}\"]}}}}"),
        ),
        ("two documents", format!("a: 1\n---\nb: {CANARY}\n")),
        ("no document", format!("a: [{CANARY}\n")),
    ] {
        let document = beside_secret(json!(CANARY), &json!({"it": value}));
        let text = said(&document);
        for part in [
            "CANARY",
            &STANDARD.encode(CANARY)[..16],
            "Q0FOQVJZ",
            "NBTkFSW",
            "DQU5BUl",
            "4711",
        ] {
            assert!(!text.contains(part), "{what}: `{part}` is shown: {text}");
        }
        has(&text, "seen = \"seen\"");
        assert!(
            document.reading(MoreKinds::default()).sensitive.count >= 2,
            "{what}: {text}"
        );
        // On either side of an update, too.
        for (before, after) in [(json!(value), json!("x")), (json!("x"), json!(value))] {
            let document = change(
                "a_b",
                json!({"actions": ["update"], "before": {"p": CANARY, "it": before}, "after": {"p": CANARY, "it": after},
                    "before_sensitive": {"p": true}, "after_sensitive": {}}),
            );
            lacks(&said(&document), "CANARY");
        }
    }
    // Lines of a key, indented elsewhere.
    let script = long.replace('\n', "\n    ");
    let text = said(&beside_secret(
        json!(long),
        &json!({"it": format!("cat <<EOF\n    {script}")}),
    ));
    lacks(&text, "CANARY");
}

#[test]
fn a03_a_number_is_masked_however_it_is_written() {
    for (secret, repeated) in [
        (json!("31415926"), json!(31_415_926)),
        (json!(31_415_926), json!("31415926")),
        (json!(31_415_926), json!("pin: 31415926\nb: 1\n")),
        (json!("31415926"), json!("pin: 31415926\nb: 1\n")),
        (json!("0x1DF5E76"), json!(31_415_926)),
        (json!("31_415_926"), json!(31_415_926)),
        (json!(31_415_926), json!({"31415926": 1})),
    ] {
        let text = said(&beside_secret(secret.clone(), &json!({"it": repeated})));
        lacks(&text, "31415926");
        has(&text, "seen = \"seen\"");
    }
    // As the cluster reads them.
    let text = manifests(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {pin: \"31415926\"}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {pin: 31_415_926, x31415926: y}\n",
    )
    .unwrap();
    lacks(&said(&text), "31415926");
}

#[test]
fn a03_two_keys_that_are_masked_stay_two_and_are_named() {
    let document = beside_secret(
        json!([CANARY, "CANARY-other"]),
        &json!({"tags": {CANARY: "one", "CANARY-other": "two", "(sensitive key 1)": "three"}}),
    );
    let text = said(&document);
    lacks(&text, "CANARY");
    for value in ["one", "two", "three"] {
        has(&document.text(), &format!("= \"{value}\""));
    }
    assert_eq!(
        document.reading(MoreKinds::default()).sensitive.count,
        4,
        "{text}"
    );
    // The same key on both sides is one.
    let sides = |value: &str| json!({"p": CANARY, "tags": {CANARY: value, "b": "c"}});
    let document = change(
        "a_b",
        json!({"actions": ["update"], "before": sides("x"), "after": sides("y"), "before_sensitive": {"p": true}}),
    );
    has(
        &document.text(),
        "~ tags[\"(sensitive key 1)\"] = \"x\" -> \"y\"",
    );
    // What says who may do what is grave whatever its key is.
    let document = change(
        "a_b",
        json!({"actions": ["update"], "before": {"p": "assume_role_policy"}, "before_sensitive": {"p": true},
            "after": {"p": "assume_role_policy", "assume_role_policy": "x"}, "after_sensitive": {"p": true}}),
    );
    assert_eq!(judged(&document).people, 2);
}

#[test]
fn a03_names_and_addresses_are_masked() {
    let address = |kind: &str| format!("{kind}.y[\"{CANARY}\"]");
    let change = |kind: &str, actions: Value| {
        json!({"address": address(kind), "type": kind, "previous_address": format!("{kind}.z[\"a {CANARY}\"]"), "deposed": CANARY,
            "change": {"actions": actions, "before": {"p": CANARY}, "after": {"p": "x", "policy": "x"}, "before_sensitive": {"p": true}}})
    };
    let document = terraform(&json!({
        "resource_changes": [change("aws_sqs_queue", json!(["update"])), change("aws_s3_bucket", json!(["delete", "create"])),
            change("aws_iam_role", json!(["forget"])), change("external", json!(["update"]))],
        "deferred_changes": [{"reason": CANARY, "resource_change": change("a_b", json!(["create"]))}],
        "resource_drift": [change("a_b", json!(["update"]))],
        "output_changes": {CANARY: {"actions": ["create"], "before": null, "after": 1}},
        "action_invocations": [{"address": address("action.a"), "type": CANARY}],
        "checks": [{"address": {"to_display": address("check.c")}, "status": CANARY}],
        (CANARY): {"x": 1},
        "configuration": {"root_module": {"resources": [{"address": format!("a_b.n_{CANARY}"), "type": "a_b",
            "provisioners": [{"type": CANARY}]}]}},
    }))
    .unwrap();
    let text = said(&document);
    lacks(&text, "CANARY");
    has(
        &text,
        "aws_s3_bucket.y[\"(sensitive)\"] (the deposed object (sensitive)) is destroyed",
    );
    has(&text, "moved from aws_sqs_queue.z[\"a (sensitive)\"]");
    has(&text, "~ output (sensitive)");
    has(&text, "which holds state, is destroyed");

    // A secret that is too short to be looked for within words is one as the key of an instance.
    let document = terraform(
        &json!({"resource_changes": [{"address": "a_b.c[\"hunter2\"]", "type": "a_b", "change": {
        "actions": ["create"], "before": null, "after": {"p": "hunter2"}, "after_sensitive": {"p": true}}}]}),
    );
    lacks(&said(&document.unwrap()), "hunter2");
}

#[test]
fn a03_words_of_policies_and_of_lanyard_hide_nothing_and_tell_nothing() {
    let policy = "package p\ndeny contains msg if { some c in input.resource_changes; msg := sprintf(\"%s%s has %v\", [input.pad, c.address, c.change.after]) }\n\
                  warn contains {\"msg\": input.variables.v.value}\n";
    let document = terraform(&json!({
        "pad": "x".repeat(290),
        "variables": {"v": {"value": CANARY}},
        "configuration": {"root_module": {"variables": {"v": {"sensitive": true}}}},
        "resource_changes": [{"address": "a_b.c", "type": "a_b", "change": {
            "actions": ["create"], "before": null, "after": {"p": CANARY}, "after_sensitive": {"p": true}}}],
    }))
    .unwrap();
    let judgement = judged_by(&[("p.rego", policy)], &document);
    assert_eq!(judgement.denied.len(), 1, "{judgement:#?}");
    assert_eq!(judgement.warned, ["(sensitive)"]);
    // Not the begin of a secret either, where a message is cut.
    lacks(&format!("{judgement:?}"), "CANARY");

    // A secret that is called as Lanyard's own words are hides none of them.
    let document = beside_secret(json!("is created"), &json!({}));
    has(&document.text(), "+ a_b.it is created\n");
}

#[test]
fn a09_what_stands_beside_resources_is_masked() {
    let document = terraform(&json!({
        "resource_changes": [{"address": "a_b.c", "type": "a_b", "change": {
            "actions": ["update"], "before": {"p": CANARY}, "after": {"p": CANARY, "n": 1}, "before_sensitive": {"p": true},
            "after_sensitive": {"p": true}, "importing": {"id": format!("x/{CANARY}"), "identity": {CANARY: CANARY}},
            "generated_config": format!("resource \"a_b\" \"c\" {{\n  note = \"{CANARY}\"\n}}\n")}}],
        "checks": [{"address": {"to_display": "check.c"}, "status": "fail", "instances": [{"problems": [{"message": format!("{CANARY} is wrong")}]}]}],
        "action_invocations": [{"address": "action.a.b", "type": "a", "config_values": {"body": format!("p={CANARY}")},
            "lifecycle_action_trigger": {"triggering_resource_address": format!("a_b.c[\"{CANARY}\"]")}}],
        "deferred_action_invocations": [{"reason": "x", "action_invocation": {"address": "action.a.d", "type": "a", "config_values": {CANARY: 1}}}],
        "configuration": {"root_module": {"resources": [{"address": "a_b.p", "provisioners": [{"type": "local-exec",
            "expressions": {"command": {"constant_value": format!("login {CANARY}")}}}]}]}},
    }))
    .unwrap();
    let text = said(&document);
    lacks(&text, "CANARY");
    for part in [
        "imported by.id = \"x/(sensitive)\"",
        "note = \"(sensitive)\"",
        "(sensitive) is wrong",
        "body = \"p=(sensitive)\"",
        "a_b.c[\\\"(sensitive)\\\"]",
        "config[\"(sensitive key",
        "command = \"login (sensitive)\"",
    ] {
        has(&document.text(), part);
    }
    // What is sensitive there is masked elsewhere.
    let document = terraform(&json!({
        "resource_changes": [{"address": "a_b.c", "type": "a_b", "change": {"actions": ["create"], "before": null, "after": {"n": CANARY}}}],
        "action_invocations": [{"address": "action.a.b", "type": "a", "config_values": {"body": CANARY}, "config_sensitive": {"body": true}}],
    }));
    lacks(&said(&document.unwrap()), "CANARY");
}

const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  pin: CANARY\n";
const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  mode: fast\n";

#[test]
fn a03_a_secret_in_a_text_is_not_shown() {
    let indented = |text: &str| text.replace('\n', "\n  ");
    let in_json = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": {"pin": "CANARY"}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [in_json]});
    let of_secrets = json!({"apiVersion": "v1", "kind": "SecretList", "items": [{"metadata": {"name": "db"}, "data": {"pin": "CANARY"}}]});
    // Read as a document.
    for text in [
        SECRET.to_owned(),
        format!("{CONFIG}---\n{SECRET}"),
        format!("---\n{SECRET}---\n{CONFIG}"),
        format!("{CONFIG}--- # next\n{SECRET}"),
        format!("{SECRET}---\n{SECRET}"),
        in_json.to_string(),
        list.to_string(),
        of_secrets.to_string(),
        format!("manifests:\n- |\n  {}", indented(SECRET)),
        format!(
            "manifests: |\n  {}\n  ---\n  {}",
            indented(CONFIG),
            indented(SECRET)
        ),
        format!("a: 1\nb:\n  {}", indented(SECRET)),
        "{apiVersion: v1, kind: Secret, metadata: {name: db}, data: {pin: CANARY}}".to_owned(),
        format!("apiVersion: v1\nkind: List\nitems:\n- {}", indented(SECRET)),
        STANDARD.encode(SECRET),
        format!("a: {}\nb: 1\n", STANDARD.encode(SECRET)),
    ] {
        for (kind, value) in [
            ("kubectl_manifest", json!({"yaml_body": text})),
            ("helm_release", json!({"values": [CONFIG, text]})),
            ("a_b", json!({"x": json!({"y": text}).to_string()})),
        ] {
            let shown = said(&create(kind, value.clone()));
            lacks(&shown, "CANARY");
            has(&shown, "pin = (sensitive)");
            let shown = said(&update(kind, value, json!({"x": 1})));
            lacks(&shown, "CANARY");
        }
    }
    // Nobody can tell what is a value.
    for text in [
        format!("{SECRET}  broken: [\n"),
        format!("{CONFIG}---\n{SECRET}---\n\tx: [\n"),
        SECRET.replace("pin: CANARY", "pin: &pin CANARY\n  again: *pin"),
        SECRET.replace("stringData:", "{{ if .Values.on }}\nstringData:"),
        SECRET
            .replace("Secret", "\"Secret\" # [")
            .replace("stringData:", "{{ end }}\nstringData:"),
        SECRET.replace("kind: Secret", "kind: !!str Secret"),
        SECRET.replace("kind: Secret", "kind: &kind Secret"),
        format!("cat <<EOF | kubectl apply -f -\n{SECRET}EOF\n"),
        format!("{},", in_json),
        format!("kubectl apply -f - <<< {:?}", in_json.to_string()),
        "resource = { kind = \"Secret\", data = { pin = \"CANARY\" } }".to_owned(),
        format!("{SECRET}{}", "#".repeat(300_000)),
        SECRET.replace("  pin", "  a: 1\n  a: 2\n  pin"),
        format!("# {}", SECRET.replace('\n', "\n# ")) + "\na: 1\n",
    ] {
        for value in [
            json!({"x": text}),
            json!({"x": STANDARD.encode(&text)}),
            json!({"x": [{"y": json!({"z": text}).to_string()}]}),
        ] {
            let document = create("a_b", value.clone());
            let shown = said(&document);
            lacks(&shown, "CANARY");
            lacks(&said(&update("a_b", value, json!({"x": 1}))), "CANARY");
            assert_eq!(judged(&document).risk, Risk::High, "{text}");
        }
    }
    let document = create(
        "kubectl_manifest",
        json!({"yaml_body": format!("{SECRET}  broken: [\n")}),
    );
    has(
        &document.text(),
        "yaml_body = (not shown: it speaks of `kind: Secret`, and cannot be read)",
    );
    // Other kinds whose names are alike, and prose, are shown.
    for text in [
        "kind: SecretStore\nx: [",
        "every kind of Secret",
        "kind: SealedSecret\n{{ x }}\n",
    ] {
        lacks(&create("a_b", json!({"x": text})).text(), "not shown");
    }
    // In manifests and in what a cluster answers.
    let object = |data: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x": data}});
    let text = format!("{CONFIG}---\n{SECRET}  broken: [\n");
    lacks(
        &said(&manifests(&object(&text).to_string()).unwrap()),
        "CANARY",
    );
    let rehearsed = [lanyard_core::provider::Rehearsed {
        before: Some(object(&text)),
        after: object("x"),
    }];
    lacks(&compared(&rehearsed).unwrap(), "CANARY");
}

#[test]
fn a03_a_secret_in_a_plan_of_words_is_not_shown() {
    let text = |text: &str| Document::read(PlanFormat::Text, text.as_bytes()).unwrap();
    let diff = |text: &str| Document::read(PlanFormat::ManifestDiff, text.as_bytes()).unwrap();
    let signed = |sign: &str, text: &str| {
        text.lines()
            .map(|line| format!("{sign}{line}\n"))
            .collect::<String>()
    };
    for document in [
        text(SECRET),
        text(
            &format!("apply this:\n{CONFIG}---\n{SECRET}it says CANARY twice\n")
                .replace("CANARY", "CANARY-long"),
        ),
        text(&SECRET.replace("CANARY", "|\n    CANARY\n    x: CANARY")),
        text(&SECRET.replace("\n  pin: CANARY", " {pin: CANARY}")),
        text(&json!({"kind": "Secret", "data": {"pin": "CANARY"}}).to_string()),
        text(
            &serde_json::to_string_pretty(
                &json!({"kind": "Secret", "data": {"pin": "CANARY", "a": "b"}}),
            )
            .unwrap(),
        ),
        diff(&format!(
            "diff -u a b\n--- a\n+++ b\n@@ -1 +1 @@\n{}{}",
            signed("-", SECRET),
            signed("+", SECRET)
        )),
        diff(&signed(" ", SECRET)),
    ] {
        let shown = said(&document);
        lacks(&shown, "CANARY");
        has(&shown, "(sensitive)");
        has(&shown, "what seems to be its data is not shown");
    }
    // What kubectl has masked stays as it is, and so does everything else.
    let masked = SECRET.replace("CANARY", "'*** (before)'");
    has(&diff(&signed("-", &masked)).text(), "pin: '*** (before)'");
    has(
        &text(&format!("{SECRET}status: fine\n")).text(),
        "status: fine",
    );
    assert_eq!(text(CONFIG).text(), format!("{CONFIG}\n"));
}

#[test]
fn a09_a_plan_without_its_configuration_is_high() {
    let plan = json!({"format_version": "1.2", "resource_changes": [
        {"address": "module.m[\"k\"].a_b.c[0]", "type": "a_b", "change": {"actions": ["create"], "before": null, "after": {"n": 1}}},
        {"address": "a_b.gone", "type": "a_b", "change": {"actions": ["delete"], "before": {"n": 1}, "after": null}},
        {"address": "a_b.imported", "type": "a_b", "change": {"actions": ["update"], "before": {"n": 1}, "after": {"n": 2},
            "importing": {"id": "x"}, "generated_config": "resource {}"}}]});
    let read = |configuration: Value| {
        let mut plan = plan.clone();
        if configuration != json!("none") {
            plan["configuration"] = configuration;
        }
        Document::read(PlanFormat::TerraformJson, plan.to_string().as_bytes()).unwrap()
    };
    for (configuration, why) in [
        (json!("none"), "comes without its configuration"),
        (Value::Null, "comes without its configuration"),
        (json!({}), "comes without its configuration"),
        (
            json!({"root_module": null}),
            "comes without its configuration",
        ),
        (
            json!({"root_module": []}),
            "comes without its configuration",
        ),
        (
            json!({"root_module": {}}),
            "is not in the plan's configuration",
        ),
        (
            json!({"root_module": {"resources": [{"address": "a_b.c"}]}}),
            "is not in the plan's configuration",
        ),
        (
            json!({"root_module": {"module_calls": {"m": {"module": {}}}}}),
            "is not in the plan's configuration",
        ),
        (
            json!({"root_module": {"module_calls": {"x".repeat(3000): {"module": {}}}}}),
            "the path of a module",
        ),
    ] {
        let document = read(configuration);
        let judgement = judged(&document);
        assert_eq!(judgement.risk, Risk::High, "{why}");
        has(&judgement.reasons.join("\n"), why);
    }
    let document = read(
        json!({"root_module": {"module_calls": {"m": {"module": {"resources": [{"address": "a_b.c"}]}}}}}),
    );
    assert_eq!(judged(&document).risk, Risk::Medium);
    lacks(&document.text(), "NOT SHOWN");
}

#[test]
fn a_risk_an_object_is_as_grave_wherever_it_stands() {
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: all\nrules: []\n";
    let json = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "all"}, "rules": []});
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  hostPID: true\n";
    let alone = judged(&manifests(role).unwrap());
    assert_eq!((alone.risk, alone.people), (Risk::High, 2));
    let template = format!("{{{{ if .Values.on }}}}\n{role}{{{{ end }}}}\n");
    for (kind, value) in [
        ("kubernetes_manifest", json!({"manifest": json})),
        ("kubectl_manifest", json!({"yaml_body": role})),
        (
            "kubectl_manifest",
            json!({"yaml_body": format!("{CONFIG}---\n{role}")}),
        ),
        ("kubectl_manifest", json!({"yaml_body": json.to_string()})),
        ("kubectl_manifest", json!({"yaml_body": template})),
        (
            "kubectl_manifest",
            json!({"yaml_body": role.replace("kind: ", "kind: &kind ")}),
        ),
        ("kubectl_manifest", json!({"yaml_body": pod})),
        ("k8s_manifest", json!({"content": role})),
        (
            "kustomization_resource",
            json!({"manifest": json.to_string()}),
        ),
        (
            "helm_release",
            json!({"values": [json!({"extraManifests": [json]}).to_string()]}),
        ),
        (
            "helm_release",
            json!({"values": [format!("extra:\n- |\n  {}", role.replace('\n', "\n  "))]}),
        ),
        (
            "helm_release",
            json!({"manifest": json!({"clusterrole/all": json.to_string()}).to_string()}),
        ),
        ("a_b", json!({"x": [{"y": STANDARD.encode(role)}]})),
    ] {
        for mark in [json!({}), json!(true)] {
            for (before, after, actions) in [
                (Value::Null, value.clone(), "create"),
                (json!({"x": 1}), value.clone(), "update"),
                (value.clone(), Value::Null, "delete"),
            ] {
                if actions == "delete" && value["yaml_body"] == pod {
                    continue;
                }
                let document = change(
                    kind,
                    json!({"actions": [actions], "before": before, "after": after, "before_sensitive": mark, "after_sensitive": mark}),
                );
                let judgement = judged(&document);
                assert_eq!(
                    (judgement.risk, judgement.people),
                    (Risk::High, 2),
                    "{kind} {actions} {mark}: {judgement:#?}"
                );
            }
        }
    }
    // A bundle in an object of manifests.
    let bundle = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x": role}});
    assert_eq!(judged(&manifests(&bundle.to_string()).unwrap()).people, 2);
    // What merely refers to an object is none.
    let refers = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "name": "all"}}});
    assert_eq!(
        judged(&manifests(&refers.to_string()).unwrap()).risk,
        Risk::Low
    );
}

#[test]
fn a03_a_secret_is_masked_as_other_writers_have_it() {
    let pem = "-----BEGIN PRIVATE KEY-----\nMIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEA\nAoGBALRiMLAh9iimur8VA7qVvdqx\n-----END PRIVATE KEY-----\n";
    let (long, short) = (
        "MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEA",
        "AoGBALRiMLAh9iimur8VA7qVvdqx",
    );
    for again in [
        pem.to_owned(),
        pem.replace('\n', "\r\n"),
        pem.replace('\n', "\\n"),
        pem.replace('\n', "\\\\n"),
        pem.replace('\n', " "),
        pem.replace('\n', ""),
        pem.replace('\n', "\n    "),
        format!("x={long};"),
        STANDARD.encode(pem.replace('\n', "\r\n")),
        STANDARD.encode(pem),
        STANDARD.encode(pem.trim_end()),
        pem.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ] {
        for shown in [
            format!("a {again} b"),
            json!({"k": again}).to_string(),
            json!([json!({"k": again}).to_string()]).to_string(),
        ] {
            let document = beside_secret(json!(pem), &json!({"again": shown}));
            let text = said(&document);
            for part in [
                long,
                short,
                &STANDARD.encode(pem)[40..80],
                "4d49494364674942",
            ] {
                lacks(&text, part);
            }
        }
    }
    // Signs that writers escape.
    let secret = "p<a>s&s'w\"o/r d\\X9";
    for again in [
        json!(secret).to_string(),
        "p\\u003ca\\u003es\\u0026s'w\\\"o/r d\\\\X9".to_owned(),
        "p&lt;a&gt;s&amp;s&#39;w&#34;o/r d\\X9".to_owned(),
        "p&lt;a&gt;s&amp;s&apos;w&quot;o/r d\\X9".to_owned(),
        "p%3Ca%3Es%26s%27w%22o%2Fr%20d%5CX9".to_owned(),
        "p%3ca%3es%26s%27w%22o%2fr%20d%5cX9".to_owned(),
        "p%3Ca%3Es%26s%27w%22o%2Fr+d%5CX9".to_owned(),
        "p<a>s&s''w\"o/r d\\X9".to_owned(),
        "703c613e732673277722".to_owned() + "6f2f7220645c5839",
        "703C613E732673277722".to_owned() + "6F2F7220645C5839",
    ] {
        for shown in [
            format!("url: {again}/x"),
            json!({"k": format!("it is {again}!")}).to_string(),
        ] {
            let text = said(&beside_secret(json!(secret), &json!({"again": shown})));
            has(&text, "(sensitive)");
            for part in ["X9", "5839", "5c", "5C"] {
                lacks(&text, part);
            }
        }
    }
    // A number, wherever it stands as a whole value, also one that no double holds.
    for number in ["123456789", "123456789012345678901"] {
        let plan = format!(
            r#"{{"format_version":"1.2","configuration":{{"root_module":{{}}}},"resource_changes":[{{"address":"a_b.c","type":"a_b",
                "change":{{"actions":["create"],"before":null,"after_sensitive":{{"n":true}},
                "after":{{"n":{number},"a":"{number}","b":[{number}],"c":"{{\"d\":{number}}}"}}}}}}]}}"#
        );
        let document = Document::read(PlanFormat::TerraformJson, plan.as_bytes()).unwrap();
        lacks(&said(&document), &number[..9]);
    }
}
