//! GitHub App installation tokens, sealed in the ledger because only a token can revoke itself.
