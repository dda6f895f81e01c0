//! Compares the functions that policies may call with opa's, over hostile arguments: this engine
//! answers as opa does, and fails where opa fails.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use lanyard_plan::{PolicySet, rego_engine, rego_functions};
use serde_json::Value;

/// Values of every type, as JSON that an agent can put into a plan. Integers beyond 64 bits and
/// fractions beyond a double are other numbers before policies are asked, and are not compared.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "2",
    "10",
    "16",
    "3.5",
    "-2.5",
    "0.1",
    "-0.5",
    "9223372036854775807",
    "-9223372036854775808",
    "[]",
    "{}",
    "[1]",
    "[\"a\"]",
    "[\"a\",\"b\"]",
    "[\"b\",\"a\",\"b\"]",
    "[1,\"a\",null,true]",
    "[[1],[2]]",
    "[0.1,0.2]",
    "[3,1,2]",
    "[\"é\"]",
    "[\"%\"]",
    "[null]",
    "[{}]",
    "[{\"a\":1},{\"b\":{\"c\":2}}]",
    "{\"a\":1}",
    "{\"a\":{\"b\":1}}",
    "{\"b\":2,\"a\":[1]}",
    "{\"a\":[\"b\"],\"b\":[\"a\"]}",
    "\"\"",
    "\"a\"",
    "\"aaa\"",
    "\"ab\"",
    "\"A\"",
    "\" a \"",
    "\" 1\"",
    "\"1\"",
    "\"1 \"",
    "\"+1\"",
    "\"01\"",
    "\"-0\"",
    "\"0x10\"",
    "\"1_0\"",
    "\"1e3\"",
    "\"1e400\"",
    "\"1e-400\"",
    "\"Infinity\"",
    "\"NaN\"",
    "\".5\"",
    "\"5.\"",
    "\"0.1\"",
    "\"123456789012345678901234567890\"",
    "\"10zz\"",
    "\"é\"",
    "\"aé\"",
    "\"日本語\"",
    "\"🎉\"",
    "\"İ\"",
    "\"ß\"",
    "\"ΑΣ\"",
    "\"\\u00a0a\"",
    "\"\\u0000\"",
    "\"\\u0085\"",
    "\"a\\nb\"",
    "\"a\\u000bb\"",
    "\"a,b\"",
    "\",\"",
    "\"%\"",
    "\"%s\"",
    "\"%d\"",
    "\"%v\"",
    "\"%%\"",
    "\"%5d\"",
    "\"%.2f\"",
    "\"%s %s\"",
    "\"%z\"",
    "\"YQ==\"",
    "\"YQ\"",
    "\"YR==\"",
    "\"YQ==YQ==\"",
    "\"Y\\nQ==\"",
    "\"/w==\"",
    "\"-_\"",
    "\"61\"",
    "\"6G\"",
    "\"FF\"",
    "\"c3a9\"",
    "\"{\"",
    "\"{}\"",
    "\"[1,]\"",
    "\"{\\\"a\\\":1,\\\"a\\\":2}\"",
    "\"\\\"\\\\ud800\\\"\"",
    "\"[1e400]\"",
    "\"[1.5,-0]\"",
    "\"{\\\"a\\\":123456789012345678901}\"",
    "\"{} {}\"",
    "\"10.0.0.0/8\"",
    "\"10.1.2.3\"",
    "\"10.0.0.1/8\"",
    "\"010.0.0.0/8\"",
    "\"10.0.0.0/+8\"",
    "\"10.0.0.0/33\"",
    "\"10.0.0.0/08\"",
    "\"0.0.0.0/0\"",
    "\"::/0\"",
    "\"::1\"",
    "\"2001:db8::/32\"",
    "\"::ffff:10.0.0.1\"",
    "\"::ffff:10.0.0.0/104\"",
    "\"fe80::1%eth0\"",
    "\"(\"",
    "\"[a-z]+\"",
    "\"^a$\"",
    "\"(?i)A\"",
    "\"\\\\d\"",
    "\"\\\\w+\"",
    "\"\\\\s\"",
    "\"\\\\bé\"",
    "\"[[a]]\"",
    "\"[a&&b]\"",
    "\"a**\"",
    "\"a{2}\"",
    "\"a{2000}\"",
    "\"(a{100}){100}\"",
    "\"(?x) a\"",
    "\"\\\\p{Greek}\"",
    "\"\\\\u0061\"",
    "\"\\\\x61\"",
    "\"(?=a)\"",
    "\"a|b\"",
    "\".\"",
    "\"[^a]\"",
    "\"a{,2}\"",
    "\"\\\\Qa\\\\E\"",
];

