//! Emergencies: declared by a person, and ended by a person or by time.

use std::sync::Arc;

use lanyard_core::command::Command;
use lanyard_core::emergency::Emergency;
use lanyard_core::ledger::CommitError;
use lanyard_core::state::Refusal;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::person::Person;

use crate::context::Context;

/// Declares and ends emergencies.
pub struct Emergencies {
    pub(crate) context: Arc<Context>,
}

impl Emergencies {
    /// Declares an emergency on the terms of the charter in force.
    ///
    /// # Errors
    /// As of the ledger. A charter that is not in force, or has no such terms, is unknown.
    pub async fn declare(
        &self,
        charter: &Name,
        by: &Person,
        reason: String,
    ) -> Result<Emergency, CommitError> {
        let found = self.context.charters.in_force(charter);
        let rule = found.as_ref().and_then(|found| found.emergency.as_ref());
        let rule = rule.ok_or_else(|| {
            let what = format!("charter {charter} with terms for an emergency");
            CommitError::Refused(Refusal::Unknown(what))
        })?;
        let emergency = Emergency {
            charter: charter.clone(),
            by: by.clone(),
            reason,
            at: self.context.now(),
            until: self.context.now() + rule.lasts,
        };
        let declare = Command::DeclareEmergency(Box::new(emergency.clone()));
        self.context.commit(declare).await?;
        tracing::warn!(%charter, by = %emergency.by, until = %emergency.until, "an emergency is declared");
        Ok(emergency)
    }

    /// Ends an emergency early. Credentials issued under it end at their own time.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn end(
        &self,
        charter: &Name,
        by: &Identity,
        reason: String,
    ) -> Result<(), CommitError> {
        let (charter, by) = (charter.clone(), by.clone());
        let end = Command::EndEmergency {
            charter,
            by,
            reason,
        };
        self.context.commit(end).await.map(drop)
    }
}
