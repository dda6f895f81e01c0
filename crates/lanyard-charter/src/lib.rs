//! Charters: what an agent may do, which systems it may reach, which outcomes are prohibited, and
//! what people must approve.
//!
//! A file in the language of charters becomes a [`Charter`], or every fault of it in one run
//! ([`parse`]). Beside the model stand its lints, the semantic difference of two charters
//! ([`diff`]), the narrowing of rights to what two charters allow or a plan touches, and the facts
//! about AWS actions that lints and narrowing rest on. What a charter says of one request is
//! decided elsewhere.

mod agent;
mod aws;
mod breaker;
mod calendar;
mod charter;
mod configuration;
mod diff;
pub mod kinds;
mod kubernetes;
mod language;
mod narrow;
mod of_kind;
mod pattern;
mod places;
pub mod plan;
pub mod policy;
mod prohibited_actions;
mod prohibition;
mod rates;
pub mod reach;
pub mod requirement;
mod rights;
mod section;
mod target_kind;
mod usage;
mod version;
mod world;

pub use agent::{AgentRule, SubjectPattern};
pub use aws::{
    ActionPattern, Arn, AwsGrant, AwsStatement, ConditionKey, Conditions, Kind, ResourcePattern,
    Test, iam_beyond, identity_refused, unlisted_action,
};
pub use breaker::{Breaker, BreakerRule, EVENTS, Event, PERS, Per, THENS, Then};
pub use calendar::{End, Freeze, Hours, Outside};
pub use charter::{
    ApprovalRule, Autonomy, Budget, Charter, EmergencyRule, Grant, Limits, Mode, Owners, PlanRule,
    Policy, RequestLimits, Stated,
};
pub use configuration::environments_shape;
pub use diff::{Change, Effect, diff};
pub use kinds::{
    Access, GitHubGrant, MAX_REPOSITORIES_PER_TOKEN, ProhibitedActions, ProhibitedRequests,
    TokenGrant, VaultGives, VaultGrant, policy_rule, policy_rule_shape,
};
pub use kubernetes::{KubernetesGrant, KubernetesObject, KubernetesRights, PolicyRule};
pub use language::{
    NoPolicies, Parsed, PolicyFiles, description, is_charter_file, parse, parse_with,
};
pub use of_kind::{OfKind, Typed};
pub use pattern::{pattern_contains, wildcard_matches};
pub use prohibition::{KindProhibition, Prohibited, Prohibition};
pub use rates::{Rate, Rates};
pub use rights::{Held, KindRights, Rights, ToPlan, unnamed};
pub use target_kind::TargetKind;
pub use usage::Usage;
pub use version::{Version, VersionRule};
pub use world::{
    Check, ENVIRONMENT_KINDS, EnvironmentKind, GrantKind, MoreKinds, ProhibitedSection, Starter,
    World, account_of, partition_of,
};
