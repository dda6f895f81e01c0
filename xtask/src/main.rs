//! The project's own commands: `cargo xtask test | edges | tidy`.

mod edges;
mod test;
mod tidy;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask <test|edges|tidy>";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("test") => test::run(),
        Some("edges") => edges::run(),
        Some("tidy") => tidy::run(),
        Some(other) => bail!("there is no command `{other}`; {USAGE}"),
        None => bail!("{USAGE}"),
    }
}
