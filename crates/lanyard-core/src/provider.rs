//! The port to one kind of target.
//!
//! A provider renders, mints, revokes and probes. A provider decides nothing, keeps no record and
//! never retries a mint, because only the ledger knows whether a credential may exist.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::kinds::Credential;
use lanyard_charter::{ActionPattern, Prohibition, Rights};
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{LeaseId, TaskId};
use lanyard_vocabulary::identity::{Confirmation, Identity};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::{Skew, Timestamp};
use serde::{Deserialize, Serialize};

use crate::checkpoint::JournalCheckpoint;
use crate::decide::Permit;
use crate::lease::{Handle, LeaseRef};
use crate::plan::Plan;
use crate::task::Task;

/// The guarantees of a provider about the credentials it issues. Each provider names the vendor's
/// page that its numbers rest on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The name of the provider's kind, such as `token`.
    pub provider: &'static str,
    /// The time for which new requests may still succeed after the provider acknowledged a
    /// revocation. Then a credential whose death the provider cannot show is presumed dead. AWS
    /// names no bound for IAM propagation; 300 s is assumed (docs/what-a-kill-does.md).
    pub settle_time: Duration,
    /// The highest number of leases in one call of [`Provider::revoke`] and of
    /// [`Provider::finish_and_prove`]; at least 1.
    pub max_batch: usize,
    /// [`Provider::revoke`] must receive every lease that has to stay revoked, not only the new
    /// ones, because the provider keeps all revocations in one document (AWS: one inline policy
    /// per role).
    pub rewrites_whole_document: bool,
    /// [`Provider::list`] shows every live credential, so a credential that the ledger does not
    /// know is found and revoked.
    pub can_list: bool,
    /// [`Provider::finish_and_prove`] can show that the provider refuses a credential, so a lease
    /// can become proved dead instead of presumed dead.
    pub can_prove: bool,
    /// The longest time that a mint may take. An unconfirmed mint is then given up and revoked.
    pub mint_timeout: Duration,
    /// The time for which the provider may carry out a request of a mint that was given up
    /// (Vault: the server's request time of 90 s, and 10 s for the network). Until then no probe
    /// shows an unconfirmed lease to be dead. Zero if a revocation also holds for requests that
    /// arrive late.
    pub late_request_time: Duration,
    /// The time past its worst expiry for which the provider might accept a credential, because
    /// clocks differ.
    pub leeway: Duration,
}

/// The way in which a credential can be revoked, declared before the credential is issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocability {
    /// The mechanism, in one line for people.
    pub mechanism: String,
    /// The longest time from a kill order to the end of what the credential can do, while the
    /// provider is healthy; `None` if nothing bounds it, as with a stream that stays open.
    pub worst_case: Option<Duration>,
    /// The source of `worst_case`: a measurement, or a page of the provider's documentation.
    pub source: String,
}

/// Everything that a credential depends on.
#[derive(Debug, Clone)]
pub struct MintRequest {
    /// The lease, whose id names the credential at the provider.
    pub lease: LeaseId,
    /// The task that asks.
    pub task: TaskId,
    /// The charter that allowed the credential.
    pub charter: Name,
    /// The charter revision that the decision was made under.
    pub revision: Revision,
    /// The name of the grant.
    pub grant: Name,
    /// The plan role or the apply role.
    pub role: Role,
    /// The environment of the task.
    pub environment: Name,
    /// The agent that asks.
    pub agent: AgentName,
    /// The identity behind the agent's name.
    pub identity: Identity,
    /// The key whose possession the agent proved, if it proved any.
    pub key: Option<Confirmation>,
    /// The agents of the task's lineage, nearest first.
    pub lineage: Vec<AgentName>,
    /// The rights of the grant, after every narrowing.
    pub rights: Rights,
    /// The prohibitions that dominate the rights.
    pub prohibited: Vec<Prohibition>,
    /// The destructive actions of the grant that the approval names.
    pub destructive: BTreeSet<ActionPattern>,
    /// SHA-256 of the approved plan, in hex; set for the apply role only.
    pub plan_digest: Option<String>,
    /// The newest kill order in the ledger. Shared objects at the provider bear its number in their
    /// names, so that no later mint restores an object that a kill removed.
    pub epoch: Seq,
    /// The number of this request; no other request of this process has it.
    pub request_number: u64,
    /// The time of the request.
    pub now: Timestamp,
    /// The time by which the target's clock was ahead of the broker's when it was last read. The
    /// provider corrects the target's times by it.
    pub skew: Skew,
    /// The time at which the lease ends.
    pub expires: Timestamp,
}

