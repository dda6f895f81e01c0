//! What of a grant a plan needs: the grant's own rights, on what the plan names.
//!
//! Every entry of the outcome is within one of the grant's. What only reads stays as it is, because a tool reads more than
//! it changes; so does what the grant gives on `*`, which is for actions that name no resource, and what the charter marks as
//! `unnarrowed`, since every apply needs it and no plan names it.

use std::collections::BTreeSet;

use crate::aws::{
    ActionPattern, AwsGrant, AwsStatement, ResourcePattern, is_of_a_backend, only_reads,
};
use crate::kubernetes::{KubernetesGrant, KubernetesRights, PolicyRule, acts_when_read};
use crate::pattern::pattern_contains;
use crate::reach::{Arn, KubernetesObject, PlanReach};
use crate::rights::Rights;

/// The result of narrowing a grant to a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToPlan {
    /// The grant is narrowed to these rights.
    Narrowed(Rights),
    /// The grant is narrowed to these rights, and they can change more than the plan names, as
    /// described.
    Partly(Rights, String),
    /// The grant cannot be narrowed, for this reason.
    Whole(String),
    /// The grant can change nothing that the plan names.
    Nothing,
}

impl Rights {
    /// Narrows the rights to what the plan needs.
    #[must_use]
    pub fn to_plan(&self, reach: &PlanReach) -> ToPlan {
        match self {
            Self::Token(_) | Self::Vault(_) => {
                ToPlan::Whole("a token is not about resources".to_owned())
            }
            Self::GitHub(_) => ToPlan::Whole("a plan names no repositories".to_owned()),
            // A plan of another provider's resources, whose state is in S3.
            Self::Aws(grant) if grant.is_for_state() => ToPlan::Narrowed(self.clone()),
            Self::Aws(grant) => {
                if let Some(why) = unnamed(&reach.aws.unnamed, reach.aws.named.is_empty()) {
                    return ToPlan::Whole(why);
                }
                grant.to_arns(&reach.aws.named)
            }
            Self::Kubernetes(grant) => {
                let objects = &reach.kubernetes;
                if let Some(why) = unnamed(&objects.unnamed, objects.named.is_empty()) {
                    return ToPlan::Whole(why);
                }
                let KubernetesRights::Rules(rules) = &grant.rights else {
                    return ToPlan::Whole("what a ClusterRole holds is the cluster's".to_owned());
                };
                let rules = to_objects(rules, &grant.namespace, &objects.named);
                rules.map_or(ToPlan::Nothing, |rules| {
                    ToPlan::Narrowed(Self::Kubernetes(KubernetesGrant {
                        rights: KubernetesRights::Rules(rules),
                        ..grant.clone()
                    }))
                })
            }
        }
    }
}

fn unnamed(unnamed: &BTreeSet<String>, nothing_named: bool) -> Option<String> {
    match unnamed.first() {
        Some(first) if unnamed.len() == 1 => Some(format!("the plan does not name {first}")),
        Some(first) => Some(format!(
            "the plan does not name {first} and {} more",
            unnamed.len() - 1
        )),
        None if nothing_named => Some("the plan names no resource".to_owned()),
        None => None,
    }
}

/// A statement after narrowing.
pub(super) struct Split {
    /// The actions that stay as they are.
    pub(super) kept: BTreeSet<ActionPattern>,
    /// The actions that are limited to the plan's objects.
    pub(super) narrowed: BTreeSet<ActionPattern>,
    /// The plan's objects within the statement's resources.
    pub(super) resources: BTreeSet<ResourcePattern>,
}

impl AwsStatement {
    /// True for an action that names no resource. Such an action cannot be narrowed, so it stays
    /// and does not count as part of the plan (S22).
    fn is_free(&self) -> bool {
        self.resources.iter().any(|pattern| pattern.0 == "*")
    }

    pub(super) fn split(&self, arns: &BTreeSet<Arn>) -> Split {
        let free = self.is_free() || self.unnarrowed.is_some();
        let stays =
            |action: &ActionPattern| free || passes(action) || only_reads(action, &self.when);
        let (kept, narrowed) = self.actions.iter().cloned().partition(stays);
        let resources = self
            .resources
            .iter()
            .flat_map(|pattern| arns.iter().flat_map(move |arn| both(&pattern.0, arn)))
            .map(ResourcePattern)
            .collect();
        Split {
            kept,
            narrowed,
            resources,
        }
    }

