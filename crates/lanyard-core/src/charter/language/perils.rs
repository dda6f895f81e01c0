//! What always takes two people, wherever it is: opening the network perimeter, and deleting what holds state.

use super::powers::meets;
use crate::charter::{KubernetesRights, PolicyRule, Rights};

/// AWS actions that let in, or out, who was not before.
const PERIMETER: &[&str] = &[
    "apigateway:updaterestapipolicy",
    "cloudfront:updatedistribution",
    "ec2:acceptvpcpeeringconnection",
    "ec2:attachinternetgateway",
    "ec2:authorizesecuritygroupegress",
    "ec2:authorizesecuritygroupingress",
    "ec2:createinternetgateway",
    "ec2:createnetworkaclentry",
    "ec2:createroute",
    "ec2:createvpcpeeringconnection",
    "ec2:modifysecuritygrouprules",
    "ec2:modifyvpcendpoint",
    "ec2:replacenetworkaclentry",
    "ec2:replaceroute",
    "elasticloadbalancing:setsecuritygroups",
    "lambda:createfunctionurlconfig",
    "lambda:updatefunctionurlconfig",
    "network-firewall:deletefirewall",
    "network-firewall:updatefirewallpolicy",
    "s3:putaccountpublicaccessblock",
    "s3:putbucketacl",
    "s3:putbucketpublicaccessblock",
    "wafv2:deletewebacl",
    "wafv2:disassociatewebacl",
    "wafv2:updatewebacl",
];

/// AWS actions behind which data is gone, or as good as gone.
const STATEFUL: &[&str] = &[
    "backup:deletebackupvault",
    "backup:deleterecoverypoint",
    "cloudformation:deletestack",
    "dynamodb:deletebackup",
    "dynamodb:deletetable",
    "ec2:deletesnapshot",
    "ec2:deletevolume",
    "ecr:deleterepository",
    "elasticache:deletecachecluster",
    "elasticache:deletereplicationgroup",
    "elasticfilesystem:deletefilesystem",
    "es:deletedomain",
    "es:deleteelasticsearchdomain",
    "kafka:deletecluster",
    "kinesis:deletestream",
    "kms:schedulekeydeletion",
    "logs:deleteloggroup",
    "memorydb:deletecluster",
    "rds:deletedbcluster",
    "rds:deletedbclustersnapshot",
    "rds:deletedbinstance",
    "rds:deletedbsnapshot",
    "redshift:deletecluster",
    "s3:deletebucket",
    "secretsmanager:deletesecret",
    "sqs:deletequeue",
    "sqs:purgequeue",
    "timestream:deletedatabase",
    "timestream:deletetable",
];

/// Kubernetes kinds that say who reaches whom.
const DOORS: &[&str] = &[
    "gateways",
    "httproutes",
    "ingresses",
    "networkpolicies",
    "services",
];
/// Kubernetes kinds with which data goes.
const STORES: &[&str] = &[
    "customresourcedefinitions",
    "namespaces",
    "persistentvolumeclaims",
    "persistentvolumes",
    "statefulsets",
];
const CHANGING: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
const DELETING: &[&str] = &["delete", "deletecollection"];

/// What of these rights it is, and why that is grave.
pub(super) fn found(rights: &Rights) -> Option<(String, &'static str)> {
    const OPENS: &str = "can open the network perimeter";
    const DELETES: &str = "can delete what holds state";
    match rights {
        Rights::Aws(rights) => rights
            .allow
            .iter()
            .flat_map(|statement| &statement.actions)
            .find_map(|action| {
                let is = |known: &[&str]| known.iter().any(|name| meets(&action.lower(), name));
                let why = match (is(PERIMETER), is(STATEFUL)) {
                    (true, _) => OPENS,
                    (false, true) => DELETES,
                    (false, false) => return None,
                };
                Some((action.0.clone(), why))
            }),
        Rights::Kubernetes(rights) => {
            let KubernetesRights::Rules(rules) = &rights.rights else {
                return None;
            };
            rules.iter().find_map(|rule| {
                let opens = kind(rule, DOORS, CHANGING).map(|word| (word, OPENS));
                opens.or_else(|| kind(rule, STORES, DELETING).map(|word| (word, DELETES)))
            })
        }
        Rights::GitHub(rights) => rights
            .deletes()
            .then(|| ("administration".to_owned(), DELETES)),
        Rights::Token(_) | Rights::Vault(_) => None,
    }
}

fn kind(rule: &PolicyRule, kinds: &[&str], verbs: &[&str]) -> Option<String> {
    let verb = verbs.iter().any(|verb| rule.verbs.contains(*verb));
    let resource = rule
        .resources
        .iter()
        .find(|one| kinds.contains(&one.as_str()));
    resource.filter(|_| verb).cloned()
}
