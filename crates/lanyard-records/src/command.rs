//! Records and commands.

use lanyard_core::command::{Command, Record};

use crate::stored::{Stored, put, take};
use crate::unread::Unread;
use crate::v1;

impl Stored for Record {
    type Wire = v1::Record;

    fn store(&self) -> v1::Record {
        v1::Record {
            at: self.at.store(),
            command: Some(self.command.store()),
        }
    }

    fn restore(wire: v1::Record) -> Result<Self, Unread> {
        Ok(Self {
            at: take::one(wire.at, "Record.at")?,
            command: take::req(wire.command, "Record.command")?,
        })
    }
}

/// The kinds of record: those with a message of their own name and fields, and those that hold a
/// part that other records hold too.
macro_rules! kinds {
    (
        $($kind:ident { $($how:ident $field:ident),* $(,)? })*
        ; $($holder:ident),* $(,)?
    ) => {
        impl Stored for Command {
            type Wire = v1::record::Command;

            fn store(&self) -> Self::Wire {
                match self {
                    $(Self::$kind { $($field),* } => {
                        v1::record::Command::$kind(v1::$kind { $($field: put::$how($field)),* })
                    })*
                    $(Self::$holder(part) => v1::record::Command::$holder(part.store()),)*
                }
            }

            fn restore(wire: Self::Wire) -> Result<Self, Unread> {
                Ok(match wire {
                    $(v1::record::Command::$kind(wire) => Self::$kind {$(
                        $field: take::$how(
                            wire.$field,
                            concat!(stringify!($kind), ".", stringify!($field)),
                        )?
                    ),*},)*
                    $(v1::record::Command::$holder(part) => Self::$holder(Stored::restore(part)?),)*
                })
            }
        }
    };
}

kinds! {
    CharterInForce { one charter, one revision, many breakers }
    CharterWithdrawn { one charter, one reason }
    OpenTask { req task, opt request }
    CloseTask { one task }
    Deny {
        one decision, req identity, one agent, opt task, opt environment, opt grant, usual asked,
        req denial,
    }
    DenyMore { opt agent, opt charter, one rule, one since, one count }
    ConfirmMint { one lease, one expires, opt handle }
    Outlives { one lease, one until }
    Delivered { many leases }
    Stop { many leases, req cause }
    Advance { many progress }
    Forget { many leases }
    SubmitPlan { req plan, opt requirement, req requests }
    Approve { one approval, one digest, req operator, one comment, one acknowledged }
    Reject { one approval, req operator, one reason }
    Withdraw { one approval, req by, one reason }
    WithdrawKill { one kill, req by, one reason }
    Resume { one pause, req by, one reason }
    EndEmergency { one charter, req by, one reason }
    ConfirmRearm { one rearm, one kill, req by, opt despite }
    Observe { one target, req what }
    Started { one version }
    ;
    BeginMint, Recognize, Kill, Pause, DeclareEmergency, Report, Alert, ProposeRearm, BeginSession,
    Enrolment, Drill, Clock, Accept, SigningKey,
}
