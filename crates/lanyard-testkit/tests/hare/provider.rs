//! A provider of Hare, an invented message broker: it creates users with passwords that may read
//! certain queues. `docs/add-a-provider.md` explains this file.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::Rights;
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_core::provider::{
    Capabilities, FoundCredential, MintRequest, Minted, PrepareError, Prepared, Probe, Provider,
    ProviderError, Revocability, Revocation, RevocationReport, Revoked,
};
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;

use crate::grant::{HareCredential, HareGrant};

/// The provider's name in reports and errors.
const PROVIDER: &str = "hare";
/// The prefix of the name of every user that this provider creates.
const OURS: &str = "lanyard-";

/// The calls to Hare that the provider makes. Both the real client and the fake implement it.
#[async_trait]
pub(crate) trait HareApi: Send + Sync {
    /// Makes a user that ends by itself.
    async fn create(&self, user: &NewUser) -> Result<User, HareError>;
    /// Ends a user and its connections.
    async fn delete(&self, name: &str) -> Result<(), HareError>;
    /// The names of all users.
    async fn names(&self) -> Result<Vec<String>, HareError>;
}

pub(crate) struct NewUser {
    pub(crate) name: String,
    pub(crate) reads: BTreeSet<String>,
    pub(crate) until: Timestamp,
}

pub(crate) struct User {
    pub(crate) password: Secret<String>,
    pub(crate) reads: BTreeSet<String>,
    pub(crate) until: Timestamp,
}

/// An answer of Hare other than the expected one.
#[derive(Debug)]
pub(crate) enum HareError {
    /// An HTTP status, with an arbitrary text.
    Status(
        u16,
        #[expect(dead_code, reason = "the server's text is never used")] String,
    ),
    /// No answer came, so the call may have taken effect.
    Lost,
}

pub(crate) struct HareProvider<A> {
    api: Arc<A>,
}

impl<A> HareProvider<A> {
    pub(crate) const fn new(api: Arc<A>) -> Self {
        Self { api }
    }
}

fn grant(request: &MintRequest) -> Result<&HareGrant, PrepareError> {
    request.rights.get().ok_or_else(|| {
        let kind = request.rights.provider();
        PrepareError::Unsupported(format!("a hare target mints no {kind} credentials"))
    })
}

fn mapped(operation: &'static str, error: &HareError) -> ProviderError {
    let code = match error {
        HareError::Status(429, _) => {
            return ProviderError::Throttled {
                provider: PROVIDER,
                operation,
            };
        }
        HareError::Status(403, _) => "forbidden",
        HareError::Status(409, _) => "the user exists",
        HareError::Status(400..=499, _) => "refused",
        HareError::Status(..) | HareError::Lost => {
            return ProviderError::Ambiguous {
                provider: PROVIDER,
                operation,
                code: "no answer".to_owned(),
            };
        }
    };
    ProviderError::Refused {
        provider: PROVIDER,
        operation,
        code: code.to_owned(),
    }
}

fn checked(user: &User, asked: &NewUser) -> Result<(), ProviderError> {
    let found = if user.until > asked.until {
        "a longer life"
    } else if !user.reads.is_subset(&asked.reads) {
        "more queues"
    } else {
        return Ok(());
    };
    Err(ProviderError::Excessive {
        provider: PROVIDER,
        operation: "create",
        found: found.to_owned(),
    })
}

#[async_trait]
impl<A: HareApi> Provider for HareProvider<A> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            provider: PROVIDER,
            settle_time: Duration::ZERO,
            max_batch: 100,
            rewrites_whole_document: false,
            can_list: true,
            can_prove: false,
            mint_timeout: Duration::from_secs(10),
            late_request_time: Duration::ZERO,
            leeway: Duration::ZERO,
        }
    }

    fn revocability(&self, _rights: &Rights) -> Revocability {
        Revocability {
            mechanism: "its user is deleted, which closes its connections".to_owned(),
            worst_case: Some(Duration::from_secs(1)),
            source: "measured on Hare 3.1, 100 users with a connection each".to_owned(),
        }
    }

    fn prepare(&self, request: &MintRequest) -> Result<Prepared, PrepareError> {
        let grant = grant(request)?;
        Ok(Prepared {
            handle: Handle(format!("{OURS}{}", request.lease).into()),
            worst_expiry: request.expires,
            document: serde_json::json!({"read": grant.queues}).to_string(),
        })
    }

    async fn mint(
        &self,
        request: &MintRequest,
        prepared: &Prepared,
    ) -> Result<Minted, ProviderError> {
        const OPERATION: &str = "create";
        let not_ours = |_| mapped(OPERATION, &HareError::Status(400, String::new()));
        let asked = NewUser {
            name: prepared.handle.0.to_string(),
            reads: grant(request).map_err(not_ours)?.queues.clone(),
            until: request.expires,
        };
        let made = self.api.create(&asked).await;
        let user = made.map_err(|error| mapped(OPERATION, &error))?;
        checked(&user, &asked)?;
        Ok(Minted {
            credential: HareCredential {
                name: asked.name,
                password: user.password,
            }
            .into(),
            expires: user.until,
            handle: None,
        })
    }

    async fn revoke(&self, revocation: &Revocation) -> RevocationReport {
        let mut report = RevocationReport::default();
        for lease in &revocation.due {
            let outcome = match self.api.delete(&lease.handle.0).await {
                // The user was never created, or has expired.
                Ok(()) | Err(HareError::Status(404, _)) => Ok(Revoked::Acknowledged),
                Err(error) => Err(mapped("delete", &error)),
            };
            report.outcomes.push((lease.id, outcome));
        }
        report
    }

    async fn probe(&self, lease: &LeaseRef) -> Result<Probe, ProviderError> {
        let names = self.api.names().await;
        let names = names.map_err(|error| mapped("list", &error))?;
        let there = names.iter().any(|name| **name == *lease.handle.0);
        Ok(if there { Probe::Live } else { Probe::Dead })
    }

    async fn list(&self) -> Result<Vec<FoundCredential>, ProviderError> {
        let names = self.api.names().await;
        let names = names.map_err(|error| mapped("list", &error))?;
        let ours = names.into_iter().filter_map(|name| {
            let lease = name.strip_prefix(OURS)?.parse().ok()?;
            let handle = Handle(name.into());
            Some(FoundCredential { lease, handle })
        });
        Ok(ours.collect())
    }
}
