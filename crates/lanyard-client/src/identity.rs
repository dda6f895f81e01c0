//! Authentication of the caller: the `identity` field of a context file.

use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::clock::now;
use crate::context_error::ContextError;
use crate::random::fresh_id;
use crate::secret::Token;
use crate::signer::Signer;
use crate::tokens::Store;

/// Lifetime of an identity token signed here, in seconds. Each token is used once, right after
/// signing.
const TOKEN_LIFETIME_SECONDS: u64 = 60;

/// The source of the caller's proof of identity.
pub(crate) enum Identity {
    /// A local issuer key signs a token for each call.
    Key(Box<KeyIdentity>),
    /// Another program writes a token to this file and renews it.
    TokenFile { token_file: PathBuf },
    /// A person logs in at an OpenID Provider.
    Login { login: LoginIdentity },
    /// An agent signs with a key that is enrolled at the broker.
    Enrolled { enrolled: EnrolledIdentity },
    /// An AWS workload proves its AWS role.
    Aws { aws: AwsIdentity },
    /// The caller presents a TLS client certificate.
    Certificate { certificate: CertificateIdentity },
}

impl<'de> Deserialize<'de> for Identity {
    /// Chooses the variant by the one field that names it before the value is parsed, so that an
    /// error names the misspelt field. An untagged enum would only say that no variant matched.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn part<T: serde::de::DeserializeOwned, E: serde::de::Error>(
            kind: &str,
            value: Value,
        ) -> Result<T, E> {
            let named = |error| E::custom(format_args!("`identity.{kind}`: {error}"));
            serde_json::from_value(value).map_err(named)
        }
        let fields = serde_json::Map::deserialize(deserializer)?;
        let kinds = ["token_file", "login", "enrolled", "aws", "certificate"];
        let mut named = kinds.into_iter().filter(|kind| fields.contains_key(*kind));
        let Some(kind) = named.next() else {
            let key = serde_json::from_value(fields.into());
            return key.map(Self::Key).map_err(|error| {
                let others = kinds.join("`, `");
                D::Error::custom(format_args!(
                    "`identity`: {error}; without `key_file` it needs one of `{others}`"
                ))
            });
        };
        if let Some(other) = fields.keys().find(|field| *field != kind) {
            let message = format_args!("`identity` has both `{kind}` and `{other}`: remove one");
            return Err(D::Error::custom(message));
        }
        let value = fields
            .into_iter()
            .next()
            .map_or(Value::Null, |(_, value)| value);
        Ok(match kind {
            "token_file" => Self::TokenFile {
                token_file: part(kind, value)?,
            },
            "login" => Self::Login {
                login: part(kind, value)?,
            },
            "enrolled" => Self::Enrolled {
                enrolled: part(kind, value)?,
            },
            "aws" => Self::Aws {
                aws: part(kind, value)?,
            },
            _ => Self::Certificate {
                certificate: part(kind, value)?,
            },
        })
    }
}

/// An issuer key on this machine, and the claims of the tokens that the key signs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyIdentity {
    key_file: PathBuf,
    kid: String,
    issuer: String,
    subject: String,
    audience: String,
    #[serde(default)]
    groups: Vec<String>,
}

/// The OpenID Provider and client with which a person logs in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LoginIdentity {
    /// The provider's issuer, which must match byte for byte.
    pub issuer: String,
    /// The OAuth client id of this command line at the provider.
    pub client_id: String,
    /// Scopes to request, such as `groups`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The API to request tokens for, if the provider needs one named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Store of session and refresh tokens.
    #[serde(default)]
    pub store: Store,
}

/// An enrolled agent, and the key that signs its assertions.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrolledIdentity {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) audience: String,
    pub(crate) key_file: PathBuf,
}

/// The AWS region whose STS verifies the workload, and the server id of the broker.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AwsIdentity {
    region: String,
    server_id: String,
}

/// A client certificate such as an X.509-SVID. Both files are PEM.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateIdentity {
    pub(crate) chain_file: PathBuf,
    pub(crate) key_file: PathBuf,
}

