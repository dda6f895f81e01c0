//! Conversions of the messages in task.proto: tasks and reports.

use lanyard_charter::Version;
use lanyard_core::action::{Outcome, Report, Reporter};
use lanyard_core::task::Task;
use lanyard_vocabulary::lineage::Above;

use crate::stored::{Stored, enumerations, messages};
use crate::unread::Unread;
use crate::v1;
use crate::v1::reporter::By;

enumerations! {
    Outcome => ActionOutcome { Started, Succeeded, Failed, RolledBack }
}

messages! {
    Task => Task {
        one id, one charter, one revision, one environment, one agent, req identity, usual evidence,
        opt sponsor, one reason, opt ticket, opt version, many lineage, one opened, one expires,
    }
    Version => AgentBuild { one model, opt prompt }
    Above => TaskAbove { one task, one charter, one agent, opt identity }
    Report => Report {
        one action, one task, opt lease, one tool, one name, one on, one outcome, one detail, req by,
        opt delivery,
    }
}

impl Stored for Reporter {
    type Wire = v1::Reporter;

    fn store(&self) -> v1::Reporter {
        let by = match self {
            Self::Agent(identity) => By::Agent(identity.store()),
            Self::Holder => By::Holder(v1::Unit {}),
            Self::Webhook(name) => By::Webhook(name.clone()),
        };
        v1::Reporter { by: Some(by) }
    }

    fn restore(wire: v1::Reporter) -> Result<Self, Unread> {
        Ok(match wire.by {
            Some(By::Agent(identity)) => Self::Agent(Stored::restore(identity)?),
            Some(By::Holder(v1::Unit {})) => Self::Holder,
            Some(By::Webhook(name)) => Self::Webhook(name),
            None => return Err(Unread::choice("Reporter.by")),
        })
    }
}