impl MintRequest {
    /// The request for a lease that `permit` allows, with `epoch`, `number` and `skew` unset.
    #[must_use]
    pub fn of(
        lease: LeaseId,
        task: &Task,
        permit: &Permit,
        plan: Option<&Plan>,
        now: Timestamp,
    ) -> Self {
        let grant = permit.grant();
        Self {
            lease,
            task: task.id,
            charter: task.charter.clone(),
            revision: permit.in_force().clone(),
            grant: grant.name.clone(),
            role: grant.role,
            environment: task.environment.clone(),
            agent: task.agent.clone(),
            identity: task.identity.clone(),
            key: task.evidence.key.clone(),
            lineage: task
                .lineage
                .iter()
                .map(|above| above.agent.clone())
                .collect(),
            rights: grant.rights.clone(),
            prohibited: permit.prohibited().to_vec(),
            destructive: permit.destructive().clone(),
            plan_digest: plan
                .filter(|_| grant.role == Role::Apply)
                .map(|plan| plan.digest.to_string()),
            epoch: Seq::default(),
            request_number: 0,
            now,
            skew: Skew::NONE,
            expires: permit.expires(),
        }
    }
}

/// The call that [`Provider::mint`] will make, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The handle that will revoke the credential.
    pub handle: Handle,
    /// The latest time at which the provider could accept the credential if the broker died after
    /// the mint; [`Timestamp::NEVER`] if nothing but a revocation is sure to end the credential.
    pub worst_expiry: Timestamp,
    /// The document that bounds the credential (session policy, role rules, claims), exactly as it
    /// is sent.
    pub document: String,
}

/// The reason why a request cannot be rendered. The provider was not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The document exceeds the provider's limit (T32).
    #[error(
        "the {what} takes {size} characters and {provider} accepts {limit}: use fewer or shorter statements"
    )]
    TooLarge {
        /// The kind of the provider.
        provider: &'static str,
        /// The document's name, such as `session policy`.
        what: &'static str,
        /// The document's size, in characters.
        size: usize,
        /// The provider's limit, in characters.
        limit: usize,
    },
    /// The target cannot serve the grant, for this reason.
    #[error("target cannot serve this grant: {0}")]
    Unsupported(String),
}

/// An object before and after a rehearsed apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// The object as it is; `None` if it does not exist.
    pub before: Option<serde_json::Value>,
    /// The object as the apply would leave it.
    pub after: serde_json::Value,
}

/// A credential that the provider issued.
#[derive(Debug)]
pub struct Minted {
    /// The secret, with what a client needs to use it.
    pub credential: Credential,
    /// The end that the provider gave the credential, by the broker's clock.
    pub expires: Timestamp,
    /// A handle that replaces the prepared one, when the provider chose it during the mint.
    pub handle: Option<Handle>,
}

/// The reason why a provider did not do what it was asked. The error carries codes and names, never
/// a text of the provider that could echo a credential (T50).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The provider understood the request and refused it. Nothing was created.
    #[error("{provider} refused {operation}: {code}")]
    Refused {
        /// The kind of the provider.
        provider: &'static str,
        /// The operation that was refused.
        operation: &'static str,
        /// The provider's code, from a known list, with what an operator needs to repair it.
        code: String,
    },
    /// The provider asked to slow down. Nothing was created.
    #[error("{provider} throttles {operation}")]
    Throttled {
        /// The kind of the provider.
        provider: &'static str,
        /// The operation that was throttled.
        operation: &'static str,
    },
    /// The provider's answer is missing or incomplete, so the operation may have happened.
    #[error("{provider} did not answer {operation}: {code}")]
    Ambiguous {
        /// The kind of the provider.
        provider: &'static str,
        /// The operation that may have happened.
        operation: &'static str,
        /// The failure on the way.
        code: String,
    },
    /// The operation waits for an earlier one on the same credential; the provider is well.
    #[error("{provider}: {operation} waits: {code}")]
    Pending {
        /// The kind of the provider.
        provider: &'static str,
        /// The operation that waits.
        operation: &'static str,
        /// The operation that is waited for.
        code: String,
    },
    /// The provider issued something other than was requested (T79).
    #[error("{provider} answered {operation} with {found}")]
    Excessive {
        /// The kind of the provider.
        provider: &'static str,
        /// The operation that returned it.
        operation: &'static str,
        /// The difference between the result and the request.
        found: String,
    },
}

