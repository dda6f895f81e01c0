//! Conversions of the messages in signing_key.proto: changes of the signing keys.

use lanyard_core::signing_key::SigningKeyStep;

use crate::stored::{Stored, put, take};
use crate::unread::Unread;
use crate::v1;
use crate::v1::signing_key_step::Step;

impl Stored for SigningKeyStep {
    type Wire = v1::SigningKeyStep;

    fn store(&self) -> v1::SigningKeyStep {
        let step = match self {
            Self::Make {
                kid,
                signs_from,
                by,
                reason,
            } => Step::Make(v1::SigningKeyMade {
                kid: put::one(kid),
                signs_from: put::one(signs_from),
                by: put::opt(by),
                reason: put::one(reason),
            }),
            Self::Revoke { kid, by, reason } => Step::Revoke(v1::SigningKeyRevoked {
                kid: put::one(kid),
                by: put::req(by),
                reason: put::one(reason),
            }),
        };
        v1::SigningKeyStep { step: Some(step) }
    }

    fn restore(wire: v1::SigningKeyStep) -> Result<Self, Unread> {
        Ok(match wire.step {
            Some(Step::Make(wire)) => Self::Make {
                kid: take::one(wire.kid, "SigningKeyMade.kid")?,
                signs_from: take::one(wire.signs_from, "SigningKeyMade.signs_from")?,
                by: take::opt(wire.by, "SigningKeyMade.by")?,
                reason: take::one(wire.reason, "SigningKeyMade.reason")?,
            },
            Some(Step::Revoke(wire)) => Self::Revoke {
                kid: take::one(wire.kid, "SigningKeyRevoked.kid")?,
                by: take::req(wire.by, "SigningKeyRevoked.by")?,
                reason: take::one(wire.reason, "SigningKeyRevoked.reason")?,
            },
            None => return Err(Unread::choice("SigningKeyStep.step")),
        })
    }
}
