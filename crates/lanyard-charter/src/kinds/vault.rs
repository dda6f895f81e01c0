//! Kind `vault`: tokens of Vault and OpenBao, and dynamic secrets; and the policies that no agent
//! gets.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_document::shape::{Choice, Empty, Form, List, Map, Shape, required};
use lanyard_document::{Code, Item, Section};
use lanyard_vocabulary::secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::credential::CredentialForm;
use super::list_of;
use crate::prohibition::Prohibition;
use crate::reach::PlanReach;
use crate::rights::{KindRights, Rights, ToPlan};
use crate::target_kind::TargetKind;
use crate::usage::Usage;
use crate::world::{GrantKind, Starter};

impl TargetKind {
    /// A Vault or OpenBao server.
    pub const VAULT: Self = Self::new("vault");
}

/// The rights of a Vault or OpenBao token, or the secret read with such a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultGrant {
    /// The names of ACL policies. `default` is never added.
    pub policies: BTreeSet<String>,
    /// The form of the credential that the agent gets.
    pub gives: VaultGives,
}

/// The kinds of credential that a Vault grant gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VaultGives {
    /// A service token with the policies.
    Token {
        /// The number of requests that the token is good for; unlimited if absent.
        uses: Option<u32>,
    },
    /// The dynamic secret read at this path, without the token that reads it.
    Secret {
        /// The path, such as `database/creds/migrator`.
        path: String,
    },
}

impl VaultGrant {
    /// True if no agent ever gets the policy: `root` allows everything, and `default` is what the
    /// Vault's owners change for everybody (T37).
    #[must_use]
    pub fn never_given(policy: &str) -> bool {
        matches!(policy, "root" | "default" | "response-wrapping")
    }
}

/// The most requests that a token is good for: more would be no bound.
///
/// # Limit
/// - for: a grant of Vault
/// - unit: requests
/// - beyond: the charter is refused
/// - test: `what_a_charter_may_say_has_bounds`
const MAX_TOKEN_USES: u32 = 100_000;
/// The longest name, in bytes: longer than any that somebody reads.
///
/// # Limit
/// - for: a role or a policy of Vault
/// - unit: bytes
/// - beyond: the charter is refused
/// - test: `what_a_charter_may_say_has_bounds`
const MAX_NAME_BYTES: usize = 128;
/// The longest path of a dynamic secret, in bytes.
///
/// # Limit
/// - for: a path of Vault
/// - unit: bytes
/// - beyond: the charter is refused
/// - test: `what_a_charter_may_say_has_bounds`
const MAX_PATH_BYTES: usize = 512;

/// The entry of kind `vault` in the registry.
pub(super) struct Vault;

impl GrantKind for Vault {
    fn id(&self) -> TargetKind {
        TargetKind::VAULT
    }

    fn meaning(&self) -> &'static str {
        "A token of Vault or OpenBao, or a dynamic secret."
    }

    fn shape(&self) -> Map {
        let nothing = Empty::new(Code::EmptyGrant, "this grant allows nothing");
        let secret = "The path of the dynamic secret that is given instead of the token: \
                      `database/creds/reader`.";
        let uses = "The number of requests that the token is good for.";
        Map::new()
            .with(required(
                "policies",
                "The ACL policies of that Vault; never `root` or `default`.",
                List::of(POLICY).not_empty(nothing),
            ))
            .with(
                Choice::at_most_one([
                    vec![required("secret", secret, SECRET_PATH)],
                    vec![
                        required("uses", uses, Shape::number(1, MAX_TOKEN_USES))
                            .absent("any number"),
                    ],
                ])
                .message("`uses` counts the requests of a token, and this gives a secret"),
            )
    }

    fn parse(&self, section: &Section<'_>) -> Option<Rights> {
        let policies = section.get("policies").map(policies);
        let uses = section.get("uses").map(Item::number);
        let secret = section.get("secret").map(Item::text);
        let gives = match (secret, uses) {
            (Some(path), None) => VaultGives::Secret {
                path: path?.to_owned(),
            },
            (None, Some(uses)) => VaultGives::Token { uses: Some(uses?) },
            (None, None) => VaultGives::Token { uses: None },
            (Some(_), Some(_)) => return None,
        };
        let policies = policies.filter(|policies| !policies.is_empty())?;
        Some(VaultGrant { policies, gives }.into())
    }

    fn starter(&self) -> Starter {
        Starter {
            reads: "vault: {target: TARGET, policies: [reader]}\n",
            changes: "vault: {target: TARGET, policies: [writer]}\n",
        }
    }
}

fn policies(item: Item<'_>) -> BTreeSet<String> {
    let items = item.items().into_iter();
    let policies = items.filter_map(|item| {
        let name = item.text()?;
        if VaultGrant::never_given(name) {
            let message = format!("policy `{name}` is never given to an agent");
            item.report(Code::VaultPolicy, message);
        }
        Some(name.to_owned())
    });
    policies.collect()
}

/// A policy's name. Vault accepts more; the characters accepted here need no quoting anywhere.
const POLICY: Form =
    Form::new("the name of a policy", "^[a-z0-9_-][a-z0-9._-]{0,127}$").checked(policy);

/// The path of a dynamic secret, as it is read.
const SECRET_PATH: Form = Form::new(
    "the path of a secret",
    "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+$",
)
.checked(path_of_a_secret);

fn policy(text: &str) -> Result<(), &'static str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let well = text.bytes().all(plain) && !text.starts_with('.');
    if !text.is_empty() && text.len() <= MAX_NAME_BYTES && well {
        Ok(())
    } else {
        Err(
            "a policy is named in lower-case letters, digits, dashes, underscores and dots, and no dot comes first",
        )
    }
}

