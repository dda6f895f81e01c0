//! `cargo xtask image`: builds the container image of the daemon and its command line.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use lanyard_rig::Image;

use crate::build::{succeed, with_profile};

const USAGE: &str = "usage: cargo xtask image [--profile PROFILE] [--name NAME] [--version VERSION] [--source URL] [--context DIR | --archive FILE]";
const BINARIES: [&str; 2] = ["lanyardd", "lanyard"];
/// The file of authorities that the image trusts, as Debian packages them.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The image's passwd, with the user that it runs as where nobody names another.
const PASSWD: &str = "lanyard:x:65532:65532::/:/sbin/nologin\n";
const GROUP: &str = "lanyard:x:65532:\n";
/// The order in which glibc looks names up; the runtime mounts the files.
const NAMES: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// The image to build, and its destination.
struct Order {
    profile: String,
    name: String,
    version: String,
    /// The address of the sources, which becomes a label of the image.
    source: String,
    into: Into,
}

/// The destination of the image.
enum Into {
    /// Puts the image into the store of buildah and podman.
    Store,
    /// Writes the image as an OCI archive.
    Archive(PathBuf),
    /// Builds no image, and leaves a folder that any builder takes.
    Context(PathBuf),
}

/// Runs `cargo xtask image` with its arguments.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let order = order(arguments)?;
    say(&format!("building the binaries, profile {}", order.profile));
    let binaries = with_profile(&order.profile, &[], &["lanyard-server", "lanyard-cli"])?;
    let own;
    let context = match &order.into {
        Into::Context(folder) => {
            ensure!(
                fs::read_dir(folder).is_ok_and(|mut folder| folder.next().is_none())
                    || !folder.exists(),
                "`{}` is not empty: name a folder that is, or that is not there yet",
                folder.display()
            );
            folder.as_path()
        }
        Into::Store | Into::Archive(_) => {
            own = tempfile::tempdir()?;
            own.path()
        }
    };
    say(&format!("collecting {}", context.display()));
    let bytes = collect(&binaries, context)?;
    say(&format!("{:.1} MB, uncompressed", bytes as f64 / 1e6));
    let revision = revision();
    let image = Image {
        context,
        name: &order.name,
        arguments: &[
            ("VERSION", &order.version),
            ("REVISION", &revision),
            ("SOURCE", &order.source),
        ],
    };
    match &order.into {
        Into::Context(folder) => {
            let folder = folder.display();
            say(&format!(
                "the context is in {folder}; next: docker build --build-arg VERSION={} --build-arg REVISION={revision} \
                 --build-arg SOURCE={} --tag {} {folder}",
                order.version, order.source, order.name
            ));
        }
        Into::Store => {
            say(&format!("building {} with buildah", order.name));
            image.store()?;
            say(&format!("{} is in the store of buildah", order.name));
        }
        Into::Archive(file) => {
            say(&format!("building {} with buildah", order.name));
            image.archive(file)?;
            say(&format!("{} is in {}", order.name, file.display()));
        }
    }
    Ok(())
}

fn say(line: &str) {
    println!("image: {line}");
}

fn order(arguments: &[String]) -> Result<Order> {
    let mut order = Order {
        profile: "dist".to_owned(),
        name: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        source: "unknown".to_owned(),
        into: Into::Store,
    };
    let mut rest = arguments.iter();
    while let Some(option) = rest.next() {
        let value = rest
            .next()
            .with_context(|| format!("`{option}` needs a value; {USAGE}"))?;
        match option.as_str() {
            "--profile" => order.profile.clone_from(value),
            "--name" => order.name.clone_from(value),
            "--version" => order.version.clone_from(value),
            "--source" => order.source.clone_from(value),
            "--context" => order.into = Into::Context(value.into()),
            "--archive" => order.into = Into::Archive(value.into()),
            _ => bail!("there is no option `{option}`; {USAGE}"),
        }
    }
    if order.name.is_empty() {
        order.name = format!("localhost/lanyardd:{}", order.version);
    }
    Ok(order)
}

