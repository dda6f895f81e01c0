//! The Vault and OpenBao provider: service tokens under a parent token per epoch, and dynamic
//! secrets that end with those tokens.
//!
//! A lease is a service token that a parent token created. Parents are orphans, one for each kill
//! order in the ledger. A parent's accessor is in every handle, and so in the journal before the
//! parent has a child: revoking the parent ends every lease of its epoch, known or not
//! (<https://developer.hashicorp.com/vault/docs/concepts/tokens#token-hierarchies-and-orphan-tokens>).

pub mod api;
mod handle;
mod inspect;
mod known_tokens;
mod login;
mod mint;
mod mints_in_progress;
mod parents;
pub mod policy;
mod provider;
mod revoke;
pub mod rules;
mod search;
mod server;
mod transport;

pub use login::Login;
pub use provider::{VaultProvider, VaultTarget};
pub use server::Server;
pub use transport::ConnectError;

/// The provider's name in errors and reports.
const PROVIDER: &str = "vault";
