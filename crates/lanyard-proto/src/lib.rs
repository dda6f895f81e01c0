//! The wire: package lanyard.v1, and its conversions to and from the core's types.
