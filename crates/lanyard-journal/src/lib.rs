//! An append-only, fsynced, Merkle-hashed record file.
