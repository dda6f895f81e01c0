//! The provider of one installation of one app.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use lanyard_charter::kinds::{Credential, GitHubCredential};
use lanyard_charter::{GitHubGrant, Rights};
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_core::provider::{
    Capabilities, FoundCredential, MintRequest, Minted, PrepareError, Prepared, Probe, Provider,
    ProviderError, Revocability, Revocation, RevocationReport, Revoked,
};
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use serde::Deserialize;

use crate::answer::refused;
use crate::client::{Client, GivenToken, TokenVerdict, is_name, made_nothing};
use crate::handle::{LeaseHandle, purpose};
use crate::memory::{Known, Memory};
use crate::seal::{SealError, Sealed, Sealer};
use crate::token_request::TokenRequest;
use crate::{PROVIDER, inspect, reviews};

/// The life of every token. GitHub issues no shorter one (page «Generating an installation access
/// token for a GitHub App»).
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// Time limit of a mint: the sum of the time limits of its calls, branch rules included.
const MINT_TIME: Duration = Duration::from_secs(90);
/// Time limit for all checks of branch rules of one mint.
const BRANCH_RULES_TIME: Duration = Duration::from_secs(20);
/// Difference that is allowed between GitHub's clock and the broker's.
const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// The most repositories of one token (page «REST API endpoints for GitHub Apps»).
///
/// # Limit
/// - for: a token of GitHub
/// - unit: repositories
/// - beyond: the mint is refused before GitHub is asked
/// - test: `t38_a_request_for_everything_is_refused`
const MAX_REPOSITORIES: usize = 500;
/// The most repositories of a token whose branch rules are checked first.
///
/// # Limit
/// - for: a proposal
/// - unit: repositories
/// - beyond: the mint is refused before GitHub is asked
/// - test: `t38_a_request_for_everything_is_refused`
const MAX_PROPOSED_REPOSITORIES: usize = 50;
/// The time for which GitHub may answer 401 for a new token that is valid. GitHub's own client
/// retries for five seconds, an earlier version for a minute; no page names a bound
/// (octokit/auth-app.js, issues 65 and 589).
const REPLICATION_TIME: Duration = Duration::from_secs(60);
/// Number of tokens that one call of [`Provider::revoke`] ends, and number that are ended
/// concurrently. GitHub counts a DELETE as five points of 900 a minute (page «Rate limits for the
/// REST API»).
const TOKENS_PER_REVOCATION: usize = 100;
const CONCURRENT_REVOCATIONS: usize = 8;

/// The requirement of profile `propose` on branch rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BranchRules {
    /// The default branch of each repository must demand at least one approving review.
    #[default]
    Required,
    /// The operator vouches that a proposal cannot merge itself.
    NotChecked,
}

/// A configured GitHub target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHubTarget {
    /// Host that git clones from, such as `https://github.com`.
    pub host: String,
    /// The check that profile `propose` makes before a mint.
    pub branch_rules: BranchRules,
}

/// Mints and revokes tokens of one installation.
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
    request.rights.get()
}

impl GitHubProvider {
    /// A provider for `target`; `sealer` seals the tokens that go into handles.
    pub fn new(target: GitHubTarget, client: Client, sealer: Arc<dyn Sealer>) -> Self {
        Self {
            target,
            client,
            sealer,
            memory: Memory::default(),
        }
    }

    /// Refuses a request that GitHub would read as one for more rights, or that no token can
    /// fulfil.
    fn check(&self, request: &MintRequest, grant: &GitHubGrant) -> Result<(), String> {
        let count = grant.repositories.len();
        if count == 0 || grant.permissions.is_empty() {
            return Err(
                "a token request without repositories or permissions would give all of them"
                    .to_owned(),
            );
        }
        if count > MAX_REPOSITORIES {
            return Err(format!(
                "a token covers at most {MAX_REPOSITORIES} repositories, not {count}"
            ));
        }
        if self.reviewed(grant) && count > MAX_PROPOSED_REPOSITORIES {
            return Err(format!(
                "a proposal covers at most {MAX_PROPOSED_REPOSITORIES} repositories, whose branch rules are checked, not {count}"
            ));
        }
        if let Some(name) = grant.repositories.iter().find(|name| !is_name(name)) {
            return Err(format!("{name} is not the name of a repository"));
        }
        if request.expires > request.now + TOKEN_LIFE {
            return Err("a token lives for one hour: the lease must not be longer".to_owned());
        }
        Ok(())
    }