/// Puts into the folder what a builder needs, and returns the size of the image's files in bytes.
pub(crate) fn collect(binaries: &Path, context: &Path) -> Result<u64> {
    fs::create_dir_all(context)?;
    fs::write(
        context.join("Containerfile"),
        include_str!("../../Containerfile"),
    )?;
    let root = context.join("root");
    let mut bytes = 0;
    for name in BINARIES {
        let to = place(&root, Path::new("/bin").join(name))?;
        // Symbols are most of the size of a program that is built to be debugged.
        let mut strip = Command::new("strip");
        succeed(strip.arg("-o").arg(&to).arg(binaries.join(name)))?;
        bytes += closed(&to, 0o755)?;
    }
    let libraries: BTreeSet<PathBuf> = BINARIES
        .iter()
        .map(|name| libraries(&binaries.join(name)))
        .collect::<Result<Vec<_>>>()?
        .concat()
        .into_iter()
        .collect();
    for library in libraries {
        let to = place(&root, library.clone())?;
        fs::copy(&library, &to).with_context(|| library.display().to_string())?;
        bytes += closed(&to, 0o755)?;
    }
    let to = place(&root, AUTHORITIES.into())?;
    fs::copy(AUTHORITIES, &to)
        .with_context(|| format!("{AUTHORITIES}: apt-get install ca-certificates"))?;
    bytes += closed(&to, 0o644)?;
    let texts = [
        ("/etc/passwd", PASSWD),
        ("/etc/group", GROUP),
        ("/etc/nsswitch.conf", NAMES),
    ];
    for (path, text) in texts {
        let to = place(&root, path.into())?;
        fs::write(&to, text)?;
        bytes += closed(&to, 0o644)?;
    }
    Ok(bytes)
}

/// Makes a path of the image below the folder that becomes its root.
fn place(root: &Path, path: PathBuf) -> Result<PathBuf> {
    let to = root.join(path.strip_prefix("/")?);
    let folder = to.parent().context("no folder")?;
    fs::create_dir_all(folder)?;
    // A umask may keep others out of new folders, but the image runs as any user.
    for folder in folder
        .ancestors()
        .take_while(|above| above.starts_with(root))
    {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    Ok(to)
}

/// Gives a file its mode, and returns its size in bytes.
fn closed(file: &Path, mode: u32) -> Result<u64> {
    fs::set_permissions(file, fs::Permissions::from_mode(mode))?;
    Ok(fs::metadata(file)?.len())
}

/// Lists the shared libraries of a program, with the loader.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("ldd does not start")?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "ldd {}: {text}", program.display());
    ensure!(
        !text.contains("not found"),
        "ldd {}: {text}",
        program.display()
    );
    let words = text.lines().filter_map(|line| {
        // A line is `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, or
        // `/lib64/ld-linux-x86-64.so.2 (0x…)`.
        let line = line.split_once("=>").map_or(line, |(_, path)| path);
        line.split_whitespace().next()
    });
    Ok(words
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}

/// Returns the id of the commit that is built, if there is one.
fn revision() -> String {
    let output = Command::new("git")
        .args([
            "describe",
            "--always",
            "--dirty",
            "--abbrev=40",
            "--exclude=*",
        ])
        .output();
    let text = output.ok().filter(|output| output.status.success());
    let text = text.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_published_is_built_unless_another_profile_is_named() {
        let published = order(&[]).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(published.profile, "dist");
        assert_eq!(published.name, format!("localhost/lanyardd:{version}"));
        let tried = order(&words(
            "--profile dev --name x:2 --version 2 --archive x.tar",
        ))
        .unwrap();
        assert_eq!(
            (tried.profile.as_str(), tried.name.as_str()),
            ("dev", "x:2")
        );
        assert!(matches!(tried.into, Into::Archive(file) if file == Path::new("x.tar")));
        for wrong in ["--profile", "--tag x"] {
            assert!(order(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_context_holds_the_programs_their_libraries_and_nothing_that_only_root_reads() {
        let folder = tempfile::tempdir().unwrap();
        let (binaries, context) = (folder.path().join("bin"), folder.path().join("context"));
        fs::create_dir_all(&binaries).unwrap();
        fs::create_dir_all(&context).unwrap();
        // Any program that is linked to the C library.
        for name in BINARIES {
            fs::copy("/bin/true", binaries.join(name)).unwrap();
        }
        assert!(collect(&binaries, &context).unwrap() > 0);
        let root = context.join("root");
        for library in libraries(Path::new("/bin/true")).unwrap() {
            assert!(root.join(library.strip_prefix("/").unwrap()).exists());
        }
        let answer = Command::new(root.join("bin/lanyardd")).status().unwrap();
        assert!(answer.success());
        let mut folders = vec![root];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
                assert_eq!(mode & 0o444, 0o444, "{}", path.display());
                assert_eq!(mode & 0o022, 0, "{}", path.display());
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
    }
}
