//! One AWS account: a role for plan, a role for apply.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use lanyard_core::charter::{Rights, Role};
use lanyard_core::id::LeaseId;
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_core::provider::{
    Capabilities, Credential, Found, MintRequest, Minted, PrepareError, Prepared, Probe, Provider,
    ProviderError, Revocability, Revocation, RevocationReport, Revoked,
};
use lanyard_core::time::Timestamp;
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};

use crate::PROVIDER;
use crate::api::{AssumeRole, AwsApi, Held, Session};
use crate::inspect;
use crate::policy::{Composed, Demand, DenyPolicy, compose, session_policy};

/// The least that STS gives, in seconds.
const LEAST_SESSION: u64 = 900;
/// The characters that all inline policies of a role share.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
const INLINE_POLICIES: usize = 10_240;
/// How long a proof that the revoking principal works is good for (rule 28 of the mint: no revoker, no credential).
const PROOF: Duration = Duration::from_secs(300);
/// How long a change of a role's policies is taken to need to reach everywhere.
const PROPAGATION: Duration = Duration::from_secs(300);
/// How the inline policies of all writers begin (each writer has its own, and IAM takes the union).
const DENY: &str = "lanyard-deny-";
/// The longest value of a session tag.
///
/// # Limit
/// - for: a session tag
/// - unit: bytes
/// - beyond: the tag holds the SHA-256 of the value
/// - test: `a_tag_is_the_value_or_its_digest`
const MAX_TAG_BYTES: usize = 256;

/// One configured account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsTarget {
    /// The region that credentials are used in.
    pub region: String,
    /// The ARN of the plan role.
    pub plan_role: String,
    /// The ARN of the apply role.
    pub apply_role: String,
    /// The ARN of the permissions boundary that both roles are expected to have, where one is named.
    pub boundary: Option<String>,
    /// This writer's name: its inline policy is `lanyard-deny-<instance>`.
    pub instance: String,
}

/// The provider of one account.
pub struct AwsProvider<A> {
    target: AwsTarget,
    api: A,
    roles: Arc<Roles>,
    /// What this process last saw to be written, by role.
    written: Mutex<BTreeMap<String, DenyPolicy>>,
}

/// What was last seen on roles. Targets that share one share this as well: a cut by either stops the mints of both.
#[derive(Debug, Default)]
pub struct Roles(Mutex<BTreeMap<String, Seen>>);

/// What was last seen on a role, by the revoking principal.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    at: Timestamp,
    /// The latest cut of any writer.
    cut: Option<Timestamp>,
}

/// What stands on a role.
#[derive(Debug, Default)]
struct Standing {
    own: Own,
    /// The latest cut of any writer: roles can be shared.
    cut: Option<Timestamp>,
    /// How many characters the inline policies of others take of what all share.
    others: usize,
}

/// This writer's own policy.
#[derive(Debug, Default)]
enum Own {
    #[default]
    None,
    Whole(DenyPolicy),
    /// Something that no broker writes.
    Edited,
}

/// What a role denies now.
struct Denying {
    composed: Composed,
    edited: Option<String>,
}

