//! The provider of one AWS account, which has a role for plan and a role for apply.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use lanyard_charter::kinds::{AwsCredential, Credential};
use lanyard_charter::{AwsGrant, Rights};
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_core::provider::{
    Capabilities, FoundCredential, MintRequest, Minted, PrepareError, Prepared, Probe, Provider,
    ProviderError, Revocability, Revocation, RevocationReport, Revoked,
};
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};

use crate::api::{AssumeRole, AwsApi, Session, SessionKeys};
use crate::policy::{Composed, Demand, DenyPolicy, compose, session_policy};
use crate::{PROVIDER, inspect};

/// The shortest session that STS gives, in seconds.
const SHORTEST_SESSION_SECS: u64 = 900;
/// The characters that all inline policies of a role share.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
const INLINE_POLICY_CHARS: usize = 10_240;
/// The time for which a successful read of a role's policies counts as proof that the revoking
/// principal works (rule 28: without a revoker, no credential).
const REVOKER_CHECK_INTERVAL: Duration = Duration::from_secs(300);
/// The time for which a change of a role's policies is assumed to need until it holds everywhere;
/// AWS names no bound.
const PROPAGATION_TIME: Duration = Duration::from_secs(300);
/// Name prefix of the inline policies of all Lanyard instances. Each instance has its own policy,
/// and IAM applies the union.
const POLICY_PREFIX: &str = "lanyard-deny-";
/// The longest value of a session tag.
///
/// # Limit
/// - for: a session tag
/// - unit: bytes
/// - beyond: the tag holds the SHA-256 of the value
/// - test: `a_tag_is_the_value_or_its_digest`
const MAX_TAG_BYTES: usize = 256;

/// A configured AWS account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsTarget {
    /// The region in which agents use the credentials.
    pub region: String,
    /// ARN of the role for plan credentials.
    pub plan_role: String,
    /// ARN of the role for apply credentials.
    pub apply_role: String,
    /// ARN of the permissions boundary that both roles must have, if the configuration names one.
    pub boundary: Option<String>,
    /// Name of this Lanyard instance, whose inline policy is `lanyard-deny-<instance>`.
    pub instance: String,
}

/// Mints and revokes sessions in one account.
pub struct AwsProvider<A> {
    target: AwsTarget,
    api: A,
    roles: Arc<Roles>,
    /// The deny policy that this process last wrote to each role, by ARN. If the role's policy
    /// differs, another party has edited it.
    written: Mutex<BTreeMap<String, DenyPolicy>>,
}

/// The last observation of each role, by ARN. Targets that share a role share this too, because a
/// cut by one target has to stop the mints of the other.
#[derive(Debug, Default)]
pub struct Roles(Mutex<BTreeMap<String, Observed>>);

/// An observation of a role by the revoking principal.
#[derive(Debug, Clone, Copy, Default)]
struct Observed {
    at: Timestamp,
    /// The latest cut in any instance's policy.
    cut: Option<Timestamp>,
}

/// The inline policies of a role, as just read.
#[derive(Debug, Default)]
struct RolePolicies {
    own: OwnPolicy,
    /// The latest cut of any instance, since instances can share a role.
    cut: Option<Timestamp>,
    /// Characters that the inline policies of others take from the role's quota.
    others: usize,
}

/// The deny policy of this instance.
#[derive(Debug, Default)]
enum OwnPolicy {
    #[default]
    None,
    Intact(DenyPolicy),
    /// The document was not written by a Lanyard instance: another party edited it.
    Edited,
}

/// The result of writing a role's deny policy.
struct DenyOutcome {
    composed: Composed,
    edited: Option<String>,
}

fn excessive(operation: &'static str, found: &str) -> ProviderError {
    ProviderError::Excessive {
        provider: PROVIDER,
        operation,
        found: found.to_owned(),
    }
}

fn refused(operation: &'static str, code: &str) -> ProviderError {
    ProviderError::Refused {
        provider: PROVIDER,
        operation,
        code: code.to_owned(),
    }
}

