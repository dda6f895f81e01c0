//! The implementation of [`VaultApi`] on a real server: vaultrs' requests over [`Transport`].

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::provider::ProviderError;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use rustify::endpoint::Endpoint as Request;
use rustify::enums::RequestMethod;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use vaultrs::api::sys::requests::ListMountsRequest;
use vaultrs::api::token::requests::{
    CreateRoleTokenRequest, ListAccessorRequest, LookupTokenAccessorRequest,
    LookupTokenSelfRequest, ReadTokenRoleRequest, RevokeTokenAccessorRequest,
};

use crate::api::{
    AccessorLookup, Dynamic, Endpoint, Mounts, Token, TokenAsk, TokenFacts, TokenRole, VaultApi,
};
use crate::login::{Login, Session};
use crate::transport::{
    Answer, Call, ConnectError, Failure, Transport, ambiguous, pending, refused,
};

/// A server, or one namespace of it, with the broker's own token.
pub struct Server {
    endpoint: Endpoint,
    transport: Transport,
    session: Session,
}

impl Server {
    /// Prepares the connection; makes no call.
    ///
    /// # Errors
    /// When the address, the namespace or the certificate authority is not usable.
    pub fn new(endpoint: Endpoint, login: Login) -> Result<Self, ConnectError> {
        let transport = Transport::new(
            &endpoint.address,
            &endpoint.namespace,
            &endpoint.certificate_authority,
        )?;
        Ok(Self {
            endpoint,
            transport,
            session: Session::new(login),
        })
    }

    /// Makes a call with the broker's token. If the server no longer knows the token, the call is
    /// repeated once with a new one. That is safe, because a call that is refused for its token was
    /// not carried out.
    async fn as_broker<E: Request>(
        &self,
        operation: &'static str,
        request: impl Fn() -> Option<E> + Send + Sync,
    ) -> Result<Answer, ProviderError> {
        let build = || request().ok_or_else(|| refused(operation, "the request cannot be built"));
        let token = self.session.token(&self.transport).await?;
        let answer = self
            .transport
            .call(operation, Some(&token), build()?)
            .await?;
        let Answer::Bad(said) = &answer else {
            return Ok(answer);
        };
        if said.status != 403 || !said.own || self.accepts(&token).await? {
            return Ok(answer);
        }
        self.session.forget(&token).await;
        let token = self.session.token(&self.transport).await?;
        self.transport.call(operation, Some(&token), build()?).await
    }

    async fn may_look_up(&self) -> Result<bool, ProviderError> {
        const PATH: &str = "auth/token/lookup-accessor";
        let rights = self.rights(&[PATH]).await?;
        Ok(rights
            .get(PATH)
            .is_some_and(|held| held.iter().any(|it| it == "update" || it == "root")))
    }

    async fn accepts(&self, token: &Secret<String>) -> Result<bool, ProviderError> {
        const OPERATION: &str = "look a token up by itself";
        let request = LookupTokenSelfRequest::builder().build();
        let request = request.map_err(|_| refused(OPERATION, "the request cannot be built"))?;
        match self.transport.call(OPERATION, Some(token), request).await? {
            good @ Answer::Good(_) => good.read::<Data<IgnoredAny>>(OPERATION).map(|_| true),
            // The server answers alike for an unknown token and for one that may not look itself
            // up. Callers ask only about tokens that may.
            Answer::Bad(Failure {
                status: 403,
                own: true,
                ..
            }) => Ok(false),
            Answer::Bad(said) => Err(said.error(OPERATION)),
        }
    }
}

fn create(ask: &TokenAsk<'_>) -> Option<CreateRoleTokenRequest> {
    let life = format!("{}s", ask.life.as_secs());
    let mut request = CreateRoleTokenRequest::builder();
    request
        .role_name(ask.role)
        .display_name("lanyard")
        .policies(ask.policies.clone())
        .no_default_policy(true)
        .ttl(life.as_str())
        .explicit_max_ttl(life.as_str())
        .renewable(false)
        .token_type("service")
        .meta(
            ask.meta
                .clone()
                .into_iter()
                .collect::<std::collections::HashMap<_, _>>(),
        );
    if let Some(uses) = ask.uses {
        request.num_uses(u64::from(uses));
    }
    request.build().ok()
}

#[derive(Deserialize)]
struct Created {
    auth: CreatedAuth,
}

#[derive(Deserialize)]
struct CreatedAuth {
    client_token: String,
    accessor: String,
    #[serde(default)]
    policies: Option<Vec<String>>,
    #[serde(default)]
    identity_policies: Option<Vec<String>>,
    token_type: String,
    orphan: bool,
    lease_duration: u64,
    renewable: bool,
    #[serde(default)]
    num_uses: u32,
}

