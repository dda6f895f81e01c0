//! Mints and revokes Kubernetes service-account tokens.
