//! The project's own commands: `cargo xtask demo | test | edges | tidy`.

mod build;
mod demo;
mod edges;
mod test;
mod tidy;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask <demo|test|edges|tidy>";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("demo") => demo::run(),
        Some("test") => test::run(),
        Some("edges") => edges::run(),
        Some("tidy") => tidy::run(),
        Some(other) => bail!("there is no command `{other}`; {USAGE}"),
        None => bail!("{USAGE}"),
    }
}
