//! One installation of one app: what a lease is there, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream;
use lanyard_core::charter::{GitHubGrant, Rights};
use lanyard_core::id::LeaseId;
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_core::provider::{
    Capabilities, Credential, Found, MintRequest, Minted, PrepareError, Prepared, Probe, Provider,
    ProviderError, Revocability, Revocation, RevocationReport, Revoked,
};
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;
use serde::Deserialize;

use crate::PROVIDER;
use crate::answer::refused;
use crate::asked::Asked;
use crate::client::{Client, Given, Said, is_name, made_nothing};
use crate::handle::{Held, purpose};
use crate::known::{Known, Memory};
use crate::seal::{SealError, Sealed, Sealer};
use crate::{inspect, reviews};

/// How long every token lives: nothing shorter can be asked for
/// (page «Generating an installation access token for a GitHub App»).
const LIFE: Duration = Duration::from_secs(3600);
/// How long a mint may take: every call of it at its slowest, the looks at branch rules included.
const MINT: Duration = Duration::from_secs(90);
/// How long the looks at branch rules may take together.
const LOOKS: Duration = Duration::from_secs(20);
/// How far GitHub's clock and ours may differ.
const SKEW: Duration = Duration::from_secs(60);
/// The most repositories of one token (page «REST API endpoints for GitHub Apps»).
///
/// # Limit
/// - for: a token of GitHub
/// - unit: repositories
/// - beyond: the mint is refused before GitHub is asked
/// - test: `t38_what_would_be_everything_is_not_rendered`
const MAX_REPOSITORIES: usize = 500;
/// The most of them where each is asked for its branch rules first.
///
/// # Limit
/// - for: a proposal
/// - unit: repositories
/// - beyond: the mint is refused before GitHub is asked
/// - test: `t38_what_would_be_everything_is_not_rendered`
const MAX_PROPOSED_REPOSITORIES: usize = 50;
/// How long a token that was just made may be answered with 401 although it is good. GitHub's own client tries again for
/// five seconds, and for a minute in an earlier version; no page says how long (octokit/auth-app.js, issues 65 and 589).
const REPLICATION: Duration = Duration::from_secs(60);
/// How many tokens are ended by one call of [`Provider::revoke`], and how many at the same time. GitHub counts a DELETE for
/// five points of 900 a minute (page «Rate limits for the REST API»).
const AT_ONCE: usize = 100;
const IN_FLIGHT: usize = 8;

/// Whether profile `propose` insists on a rule that demands reviews.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BranchRules {
    /// The default branch of each repository has to demand at least one approving review.
    #[default]
    Required,
    /// Whoever runs the target answers for it that a proposal cannot merge itself.
    NotChecked,
}

/// One configured target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHubTarget {
    /// Where git clones from: `https://github.com`.
    pub host: String,
    /// What profile `propose` insists on.
    pub branch_rules: BranchRules,
}

/// The provider of one installation.
pub struct GitHubProvider {
    target: GitHubTarget,
    client: Client,
    sealer: Arc<dyn Sealer>,
    memory: Memory,
}

fn excessive(found: impl Into<String>) -> ProviderError {
    ProviderError::Excessive {
        provider: PROVIDER,
        operation: "create access token",
        found: found.into(),
    }
}

fn grant(request: &MintRequest) -> Option<&GitHubGrant> {
    match &request.rights {
        Rights::GitHub(grant) => Some(grant),
        Rights::Token(_) | Rights::Aws(_) | Rights::Kubernetes(_) | Rights::Vault(_) => None,
    }
}

impl GitHubProvider {
    /// The provider of this installation.
    pub fn new(target: GitHubTarget, client: Client, sealer: Arc<dyn Sealer>) -> Self {
        Self {
            target,
            client,
            sealer,
            memory: Memory::default(),
        }
    }

    fn check(&self, request: &MintRequest, grant: &GitHubGrant) -> Result<(), String> {
        let count = grant.repositories.len();
        if count == 0 || grant.permissions.is_empty() {
            return Err(
                "a token without repositories or permissions would have all there are".to_owned(),
            );
        }
        if count > MAX_REPOSITORIES {
            return Err(format!(
                "a token takes {MAX_REPOSITORIES} repositories, not {count}"
            ));
        }
        if self.reviewed(grant) && count > MAX_PROPOSED_REPOSITORIES {
            return Err(format!(
                "a proposal reaches {MAX_PROPOSED_REPOSITORIES} repositories whose branch rules are checked, not {count}"
            ));
        }
        if let Some(name) = grant.repositories.iter().find(|name| !is_name(name)) {
            return Err(format!("{name} is not the name of a repository"));
        }
        if request.expires > request.now + LIFE {
            return Err("a token lives for one hour: no lease can be longer".to_owned());
        }
        Ok(())
    }

