//! Creates a lease's token, and checks it against the request.

use std::collections::BTreeSet;

use lanyard_charter::kinds::{VaultCredential, VaultSecretCredential};
use lanyard_charter::{VaultGives, VaultGrant};
use lanyard_core::provider::{MintRequest, Minted, Prepared, ProviderError};

use crate::PROVIDER;
use crate::api::{Dynamic, Token, TokenAsk, VaultApi};
use crate::handle::LeaseHandle;
use crate::policy::{Mounts, parse};
use crate::provider::{VaultProvider, grant, life};
use crate::rules::{Bounds, check, check_name, check_secret};
use crate::transport::{ambiguous, refused};

/// The reason why a mint issues nothing although the server would.
const LEASE_ENDED: &str = "the lease was ended meanwhile";

impl TokenAsk<'_> {
    /// Returns the request as JSON without secrets, for the journal.
    pub(crate) fn document(&self) -> String {
        let document = serde_json::json!({
            "role": self.role,
            "policies": self.policies,
            "no_default_policy": true,
            "explicit_max_ttl": format!("{}s", self.life.as_secs()),
            "num_uses": self.uses.unwrap_or(0),
            "renewable": false,
            "type": "service",
            "meta": self.meta,
        });
        document.to_string()
    }
}

fn excessive(operation: &'static str, found: String) -> ProviderError {
    ProviderError::Excessive {
        provider: PROVIDER,
        operation,
        found,
    }
}

