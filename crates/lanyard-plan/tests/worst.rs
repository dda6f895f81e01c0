//! Plans that are made to take long: each comes to an end within a bound, and nothing is left out
//! without a word.

#![expect(clippy::unwrap_used, reason = "a test")]

mod stage;

use lanyard_charter::MoreKinds;
use lanyard_charter::plan::{PlanFormat, Risk};
use lanyard_plan::Document;
use serde_json::{Map, Value, json};
use stage::{create, has, judged, lacks, manifests, update, whole};

/// A long key above very many short ones, which a path would repeat for each: some 100 GB in all.
fn below_a_long_key(value: &Value) -> Value {
    let each = (0..150_000).map(|number| (format!("{number:x}"), value.clone()));
    json!({"k".repeat(1_000_000): each.collect::<Map<_, _>>()})
}

fn refused(resource: &Value) -> String {
    let plan =
        json!({"resource_changes": [{"address": "a_b.c", "type": "a_b", "change": resource}]});
    let text = whole(&plan).to_string();
    let read = Document::read(PlanFormat::TerraformJson, text.as_bytes());
    read.unwrap_err().to_string()
}

#[test]
fn a21_a_path_is_not_put_together_for_each_of_very_many() {
    for value in [json!(1), json!("x"), json!([{}])] {
        let why = refused(
            &json!({"actions": ["create"], "before": null, "after": below_a_long_key(&value)}),
        );
        has(&why, "split it");
    }
    // What is not shown takes no path: what is the same on both sides, and what is not there.
    let many = |last: &str| {
        let mut all = below_a_long_key(&Value::Null);
        let inner = all.as_object_mut().unwrap().values_mut().next().unwrap();
        inner["a"] = json!(last);
        all
    };
    let text = create("a_b", many("x")).text();
    assert_eq!(text.lines().count(), 2);
    let text = update("a_b", many("x"), many("y")).text();
    assert_eq!(text.lines().count(), 2);
    // A mark on one side alone is no difference, and its path counts all the same.
    let why = refused(
        &json!({"actions": ["update"], "before": below_a_long_key(&json!("x")), "after": below_a_long_key(&json!("x")),
        "before_sensitive": {"k".repeat(1_000_000): (0..150_000).map(|number| (format!("{number:x}"), json!(true))).collect::<Map<_, _>>()}}),
    );
    has(&why, "split it");
}

#[test]
fn a_risk_many_attributes_are_rated_as_a_few_are() {
    // Those that are named are enough, and one of another kind is not lost among them.
    let each = (0..500).map(|number| (format!("a{number}"), json!({"policy": "x"})));
    let mut after: Map<String, Value> = each.collect();
    after.insert("z".to_owned(), json!({"hostPID": true}));
    let judgement = judged(&update("a_b", json!({}), Value::Object(after)));
    assert_eq!((judgement.risk, judgement.people), (Risk::High, 2));
    let reasons = judgement.reasons.join("\n");
    has(&reasons, "z.hostPID");
    assert_eq!(reasons.matches("policy says who may do what").count(), 25);
}

#[test]
fn a21_a_plan_holds_so_many_values_and_no_more() {
    let plan = |values: usize| {
        let text = whole(
            &json!({"resource_changes": [{"address": "a_b.c", "type": "a_b", "change": {
            "actions": ["update"], "before": {"n": 1, "x": vec![0; values]}, "after": {"n": 2, "x": vec![0; values]}}}]}),
        );
        Document::read(PlanFormat::TerraformJson, text.to_string().as_bytes())
            .map_err(|error| error.to_string())
    };
    has(&plan(199_000).unwrap().text(), "~ n = 1 -> 2");
    has(&plan(201_000).unwrap_err(), "more than 400000 values");
    // In a text as well, and in manifests line by line.
    let text = whole(
        &json!({"resource_changes": [{"address": "a_b.c", "type": "a_b", "change": {
        "actions": ["create"], "before": null, "after": {"x": format!("[{}0]", "0,".repeat(500_000))}}}]}),
    );
    let why = Document::read(PlanFormat::TerraformJson, text.to_string().as_bytes()).unwrap_err();
    has(&why.to_string(), "more than 400000 values");
    has(
        &manifests(&"- 1\n".repeat(500_000)).unwrap_err(),
        "more than 400000 values",
    );
}