    /// What the statement can change whatever the plan names, except what a Terraform backend does
    /// with its state.
    fn beyond(&self) -> Option<String> {
        let changes = |action: &&ActionPattern| !only_reads(action, &self.when);
        let line = |actions: BTreeSet<&ActionPattern>, of: &str| {
            let actions: Vec<_> = actions.into_iter().map(ToString::to_string).collect();
            (!actions.is_empty()).then(|| format!("{} on {of}", actions.join(", ")))
        };
        let changing = self.actions.iter().filter(changes);
        if self.is_free() {
            return line(changing.collect(), "any resource");
        }
        self.unnarrowed.as_ref()?;
        let more = changing.filter(|action| !is_of_a_backend(action));
        let resources: Vec<_> = self.resources.iter().map(ToString::to_string).collect();
        line(more.collect(), &resources.join(", "))
    }
}

/// True if the action passes on a role. The grant names the role, and no plan does.
fn passes(action: &ActionPattern) -> bool {
    action.lower() == "iam:passrole"
}

impl AwsGrant {
    /// True if no plan narrows the statement and it changes no more than a Terraform backend does
    /// with its state.
    #[must_use]
    pub fn is_for_state(&self) -> bool {
        self.allow.iter().all(|statement| {
            let split = statement.split(&BTreeSet::new());
            split.narrowed.is_empty()
                && statement.beyond().is_none()
                && !statement.actions.iter().any(passes)
        })
    }

    fn to_arns(&self, arns: &BTreeSet<Arn>) -> ToPlan {
        let mut writes = false;
        let mut beyond = BTreeSet::new();
        let mut passed = BTreeSet::new();
        let mut allow = Vec::new();
        for statement in &self.allow {
            beyond.extend(statement.beyond());
            if statement.actions.iter().any(passes) {
                passed.extend(statement.resources.iter().map(ToString::to_string));
            }
            let split = statement.split(arns);
            if !split.kept.is_empty() {
                allow.push(AwsStatement {
                    actions: split.kept,
                    ..statement.clone()
                });
            }
            if !split.narrowed.is_empty() && !split.resources.is_empty() {
                writes = true;
                allow.push(AwsStatement {
                    actions: split.narrowed,
                    resources: split.resources,
                    ..statement.clone()
                });
            }
        }
        if !writes && beyond.is_empty() {
            return ToPlan::Nothing;
        }
        let rights = Rights::Aws(Self {
            allow,
            ..self.clone()
        });
        let mut more: Vec<String> = beyond.into_iter().collect();
        if !passed.is_empty() {
            let roles: Vec<String> = passed.into_iter().collect();
            more.push(format!("iam:PassRole of {}", roles.join(", ")));
        }
        if more.is_empty() {
            return ToPlan::Narrowed(rights);
        }
        ToPlan::Partly(rights, more.join("; "))
    }
}

/// The part of the pattern that concerns this ARN, or what is beneath it.
pub(super) fn both(pattern: &str, arn: &Arn) -> Vec<String> {
    let beneath = match arn.service.as_str() {
        "dynamodb" => Some("/*"),
        "logs" | "lambda" => Some(":*"),
        _ => None,
    };
    let own = format!("{}{}", arn.resource, beneath.unwrap_or_default());
    let resources = std::iter::once(arn.resource.clone()).chain(beneath.map(|_| own));
    resources
        .filter_map(|resource| meet(pattern, arn, &resource))
        .collect()
}

/// The intersection of pattern and ARN: parts that the plan leaves open are as in the pattern.
fn meet(pattern: &str, arn: &Arn, resource: &str) -> Option<String> {
    let parts: Vec<&str> = pattern.splitn(6, ':').collect();
    let [head, partition, service, region, account, wide] = parts.as_slice() else {
        return None;
    };
    let part = |of: &str, known: Option<&String>| match known {
        None => Some(of.to_owned()),
        Some(known) => pattern_contains(of, known).then(|| known.clone()),
    };
    let partition = part(partition, arn.partition.as_ref())?;
    let region = part(region, arn.region.as_ref())?;
    let account = part(account, arn.account.as_ref())?;
    let met = format!(
        "{head}:{partition}:{}:{region}:{account}:{resource}",
        arn.service
    );
    let within = pattern_contains(service, &arn.service) && pattern_contains(wide, resource);
    (within && pattern_contains(pattern, &met)).then_some(met)
}

