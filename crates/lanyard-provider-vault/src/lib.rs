//! Vault and OpenBao: child service tokens of a parent token per epoch, and dynamic secrets that end with them.
