//! Mints Lanyard's own JWT access tokens.
