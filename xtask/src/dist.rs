//! `cargo xtask dist`: makes what a release publishes for this kind of machine, in
//! `target/publish`: the binaries with what shells and `man` read, the list of what is in them, and
//! digests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::build;

const OUT: &str = "target/publish";
/// The packages, each with its binary.
const BINARIES: [(&str, &str); 2] = [("lanyard-server", "lanyardd"), ("lanyard-cli", "lanyard")];
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// Builds the binaries, packs them and lists what is in them.
pub(crate) fn run() -> Result<()> {
    for tool in ["auditable", "cyclonedx"] {
        installed(tool)?;
    }
    println!("dist: building lanyardd and lanyard, with link-time optimisation: some ten minutes");
    let packages = BINARIES.map(|(package, _)| package);
    let built = build::published(&["auditable"], &packages)?;
    let name = format!("lanyard-{}-{}", env!("CARGO_PKG_VERSION"), host()?);
    let folder = Path::new(OUT).join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fill(&built, &folder)?;
    println!("dist: packing {name}.tar.gz");
    // Order, owners and times are given, so that the same sources make the same bytes.
    let archive = format!("{name}.tar.gz");
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.arg(format!("--mtime=@{}", committed()?));
    tar.args(["--use-compress-program=gzip -n", "-cf", &archive, &name]);
    build::succeed(tar.current_dir(OUT))?;
    let mut published = vec![archive];
    for (package, binary) in BINARIES {
        println!("dist: listing what is in {binary}");
        published.push(bill_of_materials(package, binary)?);
    }
    let digests = build::output(Command::new("sha256sum").args(&published).current_dir(OUT))?;
    fs::write(Path::new(OUT).join("SHA256SUMS"), &digests)?;
    print!("{digests}");
    println!("dist: ok, in {OUT}");
    Ok(())
}

fn installed(tool: &str) -> Result<()> {
    let asked = build::cargo().args([tool, "--help"]).output();
    if !asked.is_ok_and(|output| output.status.success()) {
        bail!(
            "there is no cargo-{tool} on this machine: install it with `cargo install cargo-{tool} --locked`"
        );
    }
    Ok(())
}

fn fill(built: &Path, folder: &Path) -> Result<()> {
    for below in ["bin", "completions", "man"] {
        fs::create_dir_all(folder.join(below))?;
    }
    for (_, binary) in BINARIES {
        fs::copy(built.join(binary), folder.join("bin").join(binary))?;
    }
    for page in ["README.md", "CHANGELOG.md", "LICENSE", "SECURITY.md"] {
        fs::copy(page, folder.join(page))?;
    }
    for (_, binary) in BINARIES {
        let program = built.join(binary);
        for shell in SHELLS {
            let completion = build::output(Command::new(&program).args(["completion", shell]))?;
            let file = format!("{binary}.{shell}");
            fs::write(folder.join("completions").join(file), completion)?;
        }
        let mut pages = Command::new(&program);
        build::succeed(pages.args(["man", "--out"]).arg(folder.join("man")))?;
    }
    Ok(())
}

/// Writes the list of every crate in a binary (CycloneDX) as a file of the release, and returns the
/// file's name.
fn bill_of_materials(package: &str, binary: &str) -> Result<String> {
    let manifest = format!("crates/{package}/Cargo.toml");
    let name = format!("{binary}.cdx");
    let mut cargo = build::cargo();
    cargo.args(["cyclonedx", "--quiet", "--format", "json"]);
    cargo.args(["--no-build-deps", "--manifest-path", &manifest]);
    cargo.args(["--override-filename", &name]);
    // The time is that of the sources and there is no random serial number, so that the same
    // sources make the same list.
    build::succeed(cargo.env("SOURCE_DATE_EPOCH", committed()?))?;
    let name = format!("{name}.json");
    let root = std::env::current_dir()?;
    let published = root.join(OUT).join(&name);
    // The tool writes one list for each package of the workspace, with this machine's folder in its
    // references.
    for folder in packages()? {
        let made = folder.join(&name);
        let text = fs::read_to_string(&made).with_context(|| made.display().to_string())?;
        fs::remove_file(&made)?;
        if folder.ends_with(package) {
            let folder = format!("path+file://{}/", root.display());
            fs::write(&published, text.replace(&folder, "path+file:///"))?;
        }
    }
    Ok(name)
}

/// Returns the folders of the workspace's packages.
fn packages() -> Result<Vec<PathBuf>> {
    let mut cargo = build::cargo();
    cargo.args(["metadata", "--no-deps", "--format-version", "1", "--locked"]);
    let metadata: serde_json::Value = serde_json::from_str(&build::output(&mut cargo)?)?;
    let packages = metadata
        .get("packages")
        .and_then(serde_json::Value::as_array);
    let manifests = packages.context("cargo lists no packages")?.iter();
    manifests
        .map(|package| {
            let manifest = package
                .get("manifest_path")
                .and_then(serde_json::Value::as_str);
            let folder = manifest.and_then(|path| Path::new(path).parent());
            Ok(folder.context("a package has no manifest")?.to_owned())
        })
        .collect()
}

/// Returns rustc's name for this kind of machine.
fn host() -> Result<String> {
    let version = build::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}

/// Returns the time of the sources' commit, in Unix seconds.
fn committed() -> Result<String> {
    let at = build::output(Command::new("git").args(["log", "-1", "--format=%ct"]))?;
    Ok(at.trim().to_owned())
}
