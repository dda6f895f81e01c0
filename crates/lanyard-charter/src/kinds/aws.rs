//! Kind `aws`: sessions of AWS STS.

mod compare;
mod lints;
mod prohibition;
mod resources;
mod rules;
mod section;
mod to_plan;

use std::collections::BTreeSet;

use lanyard_document::shape::{Map, Shape, optional};
use lanyard_document::{Item, Section};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::secret::Secret;
use serde_json::Value;

pub(crate) use section::{full_names, full_names_shape};

use super::credential::CredentialForm;
use super::list_of;
use crate::aws::{ActionPattern, Arn, AwsGrant, Power, matched, only_reads, power};
use crate::charter::Grant;
use crate::narrow::shortened;
use crate::prohibited_actions::ProhibitedActions;
use crate::prohibition::{Prohibited, Prohibition};
use crate::reach::{PlanObjects, PlanReach};
use crate::rights::{KindRights, Rights, ToPlan, unnamed};
use crate::target_kind::TargetKind;
use crate::usage::Usage;
use crate::world::{
    Check, DELETES_STATE, GrantKind, OPENS_PERIMETER, ProhibitedSection, Starter, World,
    account_of, partition_of,
};

impl TargetKind {
    /// An AWS account with its lease roles.
    pub const AWS: Self = Self::new("aws");
}

/// The entry of kind `aws` in the registry.
pub(super) struct Aws;

impl GrantKind for Aws {
    fn id(&self) -> TargetKind {
        TargetKind::AWS
    }

    fn meaning(&self) -> &'static str {
        "An AWS STS session."
    }

    fn shape(&self) -> Map {
        section::shape()
    }

    fn parse(&self, section: &Section<'_>) -> Option<Rights> {
        section::aws(section)
    }

    fn starter(&self) -> Starter {
        Starter {
            reads: "aws:\n        target: TARGET\n        allow:\n          - actions: [s3:GetObject]\n            resources: [\"arn:aws:s3:::bucket/*\"]\n",
            changes: "aws:\n        target: TARGET\n        allow:\n          - actions: [s3:PutObject]\n            resources: [\"arn:aws:s3:::bucket/*\"]\n",
        }
    }

    fn declared(&self) -> Map {
        let meaning = "The ARN of the role for the plan role.";
        Map::new().with(optional("plan_role", meaning, Shape::Text))
    }

    fn declare(&self, section: &Section<'_>, target: &Name, world: &mut World) {
        let role = section.get("plan_role").and_then(Item::text);
        if let Some(account) = role.and_then(account_of) {
            world.accounts.insert(target.clone(), account);
        }
        if let Some(partition) = role.and_then(partition_of) {
            world.partitions.insert(target.clone(), partition);
        }
    }

    fn prohibited(&self) -> Option<ProhibitedSection> {
        Some(prohibition::section())
    }

    fn plan_objects(&self) -> Option<PlanObjects> {
        Some(PlanObjects::of::<Arn>())
    }

    fn check_prohibition(&self, check: &Check<'_>, prohibition: &Prohibition) {
        if let Some(ProhibitedActions(actions)) = prohibition.what.get() {
            for action in actions {
                check.names(prohibition.at, action);
            }
        }
    }

    fn check(&self, check: &Check<'_>, grant: &Grant) {
        if let Some(rights) = grant.rights.get::<AwsGrant>() {
            check.aws(grant, rights);
        }
    }

    fn lint(&self, check: &Check<'_>, grant: &Grant) {
        if let Some(rights) = grant.rights.get::<AwsGrant>() {
            lints::look(check, grant, rights);
        }
    }
}

impl KindRights for AwsGrant {
    fn kind(&self) -> TargetKind {
        TargetKind::AWS
    }

    fn lines(&self) -> Vec<String> {
        self.allow
            .iter()
            .map(|statement| {
                let actions = list_of(statement.actions.iter().map(|it| it.0.as_str()));
                let resources = list_of(statement.resources.iter().map(|it| it.0.as_str()));
                let mut line = format!("{actions} on {resources}");
                if !statement.when.is_empty() {
                    line.push_str(&format!(", when {}", statement.when));
                }
                if let Some(why) = &statement.unnarrowed {
                    line.push_str(&format!(", whatever the plan changes ({why})"));
                }
                line
            })
            .chain((!self.except.is_empty()).then(|| {
                let except = list_of(self.except.iter().map(|it| it.0.as_str()));
                format!("none of {except}")
            }))
            .collect()
    }

    fn narrowed(&self, other: &Rights) -> Option<Rights> {
        let other: &Self = other.get()?;
        let allow: Vec<_> = self
            .allow
            .iter()
            .flat_map(|one| other.allow.iter().filter_map(move |two| one.narrowed(two)))
            .collect();
        let both = |one: &BTreeSet<ActionPattern>, two| one.union(two).cloned().collect();
        (!allow.is_empty()).then(|| {
            Self {
                allow,
                destructive: both(&self.destructive, &other.destructive),
                except: both(&self.except, &other.except),
                approved: both(&self.approved, &other.approved),
            }
            .into()
        })
    }

