//! What a charter allows, and the states a lease goes through; no IO, no clock.