    fn reviewed(&self, grant: &GitHubGrant) -> bool {
        grant.proposes && self.target.branch_rules == BranchRules::Required
    }

    /// A token of `metadata: read` looks at the rules, and is ended.
    async fn unreviewed(
        &self,
        grant: &GitHubGrant,
        now: Timestamp,
    ) -> Result<Vec<String>, ProviderError> {
        let asked = Asked::metadata(&grant.repositories);
        let installation = self.client.installation(now).await?;
        let body = asked.body();
        let given = self.client.create_token(installation, &body, now).await?;
        let latest = now + LIFE + MINT + SKEW;
        let found = match asked.checked(self.client.owner(), &given, latest) {
            Ok(_) => {
                let looks = reviews::missing(&self.client, &given.token, &grant.repositories, now);
                let found = tokio::time::timeout(LOOKS, looks).await;
                found.unwrap_or_else(|_| Err(refused("check branch rules", "it takes too long")))
            }
            Err(how) => Err(excessive(how)),
        };
        if let Err(error) = self.client.end(&given.token).await {
            tracing::warn!(%error, "a token that reads metadata was not ended, and lives for an hour");
        }
        found
    }

    /// Profile `propose` is worth nothing where a proposal can merge itself.
    async fn reviews_are_demanded(
        &self,
        grant: &GitHubGrant,
        now: Timestamp,
    ) -> Result<(), ProviderError> {
        if !self.reviewed(grant) {
            return Ok(());
        }
        reviews::required(self.unreviewed(grant, now).await?)
    }

    async fn given(
        &self,
        request: &MintRequest,
        prepared: &Prepared,
    ) -> Result<Given, ProviderError> {
        let (body, now) = (prepared.document.as_str(), request.now);
        let installation = self.client.installation(now).await?;
        self.client.create_token(installation, body, now).await
    }

    /// A token was made: it is sealed before all else, so that it can be ended whatever comes now.
    async fn taken(
        &self,
        request: &MintRequest,
        grant: &GitHubGrant,
        given: Given,
        latest: Timestamp,
    ) -> Result<Minted, ProviderError> {
        let (lease, until) = (request.lease, (request.now, latest));
        let checked = Asked::of(grant).checked(self.client.owner(), &given, latest);
        let sealed = self.sealer.seal(&given.token, &purpose(lease)).await;
        let sealed = sealed.map(|sealed| Held::Sealed(sealed).handle());
        if let Ok(handle) = &sealed {
            let made = Known::Made(handle.clone());
            self.memory.keep(lease, until, made);
        }
        let (expires, handle) = match (checked, sealed) {
            (Ok(expires), Ok(handle)) => (expires, handle),
            (Err(how), sealed) => {
                let handle = sealed.unwrap_or_default();
                self.give_up((lease, until), &given.token, handle).await;
                return Err(excessive(how));
            }
            (Ok(_), Err(error)) => {
                let handle = Handle::default();
                self.give_up((lease, until), &given.token, handle).await;
                return Err(refused("seal access token", error.to_string()));
            }
        };
        Ok(Minted {
            credential: Credential::GitHub {
                host: self.target.host.clone(),
                api: self.client.api().to_owned(),
                owner: self.client.owner().to_owned(),
                repositories: grant.repositories.clone(),
                token: given.token,
            },
            expires,
            handle: Some(handle),
        })
    }

    /// Ends a token that nobody gets. Where that fails, it is ended by the lease's revocation as long as this process lives.
    async fn give_up(
        &self,
        (lease, until): (LeaseId, (Timestamp, Timestamp)),
        token: &Secret<String>,
        handle: Handle,
    ) {
        match self.client.end(token).await {
            Ok(Said::Yes) => self.memory.keep(lease, until, Known::Ended(handle)),
            Ok(Said::No { .. }) | Err(_) => {
                tracing::error!(%lease, "a token that nobody gets was not ended yet");
            }
        }
    }