#[test]
fn a21_a_long_name_is_not_written_for_each_of_very_many() {
    // Each sensitive value is said to be one of the resource, by its whole name.
    let each: Map<String, Value> = (0..5_000)
        .map(|number| (format!("{number:x}"), json!("x")))
        .collect();
    let marks: Map<String, Value> = each.keys().map(|key| (key.clone(), json!(true))).collect();
    let plan = |key: &str| {
        let text = whole(
            &json!({"resource_changes": [{"address": format!("a_b.c[\"{key}\"]"), "type": "a_b", "change": {
            "actions": ["create"], "before": null, "after": each, "after_sensitive": marks}}]}),
        );
        Document::read(PlanFormat::TerraformJson, text.to_string().as_bytes())
            .map_err(|error| error.to_string())
    };
    let most = "k".repeat(4096 - r#"a_b.c[""]"#.len());
    let sensitive = plan(&most).unwrap().reading(MoreKinds::default()).sensitive;
    assert_eq!((sensitive.count, sensitive.names.len()), (5_000, 50));
    let why = plan(&format!("{most}k")).unwrap_err();
    has(&why, "a name of more than 4096 bytes");
    // Of an object as well, and wherever else a name stands.
    let pod = |name: &str| {
        manifests(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n"
        ))
    };
    assert!(pod("a").is_ok());
    has(&pod(&"a".repeat(4097)).unwrap_err(), "4096 bytes");
    let text = whole(
        &json!({"output_changes": {"k".repeat(1_000_000): {"actions": ["create"], "after": 1}}}),
    );
    let why = Document::read(PlanFormat::TerraformJson, text.to_string().as_bytes()).unwrap_err();
    has(&why.to_string(), "4096 bytes");
}

#[test]
fn a03_with_very_many_secrets_nothing_is_shown_that_may_repeat_one() {
    // There are far more secrets than can be compared in every notation, so a text as long as a
    // part of one is not shown, and a shorter one is.
    let after = |secrets: usize| {
        let secrets: Vec<String> = (0..secrets)
            .map(|number| format!("pw{number:014x}"))
            .collect();
        json!({"secret": secrets, "short": "ninelet", "long": "ordinary"})
    };
    let shown = |secrets: usize| {
        let text = whole(
            &json!({"resource_changes": [{"address": "a_b.c", "type": "a_b", "change": {
            "actions": ["create"], "before": null, "after": after(secrets), "after_sensitive": {"secret": true}}}]}),
        );
        let read = Document::read(PlanFormat::TerraformJson, text.to_string().as_bytes());
        read.unwrap().text()
    };
    has(&shown(100), "ordinary");
    let text = shown(30_000);
    lacks(&text, "ordinary");
    has(&text, "+ long = \"(sensitive)\"");
    has(&text, "ninelet");
}

