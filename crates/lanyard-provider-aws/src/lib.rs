//! Mints and revokes AWS STS sessions.
