//! Narrowing grants to plans.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::aws::{ActionPattern, Arn, AwsGrant, AwsStatement, Conditions, ResourcePattern};
use crate::kubernetes::{KubernetesGrant, KubernetesObject, KubernetesRights, PolicyRule};
use crate::reach::Named;

fn arn(text: &str) -> Arn {
    Arn::parse(text).unwrap()
}

fn statement(actions: &[&str], resources: &[&str]) -> AwsStatement {
    AwsStatement {
        actions: actions
            .iter()
            .map(|it| ActionPattern((*it).to_owned()))
            .collect(),
        resources: resources
            .iter()
            .map(|it| ResourcePattern((*it).to_owned()))
            .collect(),
        when: Conditions::default(),
        unnarrowed: None,
    }
}

fn aws(allow: Vec<AwsStatement>) -> Rights {
    Rights::from(AwsGrant {
        allow,
        destructive: BTreeSet::new(),
        except: BTreeSet::new(),
        approved: BTreeSet::new(),
    })
}

fn reach(arns: &[Arn]) -> PlanReach {
    PlanReach::default().with(Named {
        named: arns.iter().cloned().collect(),
        unnamed: BTreeSet::new(),
    })
}

const QUEUES: &str = "arn:aws:sqs:eu-west-1:111122223333:payments-*";

#[test]
fn writes_are_narrowed_to_what_the_plan_names_and_reads_are_not() {
    let rights = aws(vec![
        statement(
            &["sqs:SetQueueAttributes", "sqs:GetQueueAttributes"],
            &[QUEUES],
        ),
        statement(&["ec2:CreateTags"], &["*"]),
    ]);
    let new = Arn {
        region: None,
        account: None,
        ..arn("arn:aws:sqs:::payments-new")
    };
    let outside = arn("arn:aws:sqs:eu-west-1:111122223333:billing");
    let found = rights.to_plan(&reach(&[new, outside]));
    let expected = aws(vec![
        statement(&["sqs:GetQueueAttributes"], &[QUEUES]),
        statement(
            &["sqs:SetQueueAttributes"],
            &["arn:aws:sqs:eu-west-1:111122223333:payments-new"],
        ),
        statement(&["ec2:CreateTags"], &["*"]),
    ]);
    let beyond = "ec2:CreateTags on any resource".to_owned();
    assert_eq!(found, ToPlan::Partly(expected, beyond));
}

#[test]
fn s22_what_stays_on_any_resource_does_not_count_as_narrowed() {
    let named = reach(&[arn("arn:aws:sqs:eu-west-1:111122223333:payments-a")]);
    let queue = statement(&["sqs:SetQueueAttributes"], &[QUEUES]);
    let with = |actions: &[&str], resources: &[&str]| {
        aws(vec![queue.clone(), statement(actions, resources)]).to_plan(&named)
    };
    for (actions, resources) in [
        (&["ec2:TerminateInstances"][..], &["*"][..]),
        (&["ec2:DescribeInstances", "ec2:TerminateInstances"], &["*"]),
        (&["lambda:*"], &["*", QUEUES]),
    ] {
        let found = with(actions, resources);
        assert!(
            matches!(found, ToPlan::Partly(..)),
            "{actions:?}: {found:?}"
        );
    }
    let reads = with(&["ec2:DescribeInstances"], &["*"]);
    assert!(matches!(reads, ToPlan::Narrowed(_)), "{reads:?}");
    // Only what stays on anything is left: it is not nothing, and it is not narrowed.
    let alone = aws(vec![statement(&["ec2:CreateTags"], &["*"])]).to_plan(&named);
    assert!(matches!(alone, ToPlan::Partly(..)), "{alone:?}");
}