#[test]
fn a21_worst_plans_are_shown_or_refused() {
    // Very many resources, of which one changes.
    let resource = |number: usize, action: &str| json!({"address": format!("a.b{number}"), "type": "a", "change": {"actions": [action]}});
    let mut all: Vec<Value> = (0..30_000)
        .map(|number| resource(number, "no-op"))
        .collect();
    all.push(resource(30_000, "create"));
    let text = whole(&json!({"resource_changes": all})).to_string();
    let text = Document::read(PlanFormat::TerraformJson, text.as_bytes())
        .unwrap()
        .text();
    assert_eq!(text, "+ a.b30000 is created\n");

    // Long texts that differ at their ends, in lines and in one line.
    for unit in ["line\n", "word ", "x"] {
        let long = unit.repeat(1_000_000 / unit.len());
        let text = update(
            "a_b",
            json!({"x": format!("{long}old")}),
            json!({"x": format!("{long}new")}),
        );
        if unit == "x" {
            lacks(&text.text(), "are the same");
        } else {
            has(&text.text(), "are the same");
        }
        has(&text.text(), "new");
    }
    // Texts that have no line in common.
    let lines = |from: usize| {
        (from..from + 20_000)
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    let text = update(
        "a_b",
        json!({"x": lines(100_000)}),
        json!({"x": lines(200_000)}),
    )
    .text();
    has(&text, "- 119999");
    has(&text, "+ 200000");
    // A long list of which each entry has another name, and one of which each is moved.
    let list = |from: usize| {
        (from..from + 5_000)
            .map(|it| json!({"name": it.to_string(), "v": 1}))
            .collect::<Vec<_>>()
    };
    let text = update(
        "a_b",
        json!({"x": list(10_000)}),
        json!({"x": list(20_000)}),
    )
    .text();
    has(&text, "14999");
    has(&text, "24999");
    let turned: Vec<Value> = list(10_000).into_iter().rev().collect();
    let text = update("a_b", json!({"x": list(10_000)}), json!({"x": turned})).text();
    has(&text, "was at [4998]");
    // As deep as JSON is read, with the difference at the very bottom, beside lists.
    let deep = |last: u32| {
        let mut value = json!(last);
        for _ in 0..100 {
            value = json!({"l": vec!["x"; 50], "n": value});
        }
        json!({"x": value})
    };
    has(&update("a_b", deep(1), deep(2)).text(), "1 -> 2");
    let deeper = format!(
        r#"{{"format_version":"1.2","x":{}1{}}}"#,
        "[".repeat(1000),
        "]".repeat(1000)
    );
    let why = Document::read(PlanFormat::TerraformJson, deeper.as_bytes()).unwrap_err();
    has(&why.to_string(), "recursion limit");
    // What stands for ten to the ninth values in YAML is what is written.
    let bomb = (0..9).fold("a0: &a0 [x]\n".to_owned(), |text, level| {
        let aliases = vec![format!("*a{level}"); 10].join(", ");
        format!("{text}a{}: &a{} [{aliases}]\n", level + 1, level + 1)
    });
    has(&create("a_b", json!({"x": bomb})).text(), "a9: &a9 [*a8");
    let why = manifests(&bomb).unwrap_err();
    has(&why, "anchors and aliases stand for more than 1024 KiB");
    // Lists in lists, of which each would be put on one line to see whether that is short.
    let mut lists = json!(["yyyyyyyy".repeat(50_000)]);
    for _ in 0..90 {
        lists = json!([lists]);
    }
    has(&create("a_b", json!({"x": lists})).text(), "yyyyyyyy");
    // A long key above very many expressions without a text, and lines that differ at their ends
    // alone.
    let plan = |expressions: &Value| {
        let text = json!({"format_version": "1.2", "resource_changes": [{"address": "a_b.c", "type": "a_b", "change": {"actions": ["create"], "after": {"x": 1}}}],
            "configuration": {"provider_config": {"a": {"name": "a", "expressions": expressions}}, "root_module": {"resources": [
                {"address": "a_b.c", "provisioners": [{"type": "local-exec", "expressions": expressions}]}]}}});
        Document::read(PlanFormat::TerraformJson, text.to_string().as_bytes())
            .map_err(|error| error.to_string())
    };
    let expressions = |key: usize, count: usize| {
        let each = (0..count).map(|number| (format!("{number:x}"), json!({"references": ["a.b"]})));
        json!({"k".repeat(key): {"l": [each.collect::<Map<_, _>>()]}})
    };
    has(&plan(&expressions(1, 9)).unwrap().text(), "k.l[0].8");
    has(
        &plan(&expressions(500_000, 30_000)).unwrap_err(),
        "split it",
    );
    let alike = |end: usize| {
        (0..2_000)
            .map(|line| format!("{}{}\n", "a".repeat(500), line * end))
            .collect::<String>()
    };
    let text = update("a_b", json!({"x": alike(3)}), json!({"x": alike(7)})).text();
    has(&text, "aaa5999");
}
