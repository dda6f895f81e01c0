//! The engine: the assembly of its parts. What a part does stands in the file of the part, and no
//! part holds the engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use lanyard_core::judge::Judge;
use lanyard_core::ledger::{Ledger, look};
use lanyard_core::provider::Provider;
use lanyard_core::spool::KillSpool;
use lanyard_core::state::State;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::acceptance::Acceptances;
use crate::actions::Actions;
use crate::activity::Activity;
use crate::approvals::Approvals;
use crate::broker_clock::BrokerClock;
use crate::charters::Charters;
use crate::clock::{Clock, Randomness};
use crate::condition::Conditions;
use crate::context::Context;
use crate::decisions::Decisions;
use crate::deliveries::Deliveries;
use crate::denials::DenialMeter;
use crate::drill::Drills;
use crate::emergency::Emergencies;
use crate::expiry::Expiry;
use crate::gate::SharedGate;
use crate::inspect::Inspection;
use crate::kill::Kills;
use crate::mint::{Minting, Mints};
use crate::pause::Pauses;
use crate::plans::Plans;
use crate::reach::Scopes;
use crate::rearm::Rearms;
use crate::records::{RecordLimits, RecordMeter};
use crate::requests::Requests;
use crate::revoke::Revoker;
use crate::strays::Reconciler;
use crate::targets::Targets;
use crate::tasks::Tasks;

/// The ports and settings of an engine.
pub struct Parts {
    /// The ledger, which makes commands durable.
    pub ledger: Arc<dyn Ledger>,
    /// The providers by target.
    pub providers: BTreeMap<Name, Arc<dyn Provider>>,
    /// In force, and remembered.
    pub charters: Arc<Charters>,
    /// Reads plans and asks policies.
    pub judge: Arc<dyn Judge>,
    /// The source of time.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub randomness: Arc<dyn Randomness>,
    /// The configured names over identities: an identity that is not here is its own name.
    pub agents: BTreeMap<Identity, AgentName>,
    /// Keeps kill orders that the journal does not take.
    pub spool: Arc<dyn KillSpool>,
    /// The time for which the plan role has to have been issued again before a re-arm of the apply
    /// role.
    pub rearm_soak: Duration,
    /// The most records that identities may cause.
    pub records: RecordLimits,
}

/// Mints, releases, expires, revokes, recovers: each by a part of its own.
pub struct Engine {
    pub(crate) context: Arc<Context>,
    pub(crate) kills: Arc<Kills>,
    acceptances: Acceptances,
    actions: Actions,
    approvals: Approvals,
    clock: BrokerClock,
    pub(crate) deliveries: Arc<Deliveries>,
    drills: Drills,
    emergencies: Emergencies,
    pub(crate) expiry: Arc<Expiry>,
    inspection: Inspection,
    mints: Arc<Mints>,
    pauses: Pauses,
    plans: Plans,
    rearms: Rearms,
    pub(crate) reconciler: Arc<Reconciler>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) revoker: Arc<Revoker>,
    scopes: Arc<Scopes>,
    tasks: Arc<Tasks>,
}