/// The name of a role, which IAM's calls take: the last part of its ARN.
fn role_name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

impl<A: AwsApi> AwsProvider<A> {
    /// A provider for `target` that shares its roles with no other target.
    #[must_use]
    pub fn new(target: AwsTarget, api: A) -> Self {
        Self {
            target,
            api,
            roles: Arc::default(),
            written: Mutex::default(),
        }
    }

    /// Shares `roles` with the other targets of this process.
    #[must_use]
    pub fn beside(self, roles: Arc<Roles>) -> Self {
        Self { roles, ..self }
    }

    fn role(&self, role: Role) -> &str {
        match role {
            Role::Plan => &self.target.plan_role,
            Role::Apply => &self.target.apply_role,
        }
    }

    fn policy_name(&self) -> String {
        format!("{POLICY_PREFIX}{}", self.target.instance)
    }

    /// Reads all inline policies of a role as the revoking principal, and remembers the latest cut.
    async fn read(&self, role: &str, now: Timestamp) -> Result<RolePolicies, ProviderError> {
        let (name, mine) = (role_name(role), self.policy_name());
        let mut standing = RolePolicies::default();
        for policy in self.api.role_policies(name).await? {
            // The policy was deleted between the list and the read: it denies nothing.
            let Some(text) = self.api.role_policy(name, &policy).await? else {
                continue;
            };
            let ours = policy.starts_with(POLICY_PREFIX);
            let read = ours.then(|| serde_json::from_str(&text).ok());
            let read = read.flatten().and_then(|text| DenyPolicy::parse(&text));
            let cut = read.as_ref().and_then(DenyPolicy::cut);
            standing.cut = standing.cut.max(cut);
            if policy == mine {
                standing.own = read.map_or(OwnPolicy::Edited, OwnPolicy::Intact);
            } else {
                // IAM does not count white space against the quota.
                standing.others += text.chars().filter(|c| !c.is_whitespace()).count();
            }
        }
        let (at, cut) = (now, standing.cut);
        self.roles
            .0
            .lock()
            .insert(role.to_owned(), Observed { at, cut });
        Ok(standing)
    }