impl ProviderError {
    /// True if the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.is_of_provider() || matches!(self, Self::Pending { .. })
    }

    /// True if the provider as a whole is busy or does not answer, rather than one credential being
    /// in the way.
    #[must_use]
    pub const fn is_of_provider(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Ambiguous { .. })
    }
}

/// Everything that has to be dead on one target. A provider that keeps its revocations in one
/// document (a deny policy) renders the document as a pure function of this value.
#[derive(Debug, Clone, Default)]
pub struct Revocation {
    /// The time of the revocation.
    pub now: Timestamp,
    /// The leases whose revocation is not acknowledged yet.
    pub due: Vec<LeaseRef>,
    /// The leases whose revocation was acknowledged, and that must stay revoked until their natural
    /// end.
    pub standing: Vec<LeaseRef>,
    /// A kill order over the whole target: every credential asked for before this time has to die.
    pub cut: Option<Timestamp>,
}

/// The results of one revocation call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationReport {
    /// The result for each lease in [`Revocation::due`].
    pub outcomes: Vec<(LeaseId, Result<Revoked, ProviderError>)>,
    /// Everything under this handle that was asked for before this time is dead too, on whichever
    /// target, because the provider could not revoke less.
    pub cuts: Vec<(Handle, Timestamp)>,
    /// Changes by others of the objects that keep credentials revoked, one line each. The provider
    /// restored the objects.
    pub edited: Vec<String>,
}

/// The progress that a revocation made during the call itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// The provider acknowledged the revocation, and reading it back showed the same.
    Acknowledged,
    /// The provider refused the credential afterwards, or answered that the credential is not
    /// valid.
    ProvedDead,
    /// The provider has no room for the revocation and was not called. No kill order covers the
    /// credential, and it ends by itself at its worst expiry.
    LeftToEnd,
}

/// The result of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The provider refuses the credential, or no longer has it.
    Dead,
    /// The provider still accepts the credential.
    Live,
    /// No probe of this provider proves anything.
    Unknowable,
}

/// A credential at the provider that bears Lanyard's marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCredential {
    /// The lease that the marks name.
    pub lease: LeaseId,
    /// The handle that revokes the credential.
    pub handle: Handle,
}

/// Returns the handles of every lease in the ledger; `None` if the ledger does not answer.
pub type InUse<'a> = &'a (dyn Fn() -> Option<Vec<Handle>> + Send + Sync);

