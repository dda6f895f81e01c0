//! The seam between the broker and one kind of target.
//!
//! A provider renders, mints, revokes and probes. It decides nothing, keeps no record, and never
//! retries a mint: whether a credential may exist is the ledger's business.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::charter::{ActionPattern, Name, Prohibition, Revision, Rights, Role};
use crate::decide::Permit;
use crate::id::{LeaseId, TaskId};
use crate::identity::{Confirmation, Identity};
use crate::lease::{Handle, LeaseRef, Seq};
use crate::plan::Plan;
use crate::scope::AgentName;
use crate::secret::Secret;
use crate::task::Task;
use crate::time::{Skew, Timestamp};
use crate::witness::Witness;

/// What a target can promise about the credentials that it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// `token`, `aws`, `kubernetes`, `vault`, `github`.
    pub provider: &'static str,
    /// Past this, an acknowledged revocation is presumed to hold for every new request.
    pub settles: Duration,
    /// How many leases one call of [`Provider::revoke`] is given at most.
    pub at_once: usize,
    /// Whether that call has to be told again of what was revoked before: where it writes one document for all.
    pub whole: bool,
    /// Whether [`Provider::list`] shows every credential that works.
    pub lists: bool,
    /// Whether an acknowledged revocation is then finished and shown by [`Provider::prove`].
    pub proves: bool,
    /// How long an unconfirmed mint may be under way before it is given up and revoked.
    pub mint_timeout: Duration,
    /// How long after a mint was given up a request of that mint may still be carried out at the provider: until then no
    /// check shows an unconfirmed lease to be dead. Zero where a revocation also holds for what comes late.
    pub late_requests: Duration,
    /// How long past its worst expiry a credential might be accepted: the provider's clock leeway.
    pub leeway: Duration,
}

/// How a credential can be revoked, declared before it is issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocability {
    /// One line: the mechanism.
    pub mechanism: String,
    /// The longest time from a kill to the end of what the credential can do, with the provider healthy;
    /// `None` where nothing bounds it, as with a stream that stays open.
    pub worst_case: Option<Duration>,
    /// Where that figure comes from: a measurement, or a page of the provider's documentation.
    pub source: String,
}

/// Everything that a credential depends on.
#[derive(Debug, Clone)]
pub struct MintRequest {
    /// The lease, whose id names the credential at the provider.
    pub lease: LeaseId,
    /// Its task.
    pub task: TaskId,
    /// Its charter.
    pub charter: Name,
    /// The revision it was decided under.
    pub revision: Revision,
    /// The grant's name.
    pub grant: Name,
    /// plan or apply.
    pub role: Role,
    /// Where the task runs.
    pub environment: Name,
    /// Who asks.
    pub agent: AgentName,
    /// The identity behind that name.
    pub identity: Identity,
    /// The key that the agent holds, where it showed one.
    pub key: Option<Confirmation>,
    /// The agents of the tasks above, nearest first.
    pub behind: Vec<AgentName>,
    /// What is allowed.
    pub rights: Rights,
    /// What dominates it.
    pub prohibited: Vec<Prohibition>,
    /// Which of the grant's destructive actions the approval names.
    pub destructive: BTreeSet<ActionPattern>,
    /// SHA-256 of the approved plan, in hex, for an apply.
    pub plan_digest: Option<String>,
    /// The newest kill order that was in the books. What credentials share at the provider is named after
    /// it, so that nothing which a kill took down is put up again by a later mint.
    pub epoch: Seq,
    /// How many requests this process looked at before: no two have the same.
    pub number: u64,
    /// The time of the request.
    pub now: Timestamp,
    /// How far the target's clock was ahead when it was last asked: what the target says of a time is translated by it.
    pub skew: Skew,
    /// When the lease ends.
    pub expires: Timestamp,
}

impl MintRequest {
    /// What a permit comes to for this lease; without the newest kill order.
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
            behind: task
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
            number: 0,
            now,
            skew: Skew::NONE,
            expires: permit.expires(),
        }
    }
}

/// Exactly what will be asked of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// What the credential will be revoked by.
    pub handle: Handle,
    /// The latest moment at which the provider could accept the credential if the broker then died;
    /// [`Timestamp::NEVER`] where nothing but a revocation is sure to end it.
    pub worst_expiry: Timestamp,
    /// The document that bounds the credential (session policy, role rules, claims), as it is sent.
    pub document: String,
}

/// Why a request cannot be rendered. Nothing was called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The document is larger than the provider takes (T32).
    #[error(
        "the {what} takes {size} characters and {provider} accepts {limit}: use fewer or shorter statements"
    )]
    TooLarge {
        /// The provider's name.
        provider: &'static str,
        /// Which document.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The target cannot give what the charter grants.
    #[error("target cannot serve this grant: {0}")]
    Unsupported(String),
}

/// An object before and after an apply that did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// As it is; nothing where there is none.
    pub before: Option<serde_json::Value>,
    /// As it would be.
    pub after: serde_json::Value,
}

