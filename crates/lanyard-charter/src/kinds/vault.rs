//! Kind `vault`: tokens of Vault and OpenBao, and dynamic secrets; and the policies that no agent
//! gets.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_document::{Code, Diagnostic, Findings, Node};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::text::escaped;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::credential::CredentialForm;
use super::list_of;
use crate::prohibition::Prohibition;
use crate::reach::PlanReach;
use crate::rights::{KindRights, Rights, ToPlan};
use crate::schema::{fields, strings, text};
use crate::section::names::target;
use crate::section::words::texts;
use crate::target_kind::TargetKind;
use crate::usage::Usage;
use crate::world::{GrantKind, Starter, World};

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

    fn parse(&self, f: &Findings, node: &Node, world: &World) -> Option<(Name, Rights)> {
        section_of(f, node, world)
    }

    fn meaning(&self) -> &'static str {
        "A token of Vault or OpenBao, or a dynamic secret."
    }

    fn schema(&self, target: Value) -> Value {
        fields(
            &["target", "policies"],
            json!({
                "target": target,
                "policies": strings("ACL policies of that Vault; never root or default."),
                "uses": {
                    "type": "integer", "minimum": 1, "maximum": MAX_TOKEN_USES,
                    "description": "How many requests the token is good for.",
                },
                "secret": text("Instead of the token, the dynamic secret that it reads here: `database/creds/reader`."),
            }),
        )
    }

    fn starter(&self) -> Starter {
        Starter {
            reads: "vault: {target: TARGET, policies: [reader]}\n",
            changes: "vault: {target: TARGET, policies: [writer]}\n",
        }
    }
}

fn section_of(f: &Findings, node: &Node, world: &World) -> Option<(Name, Rights)> {
    let fields = f.map(node)?;
    let target = target(f, &fields, world, TargetKind::VAULT);
    let policies = fields.required("policies").map(|node| {
        if f.list(node).is_empty() {
            f.add(Diagnostic::new(
                Code::EmptyGrant,
                node.span,
                "this grant allows nothing".to_owned(),
            ));
        }
        let policies = texts(f, node, policy);
        for item in f.list(node) {
            let name = f.text(item).filter(|name| VaultGrant::never_given(name));
            if let Some(name) = name {
                let message = format!("policy `{name}` is never given to an agent");
                f.add(Diagnostic::new(Code::VaultPolicy, item.span, message));
            }
        }
        policies
    });
    let uses = fields
        .optional("uses")
        .map(|node| (f.number(node, 1, MAX_TOKEN_USES), node.span));
    let secret = fields.optional("secret").map(|node| {
        let path = f.text(node)?;
        let fault = path_of_a_secret(path).err();
        if let Some(why) = fault {
            let message = format!("`{}`: {why}", escaped(path));
            f.add(Diagnostic::new(Code::Value, node.span, message));
        }
        fault.is_none().then(|| path.to_owned())
    });
    fields.finish();
    let policies = policies.filter(|policies| !policies.is_empty())?;
    let gives = match (secret, uses) {
        (Some(_), Some((_, span))) => {
            let message = "`uses` counts the requests of a token, and this gives a secret";
            f.add(Diagnostic::new(Code::Value, span, message.to_owned()));
            return None;
        }
        (Some(path), None) => VaultGives::Secret { path: path? },
        (None, Some((uses, _))) => VaultGives::Token { uses: Some(uses?) },
        (None, None) => VaultGives::Token { uses: None },
    };
    Some((target?, VaultGrant { policies, gives }.into()))
}

/// Checks a policy's name. Vault accepts more; the characters accepted here need no quoting
/// anywhere.
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

/// Checks the path of a dynamic secret, as it is read.
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