impl Identity {
    pub(crate) fn describe(&self) -> Vec<(&'static str, String)> {
        let shown = |path: &Path| path.display().to_string();
        match self {
            Self::Key(key) => vec![
                ("identity", "a key of the issuer".to_owned()),
                ("issuer", key.issuer.clone()),
                ("subject", key.subject.clone()),
            ],
            Self::TokenFile { token_file } => vec![
                ("identity", "a token in a file".to_owned()),
                ("file", shown(token_file)),
            ],
            Self::Login { login } => vec![
                ("identity", "a person".to_owned()),
                ("issuer", login.issuer.clone()),
                ("client", login.client_id.clone()),
                ("scopes", login.scopes.join(" ")),
            ],
            Self::Enrolled { enrolled } => vec![
                ("identity", "an enrolled agent".to_owned()),
                ("issuer", enrolled.issuer.clone()),
                ("subject", enrolled.subject.clone()),
            ],
            Self::Aws { aws } => vec![
                ("identity", "a workload of AWS".to_owned()),
                ("region", aws.region.clone()),
                ("broker", aws.server_id.clone()),
            ],
            Self::Certificate { certificate } => vec![
                ("identity", "a client certificate".to_owned()),
                ("file", shown(&certificate.chain_file)),
            ],
        }
    }
}

impl Identity {
    /// Returns the path of the file that holds the secret. `None` if no file does.
    pub(crate) fn secret(&self) -> Option<&Path> {
        match self {
            Self::Key(key) => Some(&key.key_file),
            Self::TokenFile { token_file } => Some(token_file),
            Self::Enrolled { enrolled } => Some(&enrolled.key_file),
            Self::Certificate { certificate } => Some(&certificate.key_file),
            Self::Login { .. } | Self::Aws { .. } => None,
        }
    }
}

impl KeyIdentity {
    pub(crate) fn sign(&self, base: &Path) -> Result<Token, ContextError> {
        let signer = Signer::open(&base.join(&self.key_file))?;
        let now = now()?;
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": self.kid});
        let claims = json!({"iss": self.issuer, "sub": self.subject, "aud": self.audience, "iat": now,
            "exp": now + TOKEN_LIFETIME_SECONDS, "jti": fresh_id()?, "groups": self.groups});
        Ok(Token::new(signer.sign(&header, &claims)))
    }
}

impl EnrolledIdentity {
    /// Signs an assertion of the agent about itself (RFC 7523). The broker accepts each assertion
    /// once.
    pub(crate) fn assert(&self, base: &Path) -> Result<Token, ContextError> {
        let signer = Signer::private(&base.join(&self.key_file))?;
        let now = now()?;
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": signer.thumbprint()});
        let claims = json!({"iss": self.issuer, "sub": self.subject, "aud": self.audience, "iat": now,
            "exp": now + TOKEN_LIFETIME_SECONDS, "jti": fresh_id()?});
        Ok(Token::new(signer.sign(&header, &claims)))
    }
}

impl AwsIdentity {
    /// Signs a `GetCallerIdentity` request that the broker accepts once.
    #[cfg(feature = "aws")]
    pub(crate) async fn evidence(&self) -> Result<Token, ContextError> {
        let evidence = crate::aws::evidence(&self.region, &self.server_id).await;
        let evidence = evidence.map(Token::new);
        evidence.map_err(|error| ContextError::Aws(error.to_string()))
    }

    #[cfg(not(feature = "aws"))]
    #[expect(clippy::unused_async, reason = "with the feature `aws` it awaits")]
    pub(crate) async fn evidence(&self) -> Result<Token, ContextError> {
        Err(ContextError::Aws(
            "this program was built without AWS".into(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_an_identity_names_its_field() {
        let fault = |text: &str| match serde_json::from_str::<Identity>(text) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        for (text, says) in [
            (
                r#"{"keyfile": "k", "kid": "a"}"#,
                "unknown field `keyfile`, expected one of `key_file`",
            ),
            (r#"{"key_file": "k", "kid": "a"}"#, "missing field `issuer`"),
            ("{}", "without `key_file` it needs one of `token_file`"),
            (
                r#"{"token_file": 3}"#,
                "`identity.token_file`: invalid type",
            ),
            (
                r#"{"token_file": "t", "audience": "a"}"#,
                "has both `token_file` and `audience`",
            ),
            (
                r#"{"aws": {"region": "eu-west-1"}}"#,
                "`identity.aws`: missing field `server_id`",
            ),
            (
                r#"{"login": {"issuer": "i", "client": "c"}}"#,
                "`identity.login`: unknown field `client`",
            ),
            ("[]", "invalid type: sequence, expected a map"),
        ] {
            let found = fault(text);
            assert!(found.contains(says), "{text}: {found}");
        }
        for text in [
            r#"{"token_file": "t"}"#,
            r#"{"certificate": {"chain_file": "c", "key_file": "k"}}"#,
            r#"{"key_file": "k", "kid": "a", "issuer": "i", "subject": "s", "audience": "l"}"#,
        ] {
            assert_eq!(fault(text), "", "{text}");
        }
    }
}