/// A credential as the provider gave it.
#[derive(Debug)]
pub struct Minted {
    /// The secret.
    pub credential: Credential,
    /// When the provider says that it ends, as the broker's clock has it.
    pub expires: Timestamp,
    /// A handle that is only known now, in place of the prepared one.
    pub handle: Option<Handle>,
}

/// The secret itself, by kind.
#[derive(Debug)]
pub enum Credential {
    /// A Lanyard access token.
    Token {
        /// The compact JWT.
        jwt: Secret<String>,
    },
    /// An AWS session.
    Aws {
        /// Not secret, but identifying.
        access_key_id: String,
        /// Secret.
        secret_access_key: Secret<String>,
        /// Secret.
        session_token: Secret<String>,
        /// The region that the target is configured for.
        region: String,
    },
    /// A Kubernetes service-account token.
    Kubernetes {
        /// The API server's URL.
        server: String,
        /// Its certificate authority, PEM; empty where the system's roots serve.
        certificate_authority: String,
        /// The name that its certificate is for, where that is not the host of the URL; else empty.
        tls_server_name: String,
        /// The proxy on the way there; empty where there is none.
        proxy_url: String,
        /// Where the rights are bound.
        namespace: String,
        /// The token.
        token: Secret<String>,
    },
    /// A service token of Vault or OpenBao.
    Vault {
        /// Its URL.
        address: String,
        /// The namespace that it is of; empty for the root namespace.
        namespace: String,
        /// The server's certificate authority, PEM; empty where the system's roots serve.
        certificate_authority: String,
        /// The token.
        token: Secret<String>,
    },
    /// A dynamic secret that Vault or OpenBao made for the lease.
    VaultSecret {
        /// The path that it was read from.
        path: String,
        /// What was read, by field: `username`, `password`.
        data: BTreeMap<String, Secret<String>>,
    },
    /// An installation token of a GitHub App.
    GitHub {
        /// Where git clones from: `https://github.com`.
        host: String,
        /// The URL of the API.
        api: String,
        /// Whose repositories they are.
        owner: String,
        /// Their names, without the owner.
        repositories: BTreeSet<String>,
        /// The token.
        token: Secret<String>,
    },
}

/// Why a provider did not do as asked. It carries codes and names, never a text of the provider that
/// could echo a credential (T50).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The provider understood and said no; nothing was created.
    #[error("{provider} refused {operation}: {code}")]
    Refused {
        /// The provider's name.
        provider: &'static str,
        /// What was asked.
        operation: &'static str,
        /// The provider's code, from a known list, with what an operator needs to mend it.
        code: String,
    },
    /// The provider asks to slow down; nothing was created.
    #[error("{provider} throttles {operation}")]
    Throttled {
        /// The provider's name.
        provider: &'static str,
        /// What was asked.
        operation: &'static str,
    },
    /// No answer, or half of one: it may have been done.
    #[error("{provider} did not answer {operation}: {code}")]
    Ambiguous {
        /// The provider's name.
        provider: &'static str,
        /// What was asked.
        operation: &'static str,
        /// What went wrong on the way.
        code: String,
    },
    /// Not yet, for this credential alone: something that was begun before has to end first, or what made the credential does
    /// not end it. The provider is well.
    #[error("{provider}: {operation} waits: {code}")]
    Pending {
        /// The provider's name.
        provider: &'static str,
        /// What was asked.
        operation: &'static str,
        /// What it waits for.
        code: String,
    },
    /// The provider gave something other than was asked (T79).
    #[error("{provider} answered {operation} with {found}")]
    Excessive {
        /// The provider's name.
        provider: &'static str,
        /// What was asked.
        operation: &'static str,
        /// In what way it differs.
        found: String,
    },
}

impl ProviderError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.is_of_provider() || matches!(self, Self::Pending { .. })
    }

    /// Whether the provider as a whole is busy or not answering, rather than one credential in the way.
    #[must_use]
    pub const fn is_of_provider(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Ambiguous { .. })
    }
}

/// What has to be dead on one target, all of it at once: a provider whose revocation is one document
/// (a deny policy) writes it as a pure function of this.
#[derive(Debug, Clone, Default)]
pub struct Revocation {
    /// Now.
    pub now: Timestamp,
    /// Not yet acknowledged.
    pub due: Vec<LeaseRef>,
    /// Acknowledged before, not past their natural end: they must stay revoked.
    pub standing: Vec<LeaseRef>,
    /// Everything asked for before this moment has to die: a kill of the whole target.
    pub cut: Option<Timestamp>,
}

/// What came of a revocation, lease by lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationReport {
    /// For each lease that was due.
    pub outcomes: Vec<(LeaseId, Result<Revoked, ProviderError>)>,
    /// What had to be cut: every credential under this handle that was asked for before this moment is dead too,
    /// whichever target it belongs to.
    pub cuts: Vec<(Handle, Timestamp)>,
    /// What somebody else changed of what keeps credentials revoked, a line each; it was set right.
    pub edited: Vec<String>,
}

