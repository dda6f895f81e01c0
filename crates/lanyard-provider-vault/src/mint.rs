//! How a lease's token is made, and what is checked of it.

use std::collections::BTreeSet;

use lanyard_core::charter::{VaultGives, VaultGrant};
use lanyard_core::provider::{Credential, MintRequest, Minted, Prepared, ProviderError};

use crate::PROVIDER;
use crate::api::{Dynamic, Token, TokenAsk, VaultApi};
use crate::handle::Held;
use crate::policy::{Mounts, parse};
use crate::provider::{VaultProvider, grant, life};
use crate::rules::{Bounds, check, check_name, check_secret};
use crate::transport::{ambiguous, refused};

/// Why nothing comes of a mint.
const ENDED: &str = "its lease was ended meanwhile";

impl TokenAsk<'_> {
    /// What bounds the token, as it is asked for.
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
        held: &Held,
    ) -> TokenAsk<'_> {
        TokenAsk {
            role: &self.target.token_role,
            policies: grant.policies.iter().cloned().collect(),
            life: life(request),
            uses: match grant.gives {
                VaultGives::Token { uses } => uses,
                // Its last use would take the secret along.
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
        // Until this returns, nobody says of the lease that it came to nothing.
        let _under_way = self.mints.begin(request.lease);
        let grant = grant(request).ok_or_else(|| refused("mint", "a request of another kind"))?;
        let mut held = Held::read(&prepared.handle)
            .ok_or_else(|| refused("mint", "the handle cannot be read"))?;
        let gone = || refused(OPERATION, "its parent token is held no more: ask again");
        let parent = self.parents.named(&held.parent, request).ok_or_else(gone)?;
        let mounts = self.api.mounts().await?;
        self.judge(request, grant, &mounts).await?;
        if self.search.is_lost(request.lease) {
            return Err(refused("mint", ENDED));
        }
        let ask = self.ask(request, grant, &held);
        let token = match self.api.create_child(&parent.token, &ask).await {
            Ok(token) => token,
            Err(refusal @ ProviderError::Refused { .. }) => {
                if matches!(self.api.accepted(&parent.token).await, Ok(false)) {
                    self.parents.forget(&parent.accessor);
                    return Err(refused(OPERATION, "its parent token is revoked: ask again"));
                }
                return Err(refusal);
            }
            Err(error) => return Err(error),
        };
        held.accessor = Some(token.accessor.clone());
        if let Err(found) = as_asked(&token, &ask) {
            self.give_up(&held).await?;
            return Err(excessive(OPERATION, found));
        }
        if self.search.is_lost(request.lease) {
            self.give_up(&held).await?;
            return Err(refused("mint", ENDED));
        }
        let expires = request.now + token.life;
        match &grant.gives {
            VaultGives::Token { .. } => {
                let endpoint = self.api.endpoint();
                Ok(Minted {
                    credential: Credential::Vault {
                        address: endpoint.address,
                        namespace: endpoint.namespace,
                        certificate_authority: endpoint.certificate_authority,
                        token: token.token,
                    },
                    expires,
                    handle: Some(held.handle()),
                })
            }
            VaultGives::Secret { path } => {
                let read = self.read_for(&token, &mut held, path, &ask).await?;
                if self.search.is_lost(request.lease) {
                    self.give_up(&held).await?;
                    return Err(refused("mint", ENDED));
                }
                let credential = Credential::VaultSecret {
                    path: path.clone(),
                    data: read.data,
                };
                Ok(Minted {
                    credential,
                    expires: expires.min(request.now + read.life),
                    handle: Some(held.handle()),
                })
            }
        }
    }

    /// The secret, read by the token that it then hangs on.
    async fn read_for(
        &self,
        token: &Token,
        held: &mut Held,
        path: &str,
        ask: &TokenAsk<'_>,
    ) -> Result<Dynamic, ProviderError> {
        const OPERATION: &str = "read the secret";
        let read = match self.api.read(&token.token, path).await {
            Ok(read) => read,
            Err(error) => {
                self.give_up(held).await?;
                return Err(error);
            }
        };
        if read.lease.is_empty() {
            self.give_up(held).await?;
            return Err(refused(
                OPERATION,
                "what the path gives has no lease: nothing would end it",
            ));
        }
        held.secret = Some(read.lease.clone());
        if read.life > ask.life {
            self.give_up(held).await?;
            let found = format!(
                "a secret for {} s where {} s were asked for: lower the default_ttl of its role",
                read.life.as_secs(),
                ask.life.as_secs()
            );
            return Err(excessive(OPERATION, found));
        }
        Ok(read)
    }

    /// Ends what was made for a lease that comes to nothing; where that is not known to be done, nothing is known of
    /// the lease either.
    async fn give_up(&self, held: &Held) -> Result<(), ProviderError> {
        let ended = self.end_held(held).await;
        ended.map_err(|_| ambiguous("mint", "what was made for it could not be revoked yet"))
    }

    /// Whether these policies, as they are in this moment, are given to a lease (T37).
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
            let no = |why: String| refused("hand on a policy", &format!("{name}: {why}"));
            check_name(name).map_err(no)?;
            let text = self.api.policy(name).await?;
            let text = text.ok_or_else(|| no("there is none of this name".to_owned()))?;
            let stanzas = parse(&text).map_err(|error| no(error.to_string()))?;
            check(&stanzas, &bounds).map_err(no)?;
        }
        if let VaultGives::Secret { path } = &grant.gives {
            check_secret(path, &bounds).map_err(|why| refused("read the secret", &why))?;
        }
        Ok(())
    }
}

/// Whether a token is what was asked for, and no more (T79).
fn as_asked(token: &Token, ask: &TokenAsk<'_>) -> Result<(), String> {
    let asked: BTreeSet<&str> = ask.policies.iter().map(String::as_str).collect();
    let given: BTreeSet<&str> = token.policies.iter().map(String::as_str).collect();
    if asked != given {
        let more = given.difference(&asked).copied().collect::<Vec<_>>();
        let less = asked.difference(&given).copied().collect::<Vec<_>>();
        return Err(format!(
            "other policies: [{}] too many, [{}] missing",
            more.join(", "),
            less.join(", ")
        ));
    }
    if token.kind != "service" {
        return Err("a token that is no service token".to_owned());
    }
    if token.orphan {
        return Err("a token that outlives its parent".to_owned());
    }
    if token.renewable {
        return Err("a token that can be renewed".to_owned());
    }
    if token.life > ask.life || token.life.is_zero() {
        let (found, asked) = (token.life.as_secs(), ask.life.as_secs());
        return Err(format!(
            "a life of {found} s where {asked} s were asked for"
        ));
    }
    let fewer = match (token.uses, ask.uses) {
        (Some(found), Some(asked)) => found <= asked,
        (None, Some(_)) => false,
        (_, None) => true,
    };
    if !fewer {
        return Err("a token for more uses than were asked for".to_owned());
    }
    Ok(())
}
