//! Fakes, a manual clock, the conformance suite and the simulator. For tests only.
