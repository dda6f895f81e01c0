//! `lanyard charter compile`: what a charter comes to at the providers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use lanyard_aws_policy::{SESSION_POLICY_LIMIT, session_policy};
use lanyard_core::approval::{approvers, persons};
use lanyard_core::charter::{
    AwsGrant, Charter, Grant, KubernetesGrant, KubernetesRights, Name, PolicyRule, Rights,
    VaultGives, VaultGrant,
};
use lanyard_core::provider::PrepareError;
use lanyard_core::question::{Question, mint_request, permit};
use lanyard_core::time::Timestamp;
use serde_json::{Value, json};

use super::files::{self, Declared};
use crate::outcome::Outcome;

#[derive(Args)]
pub(crate) struct Compile {
    /// The charter's file.
    file: PathBuf,
    #[command(flatten)]
    declared: Declared,
    /// This grant alone.
    #[arg(long)]
    grant: Option<Name>,
}

pub(crate) fn run(asked: &Compile) -> Result<(), Outcome> {
    let world = asked.declared.world()?;
    let (charter, _) = files::charter(&asked.file, &world)?;
    // Shown is what is given when something is given, whatever day it is.
    let charter = charter.on_a_good_day();
    if let Some(name) = asked
        .grant
        .as_ref()
        .filter(|name| !charter.grants.contains_key(*name))
    {
        return Err(Outcome::usage(format!("there is no grant {name}")));
    }
    let mut fits = true;
    let chosen = |grant: &&Grant| asked.grant.as_ref().is_none_or(|name| *name == grant.name);
    for grant in charter.grants.values().filter(chosen) {
        // What it comes to is the same in every environment; who approves is not.
        let names: Vec<&str> = grant.environments.iter().map(Name::as_str).collect();
        println!(
            "# grant {}: {} on {}, in {}",
            grant.name,
            grant.role,
            grant.target,
            names.join(", ")
        );
        approvals(&charter, grant);
        fits &= rights(&charter, grant);
        println!();
    }
    if fits { Ok(()) } else { Err(Outcome::Negative) }
}

fn approvals(charter: &Charter, grant: &Grant) {
    for environment in &grant.environments {
        let question = Question::usual(charter, grant, environment);
        match permit(charter, &question, Timestamp::from_secs(0)) {
            Ok(permit) => {
                let needed = permit.requirement().map_or_else(
                    || "nobody approves".to_owned(),
                    |needed| {
                        let from = approvers(&needed.from);
                        format!(
                            "its plan needs the approval of {} of {from}",
                            persons(needed.people)
                        )
                    },
                );
                let life = permit.expires().since(Timestamp::from_secs(0));
                println!("# {environment}: {} s at most; {needed}", life.as_secs());
            }
            Err(denial) => println!("# {environment}: {denial}"),
        }
    }
}

/// Prints what is asked of the provider; whether it can be asked.
fn rights(charter: &Charter, grant: &Grant) -> bool {
    match &grant.rights {
        Rights::Token(rights) => {
            let scopes: Vec<&str> = rights.scopes.iter().map(String::as_str).collect();
            println!(
                "{:#}",
                json!({"aud": rights.audience, "scope": scopes.join(" ")})
            );
            true
        }
        Rights::Kubernetes(rights) => {
            println!("{:#}", kubernetes(charter, grant, rights));
            true
        }
        Rights::Aws(rights) => aws(charter, grant, rights),
        Rights::Vault(rights) => {
            println!("# the policies are read from that Vault before each credential");
            println!("{:#}", vault(rights));
            true
        }
        Rights::GitHub(rights) => {
            println!(
                "{:#}",
                json!({"repositories": rights.repositories, "permissions": rights.permissions})
            );
            true
        }
    }
}

fn aws(charter: &Charter, grant: &Grant, rights: &AwsGrant) -> bool {
    let Some(environment) = grant.environments.first() else {
        return true;
    };
    let question = Question::usual(charter, grant, environment);
    let request = match mint_request(charter, &question, Timestamp::from_secs(0)) {
        Ok(request) => request,
        Err(denial) => {
            println!("# {denial}");
            return true;
        }
    };
    match session_policy(rights, &request) {
        Ok(policy) => {
            let size = policy.chars().count();
            let text: Value = serde_json::from_str(&policy).unwrap_or_default();
            println!(
                "# session policy: {size} of {SESSION_POLICY_LIMIT} characters; the last Deny begins at the lease's end"
            );
            println!(
                "# packed: about {} bytes; STS packs policy and tags by a format of its own, and refuses what is over its limit",
                packed(&policy)
            );
            println!("{text:#}");
            true
        }
        Err(error @ PrepareError::TooLarge { .. }) => {
            println!("# {error}");
            println!(
                "# split the grant, or shorten its resources: nothing is ever left out to make it fit"
            );
            false
        }
        Err(error) => {
            println!("# {error}");
            false
        }
    }
}

/// How much a policy comes to when it is packed, by what DEFLATE makes of it: STS names neither its format nor its limit, and says
/// only of a session that was made how full that was (`PackedPolicySize`).
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
fn packed(policy: &str) -> usize {
    miniz_oxide::deflate::compress_to_vec(policy.as_bytes(), 9).len()
}

fn kubernetes(charter: &Charter, grant: &Grant, rights: &KubernetesGrant) -> Value {
    let name = format!("{}-{}", charter.name, grant.name);
    match &rights.rights {
        KubernetesRights::ClusterRole(role) => json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": rights.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        }),
        KubernetesRights::Rules(rules) => json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": name, "namespace": rights.namespace},
            "rules": rules.iter().map(rule).collect::<Vec<_>>(),
        }),
    }
}

fn vault(rights: &VaultGrant) -> Value {
    let mut token = json!({
        "type": "service",
        "policies": rights.policies,
        "no_default_policy": true,
        "renewable": false,
    });
    let (field, value) = match &rights.gives {
        VaultGives::Token { uses: None } => return token,
        VaultGives::Token { uses: Some(uses) } => ("num_uses", json!(uses)),
        VaultGives::Secret { path } => ("reads", json!(path)),
    };
    if let Some(fields) = token.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
    token
}

fn rule(rule: &PolicyRule) -> Value {
    let mut fields: BTreeMap<&str, Value> = [
        ("apiGroups", json!(rule.api_groups)),
        ("resources", json!(rule.resources)),
        ("verbs", json!(rule.verbs)),
    ]
    .into();
    if !rule.resource_names.is_empty() {
        fields.insert("resourceNames", json!(rule.resource_names));
    }
    json!(fields)
}
