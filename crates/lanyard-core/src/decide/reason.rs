//! The codes that a program branches on, of every answer but yes.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($(#[doc = $doc:literal] $name:ident = $text:literal,)*) => {
        /// The reason why a request was not allowed, for programs: a code is never renamed, and
        /// never means anything else later.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum ReasonCode {$(
            #[doc = $doc]
            #[serde(rename = $text)]
            $name,
        )*}

        impl ReasonCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the code as text, such as `MINT_RATE`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The meaning of the code, in a sentence.
            #[must_use]
            pub fn summary(self) -> &'static str {
                let said: &'static str = match self {
                    $(Self::$name => $doc,)*
                };
                said.trim()
            }
        }
    };
}

codes! {
    /// No charter of that name is in force for the caller.
    NotInForce = "NOT_IN_FORCE",
    /// The charter does not name the agent so.
    Agent = "AGENT_NOT_NAMED",
    /// The environment is not in the charter.
    Environment = "ENVIRONMENT_NOT_NAMED",
    /// The autonomy of the environment allows plan alone.
    Autonomy = "AUTONOMY",
    /// No grant gives this.
    Grant = "NO_GRANT",
    /// The charter is in shadow.
    Shadow = "SHADOW",
    /// The task does not state what it has to.
    Requires = "NOT_STATED",
    /// The charter has ended.
    Expired = "CHARTER_ENDED",
    /// A freeze of the calendar holds.
    Frozen = "FROZEN",
    /// The request comes outside of the hours.
    OutOfHours = "OUT_OF_HOURS",
    /// The terms of an emergency are not met.
    Emergency = "EMERGENCY",
    /// A charter above does not delegate this.
    Delegates = "NOT_DELEGATED",
    /// The version of the agent is not listed.
    Version = "VERSION_NOT_LISTED",
    /// The charter prohibits this.
    Prohibited = "PROHIBITED",
    /// The grant takes a plan.
    PlanRequired = "PLAN_REQUIRED",
    /// A policy denies the plan, or has not judged it.
    Policy = "POLICY",
    /// The approval that is asked for can be given by nobody.
    NobodyApproves = "NOBODY_CAN_APPROVE",
    /// The person on whose behalf the agent acts is unknown.
    Sponsor = "SPONSOR_UNKNOWN",
    /// More is asked for than a limit of the charter lets one credential have.
    Limit = "LIMIT",
    /// The task has ended.
    TaskEnded = "TASK_ENDED",
    /// A kill order stops this.
    Killed = "KILL_ENGAGED",
    /// A pause stops this.
    Paused = "PAUSED",
    /// A breaker has tripped.
    BreakerTripped = "BREAKER_TRIPPED",
    /// People have to approve, and no plan was submitted to them.
    ApprovalRequired = "APPROVAL_REQUIRED",
    /// People have not approved yet.
    ApprovalPending = "APPROVAL_PENDING",
    /// People have denied the approval.
    ApprovalDenied = "APPROVAL_DENIED",
    /// The approval is spent, over, or carries another lease at present.
    ApprovalUnusable = "APPROVAL_UNUSABLE",
    /// The charter's `limits.live_leases` is reached.
    LiveLeases = "LIVE_LEASES",
    /// The charter's `limits.mints` is reached.
    MintRate = "MINT_RATE",
    /// The task has had what `limits.budget` gives it.
    BudgetSpent = "BUDGET_SPENT",
    /// The charter's `limits.approval_requests.open` is reached.
    OpenRequests = "OPEN_REQUESTS",
    /// People said no, and `limits.approval_requests.cooldown` is not over.
    CoolingDown = "COOLING_DOWN",
    /// The agent, or everybody, has as many tasks open as there may be.
    OpenTasks = "OPEN_TASKS",
    /// The task has submitted all the plans that it may.
    Plans = "PLANS_PER_TASK",
    /// The agent, or everybody, causes records too fast.
    RecordRate = "RECORD_RATE",
    /// A number is reached, and the record does not say which.
    Quota = "QUOTA",
}

impl ReasonCode {
    /// The code of this name, in capitals or not.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|code| code.as_str().eq_ignore_ascii_case(name))
    }

    /// Tells if the same request can be allowed later, with nothing changed but the time or what
    /// else is out.
    #[must_use]
    pub const fn is_for_now(self) -> bool {
        matches!(
            self,
            Self::Frozen
                | Self::OutOfHours
                | Self::Paused
                | Self::BreakerTripped
                | Self::LiveLeases
                | Self::MintRate
                | Self::OpenRequests
                | Self::CoolingDown
                | Self::OpenTasks
                | Self::RecordRate
                | Self::Quota
        )
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
