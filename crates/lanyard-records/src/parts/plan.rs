//! Conversions of the messages in plan.proto: plans.

use lanyard_charter::plan::PlanFormat;
use lanyard_charter::reach::{
    Effects, Named, Narrowing, PlanObject, PlanReach, Reached, RecordedReach, Sensitive,
};
use lanyard_charter::{Arn, KubernetesObject};
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

/// The version of the forms that this file writes.
const VERSION: u32 = 1;

/// A kind of target that has a message in plan.proto.
struct OwnMessage {
    kind: &'static str,
    store: fn(&Reached) -> Option<Vec<u8>>,
    restore: fn(&[u8]) -> Result<Reached, Unread>,
}

impl OwnMessage {
    const fn of<T>() -> Self
    where
        T: PlanObject,
        Named<T>: Stored<Wire: Message + Default>,
    {
        Self {
            kind: T::KIND.as_str(),
            store: |reached| Some(reached.get::<Named<T>>()?.store().encode_to_vec()),
            restore: |bytes| {
                let message = Message::decode(bytes);
                let message = message.map_err(|error| Unread::Malformed(error.to_string()))?;
                Ok(Named::<T>::restore(message)?.into())
            },
        }
    }
}

/// The kinds with a message. A record holds JSON for each other kind, so that a program which does
/// not know the kind can read the record.
const OWN_MESSAGES: &[OwnMessage] = &[
    OwnMessage::of::<Arn>(),
    OwnMessage::of::<KubernetesObject>(),
];

fn own_message(kind: &str) -> Option<&'static OwnMessage> {
    OWN_MESSAGES.iter().find(|own| own.kind == kind)
}

impl Stored for PlanReach {
    type Wire = v1::PlanReach;

    fn store(&self) -> v1::PlanReach {
        v1::PlanReach {
            kinds: self.parts().map(Stored::store).collect(),
        }
    }

    fn restore(wire: v1::PlanReach) -> Result<Self, Unread> {
        wire.kinds.into_iter().map(Reached::restore).collect()
    }
}

impl Stored for Reached {
    type Wire = v1::OfKind;

    fn store(&self) -> v1::OfKind {
        let form = own_message(self.kind()).and_then(|own| (own.store)(self));
        let json = form.is_none().then(|| self.recorded().to_json());
        v1::OfKind {
            kind: self.kind().to_owned(),
            version: VERSION,
            form: form.unwrap_or_default(),
            json: json.unwrap_or_default(),
        }
    }

    fn restore(wire: v1::OfKind) -> Result<Self, Unread> {
        let v1::OfKind {
            kind,
            version,
            form,
            json,
        } = wire;
        if version == VERSION && !json.is_empty() {
            let recorded = RecordedReach::read(&kind, &json);
            return recorded
                .map(Into::into)
                .map_err(|error| Unread::Malformed(error.to_string()));
        }
        match own_message(&kind).filter(|_| version == VERSION) {
            Some(own) => (own.restore)(&form),
            None => Err(Unread::Value {
                field: "PlanReach.kinds",
                value: format!("version {version} of the kind `{kind}`"),
            }),
        }
    }
}
