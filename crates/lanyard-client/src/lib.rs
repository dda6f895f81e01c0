//! The client: one connection, typed calls, errors that say what to do.