/// Verbs that change nothing.
const READING: &[&str] = &["get", "list", "watch"];

impl KubernetesGrant {
    /// True if the rule lets somebody read the object.
    #[must_use]
    pub fn reads(&self, object: &KubernetesObject) -> bool {
        let KubernetesRights::Rules(rules) = &self.rights else {
            return false;
        };
        object.is_in(&self.namespace)
            && rules.iter().any(|rule| {
                rule.api_groups.contains(&object.group)
                    && rule.resources.contains(&object.resource)
                    && rule.verbs.contains("get")
                    && (rule.resource_names.is_empty()
                        || rule.resource_names.contains(&object.name))
            })
    }
}

fn to_objects(
    rules: &[PolicyRule],
    namespace: &str,
    objects: &BTreeSet<KubernetesObject>,
) -> Option<Vec<PolicyRule>> {
    let mut narrowed = BTreeSet::new();
    let mut writes = false;
    for rule in rules {
        let acts = |resource: &String| acts_when_read(resource);
        let (acting, plain): (BTreeSet<String>, BTreeSet<String>) =
            rule.resources.iter().cloned().partition(acts);
        let reads = |verb: &&String| READING.contains(&verb.as_str());
        let reading: BTreeSet<String> = rule.verbs.iter().filter(reads).cloned().collect();
        if !reading.is_empty() && !plain.is_empty() {
            narrowed.insert(PolicyRule {
                verbs: reading,
                resources: plain,
                ..rule.clone()
            });
        }
        let pairs = rule
            .api_groups
            .iter()
            .flat_map(|group| rule.resources.iter().map(move |resource| (group, resource)));
        for (group, resource) in pairs {
            let kind = resource.split('/').next().unwrap_or_default();
            let is_part = resource.contains('/');
            let writing: BTreeSet<&String> = rule
                .verbs
                .iter()
                .filter(|verb| acting.contains(resource) || !reads(verb))
                .collect();
            let about: Vec<_> = objects
                .iter()
                .filter(|it| it.group == *group && it.resource == kind && it.is_in(namespace))
                .collect();
            let of = |verbs: BTreeSet<String>, names: BTreeSet<String>| PolicyRule {
                api_groups: [group.clone()].into(),
                resources: [resource.clone()].into(),
                verbs,
                resource_names: names,
            };
            let made = about.iter().any(|object| object.created);
            if made && !is_part && writing.iter().any(|verb| *verb == "create") {
                writes = true;
                let verbs = ["create".to_owned()].into();
                narrowed.insert(of(verbs, rule.resource_names.clone()));
            }
            let names = &rule.resource_names;
            let named: BTreeSet<String> = about
                .iter()
                .map(|object| object.name.clone())
                .filter(|name| names.is_empty() || names.contains(name))
                .collect();
            // What is made of a part of an object, is made of one that has a name: RBAC binds that.
            let verbs = writing
                .into_iter()
                .filter(|verb| changes_one(verb) || is_part && *verb == "create")
                .cloned();
            let verbs: BTreeSet<String> = verbs.collect();
            if !named.is_empty() && !verbs.is_empty() {
                writes = true;
                narrowed.insert(of(verbs, named));
            }
        }
    }
    writes.then(|| narrowed.into_iter().collect())
}