#[test]
fn c14_what_no_plan_names_is_kept_where_the_charter_marks_it() {
    const OBJECTS: &str = "arn:aws:s3:::acme-tfstate/shop/*";
    const LOCK: &str = "arn:aws:dynamodb:eu-west-1:111122223333:table/acme-tflock";
    let change = statement(&["sqs:SetQueueAttributes"], &[QUEUES]);
    let mark = |statement: AwsStatement| AwsStatement {
        unnarrowed: Some("Terraform's state and its lock".to_owned()),
        ..statement
    };
    let state = statement(
        &["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        &[OBJECTS],
    );
    let lock = statement(
        &[
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:DeleteItem",
        ],
        &[LOCK],
    );
    let key = statement(
        &["kms:Decrypt", "kms:GenerateDataKey"],
        &["arn:aws:kms:eu-west-1:111122223333:key/k"],
    );
    let queue = reach(&[arn("arn:aws:sqs:eu-west-1:111122223333:payments-orders")]);
    let narrowed = statement(
        &["sqs:SetQueueAttributes"],
        &["arn:aws:sqs:eu-west-1:111122223333:payments-orders"],
    );
    let marked = [mark(state.clone()), mark(lock.clone()), mark(key.clone())];
    let all: Vec<_> = std::iter::once(change.clone())
        .chain(marked.clone())
        .collect();
    let kept: Vec<_> = std::iter::once(narrowed.clone())
        .chain(marked.clone())
        .collect();
    let rights = aws(all);
    // The plan's own risk counts: a backend's writes are no part of it.
    assert_eq!(rights.to_plan(&queue), ToPlan::Narrowed(aws(kept)));
    let said = rights.narrowing(Some(&queue));
    assert!(said.gives.iter().any(|line| {
        line.contains("whatever the plan changes (Terraform's state and its lock)")
    }));
    assert_eq!(
        said.withholds,
        [format!(
            "sqs:SetQueueAttributes on whatever else {QUEUES} matches"
        )]
    );
    assert!(said.lacks.is_empty(), "{said:?}");
    // Without the mark, writing the state is narrowed away, and said to be.
    let unmarked = aws(vec![change.clone(), state.clone()]);
    let ToPlan::Narrowed(found) = unmarked.to_plan(&queue) else {
        unreachable!("a queue of the grant");
    };
    let found: &AwsGrant = found.get().unwrap();
    let writes = |it: &AwsStatement| it.actions.iter().any(|action| action.0 == "s3:PutObject");
    assert!(!found.allow.iter().any(writes));
    let said = unmarked.narrowing(Some(&queue)).withholds;
    assert!(
        said.iter()
            .any(|line| line.contains("s3:PutObject") && line.contains("changes nothing there")),
        "{said:?}"
    );
    // A mark does not make a grant one for a plan of something else.
    let elsewhere = reach(&[arn("arn:aws:sqs:eu-west-1:111122223333:other")]);
    assert_eq!(rights.to_plan(&elsewhere), ToPlan::Nothing);
    // What does more than a backend is said to approvers, and is high.
    for odd in [
        statement(&["sqs:DeleteQueue"], &[QUEUES]),
        statement(&["s3:PutObject", "s3:PutBucketPolicy"], &[OBJECTS]),
    ] {
        let rights = aws(vec![change.clone(), mark(odd.clone())]);
        let ToPlan::Partly(_, beyond) = rights.to_plan(&queue) else {
            unreachable!("a mark of more than a backend does");
        };
        assert!(!beyond.contains("s3:PutObject,"), "{beyond}");
        assert!(beyond.contains(" on arn:aws:"), "{beyond}");
    }
    // A grant for the state alone goes with the plan of another provider.
    let alone = aws(marked.to_vec());
    for plan in [
        PlanReach::default(),
        queue.clone(),
        objects(&[("web", true)]),
    ] {
        assert_eq!(alone.to_plan(&plan), ToPlan::Narrowed(alone.clone()));
    }
    // The revision that does not mark the statement counts.
    assert_eq!(
        aws(vec![mark(state.clone())]).narrowed(&aws(vec![state.clone()])),
        Some(aws(vec![state]))
    );
}

#[test]
fn c22_an_arn_of_another_partition_is_nothing_of_the_grant() {
    let rights = aws(vec![statement(&["sqs:SetQueueAttributes"], &[QUEUES])]);
    let to = |text: &str| rights.to_plan(&reach(&[arn(text)]));
    assert!(matches!(
        to("arn:aws:sqs:eu-west-1:111122223333:payments-a"),
        ToPlan::Narrowed(_)
    ));
    assert_eq!(
        to("arn:aws-cn:sqs:eu-west-1:111122223333:payments-a"),
        ToPlan::Nothing
    );
}

#[test]
fn c15_an_object_without_a_namespace_is_in_the_grants() {
    let rights = kubernetes(vec![rule(
        &["get", "create", "patch"],
        &["deployments"],
        &[],
    )]);
    let of = |namespace: &str| {
        each(&objects(&[("web", true)]), |object| KubernetesObject {
            namespace: namespace.to_owned(),
            ..object
        })
    };
    assert_eq!(rights.to_plan(&of("")), rights.to_plan(&of("payments")));
    assert!(matches!(rights.to_plan(&of("")), ToPlan::Narrowed(_)));
    assert_eq!(rights.to_plan(&of("other")), ToPlan::Nothing);
    // Objects in several namespaces: what the grant does not give is named.
    let mut both = of("");
    both.note(named(&of("other")).into_iter().collect(), String::new);
    let said = rights.narrowing(Some(&both));
    assert_eq!(said.lacks, ["deployments.apps/web in other"]);
    assert_eq!(
        said.withholds,
        ["patch of other deployments.apps in payments"]
    );
    // A namespace itself is in none.
    let cluster = each(&of(""), |object| KubernetesObject {
        group: String::new(),
        resource: "namespaces".to_owned(),
        ..object
    });
    assert!(
        !named(&cluster)
            .iter()
            .any(|object| object.is_in("payments"))
    );
}

// Creating a part of an object is bound to the object's name, and a `get` that opens a connection
// is no reading.
#[test]
fn s22_parts_of_objects_are_narrowed_to_the_objects_of_the_plan() {
    let rights = kubernetes(vec![rule(
        &["get", "create", "update"],
        &["pods", "pods/eviction", "pods/exec"],
        &[],
    )]);
    let plan = each(&objects(&[("web", true)]), |object| KubernetesObject {
        resource: "pods".to_owned(),
        ..object
    });
    let ToPlan::Narrowed(found) = rights.to_plan(&plan) else {
        unreachable!("a pod of the grant");
    };
    let found = found.get::<KubernetesGrant>();
    let Some(KubernetesRights::Rules(rules)) = found.map(|it| it.rights.clone()) else {
        unreachable!("a grant with rules");
    };
    let expected: BTreeSet<_> = [
        rule(&["get"], &["pods", "pods/eviction"], &[]),
        rule(&["create"], &["pods"], &[]),
        rule(&["update"], &["pods"], &["web"]),
        rule(&["create", "update"], &["pods/eviction"], &["web"]),
        rule(&["create", "get", "update"], &["pods/exec"], &["web"]),
    ]
    .into();
    assert_eq!(rules.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn what_cannot_be_named_is_the_whole_grant_and_what_is_elsewhere_is_nothing() {
    let rights = aws(vec![statement(&["sqs:SetQueueAttributes"], &[QUEUES])]);
    let elsewhere = arn("arn:aws:sqs:eu-west-1:999900001111:payments-orders");
    assert_eq!(rights.to_plan(&reach(&[elsewhere])), ToPlan::Nothing);
    let mut unknown = reach(&[arn("arn:aws:sqs:eu-west-1:111122223333:payments-a")]);
    unknown.note::<Arn>(Vec::new(), || "aws_sqs_queue.later".to_owned());
    let why = "the plan does not name aws_sqs_queue.later".to_owned();
    assert_eq!(rights.to_plan(&unknown), ToPlan::Whole(why));
    let none = "the plan names no resource".to_owned();
    assert_eq!(rights.to_plan(&PlanReach::default()), ToPlan::Whole(none));
}

#[test]
fn s22_what_changes_a_bucket_reaches_none_of_its_objects() {
    let narrowed = |resources: &[&str], named: &str| {
        let rights = aws(vec![statement(&["s3:PutObject"], resources)]);
        rights.to_plan(&reach(&[arn(named)]))
    };
    let to =
        |resource: &str| ToPlan::Narrowed(aws(vec![statement(&["s3:PutObject"], &[resource])]));
    let (bucket, object) = ("arn:aws:s3:::logs-a", "arn:aws:s3:::logs-a/shop/readme");
    assert_eq!(narrowed(&["arn:aws:s3:::logs-*"], bucket), to(bucket));
    assert_eq!(
        narrowed(&["arn:aws:s3:::logs-a/*"], bucket),
        ToPlan::Nothing
    );
    for pattern in [
        "arn:aws:s3:::logs-*",
        "arn:aws:s3:::logs-a/*",
        "arn:aws:s3:::logs-a/shop/*",
    ] {
        assert_eq!(narrowed(&[pattern], object), to(object), "{pattern}");
    }
    assert_eq!(
        narrowed(&["arn:aws:s3:::logs-a/other/*"], object),
        ToPlan::Nothing
    );
    // A bucket that goes with its objects names them.
    let mut all = reach(&[arn(bucket)]);
    let objects = Arn {
        resource: "logs-a/*".to_owned(),
        ..arn(bucket)
    };
    all.note(vec![objects], String::new);
    let rights = aws(vec![statement(
        &["s3:DeleteObject"],
        &["arn:aws:s3:::logs-a/*"],
    )]);
    assert_eq!(rights.to_plan(&all), ToPlan::Narrowed(rights));
}

// T30
#[test]
fn a_name_that_means_more_than_a_name_is_none() {
    for text in [
        "arn:aws:sqs:eu-west-1:111122223333:*",
        "arn:aws:sqs:eu-west-1:111122223333:a?",
        "arn:aws:sqs:eu-west-1:111122223333:${aws:username}",
        "arn:aws:sqs:*:111122223333:a",
        "arn:aws:sqs:eu-west-1:111122223333:",
        "arn:aws:sqs:eu-west-1",
    ] {
        assert_eq!(Arn::parse(text), None, "{text}");
    }
}

fn objects(names: &[(&str, bool)]) -> PlanReach {
    let named = names.iter().map(|(name, created)| KubernetesObject {
        group: "apps".to_owned(),
        resource: "deployments".to_owned(),
        namespace: "payments".to_owned(),
        name: (*name).to_owned(),
        created: *created,
    });
    PlanReach::default().with(Named {
        named: named.collect(),
        unnamed: BTreeSet::new(),
    })
}

fn named(plan: &PlanReach) -> BTreeSet<KubernetesObject> {
    plan.of().into_owned().named
}

fn each(plan: &PlanReach, change: impl Fn(KubernetesObject) -> KubernetesObject) -> PlanReach {
    PlanReach::default().with(Named {
        named: named(plan).into_iter().map(change).collect(),
        unnamed: BTreeSet::new(),
    })
}

#[test]
fn a16_objects_of_one_name_are_made_or_not_by_their_kinds_and_namespaces() {
    let json = |version: &str, kind: &str, namespace: &str| serde_json::json!({"apiVersion": version, "kind": kind, "metadata": {"name": "web", "namespace": namespace}});
    let (deployment, service) = (
        json("apps/v1", "Deployment", "a"),
        json("v1", "Service", "a"),
    );
    let (unknown, elsewhere) = (
        json("x.example/v1", "Thing", "a"),
        json("v1", "Service", "b"),
    );
    let all = [&deployment, &service, &unknown, &elsewhere];
    let objects: BTreeSet<_> = all
        .iter()
        .filter_map(|json| KubernetesObject::of_manifest(json, true))
        .collect();
    assert_eq!(objects.len(), 3);
    let plan = PlanReach::default().with(Named {
        named: objects,
        unnamed: ["an object".to_owned()].into(),
    });
    let reads = |namespace: &str| {
        Rights::from(KubernetesGrant {
            namespace: namespace.to_owned(),
            rights: KubernetesRights::Rules(vec![PolicyRule {
                api_groups: ["".to_owned(), "apps".to_owned()].into(),
                ..rule(&["get"], &["deployments", "services"], &[])
            }]),
            destructive: BTreeSet::new(),
        })
    };
    let created = |rights: &Rights, made: &[&serde_json::Value]| -> Vec<String> {
        let known = rights.rehearsed(plan.clone(), made);
        assert!(known.of::<KubernetesObject>().unnamed.contains("an object"));
        let created = named(&known).into_iter().filter(|object| object.created);
        created.map(|object| object.to_string()).collect()
    };
    let [in_b, of_a, in_a] = [
        "services/web in b",
        "services/web in a",
        "deployments.apps/web in a",
    ];
    // The rights read nothing in the other namespace, and tell nothing of what is there.
    assert_eq!(created(&reads("a"), &[&service, &unknown]), [of_a, in_b]);
    assert_eq!(created(&reads("a"), &[]), [in_b]);
    assert_eq!(created(&reads("b"), &[]), [of_a, in_a]);
}

fn rule(verbs: &[&str], resources: &[&str], names: &[&str]) -> PolicyRule {
    let set = |of: &[&str]| of.iter().map(|it| (*it).to_owned()).collect();
    PolicyRule {
        api_groups: set(&["apps"]),
        resources: set(resources),
        verbs: set(verbs),
        resource_names: set(names),
    }
}

fn kubernetes(rules: Vec<PolicyRule>) -> Rights {
    Rights::from(KubernetesGrant {
        namespace: "payments".to_owned(),
        rights: KubernetesRights::Rules(rules),
        destructive: BTreeSet::new(),
    })
}

#[test]
fn objects_are_changed_by_their_names_and_made_only_where_the_plan_makes_one() {
    let rights = kubernetes(vec![rule(
        &["get", "list", "create", "patch", "deletecollection"],
        &["deployments", "statefulsets"],
        &[],
    )]);
    let patched = [
        rule(&["get", "list"], &["deployments", "statefulsets"], &[]),
        rule(&["patch"], &["deployments"], &["web"]),
    ];
    let sorted = |rules: &[PolicyRule]| {
        let all: BTreeSet<_> = rules.iter().cloned().collect();
        ToPlan::Narrowed(kubernetes(all.into_iter().collect()))
    };
    assert_eq!(
        rights.to_plan(&objects(&[("web", false)])),
        sorted(&patched)
    );
    let made = [
        patched[0].clone(),
        rule(&["create"], &["deployments"], &[]),
        rule(&["patch"], &["deployments"], &["web"]),
    ];
    assert_eq!(rights.to_plan(&objects(&[("web", true)])), sorted(&made));
    let named = kubernetes(vec![rule(&["patch"], &["deployments"], &["other"])]);
    assert_eq!(named.to_plan(&objects(&[("web", false)])), ToPlan::Nothing);
}

fn words() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[ab*]{1,4}").unwrap()
}

proptest! {
    // Narrowing to a plan never gives what the grant does not, nor writes on what the plan does not
    // name.
    #[test]
    fn narrowing_to_a_plan_is_within_the_grant(
        patterns in proptest::collection::btree_set((words(), words()), 1..4),
        names in proptest::collection::btree_set("[ab]{1,4}", 1..3),
        (asked, region) in ("[ab]{1,5}", "[ab]{1,2}"),
    ) {
        let resources: BTreeSet<_> = patterns
            .iter()
            .map(|(region, name)| ResourcePattern(format!("arn:aws:sqs:{region}:1:{name}")))
            .collect();
        let actions = ["sqs:SendMessage", "sqs:GetQueueUrl"].map(|it| ActionPattern(it.to_owned())).into();
        let allow = vec![AwsStatement { actions, resources, when: Conditions::default(), unnarrowed: None }];
        let grant: AwsGrant = aws(allow).get().cloned().unwrap();
        let arns: Vec<Arn> = names
            .iter()
            .map(|name| Arn { region: None, ..arn(&format!("arn:aws:sqs:x:1:{name}")) })
            .collect();
        let asked_arn = format!("arn:aws:sqs:{region}:1:{asked}");
        if let ToPlan::Narrowed(narrowed) = Rights::from(grant.clone()).to_plan(&reach(&arns)) {
            let narrowed: &AwsGrant = narrowed.get().unwrap();
            for action in ["sqs:SendMessage", "sqs:GetQueueUrl"] {
                let gives = |grant: &AwsGrant| grant.allow.iter().any(|it| it.matches(action, &asked_arn, &std::collections::BTreeMap::new()));
                prop_assert!(!gives(narrowed) || gives(&grant));
                if action == "sqs:SendMessage" && gives(narrowed) {
                    prop_assert!(names.contains(&asked));
                }
                if action == "sqs:SendMessage" && gives(&grant) && names.contains(&asked) {
                    // What has a plain region in the grant is reached; a wild one stays as the
                    // grant has it.
                    prop_assert!(gives(narrowed));
                }
            }
        }
    }
}
