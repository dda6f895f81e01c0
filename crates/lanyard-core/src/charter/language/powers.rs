//! Grants that could raise their own power, and by which path.

use crate::charter::{Charter, Grant, KubernetesRights, PolicyRule, Rights, pattern_contains};

/// AWS actions that run code or commands under an identity which is not the session's.
const AWS: &[(&str, &str)] = &[
    (
        "lambda:updatefunctioncode",
        "the code runs with the function's role",
    ),
    (
        "lambda:updatefunctionconfiguration",
        "a layer runs with the function's role",
    ),
    (
        "lambda:createfunction",
        "the code runs with the role that it is given",
    ),
    ("lambda:addpermission", "others may then call the function"),
    (
        "ssm:sendcommand",
        "commands run as root, with the instance's role",
    ),
    (
        "ssm:startsession",
        "a shell on an instance has the instance's role",
    ),
    (
        "ssm:startautomationexecution",
        "the automation runs with its own role",
    ),
    (
        "ssm:createassociation",
        "commands run as root, with the instance's role",
    ),
    (
        "ec2:runinstances",
        "what boots has the instance profile that it is given",
    ),
    (
        "ec2:modifyinstanceattribute",
        "the user data runs as root at the next boot, with the instance's role",
    ),
    (
        "ec2:associateiaminstanceprofile",
        "the instance has the profile that it is given",
    ),
    (
        "ec2:replaceiaminstanceprofileassociation",
        "the instance has the profile that it is given",
    ),
    (
        "ec2-instance-connect:sendsshpublickey",
        "a shell on an instance has the instance's role",
    ),
    (
        "ecs:registertaskdefinition",
        "tasks run with the role that they name",
    ),
    ("ecs:runtask", "tasks run with the role that they name"),
    (
        "ecs:executecommand",
        "a shell in a task has the task's role",
    ),
    (
        "ecs:updateservice",
        "tasks run with the role that they name",
    ),
    (
        "cloudformation:createstack",
        "the stack is made with its service role",
    ),
    (
        "cloudformation:updatestack",
        "the stack is changed with its service role",
    ),
    (
        "cloudformation:createchangeset",
        "the stack is changed with its service role",
    ),
    (
        "codebuild:startbuild",
        "the build has the project's role, and may be given other commands",
    ),
    (
        "codebuild:updateproject",
        "the build has the project's role",
    ),
    (
        "codebuild:createproject",
        "the build has the role that it is given",
    ),
    (
        "codepipeline:updatepipeline",
        "the pipeline runs with its own role",
    ),
    ("glue:updatejob", "the job runs with its own role"),
    (
        "glue:createjob",
        "the job runs with the role that it is given",
    ),
    (
        "glue:createdevendpoint",
        "a shell there has the endpoint's role",
    ),
    (
        "sagemaker:createnotebookinstance",
        "the notebook has the role that it is given",
    ),
    (
        "sagemaker:createpresignednotebookinstanceurl",
        "the notebook has its own role",
    ),
    (
        "datapipeline:putpipelinedefinition",
        "the pipeline runs with its own role",
    ),
    (
        "states:updatestatemachine",
        "the machine runs with its own role",
    ),
    (
        "events:puttargets",
        "the target is called with the rule's role",
    ),
    (
        "batch:submitjob",
        "the job has the role that its definition names",
    ),
    ("kms:creategrant", "whoever is named there may use the key"),
    ("kms:putkeypolicy", "the key's policy says who may use it"),
    (
        "s3:putbucketpolicy",
        "the bucket's policy says who may use it",
    ),
    ("sqs:addpermission", "others may then use the queue"),
    ("sns:addpermission", "others may then use the topic"),
    (
        "secretsmanager:putresourcepolicy",
        "the policy says who reads the secret",
    ),
    (
        "ecr:setrepositorypolicy",
        "the policy says who pushes images that others run",
    ),
    ("organizations:*", "the organization bounds every account"),
];

/// What starts or changes pods: they may name any service account of the namespace, and mount its secrets.
const WORKLOADS: &[&str] = &[
    "pods",
    "deployments",
    "daemonsets",
    "statefulsets",
    "replicasets",
    "replicationcontrollers",
    "jobs",
    "cronjobs",
];
const CHANGING: &[&str] = &["create", "update", "patch"];

impl Charter {
    /// The grants that could raise their own power.
    pub fn admin_equivalent(&self) -> impl Iterator<Item = &Grant> {
        let grants = self.grants.values();
        grants.filter(|grant| !paths(&grant.rights).is_empty())
    }
}

/// Whether an action, in lower case, and a known one could be the same.
pub(super) fn meets(action: &str, known: &str) -> bool {
    pattern_contains(action, known) || pattern_contains(known, action)
}

/// The word of the grant, and the path from there.
pub(super) fn paths(rights: &Rights) -> Vec<(String, String)> {
    match rights {
        Rights::Aws(rights) => {
            let actions = rights.allow.iter().flat_map(|statement| &statement.actions);
            actions
                .filter_map(|action| {
                    let lower = action.lower();
                    let (name, how) = AWS.iter().find(|(name, _)| meets(&lower, name))?;
                    let through = if action.is_wild() {
                        format!(" ({name})")
                    } else {
                        String::new()
                    };
                    Some((action.0.clone(), format!("{action}{through}: {how}")))
                })
                .collect()
        }
        Rights::Kubernetes(rights) => match &rights.rights {
            KubernetesRights::Rules(rules) => rules.iter().filter_map(workload).collect(),
            KubernetesRights::ClusterRole(_) => Vec::new(),
        },
        Rights::GitHub(rights) => rights
            .powers()
            .map(|(name, how)| (name.to_owned(), format!("{name}: {how}")))
            .collect(),
        // What its policies hold is known to that Vault alone.
        Rights::Token(_) | Rights::Vault(_) => Vec::new(),
    }
}

fn workload(rule: &PolicyRule) -> Option<(String, String)> {
    let verb = CHANGING.iter().find(|verb| rule.verbs.contains(**verb))?;
    let resource = WORKLOADS
        .iter()
        .find(|resource| rule.resources.contains(**resource))?;
    let path = format!(
        "{verb} {resource}: its pods may name any service account of the namespace, and mount its secrets"
    );
    Some(((*resource).to_owned(), path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charter::ActionPattern;

    #[test]
    fn every_action_that_leads_to_more_power_exists() {
        for (name, _) in AWS {
            let found = super::super::reads::unknown(&ActionPattern((*name).to_owned()));
            assert_eq!(found, None, "{name}");
        }
    }
}