/// True if a request with this verb names one object. A rule's names do not restrict the other
/// verbs.
fn changes_one(verb: &str) -> bool {
    !matches!(verb, "create" | "deletecollection")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aws::Conditions;
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
        Rights::Aws(AwsGrant {
            allow,
            destructive: BTreeSet::new(),
            except: BTreeSet::new(),
            approved: BTreeSet::new(),
        })
    }

    fn reach(arns: &[Arn]) -> PlanReach {
        PlanReach {
            aws: Named {
                named: arns.iter().cloned().collect(),
                unnamed: BTreeSet::new(),
            },
            ..PlanReach::default()
        }
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
        let ToPlan::Narrowed(Rights::Aws(found)) = unmarked.to_plan(&queue) else {
            unreachable!("a queue of the grant");
        };
        let writes = |it: &AwsStatement| it.actions.iter().any(|action| action.0 == "s3:PutObject");
        assert!(!found.allow.iter().any(writes));
        let said = unmarked.narrowing(Some(&queue)).withholds;
        assert!(said.iter().any(|line| line.contains("s3:PutObject") && line.contains("changes nothing there")), "{said:?}");
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
        // Of two revisions, the one that does not mark it counts.
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
            let mut plan = objects(&[("web", true)]);
            let named = plan
                .kubernetes
                .named
                .into_iter()
                .map(|object| KubernetesObject {
                    namespace: namespace.to_owned(),
                    ..object
                });
            plan.kubernetes.named = named.collect();
            plan
        };
        assert_eq!(rights.to_plan(&of("")), rights.to_plan(&of("payments")));
        assert!(matches!(rights.to_plan(&of("")), ToPlan::Narrowed(_)));
        assert_eq!(rights.to_plan(&of("other")), ToPlan::Nothing);
        // Objects in several namespaces: what the grant does not give is named.
        let mut both = of("");
        both.kubernetes.named.extend(of("other").kubernetes.named);
        let said = rights.narrowing(Some(&both));
        assert_eq!(said.lacks, ["deployments.apps/web in other"]);
        assert_eq!(
            said.withholds,
            ["patch of other deployments.apps in payments"]
        );
        // A namespace itself is in none.
        let mut cluster = of("");
        let namespaces = cluster
            .kubernetes
            .named
            .into_iter()
            .map(|object| KubernetesObject {
                group: String::new(),
                resource: "namespaces".to_owned(),
                ..object
            });
        cluster.kubernetes.named = namespaces.collect();
        assert!(
            !cluster
                .kubernetes
                .named
                .iter()
                .any(|object| object.is_in("payments"))
        );
    }

    // What is made of a part of an object is bound to the object's name, and a `get` that opens a connection is no reading.
    #[test]
    fn s22_parts_of_objects_are_narrowed_to_the_objects_of_the_plan() {
        let rights = kubernetes(vec![rule(
            &["get", "create", "update"],
            &["pods", "pods/eviction", "pods/exec"],
            &[],
        )]);
        let mut plan = objects(&[("web", true)]);
        let pods = plan
            .kubernetes
            .named
            .into_iter()
            .map(|object| KubernetesObject {
                resource: "pods".to_owned(),
                ..object
            });
        plan.kubernetes.named = pods.collect();
        let ToPlan::Narrowed(Rights::Kubernetes(found)) = rights.to_plan(&plan) else {
            unreachable!("a pod of the grant");
        };
        let KubernetesRights::Rules(rules) = found.rights else {
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
        unknown.aws.unnamed.insert("aws_sqs_queue.later".to_owned());
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
        all.aws.named.insert(objects);
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
        PlanReach {
            kubernetes: Named {
                named: named.collect(),
                unnamed: BTreeSet::new(),
            },
            ..PlanReach::default()
        }
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
        Rights::Kubernetes(KubernetesGrant {
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
        // Narrowing to a plan never gives what the grant does not, nor writes on what the plan does not name.
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
            let Rights::Aws(grant) = aws(allow) else { unreachable!("rights of AWS") };
            let arns: Vec<Arn> = names
                .iter()
                .map(|name| Arn { region: None, ..arn(&format!("arn:aws:sqs:x:1:{name}")) })
                .collect();
            let asked_arn = format!("arn:aws:sqs:{region}:1:{asked}");
            if let ToPlan::Narrowed(Rights::Aws(narrowed)) = Rights::Aws(grant.clone()).to_plan(&reach(&arns)) {
                for action in ["sqs:SendMessage", "sqs:GetQueueUrl"] {
                    let gives = |grant: &AwsGrant| grant.allow.iter().any(|it| it.matches(action, &asked_arn, &std::collections::BTreeMap::new()));
                    prop_assert!(!gives(&narrowed) || gives(&grant));
                    if action == "sqs:SendMessage" && gives(&narrowed) {
                        prop_assert!(names.contains(&asked));
                    }
                    if action == "sqs:SendMessage" && gives(&grant) && names.contains(&asked) {
                        // What has a plain region in the grant is reached; a wild one stays as the grant has it.
                        prop_assert!(gives(&narrowed));
                    }
                }
            }
        }
    }
}