fn token(answer: Answer, operation: &'static str) -> Result<Token, ProviderError> {
    let auth = answer.read::<Created>(operation)?.auth;
    let mut policies = auth.policies.unwrap_or_default();
    policies.extend(auth.identity_policies.unwrap_or_default());
    Ok(Token {
        token: Secret::new(auth.client_token),
        accessor: auth.accessor,
        policies,
        kind: auth.token_type,
        orphan: auth.orphan,
        life: Duration::from_secs(auth.lease_duration),
        renewable: auth.renewable,
        uses: Some(auth.num_uses).filter(|uses| *uses > 0),
    })
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Facts {
    #[serde(default)]
    accessor: String,
    path: String,
    meta: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<String>,
}

#[derive(Deserialize)]
struct Role {
    orphan: bool,
    renewable: bool,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    token_period: u64,
    #[serde(default)]
    token_no_default_policy: bool,
    #[serde(default)]
    allowed_policies: Option<Vec<String>>,
    #[serde(default)]
    allowed_policies_glob: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Read {
    lease_id: String,
    lease_duration: u64,
    #[serde(default)]
    data: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct Policy {
    policy: String,
}

#[derive(Deserialize)]
struct Mount {
    r#type: String,
}

impl Failure {
    /// Returns true if the subject of the call does not exist, in the words of Vault or OpenBao.
    fn is_gone(&self, words: &[&str]) -> bool {
        self.own
            && matches!(self.status, 400 | 403 | 404)
            && words.iter().any(|words| self.says(words))
    }
}

#[async_trait]
impl VaultApi for Server {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        self.transport.time().await
    }

    async fn create_parent(&self, ask: &TokenAsk<'_>) -> Result<Token, ProviderError> {
        const OPERATION: &str = "create the parent token";
        let answer = self.as_broker(OPERATION, || create(ask)).await?;
        token(answer, OPERATION)
    }

    async fn create_child(
        &self,
        parent: &Secret<String>,
        ask: &TokenAsk<'_>,
    ) -> Result<Token, ProviderError> {
        const OPERATION: &str = "create a token";
        let request =
            create(ask).ok_or_else(|| refused(OPERATION, "the request cannot be built"))?;
        let answer = self
            .transport
            .call(OPERATION, Some(parent), request)
            .await?;
        token(answer, OPERATION)
    }

    async fn accessors(&self) -> Result<Vec<String>, ProviderError> {
        const OPERATION: &str = "list the accessors";
        let request = || ListAccessorRequest::builder().build().ok();
        let answer = self.as_broker(OPERATION, request).await?;
        let keys = answer.read::<Data<Keys>>(OPERATION)?.data.keys;
        // A complete list contains the broker's own token; a list without it is incomplete, or
        // comes from another server.
        match self.session.accessor().await {
            Some(own) if keys.contains(&own) => Ok(keys),
            Some(_) | None => Err(ambiguous(
                OPERATION,
                "a list without the broker's own token",
            )),
        }
    }

    async fn lookup(&self, accessor: &str) -> Result<AccessorLookup, ProviderError> {
        const OPERATION: &str = "look a token up";
        let request = || {
            let mut request = LookupTokenAccessorRequest::builder();
            request.accessor(accessor).build().ok()
        };
        match self.as_broker(OPERATION, request).await? {
            Answer::Bad(said) if said.is_gone(&["invalid accessor"]) => Ok(AccessorLookup::Gone),
            Answer::Bad(said)
                if said.status == 403
                    && said.says("permission denied")
                    && self.may_look_up().await? =>
            {
                Ok(AccessorLookup::Denied)
            }
            answer @ (Answer::Good(_) | Answer::Bad(_)) => {
                let facts = answer.read::<Data<Facts>>(OPERATION)?.data;
                if facts.accessor != accessor {
                    return Err(ambiguous(OPERATION, "an answer about another token"));
                }
                Ok(AccessorLookup::Found(TokenFacts {
                    path: facts.path,
                    meta: facts.meta.unwrap_or_default(),
                }))
            }
        }
    }

    async fn revoke_accessor(&self, accessor: &str) -> Result<(), ProviderError> {
        const OPERATION: &str = "revoke a token";
        let request = || {
            let mut request = RevokeTokenAccessorRequest::builder();
            request.accessor(accessor).build().ok()
        };
        match self.as_broker(OPERATION, request).await? {
            done @ Answer::Good(_) => done.done(OPERATION),
            // The token was revoked before. The server uses the second phrase for an accessor whose
            // token is gone.
            Answer::Bad(said) if said.is_gone(&["invalid accessor", "token not found"]) => Ok(()),
            Answer::Bad(said) => Err(said.error(OPERATION)),
        }
    }

    async fn accepted(&self, token: &Secret<String>) -> Result<bool, ProviderError> {
        self.accepts(token).await
    }

    async fn read(&self, token: &Secret<String>, path: &str) -> Result<Dynamic, ProviderError> {
        const OPERATION: &str = "read the secret";
        let request = Call {
            method: RequestMethod::GET,
            path: path.to_owned(),
            body: None,
        };
        let answer = self.transport.call(OPERATION, Some(token), request).await?;
        let read = answer.read::<Read>(OPERATION)?;
        let fields = read.data.unwrap_or_default().into_iter();
        let fields = fields.map(|(name, value)| {
            let text = value.as_str().map(str::to_owned);
            (name, Secret::new(text.unwrap_or_else(|| value.to_string())))
        });
        Ok(Dynamic {
            lease: read.lease_id,
            life: Duration::from_secs(read.lease_duration),
            data: fields.collect(),
        })
    }

    async fn revoke_lease(&self, lease: &str) -> Result<(), ProviderError> {
        const OPERATION: &str = "revoke a secret";
        let request = || {
            Some(Call {
                method: RequestMethod::PUT,
                path: "sys/leases/revoke".to_owned(),
                body: Some(json!({"lease_id": lease, "sync": true})),
            })
        };
        match self.as_broker(OPERATION, request).await? {
            // The server gives this answer also for a secret that does not exist.
            done @ Answer::Good(_) => done.done(OPERATION),
            // The engine failed, possibly in words that the server uses for something else. A retry
            // may succeed, and the server itself is up.
            Answer::Bad(Failure {
                status: status @ (400 | 500),
                own: true,
                ..
            }) => Err(pending(
                OPERATION,
                &format!("{status} its engine failed to revoke it"),
            )),
            Answer::Bad(said) => Err(said.error(OPERATION)),
        }
    }

    async fn lease_exists(&self, lease: &str) -> Result<bool, ProviderError> {
        const OPERATION: &str = "look a secret up";
        let request = || {
            Some(Call {
                method: RequestMethod::PUT,
                path: "sys/leases/lookup".to_owned(),
                body: Some(json!({"lease_id": lease})),
            })
        };
        match self.as_broker(OPERATION, request).await? {
            good @ Answer::Good(_) => good.read::<Data<IgnoredAny>>(OPERATION).map(|_| true),
            Answer::Bad(said) if said.is_gone(&["invalid lease"]) => Ok(false),
            Answer::Bad(said) => Err(said.error(OPERATION)),
        }
    }

    async fn policy(&self, name: &str) -> Result<Option<String>, ProviderError> {
        const OPERATION: &str = "read a policy";
        let request = || {
            Some(Call {
                method: RequestMethod::GET,
                path: format!("sys/policies/acl/{name}"),
                body: None,
            })
        };
        let answer = self.as_broker(OPERATION, request).await?;
        let found = answer.found::<Data<Policy>>(OPERATION)?;
        Ok(found.map(|found| found.data.policy))
    }

    async fn mounts(&self) -> Result<Mounts, ProviderError> {
        const OPERATION: &str = "list the mounts";
        let request = || ListMountsRequest::builder().build().ok();
        let answer = self.as_broker(OPERATION, request).await?;
        let mounts = answer
            .read::<Data<BTreeMap<String, Mount>>>(OPERATION)?
            .data;
        let mounts = mounts.into_iter().map(|(path, mount)| (path, mount.r#type));
        Ok(mounts.collect())
    }

    async fn token_role(&self, name: &str) -> Result<Option<TokenRole>, ProviderError> {
        const OPERATION: &str = "read a token role";
        let request = || {
            let mut request = ReadTokenRoleRequest::builder();
            request.role_name(name).build().ok()
        };
        let answer = self.as_broker(OPERATION, request).await?;
        let found = answer.found::<Data<Role>>(OPERATION)?;
        Ok(found.map(|Data { data }| TokenRole {
            orphan: data.orphan,
            renewable: data.renewable,
            token_type: data.token_type,
            period: data.token_period,
            no_default_policy: data.token_no_default_policy,
            allowed_policies: data.allowed_policies.unwrap_or_default(),
            allowed_policies_glob: data.allowed_policies_glob.unwrap_or_default(),
        }))
    }

    async fn rights(&self, paths: &[&str]) -> Result<BTreeMap<String, Vec<String>>, ProviderError> {
        const OPERATION: &str = "read the broker's rights";
        let request = || {
            Some(Call {
                method: RequestMethod::POST,
                path: "sys/capabilities-self".to_owned(),
                body: Some(json!({"paths": paths})),
            })
        };
        let answer = self.as_broker(OPERATION, request).await?;
        let all = answer
            .read::<Data<BTreeMap<String, Value>>>(OPERATION)?
            .data;
        let listed = all.into_iter().map(|(path, rights)| {
            let rights = rights.as_array().into_iter().flatten();
            let rights = rights.filter_map(Value::as_str).map(str::to_owned);
            (path, rights.collect())
        });
        Ok(listed.collect())
    }
}