/// The functions of three arguments.
const FEW: &[&str] = &[
    "null",
    "0",
    "1",
    "-1",
    "100",
    "1.5",
    "\"\"",
    "\"a\"",
    "\"aé\"",
    "\"日本語\"",
    "[]",
    "[1,2,3]",
    "[\"a\",\"b\"]",
    "{\"a\":{\"b\":1}}",
    "{}",
];

/// Functions that may fail where opa answers, and so deny: opa writes, folds, and holds more than
/// this engine can do alike.
const MAY_DENY: &[&str] = &[
    "base64.decode",
    "format_int",
    "json.unmarshal",
    "lower",
    "net.cidr_contains",
    "net.cidr_is_valid",
    "product",
    "regex.match",
    "replace",
    "sprintf",
    "strings.count",
    "substring",
    "sum",
    "to_number",
    "upper",
];

/// Functions whose answer is not one of their arguments alone, or that are called in another form.
const NOT_COMPARED: &[&str] = &["print", "time.now_ns", "trace", "walk"];

fn arguments(function: &str) -> usize {
    match function {
        "array.slice" | "object.get" | "replace" | "substring" => 3,
        "array.concat"
        | "concat"
        | "contains"
        | "endswith"
        | "format_int"
        | "graph.reachable"
        | "indexof"
        | "net.cidr_contains"
        | "numbers.range"
        | "object.filter"
        | "object.remove"
        | "object.union"
        | "regex.match"
        | "split"
        | "sprintf"
        | "startswith"
        | "strings.any_prefix_match"
        | "strings.any_suffix_match"
        | "strings.count"
        | "trim"
        | "trim_left"
        | "trim_prefix"
        | "trim_right"
        | "trim_suffix" => 2,
        _ => 1,
    }
}

fn cases(function: &str) -> Vec<Vec<usize>> {
    let of = |values: &[&str]| -> Vec<usize> {
        let place = |value: &&str| VALUES.iter().position(|it| it == value);
        values.iter().filter_map(place).collect()
    };
    // A range between the ends of all integers has no end in any engine.
    let small = |place: &usize| {
        function != "numbers.range" || VALUES.get(*place).is_some_and(|it| it.len() < 5)
    };
    let all: Vec<usize> = (0..VALUES.len()).filter(small).collect();
    let few = of(FEW);
    match arguments(function) {
        1 => all.iter().map(|a| vec![*a]).collect(),
        2 => {
            let pairs = all.iter().flat_map(|a| all.iter().map(move |b| [*a, *b]));
            // Of all pairs, one of sixteen is compared, spread over all values on both sides, and
            // each value with itself.
            let some = pairs.filter(|[a, b]| a == b || (a * 7 + b * 3) % 16 == 0);
            some.map(|pair| pair.to_vec()).collect()
        }
        _ => few
            .iter()
            .flat_map(|a| {
                few.iter()
                    .flat_map(|b| few.iter().map(|c| vec![*a, *b, *c]))
            })
            .collect(),
    }
}

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq)]
enum Came {
    Value(Value),
    Nothing,
    Error,
}

/// Writes a module with a rule for each case, from the fourth line on. The arguments come from the
/// input, so that opa does not know their types before.
fn module(function: &str, cases: &[Vec<usize>]) -> String {
    let mut text = String::from("package p\nimport rego.v1\n\n");
    for (number, case) in cases.iter().enumerate() {
        let values: Vec<String> = case.iter().map(|at| format!("input.v[{at}]")).collect();
        let call = format!("{function}({})", values.join(", "));
        text.push_str(&format!("r{number} := [type_name(x), x] if x := {call}\n"));
    }
    text
}

/// Asks opa. Where opa cannot even write down its answer, as for some texts that it takes for
/// numbers, this engine has to fail.
fn theirs(opa: &str, function: &str, input: &str, cases: &[Vec<usize>]) -> Vec<Came> {
    if let Some(came) = asked(opa, &module(function, cases), input, cases.len()) {
        return came;
    }
    if cases.len() < 2 {
        return vec![Came::Error];
    }
    let (one, other) = cases.split_at(cases.len() / 2);
    let mut came = theirs(opa, function, input, one);
    came.extend(theirs(opa, function, input, other));
    came
}