impl<A: VaultApi> VaultProvider<A> {
    pub(crate) fn ask(
        &self,
        request: &MintRequest,
        grant: &VaultGrant,
        held: &LeaseHandle,
    ) -> TokenAsk<'_> {
        TokenAsk {
            role: &self.target.token_role,
            policies: grant.policies.iter().cloned().collect(),
            life: life(request),
            uses: match grant.gives {
                VaultGives::Token { uses } => uses,
                // Unlimited uses: otherwise the end of the token's last use would also end the
                // secret.
                VaultGives::Secret { .. } => None,
            },
            meta: held.meta(request),
        }
    }

    pub(crate) async fn mint_one(
        &self,
        request: &MintRequest,
        prepared: &Prepared,
    ) -> Result<Minted, ProviderError> {
        const OPERATION: &str = "create a token";
        // Dropped on return. Until then a search must not conclude that the lease has no token.
        let _in_progress = self.mints.begin(request.lease);
        let grant = grant(request).ok_or_else(|| refused("mint", "a request of another kind"))?;
        let mut held = LeaseHandle::read(&prepared.handle)
            .ok_or_else(|| refused("mint", "the handle cannot be read"))?;
        let gone = || {
            refused(
                OPERATION,
                "its parent token is no longer in memory: request the credential again",
            )
        };
        let parent = self.parents.named(&held.parent, request).ok_or_else(gone)?;
        let mounts = self.api.mounts().await?;
        self.judge(request, grant, &mounts).await?;
        // Checked before and after each call that creates something: a revocation that found no
        // token has marked the lease as lost, and then this mint has to revoke what it created.
        if self.search.is_lost(request.lease) {
            return Err(refused("mint", LEASE_ENDED));
        }
        let ask = self.ask(request, grant, &held);
        let token = match self.api.create_child(&parent.token, &ask).await {
            Ok(token) => token,
            Err(refusal @ ProviderError::Refused { .. }) => {
                // A kill may have revoked the parent; the next request then creates a new one.
                if matches!(self.api.accepted(&parent.token).await, Ok(false)) {
                    self.parents.forget(&parent.accessor);
                    return Err(refused(
                        OPERATION,
                        "its parent token is revoked: request the credential again",
                    ));
                }
                return Err(refusal);
            }
            Err(error) => return Err(error),
        };
        held.accessor = Some(token.accessor.clone());
        if let Err(found) = check_token(&token, &ask) {
            self.end_unused(&held).await?;
            return Err(excessive(OPERATION, found));
        }
        if self.search.is_lost(request.lease) {
            self.end_unused(&held).await?;
            return Err(refused("mint", LEASE_ENDED));
        }
        let expires = request.now + token.life;
        match &grant.gives {
            VaultGives::Token { .. } => {
                let endpoint = self.api.endpoint();
                Ok(Minted {
                    credential: VaultCredential {
                        address: endpoint.address,
                        namespace: endpoint.namespace,
                        certificate_authority: endpoint.certificate_authority,
                        token: token.token,
                    }
                    .into(),
                    expires,
                    handle: Some(held.handle()),
                })
            }
            VaultGives::Secret { path } => {
                let read = self.read_for(&token, &mut held, path, &ask).await?;
                if self.search.is_lost(request.lease) {
                    self.end_unused(&held).await?;
                    return Err(refused("mint", LEASE_ENDED));
                }
                let credential = VaultSecretCredential {
                    path: path.clone(),
                    data: read.data,
                }
                .into();
                Ok(Minted {
                    credential,
                    expires: expires.min(request.now + read.life),
                    handle: Some(held.handle()),
                })
            }
        }
    }

    /// Reads the secret with the lease's own token, so that the secret ends with the token.
    async fn read_for(
        &self,
        token: &Token,
        held: &mut LeaseHandle,
        path: &str,
        ask: &TokenAsk<'_>,
    ) -> Result<Dynamic, ProviderError> {
        const OPERATION: &str = "read the secret";
        let read = match self.api.read(&token.token, path).await {
            Ok(read) => read,
            Err(error) => {
                self.end_unused(held).await?;
                return Err(error);
            }
        };
        if read.lease.is_empty() {
            self.end_unused(held).await?;
            return Err(refused(
                OPERATION,
                "the secret at this path has no lease: it could not be revoked",
            ));
        }
        held.secret = Some(read.lease.clone());
        if read.life > ask.life {
            self.end_unused(held).await?;
            let found = format!(
                "the secret lives {} s instead of {} s: lower the default_ttl of its role",
                read.life.as_secs(),
                ask.life.as_secs()
            );
            return Err(excessive(OPERATION, found));
        }
        Ok(read)
    }

    /// Revokes what a failed mint created. If that fails too, the mint's result is ambiguous,
    /// because the token may still work.
    async fn end_unused(&self, held: &LeaseHandle) -> Result<(), ProviderError> {
        let ended = self.end_held(held).await;
        ended.map_err(|_| ambiguous("mint", "its token could not be revoked yet"))
    }

    /// Checks the present text of the grant's policies (T37).
    pub(crate) async fn judge(
        &self,
        request: &MintRequest,
        grant: &VaultGrant,
        mounts: &Mounts,
    ) -> Result<(), ProviderError> {
        let bounds = Bounds {
            role: request.role,
            mounts,
            reading: &self.target.reading,
        };
        for name in &grant.policies {
            let no = |why: String| refused("use a policy", &format!("{name}: {why}"));
            check_name(name).map_err(no)?;
            let text = self.api.policy(name).await?;
            let text =
                text.ok_or_else(|| no("the server has no policy of this name".to_owned()))?;
            let stanzas = parse(&text).map_err(|error| no(error.to_string()))?;
            check(&stanzas, &bounds).map_err(no)?;
        }
        if let VaultGives::Secret { path } = &grant.gives {
            check_secret(path, &bounds).map_err(|why| refused("read the secret", &why))?;
        }
        Ok(())
    }
}

/// Checks that a token gives what was requested and nothing more (T79).
fn check_token(token: &Token, ask: &TokenAsk<'_>) -> Result<(), String> {
    let asked: BTreeSet<&str> = ask.policies.iter().map(String::as_str).collect();
    let given: BTreeSet<&str> = token.policies.iter().map(String::as_str).collect();
    if asked != given {
        let more = given.difference(&asked).copied().collect::<Vec<_>>();
        let less = asked.difference(&given).copied().collect::<Vec<_>>();
        return Err(format!(
            "the token's policies differ: not requested [{}], missing [{}]",
            more.join(", "),
            less.join(", ")
        ));
    }
    if token.kind != "service" {
        return Err("the token is not a service token".to_owned());
    }
    if token.orphan {
        return Err("the token outlives its parent".to_owned());
    }
    if token.renewable {
        return Err("the token can be renewed".to_owned());
    }
    if token.life > ask.life || token.life.is_zero() {
        let (found, asked) = (token.life.as_secs(), ask.life.as_secs());
        return Err(format!("the token lives {found} s instead of {asked} s"));
    }
    let fewer = match (token.uses, ask.uses) {
        (Some(found), Some(asked)) => found <= asked,
        (None, Some(_)) => false,
        (_, None) => true,
    };
    if !fewer {
        return Err("the token allows more uses than requested".to_owned());
    }
    Ok(())
}
