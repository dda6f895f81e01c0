//! Vault and OpenBao: child service tokens of a parent token per epoch, and dynamic secrets that end with them.
//!
//! A lease is a service token that the broker has a parent token make. The parent is an orphan, one for each kill
//! order in the books; its accessor is in every handle, so in the journal before it has a child: revoking it ends
//! every lease of its time, known or not
//! (<https://developer.hashicorp.com/vault/docs/concepts/tokens#token-hierarchies-and-orphan-tokens>).

pub mod api;
mod handle;
mod inspect;
mod login;
mod mint;
mod mints;
mod parents;
pub mod policy;
mod provider;
mod revoke;
pub mod rules;
mod search;
mod seen;
mod server;
mod transport;

pub use login::Login;
pub use provider::{VaultProvider, VaultTarget};
pub use server::Server;
pub use transport::ConnectError;

/// The name in errors and reports.
const PROVIDER: &str = "vault";
