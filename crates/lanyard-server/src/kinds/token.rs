//! Targets of kind `token`: Lanyard's own tokens.

use std::path::Path;
use std::sync::Arc;

use lanyard_charter::TargetKind;
use lanyard_core::provider::Provider;
use lanyard_core::target::{Shared, Target, TargetError, TargetReader};
use lanyard_document::Section;
use lanyard_document::shape::Map;
use lanyard_provider_token::status::Lists;
use lanyard_provider_token::{Keyring, TokenProvider};
use lanyard_vocabulary::name::Name;

/// The means by which the daemon signs its own tokens, lent to these targets.
pub(crate) struct OwnTokens {
    pub(crate) issuer: String,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) lists: Arc<Lists>,
}

/// The entry of kind `token` in the registry.
pub(super) struct Token;

impl TargetReader for Token {
    fn kind(&self) -> TargetKind {
        TargetKind::TOKEN
    }

    fn meaning(&self) -> &'static str {
        "Lanyard's own tokens."
    }

    fn shape(&self) -> Map {
        Map::new()
    }

    fn read(&self, _section: &Section<'_>, _name: &Name, _base: &Path) -> Option<Arc<dyn Target>> {
        Some(Arc::new(TokenTarget))
    }
}

#[derive(Debug)]
struct TokenTarget;

#[tonic::async_trait]
impl Target for TokenTarget {
    async fn provider(&self, shared: &mut Shared) -> Result<Arc<dyn Provider>, TargetError> {
        let own = shared.get::<OwnTokens>();
        let own = own.ok_or("the daemon has no keys of its own")?;
        let (keyring, lists) = (Arc::clone(&own.keyring), Arc::clone(&own.lists));
        let provider = TokenProvider::new(own.issuer.clone(), keyring, lists);
        Ok(Arc::new(provider))
    }

    async fn look(&self) -> Result<(), TargetError> {
        Ok(())
    }

    fn drill(&self, name: &Name) -> Option<String> {
        Some(format!(
            "token: {{target: {name}, audience: 'lanyard:drill', scopes: [drill]}}"
        ))
    }
}