fn asked(opa: &str, text: &str, input: &str, cases: usize) -> Option<Vec<Came>> {
    let folder = tempfile::tempdir().unwrap();
    let (policy, data) = (folder.path().join("p.rego"), folder.path().join("in.json"));
    std::fs::write(&policy, text).unwrap();
    std::fs::write(&data, input).unwrap();
    let mut command = Command::new(opa);
    command.args([
        "eval",
        "--format",
        "json",
        "--show-builtin-errors",
        "--data",
    ]);
    let output = command
        .arg(&policy)
        .arg("--input")
        .arg(&data)
        .arg("data.p")
        .output()
        .unwrap();
    // Numbers of opa's that cannot be read are those that no case of ours may answer.
    let said = String::from_utf8_lossy(&output.stdout);
    let quoted = |line: &str| match line.trim().trim_end_matches(',') {
        "1e400" => line.replace("1e400", "\"1e400\""),
        _ => line.to_owned(),
    };
    let said: Vec<String> = said.lines().map(quoted).collect();
    let said = said.join("\n");
    let answer: Value = serde_json::from_str(&said).ok()?;
    let mut errors = BTreeSet::new();
    for error in answer
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        errors.insert(
            error
                .pointer("/location/row")
                .and_then(Value::as_u64)
                .unwrap(),
        );
    }
    let values = answer.pointer("/result/0/expressions/0/value").unwrap();
    let one = |number: usize| match values.get(format!("r{number}")) {
        Some(value) => Came::Value(value.clone()),
        None if errors.contains(&(number as u64 + 4)) => Came::Error,
        None => Came::Nothing,
    };
    Some((0..cases).map(one).collect())
}

fn ours(text: &str, input: &str, cases: usize) -> Vec<Came> {
    let mut engine = rego_engine();
    engine
        .add_policy("p.rego".to_owned(), text.to_owned())
        .unwrap();
    engine.set_input(regorus::Value::from_json_str(input).unwrap());
    let one = |number: usize| match engine.eval_rule(format!("data.p.r{number}")) {
        Ok(regorus::Value::Undefined) => Came::Nothing,
        Ok(value) => Came::Value(serde_json::from_str(&value.to_json_str().unwrap()).unwrap()),
        Err(_) => Came::Error,
    };
    (0..cases).map(one).collect()
}

/// Numbers are what they are worth, however they are written.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

#[test]
fn a50_every_function_that_is_let_in_answers_as_opa_does() {
    let Ok(opa) = std::env::var("LANYARD_OPA") else {
        eprintln!("skipped: there is no opa here");
        return;
    };
    let input = format!("{{\"v\":[{}]}}", VALUES.join(","));
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut answered = 0;
    for function in rego_functions().filter(|name| !NOT_COMPARED.contains(name)) {
        for cases in cases(function).chunks(6000) {
            let text = module(function, cases);
            let theirs = theirs(&opa, function, &input, cases);
            let ours = ours(&text, &input, cases.len());
            for ((case, theirs), ours) in cases.iter().zip(&theirs).zip(&ours) {
                let right = match (theirs, ours) {
                    (Came::Value(theirs), Came::Value(ours)) => {
                        answered += 1;
                        same(theirs, ours)
                    }
                    (_, Came::Error) if MAY_DENY.contains(&function) => true,
                    (theirs, ours) => theirs == ours,
                };
                if !right {
                    let values: Vec<&str> = case
                        .iter()
                        .filter_map(|at| VALUES.get(*at).copied())
                        .collect();
                    let line = format!(
                        "{function}({}): opa {theirs:?}, here {ours:?}",
                        values.join(", ")
                    );
                    found.entry(function.to_owned()).or_default().push(line);
                }
            }
        }
    }
    for lines in found.values_mut() {
        lines.truncate(5);
    }
    assert!(found.is_empty(), "{found:#?}");
    assert!(answered > 3000, "{answered} were answered on both sides");
}

#[test]
fn a50_a_function_that_is_left_out_keeps_a_policy_from_coming_into_force() {
    for (call, why) in [
        (
            "units.parse(input.size) > 5",
            "`units.parse` may not be called: it answers otherwise than opa",
        ),
        (
            "regex.replace(input.a, \"a\", \"b\") == \"\"",
            "`regex.replace` may not be called",
        ),
        ("rand.intn(\"a\", 5) == 1", "`rand.intn` may not be called"),
        (
            "http.send({\"url\": \"x\"}).status == 1",
            "there is no function `http.send`",
        ),
    ] {
        let text = format!("package p\nimport rego.v1\ndeny contains \"no\" if {call}\n");
        let faults = PolicySet::compile([("p.rego", text.as_str())]).unwrap_err();
        let said = faults.first().unwrap().to_string();
        assert!(
            said.starts_with("p.rego:3:") && said.contains(why),
            "{said}"
        );
    }
}