    /// What a lease is ended by, as far as that is known; `None` where no token is.
    fn held(&self, lease: &LeaseRef) -> Result<Option<Sealed>, ProviderError> {
        let read = |handle| match Held::read(handle) {
            Some(Held::Sealed(sealed)) => Some(sealed),
            Some(Held::Unanswered) | None => None,
        };
        match Held::read(&lease.handle) {
            Some(Held::Sealed(sealed)) => return Ok(Some(sealed)),
            Some(Held::Unanswered) => {}
            None => return Err(refused("end access token", "the handle cannot be read")),
        }
        let lost = || {
            refused(
                "end access token",
                format!(
                    "the answer to its mint was lost, and nobody else has the token: it ends by itself by {}; suspending the \
                     installation ends it now, and every other",
                    lease.worst_expiry
                ),
            )
        };
        match self.memory.of(lease.id) {
            Some(Known::Nothing) => Ok(None),
            Some(Known::Made(handle)) => read(&handle).map(Some).ok_or_else(lost),
            Some(Known::Ended(handle)) => Ok(read(&handle)),
            None => Err(lost()),
        }
    }

    async fn token(
        &self,
        lease: &LeaseRef,
        sealed: &Sealed,
    ) -> Result<Secret<String>, ProviderError> {
        let opened = self.sealer.open(sealed, &purpose(lease.id)).await;
        opened.map_err(|error| {
            let code = format!(
                "its token cannot be opened: {error}; it ends by itself by {}",
                lease.worst_expiry
            );
            match error {
                SealError::NoKey(_) | SealError::Changed(_) => refused("open access token", code),
                SealError::Unavailable(_) => ProviderError::Ambiguous {
                    provider: PROVIDER,
                    operation: "open access token",
                    code,
                },
            }
        })
    }

    /// Ends one token.
    async fn end(&self, lease: &LeaseRef, now: Timestamp) -> Result<Revoked, ProviderError> {
        let Some(sealed) = self.held(lease)? else {
            return Ok(Revoked::ProvedDead);
        };
        let token = self.token(lease, &sealed).await?;
        match self.client.end(&token).await? {
            Said::Yes => {
                let known = Known::Ended(Held::Sealed(sealed).handle());
                self.memory.keep(lease.id, (now, lease.worst_expiry), known);
                Ok(Revoked::Acknowledged)
            }
            // The very token, as it was sealed, is nobody's: it has ended. Only a token that was just made may be answered
            // so before it works everywhere, unless its end was taken before.
            Said::No { .. } if self.is_settled(lease, now) => Ok(Revoked::ProvedDead),
            // Of this lease alone, and no sign that GitHub is down: an agent that ends its own token gets here too.
            Said::No { .. } => Err(refused(
                "delete access token",
                "401 for a token of less than a minute, which may not be known everywhere: tried again",
            )),
        }
    }

    /// Whether 401 for the token of this lease means that it has ended.
    fn is_settled(&self, lease: &LeaseRef, now: Timestamp) -> bool {
        let ended = matches!(self.memory.of(lease.id), Some(Known::Ended(_)));
        // It was made while its mint was under way.
        ended || now >= lease.asked + MINT + REPLICATION
    }

    /// Uses a token whose end GitHub took.
    async fn proved(&self, lease: &LeaseRef) -> Result<Revoked, ProviderError> {
        let Some(sealed) = self.held(lease)? else {
            return Ok(Revoked::ProvedDead);
        };
        let token = self.token(lease, &sealed).await?;
        match self.client.try_token(&token).await? {
            Said::No { .. } => Ok(Revoked::ProvedDead),
            Said::Yes => Err(refused(
                "use access token",
                "GitHub took the end of a token, and still accepts it",
            )),
        }
    }
}