    /// Refuses a mint while the role's credentials could not be revoked, or while a cut would still
    /// kill the new session too.
    async fn may_mint(&self, role: &str, now: Timestamp) -> Result<(), ProviderError> {
        let seen = self.roles.0.lock().get(role).copied();
        let cut = match seen {
            Some(seen) if now.since(seen.at) < REVOKER_CHECK_INTERVAL => seen.cut,
            Some(_) | None => {
                let standing = self.read(role, now).await?;
                if matches!(standing.own, OwnPolicy::Edited) {
                    return Err(refused("mint", "another party edited the deny policy"));
                }
                standing.cut
            }
        };
        match cut {
            // The cut denies every session issued before it, so a mint waits until the time of the
            // cut has passed.
            Some(cut) if now <= cut => Err(refused(
                "mint",
                "a cut was set on the role: mints wait until its time has passed",
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes one role deny every session that must be dead: reads, composes, writes, and reads
    /// back.
    async fn deny(
        &self,
        role: &str,
        revocation: &Revocation,
    ) -> Result<DenyOutcome, ProviderError> {
        let mine = |leases: &[LeaseRef]| -> Vec<LeaseRef> {
            leases
                .iter()
                .filter(|lease| &*lease.handle.0 == role)
                .cloned()
                .collect()
        };
        let (due, standing) = (mine(&revocation.due), mine(&revocation.standing));
        let read = self.read(role, revocation.now).await?;
        let edited = self.edited(role, &read.own);
        let present = match &read.own {
            OwnPolicy::Intact(policy) => policy.clone(),
            OwnPolicy::None | OwnPolicy::Edited => DenyPolicy::default(),
        };
        let composed = compose(&Demand {
            due: &due,
            standing: &standing,
            cut: revocation.cut,
            present: &present,
            now: revocation.now,
            // Other policies of the role share its quota: the characters that they use are not
            // available to this policy.
            budget: INLINE_POLICY_CHARS.saturating_sub(read.others),
        });
        // An edited policy is written even if nothing must be denied, which deletes it.
        if matches!(read.own, OwnPolicy::Edited) || composed.policy != present {
            self.write(role, &composed.policy, revocation.now).await?;
        }
        let written = composed.policy.clone();
        self.written.lock().insert(role.to_owned(), written);
        Ok(DenyOutcome { composed, edited })
    }

    /// Writes the policy and reads it back. Only a policy that reads back equal counts as written.
    async fn write(
        &self,
        role: &str,
        policy: &DenyPolicy,
        now: Timestamp,
    ) -> Result<(), ProviderError> {
        let (name, mine) = (role_name(role), self.policy_name());
        if policy.is_empty() {
            self.api.delete_role_policy(name, &mine).await?;
        } else {
            let document = serde_json::to_string(&policy.document())
                .map_err(|_| refused("iam:PutRolePolicy", "cannot render the document"))?;
            self.api.put_role_policy(name, &mine, &document).await?;
        }
        let there = self.read(role, now).await?.own;
        let same = match &there {
            OwnPolicy::None => policy.is_empty(),
            OwnPolicy::Intact(there) => there == policy,
            OwnPolicy::Edited => false,
        };
        if same {
            return Ok(());
        }
        let what = "another document was read back";
        Err(refused("iam:PutRolePolicy", what))
    }

    /// Describes how another party changed the policy since this process last wrote it.
    fn edited(&self, role: &str, own: &OwnPolicy) -> Option<String> {
        let written = self.written.lock().get(role).cloned();
        let what = match (own, written) {
            (OwnPolicy::Edited, _) => "this broker did not write its present text",
            (OwnPolicy::None, Some(written)) if !written.is_empty() => "it was deleted",
            (OwnPolicy::Intact(there), Some(written)) if *there != written => {
                "its entries were changed"
            }
            (OwnPolicy::None | OwnPolicy::Intact(_), _) => return None,
        };
        let policy = self.policy_name();
        Some(format!("inline policy {policy} of role {role}: {what}"))
    }
}

/// A tag value with the characters that AWS allows; any other value is replaced by its digest
/// (T39).
fn tag(value: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.:/=+-@ ".contains(c);
    if value.len() <= MAX_TAG_BYTES && value.chars().all(fits) {
        return value.to_owned();
    }
    let hash = digest(&SHA256, value.as_bytes());
    let hex: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

fn seconds(request: &MintRequest) -> i32 {
    let whole = request
        .expires
        .since(request.now)
        .as_millis()
        .div_ceil(1000);
    // A shorter lease gets the shortest session, and its session policy ends it in time.
    i32::try_from(whole.max(u128::from(SHORTEST_SESSION_SECS))).unwrap_or(i32::MAX)
}

/// Checks that STS issued the requested session: a stronger one must never reach the agent (T79).
fn check_session(
    session: &Session,
    role: &str,
    request: &MintRequest,
) -> Result<(), ProviderError> {
    let lease = request.lease.to_string();
    // arn:aws:sts::account:assumed-role/role/session, without the role's path.
    let asked = format!(":assumed-role/{}/{lease}", role_name(role));
    if !session.arn.ends_with(&asked) {
        return Err(excessive(
            "sts:AssumeRole",
            "a session of another role or name",
        ));
    }
    if session
        .source_identity
        .as_ref()
        .is_some_and(|identity| *identity != lease)
    {
        return Err(excessive("sts:AssumeRole", "another source identity"));
    }
    let asked = request.now + Duration::from_secs(u64::try_from(seconds(request)).unwrap_or(0));
    // STS counts from its own clock, and in whole seconds.
    if request.skew.to_own(session.expires) > asked + Duration::from_secs(60) {
        return Err(excessive(
            "sts:AssumeRole",
            "a session that is longer than asked for",
        ));
    }
    Ok(())
}

#[async_trait]
impl<A: AwsApi> Provider for AwsProvider<A> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            provider: PROVIDER,
            settle_time: PROPAGATION_TIME,
            max_batch: 1000,
            rewrites_whole_document: true,
            can_list: false,
            can_prove: false,
            mint_timeout: Duration::from_secs(20),
            late_request_time: Duration::ZERO,
            leeway: Duration::from_secs(60),
        }
    }

    fn revocability(&self, rights: &Rights) -> Revocability {
        let grant = rights.get::<AwsGrant>();
        if let Some((action, why)) = grant.and_then(AwsGrant::gives_credential) {
            return Revocability {
                mechanism: format!(
                    "an inline deny on the role names the session; it does not reach what {action} hands out: {why}"
                ),
                worst_case: None,
                source: "AWS's service models: what the action answers".to_owned(),
            };
        }
        Revocability {
            mechanism: "an inline deny on the role names the session; past the lease's end, its own policy denies \
                        everything"
                .to_owned(),
            worst_case: Some(PROPAGATION_TIME),
            source: "assumed: AWS names no bound \
                     (docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_general.html, eventual consistency)"
                .to_owned(),
        }
    }

    fn prepare(&self, request: &MintRequest) -> Result<Prepared, PrepareError> {
        let Some(grant) = request.rights.get::<AwsGrant>() else {
            let kind = request.rights.provider();
            return Err(PrepareError::Unsupported(format!(
                "an aws target mints no {kind} credentials"
            )));
        };
        Ok(Prepared {
            handle: Handle(self.role(request.role).into()),
            worst_expiry: request.expires,
            document: session_policy(grant, request)?,
        })
    }

    async fn mint(
        &self,
        request: &MintRequest,
        prepared: &Prepared,
    ) -> Result<Minted, ProviderError> {
        let role = self.role(request.role);
        self.may_mint(role, request.now).await?;
        let session = self
            .api
            .assume_role(&AssumeRole {
                role_arn: role.to_owned(),
                lease: request.lease.to_string(),
                policy: prepared.document.clone(),
                seconds: seconds(request),
                tags: vec![
                    ("lanyard-charter", tag(request.charter.as_str())),
                    ("lanyard-agent", tag(&request.agent.0)),
                    ("lanyard-task", tag(&request.task.to_string())),
                ],
            })
            .await?;
        check_session(&session, role, request)?;
        Ok(Minted {
            // By the broker's clock, and no later than the lease: from then on the session policy
            // denies everything, even if STS reports a later end.
            expires: request.skew.to_own(session.expires).min(request.expires),
            credential: AwsCredential {
                access_key_id: session.access_key_id,
                secret_access_key: session.secret_access_key,
                session_token: session.session_token,
                region: self.target.region.clone(),
            }
            .into(),
            handle: None,
        })
    }

    /// True when the lease ends before a revocation could hold everywhere. The session policy
    /// denies everything after the lease's end without a call, so a slot on the deny list would be
    /// wasted.
    fn needs_no_revocation(&self, lease: &LeaseRef, now: Timestamp) -> bool {
        lease.kill.is_none() && lease.worst_expiry <= now + PROPAGATION_TIME
    }

    /// Denies the due leases on their roles. A lease that ended without a kill and found no slot is
    /// not acknowledged; its session policy ends it. With nothing due, both roles are checked:
    /// missing entries are written again, and expired ones removed.
    async fn revoke(&self, revocation: &Revocation) -> RevocationReport {
        let mut report = RevocationReport::default();
        let roles = BTreeSet::from([&self.target.plan_role, &self.target.apply_role]);
        let due_on = |role: &str| -> Vec<LeaseId> {
            let due = revocation.due.iter();
            let due = due.filter(|lease| *lease.handle.0 == *role);
            due.map(|lease| lease.id).collect()
        };
        let mut roles: Vec<_> = roles.into_iter().map(|role| (role, due_on(role))).collect();
        if !revocation.due.is_empty() && revocation.cut.is_none() {
            roles.retain(|(_, due)| !due.is_empty());
        }
        // Both roles at once: calls that hang on one role do not delay the other.
        let denied = roles.iter().map(|(role, _)| self.deny(role, revocation));
        let denied = join_all(denied).await;
        for ((role, due), denied) in roles.into_iter().zip(denied) {
            match denied {
                Ok(DenyOutcome { composed, edited }) => {
                    let cut = composed.policy.cut();
                    let handle = Handle(role.as_str().into());
                    report.cuts.extend(cut.map(|cut| (handle, cut)));
                    report.edited.extend(edited);
                    let outcome = |lease| match composed.unlisted.contains(&lease) {
                        true => Ok(Revoked::LeftToEnd),
                        false => Ok(Revoked::Acknowledged),
                    };
                    let outcomes = due.into_iter().map(|lease| (lease, outcome(lease)));
                    report.outcomes.extend(outcomes);
                }
                Err(error) => {
                    if due.is_empty() {
                        tracing::warn!(role, %error, "cannot check the policies of a role");
                    }
                    let failed = due.into_iter().map(|lease| (lease, Err(error.clone())));
                    report.outcomes.extend(failed);
                }
            }
        }
        report
    }

    /// Cannot tell: `GetCallerIdentity` succeeds under any deny, and no other call shows that a
    /// session is dead.
    async fn probe(&self, _lease: &LeaseRef) -> Result<Probe, ProviderError> {
        Ok(Probe::Unknowable)
    }

    /// Shows that a session exists, and nothing about its end: `GetCallerIdentity` succeeds under
    /// any deny.
    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
    async fn probe_with_credential(
        &self,
        credential: &Credential,
    ) -> Result<Option<bool>, ProviderError> {
        let Some(AwsCredential {
            access_key_id,
            secret_access_key,
            session_token,
            ..
        }) = credential.get()
        else {
            return Ok(None);
        };
        let session = SessionKeys {
            access_key_id,
            secret_access_key,
            session_token,
        };
        let holder = self.api.holder(&session).await?;
        Ok(Some(holder.is_some()))
    }

    /// Checks the role of the request at IAM and returns its faults.
    async fn check_setup(&self, request: &MintRequest) -> Result<Vec<String>, ProviderError> {
        let arn = self.role(request.role);
        let Some(facts) = self.api.role_facts(role_name(arn)).await? else {
            return Ok(vec![format!("role {arn} does not exist")]);
        };
        let minter = inspect::principal(&self.api.minter().await?);
        let mut faults = inspect::faults(arn, &facts, &minter, self.target.boundary.as_deref());
        let standing = self.read(arn, request.now).await?;
        if matches!(standing.own, OwnPolicy::Edited) {
            let policy = self.policy_name();
            faults.push(format!(
                "another party edited the inline policy {policy} of role {arn}"
            ));
        }
        if standing.others > INLINE_POLICY_CHARS / 2 {
            faults.push(format!(
                "other inline policies of role {arn} take {} of the {INLINE_POLICY_CHARS} characters that it has: a kill \
                 has little room before it has to cut the whole role",
                standing.others
            ));
        }
        Ok(faults)
    }

    async fn read_clock(&self) -> Result<Option<Timestamp>, ProviderError> {
        self.api.time().await
    }

    /// Always empty, because AWS lists no sessions.
    async fn list(&self) -> Result<Vec<FoundCredential>, ProviderError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_value_or_its_digest() {
        let longest = "t".repeat(MAX_TAG_BYTES);
        assert_eq!(tag(&longest), longest);
        assert!(tag(&format!("{longest}t")).starts_with("sha256:"));
        assert!(tag("a*b").starts_with("sha256:"));
    }
}
