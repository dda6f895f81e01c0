//! The one writer: admits commands, makes them durable, and publishes them.