impl Engine {
    /// Puts the parts together. Nothing runs yet.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            ledger,
            providers,
            charters,
            judge,
            clock,
            randomness,
            agents,
            spool,
            rearm_soak,
            records,
        } = parts;
        let opened = look(ledger.as_ref(), State::checkpoint);
        let context = Arc::new(Context {
            conditions: Conditions::new(Arc::clone(&ledger), Arc::clone(&clock)),
            ledger,
            targets: Targets::new(providers, Arc::clone(&clock)),
            charters,
            agents,
            clock,
            randomness,
            activity: Activity::default(),
            timed_from: AtomicU64::new(opened.records.0),
            housekeeping: Notify::new(),
            changes: watch::channel(0).0,
        });
        let decisions = Arc::new(Decisions {
            context: Arc::clone(&context),
            judge,
        });
        let requests = Arc::new(Requests {
            context: Arc::clone(&context),
            records: RecordMeter::new(records),
            denials: DenialMeter::default(),
        });
        let gate = SharedGate::default();
        let deliveries = Arc::new(Deliveries::new(Arc::clone(&context), Arc::clone(&gate)));
        let minting = Arc::new(Minting::default());
        let mints = Arc::new(Mints {
            context: Arc::clone(&context),
            decisions: Arc::clone(&decisions),
            requests: Arc::clone(&requests),
            deliveries: Arc::clone(&deliveries),
            minting: Arc::clone(&minting),
            prepared: AtomicU64::new(0),
            running: Mutex::default(),
        });
        let scopes = Arc::new(Scopes {
            context: Arc::clone(&context),
        });
        let kills = Arc::new(Kills {
            context: Arc::clone(&context),
            scopes: Arc::clone(&scopes),
            gate,
            spool,
            swept: Mutex::default(),
        });
        let reconciler = Arc::new(Reconciler {
            context: Arc::clone(&context),
            kills: Arc::clone(&kills),
            opened,
            missing: Mutex::default(),
        });
        let tasks = Arc::new(Tasks {
            context: Arc::clone(&context),
            decisions: Arc::clone(&decisions),
            requests: Arc::clone(&requests),
        });
        Arc::new(Self {
            acceptances: Acceptances {
                context: Arc::clone(&context),
            },
            actions: Actions {
                context: Arc::clone(&context),
                requests: Arc::clone(&requests),
            },
            approvals: Approvals {
                context: Arc::clone(&context),
                requests: Arc::clone(&requests),
            },
            clock: BrokerClock {
                context: Arc::clone(&context),
            },
            deliveries,
            drills: Drills {
                context: Arc::clone(&context),
                tasks: Arc::clone(&tasks),
                mints: Arc::clone(&mints),
                kills: Arc::clone(&kills),
            },
            emergencies: Emergencies {
                context: Arc::clone(&context),
            },
            expiry: Arc::new(Expiry {
                context: Arc::clone(&context),
            }),
            inspection: Inspection {
                context: Arc::clone(&context),
            },
            mints,
            pauses: Pauses {
                context: Arc::clone(&context),
            },
            plans: Plans {
                context: Arc::clone(&context),
                decisions,
                requests: Arc::clone(&requests),
                tasks: Arc::clone(&tasks),
                submitting: Mutex::default(),
            },
            rearms: Rearms {
                context: Arc::clone(&context),
                scopes: Arc::clone(&scopes),
                kills: Arc::clone(&kills),
                soak: rearm_soak,
            },
            reconciler,
            requests,
            revoker: Arc::new(Revoker::new(Arc::clone(&context), minting)),
            scopes,
            tasks,
            kills,
            context,
        })
    }

    /// Returns the part that lifts reasons to issue nothing.
    #[must_use]
    pub fn acceptances(&self) -> &Acceptances {
        &self.acceptances
    }

    /// Returns the part that records what tools did with credentials.
    #[must_use]
    pub fn actions(&self) -> &Actions {
        &self.actions
    }

    /// Returns the numbers since the start.
    #[must_use]
    pub fn activity(&self) -> &Activity {
        &self.context.activity
    }

    /// Returns the configured names of agents, by their identities.
    #[must_use]
    pub fn agents(&self) -> &BTreeMap<Identity, AgentName> {
        &self.context.agents
    }

    /// Returns the part that records what people decide about plans.
    #[must_use]
    pub fn approvals(&self) -> &Approvals {
        &self.approvals
    }

    /// Returns the charters in force.
    #[must_use]
    pub fn charters(&self) -> &Charters {
        &self.context.charters
    }

    /// Returns the part that knows what time it is, here and at the targets.
    #[must_use]
    pub fn clock(&self) -> &BrokerClock {
        &self.clock
    }

    /// Returns the conditions: whether the broker issues, and why not.
    #[must_use]
    pub fn conditions(&self) -> &Conditions {
        &self.context.conditions
    }

    /// Returns what all parts share: reading the state, and commands to the ledger.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Returns the part that releases secrets and records which were handed over.
    #[must_use]
    pub fn deliveries(&self) -> &Deliveries {
        &self.deliveries
    }

    /// Returns the part that holds drills.
    #[must_use]
    pub fn drills(&self) -> &Drills {
        &self.drills
    }

    /// Returns the part that declares and ends emergencies.
    #[must_use]
    pub fn emergencies(&self) -> &Emergencies {
        &self.emergencies
    }

    /// Returns the part that ends leases and tasks.
    #[must_use]
    pub fn expiry(&self) -> &Expiry {
        &self.expiry
    }

    /// Returns the part that checks how grants are set up at their targets.
    #[must_use]
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// Returns the part that engages and sweeps kill orders, and reports on them.
    #[must_use]
    pub fn kills(&self) -> &Kills {
        &self.kills
    }

    /// Returns the part that issues credentials.
    #[must_use]
    pub fn mints(&self) -> &Arc<Mints> {
        &self.mints
    }

    /// Returns the part that pauses and resumes.
    #[must_use]
    pub fn pauses(&self) -> &Pauses {
        &self.pauses
    }

    /// Returns the part that takes plans in.
    #[must_use]
    pub fn plans(&self) -> &Plans {
        &self.plans
    }

    /// Returns the targets and the providers that serve them.
    #[must_use]
    pub fn providers(&self) -> &BTreeMap<Name, Arc<dyn Provider>> {
        &self.context.targets.providers
    }

    /// Returns the part that lifts kill orders.
    #[must_use]
    pub fn rearms(&self) -> &Rearms {
        &self.rearms
    }

    /// Returns the part that compares targets and checkpoints with the ledger.
    #[must_use]
    pub fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    /// Returns the part that counts the records of identities, and journals denials.
    #[must_use]
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Returns the part that revokes what is stopped.
    #[must_use]
    pub fn revoker(&self) -> &Revoker {
        &self.revoker
    }

    /// Returns the part that knows what orders over a scope reach.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Returns the part that opens and closes tasks.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}