fn not_ours(operation: &'static str, found: &str) -> ProviderError {
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

/// The name of a role, which is what IAM takes: the last part of its ARN.
fn role_name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

impl<A: AwsApi> AwsProvider<A> {
    /// The provider of this account.
    #[must_use]
    pub fn new(target: AwsTarget, api: A) -> Self {
        Self {
            target,
            api,
            roles: Arc::default(),
            written: Mutex::default(),
        }
    }

    /// The same, beside others of this process that may use its roles.
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
        format!("{DENY}{}", self.target.instance)
    }

    /// What stands on a role, read now by the revoking principal.
    async fn read(&self, role: &str, now: Timestamp) -> Result<Standing, ProviderError> {
        let (name, mine) = (role_name(role), self.policy_name());
        let mut standing = Standing::default();
        for policy in self.api.role_policies(name).await? {
            // One that has just gone denies nothing.
            let Some(text) = self.api.role_policy(name, &policy).await? else {
                continue;
            };
            let ours = policy.starts_with(DENY);
            let read = ours.then(|| serde_json::from_str(&text).ok());
            let read = read.flatten().and_then(|text| DenyPolicy::parse(&text));
            let cut = read.as_ref().and_then(DenyPolicy::cut);
            standing.cut = standing.cut.max(cut);
            if policy == mine {
                standing.own = read.map_or(Own::Edited, Own::Whole);
            } else {
                standing.others += text.chars().filter(|c| !c.is_whitespace()).count();
            }
        }
        let (at, cut) = (now, standing.cut);
        self.roles
            .0
            .lock()
            .insert(role.to_owned(), Seen { at, cut });
        Ok(standing)
    }

    /// A credential is only given while it could be revoked, and not before a cut that would take it along.
    async fn may_mint(&self, role: &str, now: Timestamp) -> Result<(), ProviderError> {
        let seen = self.roles.0.lock().get(role).copied();
        let cut = match seen {
            Some(seen) if now.since(seen.at) < PROOF => seen.cut,
            Some(_) | None => {
                let standing = self.read(role, now).await?;
                if matches!(standing.own, Own::Edited) {
                    return Err(refused("mint", "somebody else edited the deny policy"));
                }
                standing.cut
            }
        };
        match cut {
            Some(cut) if now <= cut => Err(refused("mint", "the role was cut and settles")),
            Some(_) | None => Ok(()),
        }
    }

    /// Brings one role to deny what has to be dead. Read, compose, write, read back.
    async fn deny(&self, role: &str, revocation: &Revocation) -> Result<Denying, ProviderError> {
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
            Own::Whole(policy) => policy.clone(),
            Own::None | Own::Edited => DenyPolicy::default(),
        };
        let composed = compose(&Demand {
            due: &due,
            standing: &standing,
            cut: revocation.cut,
            present: &present,
            now: revocation.now,
            budget: INLINE_POLICIES.saturating_sub(read.others),
        });
        if matches!(read.own, Own::Edited) || composed.policy != present {
            self.write(role, &composed.policy, revocation.now).await?;
        }
        let written = composed.policy.clone();
        self.written.lock().insert(role.to_owned(), written);
        Ok(Denying { composed, edited })
    }

    /// Writes it, and believes what is then read.
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
                .map_err(|_| refused("iam:PutRolePolicy", "the document cannot be written"))?;
            self.api.put_role_policy(name, &mine, &document).await?;
        }
        let there = self.read(role, now).await?.own;
        let same = match &there {
            Own::None => policy.is_empty(),
            Own::Whole(there) => there == policy,
            Own::Edited => false,
        };
        if same {
            return Ok(());
        }
        let what = "another document was read back";
        Err(refused("iam:PutRolePolicy", what))
    }

    /// What somebody else did to the policy since it was last written.
    fn edited(&self, role: &str, own: &Own) -> Option<String> {
        let written = self.written.lock().get(role).cloned();
        let what = match (own, written) {
            (Own::Edited, _) => "it does not read as this broker writes it",
            (Own::None, Some(written)) if !written.is_empty() => "it was deleted",
            (Own::Whole(there), Some(written)) if *there != written => "its entries were changed",
            (Own::None | Own::Whole(_), _) => return None,
        };
        let policy = self.policy_name();
        Some(format!("inline policy {policy} of role {role}: {what}"))
    }
}

/// Letters, digits and what AWS allows in a tag; a digest where that is not enough (T39).
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
    i32::try_from(whole.max(u128::from(LEAST_SESSION))).unwrap_or(i32::MAX)
}

