//! Targets of kind `aws`: an account with its lease roles.

use std::path::Path;
use std::sync::Arc;

use lanyard_charter::{TargetKind, account_of, partition_of};
use lanyard_core::provider::Provider;
use lanyard_core::target::{Shared, Target, TargetError, TargetReader};
use lanyard_document::shape::{Form, Map, Shape, optional, required};
use lanyard_document::{Code, Item, Section};
use lanyard_provider_aws::{Access, AwsProvider, AwsTarget, Roles, Sdk};
use lanyard_vocabulary::name::Name;

/// The entry of kind `aws` in the registry.
pub(super) struct Aws;

impl TargetReader for Aws {
    fn kind(&self) -> TargetKind {
        TargetKind::AWS
    }

    fn meaning(&self) -> &'static str {
        "An AWS account with its lease roles."
    }

    fn shape(&self) -> Map {
        shape()
    }

    fn read(&self, section: &Section<'_>, name: &Name, _base: &Path) -> Option<Arc<dyn Target>> {
        Some(Arc::new(account(section, name)?))
    }
}

#[derive(Debug)]
struct Account {
    target: AwsTarget,
    access: Access,
}

#[tonic::async_trait]
impl Target for Account {
    async fn provider(&self, shared: &mut Shared) -> Result<Arc<dyn Provider>, TargetError> {
        let roles = shared.get_or_default::<Roles>();
        let sdk = Sdk::connect(&self.access).await;
        let provider = AwsProvider::new(self.target.clone(), sdk).beside(roles);
        Ok(Arc::new(provider))
    }

    async fn look(&self) -> Result<(), TargetError> {
        Ok(())
    }

    fn doubts(&self) -> Vec<&'static str> {
        match self.access.minter_profile == self.access.revoker_profile {
            true => vec![
                "one AWS principal both mints and revokes: give the revoker its own with `revoker_profile`",
            ],
            false => Vec::new(),
        }
    }

    fn lease_roles(&self) -> Vec<&str> {
        vec![&self.target.plan_role, &self.target.apply_role]
    }

    fn drill(&self, name: &Name) -> Option<String> {
        let (role, region) = (&self.target.plan_role, &self.target.region);
        let (partition, account) = (partition_of(role)?, account_of(role)?);
        Some(format!(
            "aws:\n  target: {name}\n  allow:\n    - actions: [dynamodb:DescribeTable]\n      \
             resources: ['arn:{partition}:dynamodb:{region}:{account}:table/lanyard-drill']"
        ))
    }
}

fn shape() -> Map {
    let role = || {
        Form::new(
            "a role: `arn:aws:iam::123456789012:role/name`",
            "^arn:.+:iam::[0-9]{12}:role/.+$",
        )
    };
    let profile = |name, meaning| {
        optional(name, meaning, Shape::Text).absent("the usual credentials of the AWS SDK")
    };
    Map::new()
        .with(required(
            "region",
            "The region of STS and of the console.",
            Shape::Text,
        ))
        .with(required(
            "plan_role",
            "The role whose sessions read.",
            role(),
        ))
        .with(required(
            "apply_role",
            "The role whose sessions change; another one.",
            role(),
        ))
        .with(
            optional(
                "instance",
                "The name of the broker in the deny policy.",
                Form::NAME,
            )
            .absent("the target's name"),
        )
        .with(profile(
            "minter_profile",
            "The profile of the principal that mints.",
        ))
        .with(profile(
            "revoker_profile",
            "The profile of the principal that revokes.",
        ))
        .with(
            optional(
                "endpoint",
                "A stand-in for AWS, which only a test has.",
                Shape::Text,
            )
            .absent("AWS"),
        )
        .with(
            optional(
                "boundary",
                "The permissions boundary that both roles must have.",
                Shape::Text,
            )
            .absent("none is asked for"),
        )
}

fn account(section: &Section<'_>, name: &Name) -> Option<Account> {
    let text = |name| section.get(name).and_then(Item::text).map(str::to_owned);
    let region = text("region");
    let plan_role = section.get("plan_role").and_then(role);
    let apply = section.get("apply_role");
    let apply_role = apply.and_then(role);
    let instance = section.get("instance");
    let instance = instance.map_or(Some(name.clone()), Item::parsed::<Name>);
    let (minter_profile, revoker_profile) = (text("minter_profile"), text("revoker_profile"));
    let (endpoint, boundary) = (text("endpoint"), text("boundary"));
    let (plan_role, apply_role) = (plan_role?, apply_role?);
    if plan_role == apply_role {
        let message = "plan and apply need a role each: what is cut for one must not cut the other";
        apply?.report(Code::AwsRole, message);
        return None;
    }
    let region = region?;
    Some(Account {
        access: Access {
            region: region.clone(),
            minter_profile,
            revoker_profile,
            endpoint,
        },
        target: AwsTarget {
            region,
            plan_role,
            apply_role,
            boundary,
            instance: instance?.to_string(),
        },
    })
}

/// Reads a role's ARN: `arn:partition:iam::account:role/path/name`.
fn role(item: Item<'_>) -> Option<String> {
    let text = item.text()?;
    let parts: Vec<&str> = text.split(':').collect();
    let well = match parts.as_slice() {
        ["arn", partition, "iam", "", account, resource] => {
            !partition.is_empty()
                && account.len() == 12
                && account.bytes().all(|byte| byte.is_ascii_digit())
                && resource
                    .strip_prefix("role/")
                    .is_some_and(|name| !name.is_empty() && !name.ends_with('/'))
        }
        _ => false,
    };
    if !well {
        let message = "expected the ARN of a role: arn:aws:iam::123456789012:role/name";
        item.report(Code::AwsRole, message);
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use lanyard_document::{Findings, read};

    use super::*;

    #[test]
    fn an_account_is_read_and_its_deny_policy_is_named_after_the_target() {
        let text = "{region: eu-west-1, plan_role: 'arn:aws:iam::111122223333:role/lanyard/plan', \
                    apply_role: 'arn:aws:iam::111122223333:role/lanyard/apply'}";
        let (f, node) = (Findings::default(), read(text).unwrap());
        let (name, shape) = ("tickets".parse().unwrap(), Shape::from(shape()));
        let section = f.item(&node, &shape).section().unwrap();
        let account = account(&section, &name).unwrap();
        assert_eq!(account.target.instance, "tickets");
    }
}