    fn joined(&self, other: &Rights) -> Option<Rights> {
        let other: &Self = other.get()?;
        let mut joined = self.clone();
        let new = other.allow.iter().filter(|more| !self.allow.contains(more));
        joined.allow.extend(new.cloned());
        joined.destructive.extend(other.destructive.iter().cloned());
        joined.except.extend(other.except.iter().cloned());
        joined.approved.extend(other.approved.iter().cloned());
        Some(joined.into())
    }

    fn beyond(&self, other: &Rights, prohibited: [&[Prohibition]; 2]) -> Vec<String> {
        match other.get::<Self>() {
            Some(other) => compare::beyond(self, other, prohibited),
            None => self.lines(),
        }
    }

    fn gives(&self, usage: &Usage) -> bool {
        let (action, resource) = (&usage.action, &usage.resource);
        let mut statements = self.allow.iter();
        usage.is_of_aws()
            && statements.any(|it| it.matches(action, resource, &usage.context))
            && !self.except.iter().any(|pattern| pattern.matches(action))
    }

    /// The session policy depends on the whole request.
    fn request(&self, _object: &str) -> Option<Value> {
        None
    }

    /// None: every session policy denies prohibited actions. The rules of the kind refuse a grant
    /// of which an action would be denied wholly.
    fn prohibited(&self, _what: &Prohibited) -> Vec<String> {
        Vec::new()
    }

    fn to_plan(&self, reach: &PlanReach) -> ToPlan {
        // A plan of another provider's resources, whose state is in S3.
        if Self::is_for_state(self) {
            return ToPlan::Narrowed(self.clone().into());
        }
        let arns = reach.of::<Arn>();
        match unnamed(&arns.unnamed, arns.named.is_empty()) {
            Some(why) => ToPlan::Whole(why),
            None => self.to_arns(&arns.named),
        }
    }

    fn is_for_state(&self) -> bool {
        Self::is_for_state(self)
    }

    fn withheld(&self, _narrowed: &Rights, reach: &PlanReach) -> Vec<String> {
        self.withholds(&reach.of::<Arn>().named)
    }

    fn lacking(&self, _narrowed: &Rights, reach: &PlanReach) -> Vec<String> {
        self.lacks(&reach.of::<Arn>().named)
    }

    fn changes_in_short(&self) -> String {
        let changing = self.allow.iter().filter(|statement| {
            let mut actions = statement.actions.iter();
            actions.any(|action| !only_reads(action, &statement.when))
        });
        let resources = changing.flat_map(|statement| &statement.resources);
        shortened(resources.map(ToString::to_string))
    }

    fn hands_on_approved(&self) -> bool {
        !self.approved.is_empty()
    }

    fn destructive(&self) -> &BTreeSet<ActionPattern> {
        &self.destructive
    }

    fn destroys(&self, usage: &Usage) -> Option<&ActionPattern> {
        let mut destructive = self.destructive.iter();
        destructive.find(|pattern| pattern.matches(&usage.action))
    }

    fn powers(&self) -> Vec<(String, String)> {
        let statements = self.allow.iter();
        let each = statements.flat_map(|statement| {
            let actions = statement.actions.iter();
            actions.map(move |action| (action, &statement.when))
        });
        each.filter_map(|(pattern, when)| {
            let (action, Power::Raises(how)) = power(self, pattern, when)? else {
                return None;
            };
            let through = if pattern.is_wild() {
                format!(" ({action})")
            } else {
                String::new()
            };
            Some((pattern.0.clone(), format!("{pattern}{through}: {how}")))
        })
        .collect()
    }

    fn grave(&self, unlisted: &BTreeSet<ActionPattern>) -> Option<String> {
        let statements = self.allow.iter();
        let mut each = statements.flat_map(|statement| {
            let actions = statement.actions.iter();
            actions.map(move |action| (action, &statement.when))
        });
        each.find_map(|(action, when)| {
            if let Some((found, _)) = power(self, action, when) {
                return Some(format!("can change who may do what ({found})"));
            }
            let mut named = unlisted.iter();
            let unlisted = named.any(|one| one.lower() == action.lower());
            unlisted.then(|| format!("does what nobody has looked at ({action})"))
        })
    }

    fn peril(&self) -> Option<(String, &'static str)> {
        self.allow
            .iter()
            .flat_map(|statement| &statement.actions)
            .find_map(|pattern| {
                let held = matched(&pattern.lower()).into_iter();
                let given = held.filter(|action| !self.denies(action));
                let mut why = given.filter_map(|action| {
                    let opens = action.opens_perimeter().then_some(OPENS_PERIMETER);
                    opens.or_else(|| action.deletes_state().then_some(DELETES_STATE))
                });
                Some((pattern.0.clone(), why.next()?))
            })
    }
}

/// An AWS session from STS.
#[derive(Debug)]
pub struct AwsCredential {
    /// The access key's id, which identifies the session and is not secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret<String>,
    /// The session token that STS issued.
    pub session_token: Secret<String>,
    /// The region in the target's configuration.
    pub region: String,
}

impl CredentialForm for AwsCredential {
    fn kind(&self) -> TargetKind {
        TargetKind::AWS
    }

    fn values(&self) -> Vec<(&str, String)> {
        vec![
            ("access_key_id", self.access_key_id.clone()),
            ("region", self.region.clone()),
        ]
    }

    fn secrets(&self) -> Vec<(&str, &Secret<String>)> {
        vec![
            ("secret_access_key", &self.secret_access_key),
            ("session_token", &self.session_token),
        ]
    }
}