/// How far a revocation got in the call itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// The provider took it, and read back the same.
    Acknowledged,
    /// The credential, or the provider's own check of it, was refused afterwards.
    ProvedDead,
    /// The provider has no room for it and was not told: nobody killed it, and it ends by itself at its worst expiry.
    LeftToEnd,
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Refused by the provider, or gone: dead.
    Dead,
    /// Still accepted.
    Live,
    /// This provider offers no probe that proves anything.
    Unknowable,
}

/// Something at the provider that carries Lanyard's marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The lease that it names.
    pub lease: LeaseId,
    /// What it can be revoked by.
    pub handle: Handle,
}

/// Gives the handles of every lease in the books; nothing where the ledger does not answer.
pub type InUse<'a> = &'a (dyn Fn() -> Option<Vec<Handle>> + Send + Sync);

/// One configured target.
#[async_trait]
pub trait Provider: Send + Sync {
    /// What the target promises. Constant.
    fn capabilities(&self) -> Capabilities;

    /// How a credential with these rights is revoked, and how long that takes at worst.
    fn revocability(&self, rights: &Rights) -> Revocability;

    /// Makes ready what such a credential shares with others at the provider, before it is rendered: what a handle names has
    /// to exist. It gives nobody anything, and is safe to repeat.
    ///
    /// # Errors
    /// See [`ProviderError`]; nothing was minted.
    async fn ready(&self, _request: &MintRequest) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Renders exactly what [`Provider::mint`] will ask. Pure.
    ///
    /// # Errors
    /// When the provider could not take it; nothing was called.
    fn prepare(&self, request: &MintRequest) -> Result<Prepared, PrepareError>;

    /// Creates the credential under the prepared handle. Called once for a lease, never again.
    ///
    /// # Errors
    /// See [`ProviderError`]; after [`ProviderError::Ambiguous`] the credential may exist.
    async fn mint(
        &self,
        request: &MintRequest,
        prepared: &Prepared,
    ) -> Result<Minted, ProviderError>;

    /// Whether a credential that nobody killed ends by itself so soon, or has, that a revocation adds nothing: its own policy
    /// says when, at the provider, whatever became of the answer to its mint. Such a lease is left to its end.
    fn ends_itself(&self, _lease: &LeaseRef, _now: Timestamp) -> bool {
        false
    }

    /// Revokes what is due and keeps revoked what stands. Safe to repeat, with nothing due as well; a credential
    /// that never came to be is revoked by its handle all the same.
    async fn revoke(&self, revocation: &Revocation) -> RevocationReport;

    /// Removes what is left of credentials whose revocation was acknowledged, and checks that they are dead. Asked for
    /// once nothing waits to be revoked: what kills comes first.
    async fn prove(&self, _leases: &[LeaseRef]) -> Vec<(LeaseId, Result<Revoked, ProviderError>)> {
        Vec::new()
    }

    /// Whether one credential is dead, by a check that really shows it.
    ///
    /// # Errors
    /// When the provider could not be asked.
    async fn probe(&self, lease: &LeaseRef) -> Result<Probe, ProviderError>;

    /// Uses a credential, for a drill: whether it is accepted now; nothing where that cannot be shown.
    ///
    /// # Errors
    /// When the provider could not be asked.
    async fn try_out(&self, _credential: &Credential) -> Result<Option<bool>, ProviderError> {
        Ok(None)
    }

    /// What at the provider stands in the way of such a credential, a line each; nothing is made. A provider that needs
    /// nothing set up has nothing to say.
    ///
    /// # Errors
    /// When the provider could not be asked.
    async fn inspect(&self, _request: &MintRequest) -> Result<Vec<String>, ProviderError> {
        Ok(Vec::new())
    }

    /// What would become of these objects, each at its place, by a rehearsal that changes nothing.
    ///
    /// # Errors
    /// When the provider cannot rehearse, or refuses one of them.
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

    /// Removes what credentials shared at the provider and that none uses any more; how much that was. `grants` are the
    /// rights of every grant at the target; `in_use` is asked after the provider has looked at what there is.
    ///
    /// # Errors
    /// When the provider could not be asked; the next pass goes on.
    async fn tidy(&self, _grants: &[Rights], _in_use: InUse<'_>) -> Result<usize, ProviderError> {
        Ok(0)
    }

    /// What the target was last told to remember of the journal; nothing where it remembers nothing.
    ///
    /// # Errors
    /// When the provider could not be asked.
    async fn recall(&self) -> Result<Option<Witness>, ProviderError> {
        Ok(None)
    }

    /// Has the target remember how far the journal is, where it can.
    ///
    /// # Errors
    /// When it is not known to remember.
    async fn remember(&self, _witness: &Witness) -> Result<(), ProviderError> {
        Ok(())
    }

    /// What time it is by the target's clock, in whole seconds; nothing where the target has no clock of its own, or does
    /// not say.
    ///
    /// # Errors
    /// When the provider could not be asked.
    async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        Ok(None)
    }

    /// Everything at the provider that carries Lanyard's marks.
    ///
    /// # Errors
    /// When the provider could not be asked.
    async fn list(&self) -> Result<Vec<Found>, ProviderError>;
}
