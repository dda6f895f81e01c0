//! Kind `token`: Lanyard's own access tokens.

use std::collections::BTreeSet;

use lanyard_document::shape::{Form, List, Map, Shape, optional, required};
use lanyard_document::{Item, Section};
use lanyard_vocabulary::secret::Secret;
use serde_json::{Value, json};

use super::credential::CredentialForm;
use super::list_of;
use crate::prohibition::Prohibition;
use crate::reach::PlanReach;
use crate::rights::{KindRights, Rights, ToPlan};
use crate::target_kind::TargetKind;
use crate::usage::{SCOPE, Usage};
use crate::world::{GrantKind, Starter};

impl TargetKind {
    /// A target for Lanyard's own tokens.
    pub const TOKEN: Self = Self::new("token");
}

/// The contents of a Lanyard access token (RFC 9068).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenGrant {
    /// The only audience (`aud`).
    pub audience: String,
    /// The scope tokens (`scope`, RFC 6749 section 3.3).
    pub scopes: BTreeSet<String>,
}

/// The entry of kind `token` in the registry.
pub(super) struct Token;

impl GrantKind for Token {
    fn id(&self) -> TargetKind {
        TargetKind::TOKEN
    }

    fn meaning(&self) -> &'static str {
        "One of Lanyard's own access tokens."
    }

    fn shape(&self) -> Map {
        Map::new()
            .with(required("audience", "The token's `aud`.", Shape::Text))
            .with(optional("scopes", "The token's `scope`.", List::of(SCOPE_TOKEN)).absent("none"))
    }

    fn parse(&self, section: &Section<'_>) -> Option<Rights> {
        let audience = section.get("audience").and_then(Item::text);
        let scopes = section.get("scopes").map(Item::texts);
        let rights = TokenGrant {
            audience: audience?.to_owned(),
            scopes: scopes.unwrap_or_default(),
        };
        Some(rights.into())
    }

    fn starter(&self) -> Starter {
        Starter {
            reads: "token: {target: TARGET, audience: https://service.example, scopes: [read]}\n",
            changes: "token: {target: TARGET, audience: https://service.example, scopes: [write]}\n",
        }
    }
}

/// A scope token (RFC 6749 section 3.3).
const SCOPE_TOKEN: Form = Form::new("a scope", r"^[!#-\[\]-~]+$").checked(scope_token);

fn scope_token(text: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if text.bytes().all(allowed) {
        Ok(())
    } else {
        Err("a scope has no spaces, quotes or backslashes")
    }
}

impl KindRights for TokenGrant {
    fn kind(&self) -> TargetKind {
        TargetKind::TOKEN
    }

    fn lines(&self) -> Vec<String> {
        let scopes = list_of(self.scopes.iter().map(String::as_str));
        vec![format!("{scopes} at {}", self.audience)]
    }

    fn narrowed(&self, other: &Rights) -> Option<Rights> {
        let other: &Self = other.get()?;
        let scopes: BTreeSet<_> = self.scopes.intersection(&other.scopes).cloned().collect();
        let same =
            self.audience == other.audience && (!scopes.is_empty() || self.scopes == other.scopes);
        same.then(|| {
            let audience = self.audience.clone();
            Self { audience, scopes }.into()
        })
    }

    fn joined(&self, other: &Rights) -> Option<Rights> {
        let other: &Self = other.get()?;
        let scopes = || self.scopes.union(&other.scopes).cloned().collect();
        (self.audience == other.audience).then(|| {
            let (audience, scopes) = (self.audience.clone(), scopes());
            Self { audience, scopes }.into()
        })
    }

    fn beyond(&self, other: &Rights, _prohibited: [&[Prohibition]; 2]) -> Vec<String> {
        match other.get::<Self>() {
            Some(other) if other.audience == self.audience => {
                let scopes = self.scopes.difference(&other.scopes);
                scopes.map(|scope| format!("scope {scope}")).collect()
            }
            Some(_) | None => vec![format!("audience {}", self.audience)],
        }
    }

    fn gives(&self, usage: &Usage) -> bool {
        usage.action == SCOPE && self.scopes.contains(&usage.resource)
    }

    fn request(&self, _object: &str) -> Option<Value> {
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        Some(json!({"aud": self.audience, "scope": scopes.join(" ")}))
    }

    fn to_plan(&self, _reach: &PlanReach) -> ToPlan {
        ToPlan::Whole("a token is not about resources".to_owned())
    }

    fn has_form_of_plan(&self) -> bool {
        false
    }
}

/// A Lanyard access token.
#[derive(Debug)]
pub struct TokenCredential {
    /// The token, as a compact JWS (RFC 7515).
    pub jwt: Secret<String>,
}

impl CredentialForm for TokenCredential {
    fn kind(&self) -> TargetKind {
        TargetKind::TOKEN
    }

    fn values(&self) -> Vec<(&str, String)> {
        Vec::new()
    }

    fn secrets(&self) -> Vec<(&str, &Secret<String>)> {
        vec![("jwt", &self.jwt)]
    }
}