#[async_trait]
impl Provider for GitHubProvider {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            provider: PROVIDER,
            // No page says when the end of a token holds everywhere: only the end of its life is sure.
            settles: LIFE,
            at_once: AT_ONCE,
            whole: false,
            lists: false,
            proves: true,
            mint_timeout: MINT,
            late_requests: Duration::ZERO,
            leeway: SKEW,
        }
    }

    fn revocability(&self, _rights: &Rights) -> Revocability {
        Revocability {
            mechanism: "its token ends itself (DELETE /installation/token), and is tried once more".to_owned(),
            worst_case: Some(LIFE),
            source: "unmeasured: GitHub's page «REST API endpoints for GitHub App installations» names no time, at once is \
                     expected; a token whose mint was not answered lives out its hour"
                .to_owned(),
        }
    }

    fn prepare(&self, request: &MintRequest) -> Result<Prepared, PrepareError> {
        let Some(grant) = grant(request) else {
            let kind = request.rights.provider();
            return Err(PrepareError::Unsupported(format!(
                "a github target mints no {kind} credentials"
            )));
        };
        self.check(request, grant)
            .map_err(PrepareError::Unsupported)?;
        Ok(Prepared {
            handle: Held::Unanswered.handle(),
            // An answer that is lost leaves a token that nobody can end.
            worst_expiry: request.now + LIFE + MINT + SKEW,
            document: Asked::of(grant).body(),
        })
    }

    async fn mint(
        &self,
        request: &MintRequest,
        prepared: &Prepared,
    ) -> Result<Minted, ProviderError> {
        let Some(grant) = grant(request) else {
            return Err(refused("mint", "a request of another kind"));
        };
        let until = (request.now, prepared.worst_expiry);
        let nothing = || self.memory.keep(request.lease, until, Known::Nothing);
        // What comes of the token that looks at the rules says nothing of the lease's own, which is not asked for yet.
        let reviewed = self.reviews_are_demanded(grant, request.now).await;
        reviewed.inspect_err(|_| nothing())?;
        let given = self.given(request, prepared).await;
        let given = given.inspect_err(|error| {
            if made_nothing(error) {
                nothing();
            }
        })?;
        self.taken(request, grant, given, prepared.worst_expiry)
            .await
    }

    /// A kill of the whole target is the same: GitHub has nothing that ends all tokens of an installation but suspending it.
    async fn revoke(&self, revocation: &Revocation) -> RevocationReport {
        let now = revocation.now;
        let outcomes = stream::iter(revocation.due.clone())
            .map(|lease| async move { (lease.id, self.end(&lease, now).await) })
            .buffered(IN_FLIGHT)
            .collect()
            .await;
        RevocationReport {
            outcomes,
            ..RevocationReport::default()
        }
    }

    async fn prove(&self, leases: &[LeaseRef]) -> Vec<(LeaseId, Result<Revoked, ProviderError>)> {
        stream::iter(leases.to_vec())
            .map(|lease| async move { (lease.id, self.proved(&lease).await) })
            .buffered(IN_FLIGHT)
            .collect()
            .await
    }

    /// Uses the token itself.
    async fn probe(&self, lease: &LeaseRef) -> Result<Probe, ProviderError> {
        let sealed = match self.held(lease) {
            Ok(Some(sealed)) => sealed,
            Ok(None) => return Ok(Probe::Dead),
            Err(_) => return Ok(Probe::Unknowable),
        };
        let token = self.token(lease, &sealed).await?;
        Ok(match self.client.try_token(&token).await? {
            Said::Yes => Probe::Live,
            Said::No { at } if self.is_settled(lease, at.unwrap_or_default()) => Probe::Dead,
            Said::No { .. } => Probe::Unknowable,
        })
    }

    async fn try_out(&self, credential: &Credential) -> Result<Option<bool>, ProviderError> {
        let Credential::GitHub { token, .. } = credential else {
            return Ok(None);
        };
        Ok(Some(self.client.try_token(token).await? == Said::Yes))
    }

    async fn inspect(&self, request: &MintRequest) -> Result<Vec<String>, ProviderError> {
        let Some(grant) = grant(request) else {
            return Ok(Vec::new());
        };
        let now = request.now;
        let mut lines = Vec::new();
        let sealed = self.sealer.seal(&Secret::new(String::new()), &[]).await;
        lines.extend(sealed.err().map(|error| error.to_string()));
        let installation = match inspect::installation(&self.client, now).await? {
            Ok(installation) => installation,
            Err(line) => {
                lines.push(line);
                return Ok(lines);
            }
        };
        lines.extend(inspect::lacking(&installation.permissions, grant));
        let outside = inspect::outside(&self.client, installation.id, grant, now).await?;
        let complete = outside.is_empty();
        lines.extend(outside);
        if complete && self.reviewed(grant) {
            match self.unreviewed(grant, now).await {
                Ok(unreviewed) => lines.extend(unreviewed),
                Err(ProviderError::Refused { code, .. }) => lines.push(code),
                Err(other) => return Err(other),
            }
        }
        Ok(lines)
    }

    /// GitHub lists no tokens.
    async fn list(&self) -> Result<Vec<Found>, ProviderError> {
        Ok(Vec::new())
    }
}
