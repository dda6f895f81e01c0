//! Kill orders for the wire.

use lanyard_core::kill::EngagedOrder;
use lanyard_proto::v1;
use lanyard_vocabulary::scope::{RoleFilter, Scope};

use super::time;

/// The order, without a look at what has the name that the order is over.
pub(super) fn message(engaged: &EngagedOrder) -> v1::KillOrder {
    use v1::scope::Kind;
    let kind = match &engaged.order.scope {
        Scope::All => Kind::All(true),
        Scope::Environment(name) => Kind::Environment(name.to_string()),
        Scope::Target(name) => Kind::Target(name.to_string()),
        Scope::Charter(name) => Kind::Charter(name.to_string()),
        Scope::Agent(name) => Kind::Agent(name.0.clone()),
        Scope::Task(id) => Kind::TaskId(id.to_string()),
        Scope::Lease(id) => Kind::LeaseId(id.to_string()),
    };
    let roles = match engaged.order.roles {
        RoleFilter::Both => v1::RoleFilter::Both,
        RoleFilter::ApplyOnly => v1::RoleFilter::ApplyOnly,
    };
    v1::KillOrder {
        id: engaged.order.id.to_string(),
        scope: Some(v1::Scope { kind: Some(kind) }),
        roles: roles.into(),
        reason: engaged.order.reason.clone(),
        engaged_by: engaged.order.by.to_string(),
        engage_time: time(engaged.order.at),
        lifted: engaged.lifted.as_str().to_owned(),
        evidence: engaged.order.evidence.iter().map(|seq| seq.0).collect(),
        drill: engaged.order.is_drill(),
        reaches_nothing: false,
    }
}
