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

/// The kinds of record: those with a message of their own and its fields, and those that hold a
/// part that other records hold too. A message keeps its name, since the journal has it; a command
/// may have another one.
macro_rules! kinds {
    (
        $($kind:ident => $wire:ident { $($how:ident $field:ident),* $(,)? })*
        ; $($holder:ident),* $(,)?
    ) => {
        impl Stored for Command {
            type Wire = v1::record::Command;

            fn store(&self) -> Self::Wire {
                match self {
                    $(Self::$kind { $($field),* } => {
                        v1::record::Command::$wire(v1::$wire { $($field: put::$how($field)),* })
                    })*
                    $(Self::$holder(part) => v1::record::Command::$holder(part.store()),)*
                }
            }

            fn restore(wire: Self::Wire) -> Result<Self, Unread> {
                Ok(match wire {
                    $(v1::record::Command::$wire(message) => Self::$kind {$(
                        $field: take::$how(
                            message.$field,
                            concat!(stringify!($wire), ".", stringify!($field)),
                        )?
                    ),*},)*
                    $(v1::record::Command::$holder(part) => Self::$holder(Stored::restore(part)?),)*
                })
            }
        }
    };
}

kinds! {
    CharterInForce => CharterInForce { one charter, one revision, many breakers }
    CharterWithdrawn => CharterWithdrawn { one charter, one reason }
    OpenTask => OpenTask { req task, opt request }
    CloseTask => CloseTask { one task }
    Deny => Deny {
        one decision, req identity, one agent, opt task, opt environment, opt grant, usual asked,
        req denial,
    }
    DenialsSuppressed => DenyMore { opt agent, opt charter, one rule, one since, one count }
    ConfirmMint => ConfirmMint { one lease, one expires, opt handle }
    ExpiryExtended => Outlives { one lease, one until }
    Delivered => Delivered { many leases }
    Stop => Stop { many leases, req cause }
    Advance => Advance { many progress }
    Forget => Forget { many leases }
    SubmitPlan => SubmitPlan { req plan, opt requirement, req requests }
    Approve => Approve { one approval, one digest, req operator, one comment, one acknowledged }
    Reject => Reject { one approval, req operator, one reason }
    Withdraw => Withdraw { one approval, req by, one reason }
    WithdrawKill => WithdrawKill { one kill, req by, one reason }
    Resume => Resume { one pause, req by, one reason }
    EndEmergency => EndEmergency { one charter, req by, one reason }
    ConfirmRearm => ConfirmRearm { one rearm, one kill, req by, opt despite }
    Observe => Observe { one target, req what }
    Started => Started { one version }
    ;
    BeginMint, Recognize, Kill, Pause, DeclareEmergency, Report, Alert, ProposeRearm, BeginSession,
    Enrolment, Drill, Clock, Accept, SigningKey,
}
