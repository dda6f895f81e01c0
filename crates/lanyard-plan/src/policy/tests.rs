//! Test of the deadline of a judgement.

use lanyard_charter::plan::PlanFormat;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::time::Timestamp;

use super::*;

#[test]
fn s19_all_rules_over_all_objects_have_one_deadline() {
    let endless =
        "some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); x := a * b; x < 0";
    let rules = (0..10).map(|at| format!("deny_{at} contains x if {{ {endless} }}\n"));
    let text = format!("package p\n{}", rules.collect::<String>());
    let set = PolicySet::compile([("p.rego", text.as_str())]).unwrap();
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\n";
    let manifests = object.repeat(200);
    let document = Document::read(PlanFormat::Manifests, manifests.as_bytes()).unwrap();
    let task = world::task(&Ids::seeded(1), Timestamp::EPOCH);
    let plan = world::plan(&task, PlanFormat::Manifests);
    let (task, plan) = (&task, &plan);
    let said = set.judge_within(Duration::from_millis(50), &document, Context { task, plan });
    let late =
        |line: &&String| line.starts_with("the policies cannot be evaluated: they did not end");
    let line = said.denied.iter().find(late).unwrap();
    // Two built-in rules answer; the next rule uses up the time of more than two thousand
    // questions.
    assert!(line.contains(": 3 of "), "{line}");
    assert_eq!(said.denied.len(), 2, "{said:#?}");
}
