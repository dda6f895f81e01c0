//! What a charter answers is what its session policy means, by an evaluator that is not ours: every
//! good charter of the corpus, each action that its grants name and some that they do not, with and
//! without the name of what is destructive. `cargo xtask test` brings iam-simulate; without it,
//! this says that it does not run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use lanyard_aws_policy::session_policy;
use lanyard_charter::{AwsGrant, Charter, Usage, World, is_charter_file, parse};
use lanyard_core::question::{Planned, Question, ask, mint_request};
use lanyard_rig::simulate;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Timestamp;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
/// Asked of every grant, on resources of its own.
const OTHERS: &[(&str, &str)] = &[
    ("s3:DeleteObject", "arn:aws:s3:::tfstate-payments/state"),
    (
        "sqs:DeleteQueue",
        "arn:aws:sqs:eu-west-1:111122223333:payments-old",
    ),
    (
        "sqs:DeleteQueue",
        "arn:aws:sqs:eu-west-1:111122223333:other",
    ),
    (
        "rds:DeleteDBInstance",
        "arn:aws:rds:eu-west-1:111122223333:db:payments",
    ),
    ("iam:GetRole", "arn:aws:iam::111122223333:role/other"),
    ("sts:AssumeRole", "arn:aws:iam::111122223333:role/other"),
];

fn world() -> World {
    let declared = include_str!("../../../tests/charters/lanyard.yaml");
    World::of_configuration(declared).unwrap()
}

fn charters() -> Vec<Charter> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/charters/good");
    let entries = std::fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files
        .filter(|path| is_charter_file(path))
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            parse(&text, &world()).unwrap().charter
        })
        .collect()
}

/// Each action without a wildcard on a resource of each pattern, then the others.
fn uses(grant: &AwsGrant) -> BTreeSet<(String, String)> {
    let mut uses: BTreeSet<_> = OTHERS
        .iter()
        .map(|(action, resource)| ((*action).to_owned(), (*resource).to_owned()))
        .collect();
    for statement in &grant.allow {
        for action in statement.actions.iter().filter(|action| !action.is_wild()) {
            for resource in &statement.resources {
                let whole = resource.0 == "*";
                let one = if whole {
                    "*".to_owned()
                } else {
                    resource.0.replace('*', "one")
                };
                uses.insert((action.0.clone(), one));
            }
        }
    }
    uses
}

/// No context, and what each condition of a grant asks for: its first value, and another.
fn contexts(grant: &AwsGrant) -> Vec<BTreeMap<String, String>> {
    let mut contexts = vec![BTreeMap::new()];
    for statement in grant.allow.iter().filter(|it| !it.when.is_empty()) {
        let (mut met, mut missed) = (BTreeMap::new(), BTreeMap::new());
        for (key, test) in statement.when.iter() {
            let value = test.values.first().map(|value| value.replace('*', "one"));
            met.insert(key.as_str().to_owned(), value.unwrap_or_default());
            missed.insert(key.as_str().to_owned(), "other".to_owned());
        }
        contexts.extend([met, missed]);
    }
    contexts
}

#[test]
fn a_charter_allows_what_its_session_policy_allows() {
    if std::env::var_os("LANYARD_IAM_SIMULATE").is_none() {
        eprintln!("NOT RUN: no iam-simulate is there; `cargo xtask test` brings it");
        return;
    }
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for charter in charters() {
        for grant in charter.grants.values() {
            let Some(rights) = grant.rights.get::<AwsGrant>() else {
                continue;
            };
            for environment in &grant.environments {
                let named = [BTreeSet::new(), rights.destructive.clone()];
                let plans = named.map(Some);
                let plans = if grant.role == Role::Apply {
                    plans.to_vec()
                } else {
                    vec![None]
                };
                for plan in plans {
                    let question = Question {
                        plan: plan.map(Planned::naming),
                        ..Question::usual(&charter, grant, environment)
                    };
                    let Ok(request) = mint_request(&charter, &question, NOW) else {
                        continue;
                    };
                    let policy = session_policy(rights, &request).unwrap();
                    let policy: Value = serde_json::from_str(&policy).unwrap();
                    let contexts = contexts(rights);
                    let uses = uses(rights).into_iter();
                    let each =
                        uses.flat_map(|of| contexts.iter().map(move |it| (of.clone(), it.clone())));
                    for ((action, resource), context) in each {
                        // A key is used only where its own policy leaves that to the account.
                        let key = action.starts_with("kms:").then(|| {
                            json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*",
                                "Resource": "*", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}}]})
                        });
                        asked.push(json!({
                            "resourcePolicy": key,
                            "role": "arn:aws:iam::111122223333:role/lease", "session": "L-1",
                            "policy": policy, "action": action, "resource": resource, "context": context,
                            "rolePolicies": [{"Version": "2012-10-17",
                                "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}],
                            "issued": NOW.to_string(), "at": (NOW + Duration::from_secs(1)).to_string(),
                        }));
                        let used = Question {
                            usage: Some(Usage {
                                action,
                                resource,
                                context,
                            }),
                            ..question.clone()
                        };
                        expected.push(ask(&charter, &used, NOW).verdict.is_ok());
                    }
                }
            }
        }
    }
    let answered = simulate(&asked).unwrap();
    let (mut allowed, mut denied) = (0, 0);
    for ((case, expected), answered) in asked.iter().zip(expected).zip(answered) {
        // AWS knows no request of this action on such a resource.
        if answered.starts_with("no result") {
            continue;
        }
        assert_eq!(answered == "Allowed", expected, "{answered}: {case:#}");
        if expected { allowed += 1 } else { denied += 1 }
    }
    assert!(allowed > 20 && denied > 50, "{allowed} and {denied}");
}
