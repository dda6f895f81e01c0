//! Mints and revokes GitHub App installation tokens.
//!
//! A lease is one installation access token for named repositories and permissions. GitHub ends a
//! single token only with the token itself (`DELETE /installation/token`), so the lease's handle
//! holds the token, sealed. A stolen journal gives nobody a token, and an intact one can end every
//! token whose mint was answered (page «REST API endpoints for GitHub App installations» of
//! docs.github.com).
//!
//! The crate rests on GitHub's public documentation alone and was never tried on the real GitHub.

mod answer;
mod client;
mod handle;
mod inspect;
mod key;
mod key_file;
mod memory;
mod provider;
mod reviews;
mod seal;
pub mod sealed_plan;
mod sealing_keys;
mod token_request;

pub use client::{Client, ConnectError};
pub use key::AppKey;
pub use key_file::KeyFileError;
pub use provider::{BranchRules, GitHubProvider, GitHubTarget};
pub use seal::{KeyId, SealError, Sealed, Sealer};
pub use sealing_keys::{SealingKeys, SealingKeysError};

/// The provider's name in errors and reports.
const PROVIDER: &str = "github";
