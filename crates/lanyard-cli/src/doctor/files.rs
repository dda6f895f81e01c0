//! The files with keys and tokens, and the keyring.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use lanyard_client::{Context, Store};

use super::Check;

pub(super) fn look(context: Option<&Context>) -> Vec<Check> {
    let mut checks = vec![keyring()];
    let state = lanyard_client::state_folder();
    checks.extend(state.as_deref().map(|state| folder("state folder", state)));
    checks.push(secrets(context, state.as_deref()));
    checks
}

fn keyring() -> Check {
    match Store::best() {
        Store::Keyring => Check::ok("keyring", "works"),
        Store::File => Check::warning(
            "keyring",
            "there is none that works",
            "tokens of logins are kept in files of your own: nothing has to be done",
        ),
    }
}

/// A folder that nobody but its owner may enter.
pub(super) fn folder(name: &'static str, path: &Path) -> Check {
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Check::ok(name, format!("{shown} is made when it is needed"))
        }
        Err(error) => Check::fault(name, format!("{shown} cannot be looked at: {error}"), ""),
        Ok(found) if found.uid() != rustix::process::geteuid().as_raw() => {
            let remedy = "name another place in LANYARD_STATE";
            Check::fault(name, format!("{shown} belongs to somebody else"), remedy)
        }
        Ok(found) if found.mode() & 0o077 != 0 => {
            let remedy = format!("chmod 700 {shown}");
            Check::fault(name, format!("{shown} can be entered by others"), remedy)
        }
        Ok(_) => Check::ok(name, format!("{shown} is yours alone")),
    }
}

/// Tells if anybody else may read what proves who asks, or change where that is sent.
fn secrets(context: Option<&Context>, state: Option<&Path>) -> Check {
    let mut files: Vec<PathBuf> = context.map(Context::secrets).unwrap_or_default();
    let kept = state.and_then(|state| fs::read_dir(state).ok());
    files.extend(
        kept.into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path()),
    );
    let open = |path: &&PathBuf| {
        let found = fs::metadata(path);
        found.is_ok_and(|found| found.is_file() && found.mode() & 0o077 != 0)
    };
    let open: Vec<_> = files.iter().filter(open).collect();
    let name = "files";
    if !open.is_empty() {
        let all: Vec<_> = open.iter().map(|path| path.display().to_string()).collect();
        let all = all.join(" ");
        let remedy = format!(
            "chmod 600 {all}; then replace what is in it, if anybody else uses this machine"
        );
        return Check::fault(name, format!("others may read {all}"), remedy);
    }
    let changed = context.map(Context::path).filter(|path| {
        let found = fs::metadata(path);
        found.is_ok_and(|found| found.mode() & 0o022 != 0)
    });
    match changed {
        Some(path) => {
            let remedy = format!("chmod 600 {}", path.display());
            let what = format!("others may change {}", path.display());
            Check::fault(name, what, remedy)
        }
        None => Check::ok(name, "keys and tokens are yours alone"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::State;
    use super::*;

    // T51
    #[test]
    fn t51_a_key_that_others_may_read_is_found() {
        let directory = std::env::temp_dir().join(format!("lanyard-doctor-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let key = directory.join("agent.key");
        fs::write(&key, "secret").unwrap();
        let with = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        with(0o600);
        assert_eq!(secrets(None, Some(&directory)).state, State::Ok);
        with(0o640);
        let found = secrets(None, Some(&directory));
        assert_eq!(found.state, State::Fault);
        assert!(found.remedy.starts_with("chmod 600 "), "{}", found.remedy);
        fs::remove_dir_all(&directory).unwrap();
    }
}
