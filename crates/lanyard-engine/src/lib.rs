//! Drives effects: mint, release, expire, revoke, recover.
