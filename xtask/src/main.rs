//! demo, test, bench, tidy, edges.
fn main() {}