    fn reviewed(&self, grant: &GitHubGrant) -> bool {
        grant.proposes && self.target.branch_rules == BranchRules::Required
    }

    /// Reads the branch rules with a token of `metadata: read`, and then ends that token.
    async fn unreviewed(
        &self,
        grant: &GitHubGrant,
        now: Timestamp,
    ) -> Result<Vec<String>, ProviderError> {
        let asked = TokenRequest::metadata(&grant.repositories);
        let installation = self.client.installation(now).await?;
        let body = asked.body();
        let given = self.client.create_token(installation, &body, now).await?;
        let latest = now + TOKEN_LIFE + MINT_TIME + CLOCK_SKEW;
        let found = match asked.check(self.client.owner(), &given, latest) {
            Ok(_) => {
                let checks = reviews::missing(&self.client, &given.token, &grant.repositories, now);
                let found = tokio::time::timeout(BRANCH_RULES_TIME, checks).await;
                found.unwrap_or_else(|_| Err(refused("check branch rules", "no answer in time")))
            }
            Err(how) => Err(excessive(how)),
        };
        if let Err(error) = self.client.end(&given.token).await {
            tracing::warn!(%error, "cannot end a token that reads metadata; it expires within an hour");
        }
        found
    }

    /// Refuses a proposal that could merge itself: profile `propose` would then protect nothing.
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
    ) -> Result<GivenToken, ProviderError> {
        let (body, now) = (prepared.document.as_str(), request.now);
        let installation = self.client.installation(now).await?;
        self.client.create_token(installation, body, now).await
    }

    /// Seals a token that GitHub has created, then checks it. It is sealed first, so that it can be
    /// ended whatever the checks find.
    async fn seal_and_check(
        &self,
        request: &MintRequest,
        grant: &GitHubGrant,
        given: GivenToken,
        latest: Timestamp,
    ) -> Result<Minted, ProviderError> {
        let (lease, until) = (request.lease, (request.now, latest));
        let checked = TokenRequest::of(grant).check(self.client.owner(), &given, latest);
        let sealed = self.sealer.seal(&given.token, &purpose(lease)).await;
        let sealed = sealed.map(|sealed| LeaseHandle::Sealed(sealed).handle());
        if let Ok(handle) = &sealed {
            // Remembered here as well: if the journal does not record the answer, this process can
            // still end the token.
            let made = Known::Made(handle.clone());
            self.memory.keep(lease, until, made);
        }
        let (expires, handle) = match (checked, sealed) {
            (Ok(expires), Ok(handle)) => (expires, handle),
            (Err(how), sealed) => {
                let handle = sealed.unwrap_or_default();
                self.end_unused((lease, until), &given.token, handle).await;
                return Err(excessive(how));
            }
            (Ok(_), Err(error)) => {
                let handle = Handle::default();
                self.end_unused((lease, until), &given.token, handle).await;
                return Err(refused("seal access token", error.to_string()));
            }
        };
        Ok(Minted {
            credential: GitHubCredential {
                host: self.target.host.clone(),
                api: self.client.api().to_owned(),
                owner: self.client.owner().to_owned(),
                repositories: grant.repositories.clone(),
                token: given.token,
            }
            .into(),
            expires,
            handle: Some(handle),
        })
    }

    /// Ends a token that no agent gets. If that fails, the lease's revocation ends it, as long as
    /// this process lives.
    async fn end_unused(
        &self,
        (lease, until): (LeaseId, (Timestamp, Timestamp)),
        token: &Secret<String>,
        handle: Handle,
    ) {
        match self.client.end(token).await {
            Ok(TokenVerdict::Valid) => self.memory.keep(lease, until, Known::Ended(handle)),
            Ok(TokenVerdict::Unknown { .. }) | Err(_) => {
                tracing::error!(%lease, "cannot end a token that no agent received; the lease's revocation tries again");
            }
        }
    }

    /// Returns the sealed token of a lease, from its handle or this process's memory; `None` if no
    /// token exists.
    fn held(&self, lease: &LeaseRef) -> Result<Option<Sealed>, ProviderError> {
        let read = |handle| match LeaseHandle::read(handle) {
            Some(LeaseHandle::Sealed(sealed)) => Some(sealed),
            Some(LeaseHandle::Unanswered) | None => None,
        };
        match LeaseHandle::read(&lease.handle) {
            Some(LeaseHandle::Sealed(sealed)) => return Ok(Some(sealed)),
            Some(LeaseHandle::Unanswered) => {}
            None => return Err(refused("end access token", "the handle cannot be read")),
        }
        let lost = || {
            refused(
                "end access token",
                format!(
                    "the answer to its mint was lost, so nobody has the token: it expires by {}; suspending the \
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
                "its token cannot be opened: {error}; it expires by {}",
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

    /// Ends the token of one lease.
    async fn end(&self, lease: &LeaseRef, now: Timestamp) -> Result<Revoked, ProviderError> {
        let Some(sealed) = self.held(lease)? else {
            return Ok(Revoked::ProvedDead);
        };
        let token = self.token(lease, &sealed).await?;
        match self.client.end(&token).await? {
            TokenVerdict::Valid => {
                let known = Known::Ended(LeaseHandle::Sealed(sealed).handle());
                self.memory.keep(lease.id, (now, lease.worst_expiry), known);
                Ok(Revoked::Acknowledged)
            }
            // GitHub does not know the token, so it has ended. Only a token that was just created
            // can get this answer too, before all of GitHub knows it.
            TokenVerdict::Unknown { .. } if self.is_settled(lease, now) => Ok(Revoked::ProvedDead),
            // A refusal of this lease only. It does not count as GitHub being down, because an
            // agent that ends its own token causes it too.
            TokenVerdict::Unknown { .. } => Err(refused(
                "delete access token",
                "401 for a new token, which GitHub may not know everywhere yet: the revocation is repeated",
            )),
        }
    }

    /// Returns true if status 401 for the lease's token means that the token has ended.
    fn is_settled(&self, lease: &LeaseRef, now: Timestamp) -> bool {
        let ended = matches!(self.memory.of(lease.id), Some(Known::Ended(_)));
        // Counted from the latest moment at which the mint can have created the token.
        ended || now >= lease.asked + MINT_TIME + REPLICATION_TIME
    }

    /// Uses a token whose end GitHub accepted, to show that it is dead.
    async fn proved(&self, lease: &LeaseRef) -> Result<Revoked, ProviderError> {
        let Some(sealed) = self.held(lease)? else {
            return Ok(Revoked::ProvedDead);
        };
        let token = self.token(lease, &sealed).await?;
        match self.client.try_token(&token).await? {
            TokenVerdict::Unknown { .. } => Ok(Revoked::ProvedDead),
            TokenVerdict::Valid => Err(refused(
                "use access token",
                "GitHub confirmed the end of the token, and still accepts it",
            )),
        }
    }
}

#[async_trait]
impl Provider for GitHubProvider {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            provider: PROVIDER,
            // No page says how long an ended token may still work somewhere; only its expiry is
            // certain.
            settle_time: TOKEN_LIFE,
            max_batch: TOKENS_PER_REVOCATION,
            rewrites_whole_document: false,
            can_list: false,
            can_prove: true,
            mint_timeout: MINT_TIME,
            late_request_time: Duration::ZERO,
            leeway: CLOCK_SKEW,
        }
    }

    fn revocability(&self, _rights: &Rights) -> Revocability {
        Revocability {
            mechanism: "its token ends itself (DELETE /installation/token), and is tried once more".to_owned(),
            worst_case: Some(TOKEN_LIFE),
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
            handle: LeaseHandle::Unanswered.handle(),
            // If the answer is lost, nobody has the token and nobody can end it.
            worst_expiry: request.now + TOKEN_LIFE + MINT_TIME + CLOCK_SKEW,
            document: TokenRequest::of(grant).body(),
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
        // Without this entry, a refused lease would look like one whose answer was lost, and be
        // pending for an hour.
        let nothing = || self.memory.keep(request.lease, until, Known::Nothing);
        // The result for the token that reads branch rules says nothing about the lease's own
        // token, which is not requested yet.
        let reviewed = self.reviews_are_demanded(grant, request.now).await;
        reviewed.inspect_err(|_| nothing())?;
        let given = self.given(request, prepared).await;
        let given = given.inspect_err(|error| {
            if made_nothing(error) {
                nothing();
            }
        })?;
        self.seal_and_check(request, grant, given, prepared.worst_expiry)
            .await
    }

    /// Ends the due tokens one by one, also at a kill of the whole target: GitHub ends all tokens
    /// of an installation only by suspending it.
    async fn revoke(&self, revocation: &Revocation) -> RevocationReport {
        let now = revocation.now;
        let outcomes = stream::iter(revocation.due.clone())
            .map(|lease| async move { (lease.id, self.end(&lease, now).await) })
            .buffered(CONCURRENT_REVOCATIONS)
            .collect()
            .await;
        RevocationReport {
            outcomes,
            ..RevocationReport::default()
        }
    }

    async fn finish_and_prove(
        &self,
        leases: &[LeaseRef],
    ) -> Vec<(LeaseId, Result<Revoked, ProviderError>)> {
        stream::iter(leases.to_vec())
            .map(|lease| async move { (lease.id, self.proved(&lease).await) })
            .buffered(CONCURRENT_REVOCATIONS)
            .collect()
            .await
    }

    /// Uses the token itself, opened from the handle.
    async fn probe(&self, lease: &LeaseRef) -> Result<Probe, ProviderError> {
        let sealed = match self.held(lease) {
            Ok(Some(sealed)) => sealed,
            Ok(None) => return Ok(Probe::Dead),
            Err(_) => return Ok(Probe::Unknowable),
        };
        let token = self.token(lease, &sealed).await?;
        Ok(match self.client.try_token(&token).await? {
            TokenVerdict::Valid => Probe::Live,
            TokenVerdict::Unknown { at } if self.is_settled(lease, at.unwrap_or_default()) => {
                Probe::Dead
            }
            TokenVerdict::Unknown { .. } => Probe::Unknowable,
        })
    }

    async fn probe_with_credential(
        &self,
        credential: &Credential,
    ) -> Result<Option<bool>, ProviderError> {
        let Some(GitHubCredential { token, .. }) = credential.get() else {
            return Ok(None);
        };
        Ok(Some(
            self.client.try_token(token).await? == TokenVerdict::Valid,
        ))
    }

    async fn check_setup(&self, request: &MintRequest) -> Result<Vec<String>, ProviderError> {
        let Some(grant) = grant(request) else {
            return Ok(Vec::new());
        };
        let now = request.now;
        let mut lines = Vec::new();
        let sealed = self.sealer.seal(&Secret::new(String::new()), &[]).await;
        lines.extend(sealed.err().map(|error| error.to_string()));
        let installation = match inspect::installation(&self.client, now).await? {
            inspect::Usable::Yes(installation) => installation,
            inspect::Usable::No(reason) => {
                lines.push(reason);
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

    /// Always empty, because GitHub lists no tokens.
    async fn list(&self) -> Result<Vec<FoundCredential>, ProviderError> {
        Ok(Vec::new())
    }
}