/// A target as configured.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Returns the guarantees of the provider. The answer never changes.
    fn capabilities(&self) -> Capabilities;

    /// Returns how a credential with these rights is revoked, and how long that takes at worst.
    fn revocability(&self, rights: &Rights) -> Revocability;

    /// Creates the objects at the provider that several credentials share and that a handle refers
    /// to (Vault: the parent token of a role). Called before [`Provider::prepare`]. Grants no
    /// access. Idempotent.
    ///
    /// # Errors
    /// See [`ProviderError`]; nothing was minted.
    async fn ensure_shared_objects(&self, _request: &MintRequest) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Renders the call that [`Provider::mint`] will make. Pure.
    ///
    /// # Errors
    /// When the provider could not accept the call. The provider was not called.
    fn prepare(&self, request: &MintRequest) -> Result<Prepared, PrepareError>;

    /// Creates the credential under the prepared handle. Called at most once per lease.
    ///
    /// # Errors
    /// See [`ProviderError`]; after [`ProviderError::Ambiguous`] the credential may exist.
    async fn mint(
        &self,
        request: &MintRequest,
        prepared: &Prepared,
    ) -> Result<Minted, ProviderError>;

    /// True if a revocation would add nothing, because the credential has ended or its own policy
    /// at the provider ends it sooner than a revocation could hold. The engine leaves such a lease
    /// to its end unless a kill order covers it.
    fn needs_no_revocation(&self, _lease: &LeaseRef, _now: Timestamp) -> bool {
        false
    }

    /// Revokes the due leases and keeps the standing ones revoked. Idempotent, also with nothing
    /// due. A credential that was never created is revoked by its handle all the same.
    async fn revoke(&self, revocation: &Revocation) -> RevocationReport;

    /// Finishes acknowledged revocations: removes what is left of the credentials at the provider,
    /// and checks that the provider refuses them. The engine calls this when no revocation waits,
    /// because kill orders go first.
    async fn finish_and_prove(
        &self,
        _leases: &[LeaseRef],
    ) -> Vec<(LeaseId, Result<Revoked, ProviderError>)> {
        Vec::new()
    }

    /// Asks the provider whether one credential is dead.
    ///
    /// # Errors
    /// When the provider could not be asked.
    async fn probe(&self, lease: &LeaseRef) -> Result<Probe, ProviderError>;

    /// Sends a harmless request with the credential, for a drill: `Some(true)` if the target
    /// accepts the credential, `None` if no request can show that.
    ///
    /// # Errors
    /// When the provider could not be asked.
    async fn probe_with_credential(
        &self,
        _credential: &Credential,
    ) -> Result<Option<bool>, ProviderError> {
        Ok(None)
    }

    /// Checks the set-up at the provider that a mint of this request needs, and returns one line
    /// for each fault. Creates nothing.
    ///
    /// # Errors
    /// When the provider could not be asked.
    async fn check_setup(&self, _request: &MintRequest) -> Result<Vec<String>, ProviderError> {
        Ok(Vec::new())
    }

    /// Asks the target what an apply would make of these objects, and changes nothing.
    ///
    /// # Errors
    /// When the provider cannot rehearse, or refuses one of the objects.
    async fn rehearse(
        &self,
        _rights: &Rights,
        _objects: &[serde_json::Value],
    ) -> Result<Vec<Rehearsed>, ProviderError> {
        Err(ProviderError::Refused {
            provider: self.capabilities().provider,
            operation: "rehearsal",
            code: "there is none on this kind of target".to_owned(),
        })
    }

    /// Removes shared objects that no credential uses any more, and returns how many. `grants` are
    /// the rights of every grant at the target; `in_use` is called after the provider listed its
    /// objects, so that a handle chosen meanwhile counts.
    ///
    /// # Errors
    /// When the provider could not be asked; the next pass goes on.
    async fn remove_unused_objects(
        &self,
        _grants: &[Rights],
        _in_use: InUse<'_>,
    ) -> Result<usize, ProviderError> {
        Ok(0)
    }

    /// Loads the journal's checkpoint that the target keeps; `None` if the target keeps none.
    ///
    /// # Errors
    /// When the provider could not be asked.
    async fn load_checkpoint(&self) -> Result<Option<JournalCheckpoint>, ProviderError> {
        Ok(None)
    }

    /// Stores a checkpoint of the journal at the target, if the target can keep one.
    ///
    /// # Errors
    /// When the target is not known to have stored it.
    async fn store_checkpoint(&self, _witness: &JournalCheckpoint) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Reads the target's clock, in whole seconds; `None` if the target has no clock of its own or
    /// does not tell it.
    ///
    /// # Errors
    /// When the provider could not be asked.
    async fn read_clock(&self) -> Result<Option<Timestamp>, ProviderError> {
        Ok(None)
    }

    /// Lists everything at the provider that bears Lanyard's marks.
    ///
    /// # Errors
    /// When the provider could not be asked.
    async fn list(&self) -> Result<Vec<FoundCredential>, ProviderError>;
}
