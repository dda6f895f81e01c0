//! Conversions of the messages in plan.proto: plans.

use lanyard_charter::plan::PlanFormat;
use lanyard_charter::reach::{
    Arn, Effects, KubernetesObject, Named, Narrowing, PlanReach, Sensitive,
};
use lanyard_core::plan::{Judgement, Plan, Rehearsal};
use prost::Message;

use crate::stored::{Stored, enumerations, messages};
use crate::unread::Unread;
use crate::v1;
use crate::v1::rehearsal;

enumerations! {
    PlanFormat => PlanFormat { TerraformJson, Manifests, ManifestDiff, Text }
}

messages! {
    Plan => Plan {
        one id, one task, one grant, opt namespace, one format, one digest, one size, one summary,
        many destructive, usual effects, opt rehearsed, usual sensitive, opt beyond, opt counted,
        opt reach, opt narrowing, opt rehearsal, many judgements, one submitted, opt approval,
    }
    Effects => Effects {
        one created, one updated, one replaced, one destroyed, one forgotten, one imported,
        one moved,
    }
    Sensitive => Sensitive { one count, many names }
    Narrowing => Narrowing { many gives, many withholds, many lacks }
    Judgement => Judgement {
        one policies, many denied, many warned, one risk, many reasons, one people, many groups,
    }
    Named<Arn> => AwsReach { many named, many unnamed }
    Arn => Arn { opt partition, one service, opt region, opt account, one resource }
    Named<KubernetesObject> => KubernetesReach { many named, many unnamed }
    KubernetesObject => KubernetesObject {
        one group, one resource, one namespace, one name, one created,
    }
}

impl Stored for Rehearsal {
    type Wire = v1::Rehearsal;

    fn store(&self) -> v1::Rehearsal {
        let rehearsal = match self {
            Self::Done(digest) => rehearsal::Rehearsal::Done(digest.store()),
            Self::Not(why) => rehearsal::Rehearsal::Not(why.clone()),
        };
        v1::Rehearsal {
            rehearsal: Some(rehearsal),
        }
    }

    fn restore(wire: v1::Rehearsal) -> Result<Self, Unread> {
        Ok(match wire.rehearsal {
            Some(rehearsal::Rehearsal::Done(digest)) => Self::Done(Stored::restore(digest)?),
            Some(rehearsal::Rehearsal::Not(why)) => Self::Not(why),
            None => return Err(Unread::choice("Rehearsal.rehearsal")),
        })
    }
}

const AWS: &str = "aws";
const KUBERNETES: &str = "kubernetes";
/// The version of the forms that this file writes.
const VERSION: u32 = 1;

impl Stored for PlanReach {
    type Wire = v1::PlanReach;

    fn store(&self) -> v1::PlanReach {
        let Self { aws, kubernetes } = self;
        let kinds = [
            (*aws != Named::default()).then(|| of_kind(AWS, &aws.store())),
            (*kubernetes != Named::default()).then(|| of_kind(KUBERNETES, &kubernetes.store())),
        ];
        v1::PlanReach {
            kinds: kinds.into_iter().flatten().collect(),
        }
    }

    fn restore(wire: v1::PlanReach) -> Result<Self, Unread> {
        let mut reach = Self::default();
        for part in wire.kinds {
            match (part.kind.as_str(), part.version) {
                (AWS, VERSION) => reach.aws = Stored::restore(form(&part.form)?)?,
                (KUBERNETES, VERSION) => reach.kubernetes = Stored::restore(form(&part.form)?)?,
                (kind, version) => {
                    return Err(Unread::Value {
                        field: "PlanReach.kinds",
                        value: format!("version {version} of the kind `{kind}`"),
                    });
                }
            }
        }
        Ok(reach)
    }
}

fn of_kind(kind: &str, form: &impl Message) -> v1::OfKind {
    v1::OfKind {
        kind: kind.to_owned(),
        version: VERSION,
        form: form.encode_to_vec(),
    }
}

fn form<M: Message + Default>(bytes: &[u8]) -> Result<M, Unread> {
    M::decode(bytes).map_err(|error| Unread::Malformed(error.to_string()))
}