fn checked(session: &Session, role: &str, request: &MintRequest) -> Result<(), ProviderError> {
    let lease = request.lease.to_string();
    // arn:aws:sts::account:assumed-role/role/session, without the role's path.
    let asked = format!(":assumed-role/{}/{lease}", role_name(role));
    if !session.arn.ends_with(&asked) {
        return Err(not_ours(
            "sts:AssumeRole",
            "a session of another role or name",
        ));
    }
    if session
        .source_identity
        .as_ref()
        .is_some_and(|identity| *identity != lease)
    {
        return Err(not_ours("sts:AssumeRole", "another source identity"));
    }
    let asked = request.now + Duration::from_secs(u64::try_from(seconds(request)).unwrap_or(0));
    // STS counts from its own clock, and in whole seconds.
    if request.skew.to_own(session.expires) > asked + Duration::from_secs(60) {
        return Err(not_ours(
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
            settles: PROPAGATION,
            at_once: 1000,
            whole: true,
            lists: false,
            proves: false,
            mint_timeout: Duration::from_secs(20),
            late_requests: Duration::ZERO,
            leeway: Duration::from_secs(60),
        }
    }

    fn revocability(&self, rights: &Rights) -> Revocability {
        let hands_on = match rights {
            Rights::Aws(grant) => grant.gives_credential(),
            Rights::Token(_) | Rights::Kubernetes(_) | Rights::Vault(_) | Rights::GitHub(_) => None,
        };
        if let Some((action, why)) = hands_on {
            return Revocability {
                mechanism: format!(
                    "an inline deny on the role names the session; what {action} hands on is beyond it: {why}"
                ),
                worst_case: None,
                source: "AWS's service models: what the action answers".to_owned(),
            };
        }
        Revocability {
            mechanism: "an inline deny on the role names the session; past the lease's end, its own policy denies \
                        everything"
                .to_owned(),
            worst_case: Some(PROPAGATION),
            source: "assumed: AWS names no bound \
                     (docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_general.html, eventual consistency)"
                .to_owned(),
        }
    }

    fn prepare(&self, request: &MintRequest) -> Result<Prepared, PrepareError> {
        let Rights::Aws(grant) = &request.rights else {
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
        checked(&session, role, request)?;
        Ok(Minted {
            expires: request.skew.to_own(session.expires).min(request.expires),
            credential: Credential::Aws {
                access_key_id: session.access_key_id,
                secret_access_key: session.secret_access_key,
                session_token: session.session_token,
                region: self.target.region.clone(),
            },
            handle: None,
        })
    }

    /// The session policy denies everything from the end of the lease on, at AWS and without a call. An entry in the list takes
    /// up to `PROPAGATION` to hold everywhere: one for less than that is spent for nothing.
    fn ends_itself(&self, lease: &LeaseRef, now: Timestamp) -> bool {
        lease.kill.is_none() && lease.worst_expiry <= now + PROPAGATION
    }

    /// A lease that found no slot and that nobody killed rests on its time Deny: it is not acknowledged. With nothing
    /// due, both roles are looked at: what is missing is written anew, and what is over is taken out.
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
        // At the same time: a role whose calls hang does not hold up the other.
        let denied = roles.iter().map(|(role, _)| self.deny(role, revocation));
        let denied = join_all(denied).await;
        for ((role, due), denied) in roles.into_iter().zip(denied) {
            match denied {
                Ok(Denying { composed, edited }) => {
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
                        tracing::warn!(role, %error, "a role could not be looked at");
                    }
                    let failed = due.into_iter().map(|lease| (lease, Err(error.clone())));
                    report.outcomes.extend(failed);
                }
            }
        }
        report
    }

    /// No call shows that an STS session is dead: GetCallerIdentity works under any deny.
    async fn probe(&self, _lease: &LeaseRef) -> Result<Probe, ProviderError> {
        Ok(Probe::Unknowable)
    }

    /// Shows that a session was made, and nothing about its end: GetCallerIdentity works under any deny.
    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
    async fn try_out(&self, credential: &Credential) -> Result<Option<bool>, ProviderError> {
        let Credential::Aws {
            access_key_id,
            secret_access_key,
            session_token,
            ..
        } = credential
        else {
            return Ok(None);
        };
        let session = Held {
            access_key_id,
            secret_access_key,
            session_token,
        };
        let holder = self.api.holder(&session).await?;
        Ok(Some(holder.is_some()))
    }

    /// AWS lists no sessions.
    async fn inspect(&self, request: &MintRequest) -> Result<Vec<String>, ProviderError> {
        let arn = self.role(request.role);
        let Some(facts) = self.api.role_facts(role_name(arn)).await? else {
            return Ok(vec![format!("role {arn} does not exist")]);
        };
        let minter = inspect::principal(&self.api.minter().await?);
        let mut faults = inspect::faults(arn, &facts, &minter, self.target.boundary.as_deref());
        let standing = self.read(arn, request.now).await?;
        if matches!(standing.own, Own::Edited) {
            let policy = self.policy_name();
            faults.push(format!(
                "somebody else edited the inline policy {policy} of role {arn}"
            ));
        }
        if standing.others > INLINE_POLICIES / 2 {
            faults.push(format!(
                "other inline policies of role {arn} take {} of the {INLINE_POLICIES} characters that it has: a kill \
                 has little room before it has to cut the whole role",
                standing.others
            ));
        }
        Ok(faults)
    }

    async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        self.api.time().await
    }

    async fn list(&self) -> Result<Vec<Found>, ProviderError> {
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