fn path_of_a_secret(text: &str) -> Result<(), &'static str> {
    const ENGINES: &str = "this is no path of a secrets engine";
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let segment = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain)
    };
    let segments: Vec<&str> = text.split('/').collect();
    if text.len() > MAX_PATH_BYTES || segments.len() < 2 || !segments.iter().all(|it| segment(it)) {
        return Err("write the path of one secret, without wildcards: database/creds/reader");
    }
    match segments.first() {
        Some(&("sys" | "auth" | "identity" | "cubbyhole")) | None => Err(ENGINES),
        Some(_) => Ok(()),
    }
}

impl KindRights for VaultGrant {
    fn kind(&self) -> TargetKind {
        TargetKind::VAULT
    }

    fn lines(&self) -> Vec<String> {
        let policies = list_of(self.policies.iter().map(String::as_str));
        vec![match &self.gives {
            VaultGives::Token { uses: None } => format!("a token with {policies}"),
            VaultGives::Token { uses: Some(uses) } => {
                format!("a token with {policies}, for {uses} requests")
            }
            VaultGives::Secret { path } => format!("{path}, read with {policies}"),
        }]
    }

    fn narrowed(&self, other: &Rights) -> Option<Rights> {
        let other: &Self = other.get()?;
        let policies: BTreeSet<_> = self
            .policies
            .intersection(&other.policies)
            .cloned()
            .collect();
        let gives = match (&self.gives, &other.gives) {
            (VaultGives::Token { uses: one }, VaultGives::Token { uses: two }) => {
                let uses = [*one, *two].into_iter().flatten().min();
                Some(VaultGives::Token { uses })
            }
            (VaultGives::Secret { path: one }, VaultGives::Secret { path: two }) => {
                (one == two).then(|| self.gives.clone())
            }
            (VaultGives::Token { .. } | VaultGives::Secret { .. }, _) => None,
        };
        let gives = gives.filter(|_| !policies.is_empty())?;
        Some(Self { policies, gives }.into())
    }

    fn beyond(&self, other: &Rights, _prohibited: [&[Prohibition]; 2]) -> Vec<String> {
        let Some(other) = other.get::<Self>() else {
            return self.lines();
        };
        let policies = self.policies.difference(&other.policies);
        let mut given: Vec<String> = policies.map(|policy| format!("policy {policy}")).collect();
        match (&self.gives, &other.gives) {
            (VaultGives::Secret { path }, gives) if *gives != self.gives => {
                given.push(format!("secret {path}"));
            }
            (VaultGives::Token { .. }, VaultGives::Secret { .. }) => {
                given.push("a token".to_owned());
            }
            (VaultGives::Token { uses }, VaultGives::Token { uses: Some(other) })
                if uses.is_none_or(|uses| uses > *other) =>
            {
                let uses = uses.map_or_else(|| "any number of".to_owned(), |uses| uses.to_string());
                given.push(format!("{uses} requests"));
            }
            (VaultGives::Token { .. } | VaultGives::Secret { .. }, _) => {}
        }
        given
    }

    /// The policies of a Vault are known to that Vault alone.
    fn gives(&self, _usage: &Usage) -> bool {
        false
    }

    fn request(&self, _object: &str) -> Option<Value> {
        Some(requested(self))
    }

    fn notes(&self) -> Vec<String> {
        vec!["the policies are read from that Vault before each credential".to_owned()]
    }

    fn to_plan(&self, _reach: &PlanReach) -> ToPlan {
        ToPlan::Whole("a token is not about resources".to_owned())
    }
}

fn requested(rights: &VaultGrant) -> Value {
    let mut token = json!({
        "type": "service",
        "policies": rights.policies,
        "no_default_policy": true,
        "renewable": false,
    });
    let (field, value) = match &rights.gives {
        VaultGives::Token { uses: None } => return token,
        VaultGives::Token { uses: Some(uses) } => ("num_uses", json!(uses)),
        VaultGives::Secret { path } => ("reads", json!(path)),
    };
    if let Some(fields) = token.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
    token
}

/// A service token of Vault or OpenBao.
#[derive(Debug)]
pub struct VaultCredential {
    /// The URL of the server.
    pub address: String,
    /// The namespace of the token; empty for the root namespace.
    pub namespace: String,
    /// The server's certificate authority, in PEM; empty if the system's roots serve.
    pub certificate_authority: String,
    /// The service token that Vault issued.
    pub token: Secret<String>,
}

impl CredentialForm for VaultCredential {
    fn kind(&self) -> TargetKind {
        TargetKind::VAULT
    }

    fn values(&self) -> Vec<(&str, String)> {
        vec![
            ("address", self.address.clone()),
            ("namespace", self.namespace.clone()),
            ("certificate_authority", self.certificate_authority.clone()),
        ]
    }

    fn secrets(&self) -> Vec<(&str, &Secret<String>)> {
        vec![("token", &self.token)]
    }
}

/// A dynamic secret that Vault or OpenBao created for the lease.
#[derive(Debug)]
pub struct VaultSecretCredential {
    /// The path of the secrets engine that created the secret.
    pub path: String,
    /// The secret's fields, such as `username` and `password`.
    pub data: BTreeMap<String, Secret<String>>,
}

impl CredentialForm for VaultSecretCredential {
    fn kind(&self) -> TargetKind {
        TargetKind::VAULT
    }

    fn values(&self) -> Vec<(&str, String)> {
        vec![("path", self.path.clone())]
    }

    fn secrets(&self) -> Vec<(&str, &Secret<String>)> {
        let fields = self.data.iter();
        fields
            .map(|(field, value)| (field.as_str(), value))
            .collect()
    }
}
