//! Settings of the user's own by which a tool would not come to Lanyard's credentials. `lanyard
//! exec` sets them aside; tools that `lanyard setup` has set up see them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Check;

/// The longest time that git may take to print its settings.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// Checks the settings of tools under these variables.
pub(super) async fn look(variable: impl Fn(&str) -> Option<OsString>) -> Vec<Check> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(task) = set("LANYARD_TASK") {
        let what = format!(
            "this is a command of lanyard exec, under {}",
            task.display()
        );
        return vec![Check::ok("settings", what)];
    }
    let home = set("HOME").map(PathBuf::from);
    let mut checks = vec![aws(&set, home.as_deref())];
    checks.push(match set("KUBECONFIG") {
        None => Check::ok("kubectl's settings", "KUBECONFIG is not set"),
        Some(value) => Check::warning(
            "kubectl's settings",
            format!("KUBECONFIG is {}", value.display()),
            "what is there is used; a file of lanyard setup kube has to be named in it",
        ),
    });
    checks.push(git().await);
    checks
}

fn aws(set: &impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Check {
    let name = "aws's settings";
    if set("AWS_ACCESS_KEY_ID").is_some() {
        let remedy = "it wins over every profile: unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN, or use lanyard exec";
        return Check::warning(name, "AWS_ACCESS_KEY_ID is set", remedy);
    }
    if let Some(profile) = set("AWS_PROFILE") {
        let remedy = "its credentials are used where nothing else is said: --profile wins, and so does lanyard exec";
        return Check::warning(
            name,
            format!("AWS_PROFILE is {}", profile.display()),
            remedy,
        );
    }
    let named = set("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let file = named.or_else(|| Some(home?.join(".aws/credentials")));
    let has_default = |path: &PathBuf| {
        let text = std::fs::read_to_string(path);
        text.is_ok_and(|text| text.lines().any(|line| line.trim() == "[default]"))
    };
    match file.filter(has_default) {
        Some(path) => {
            let what = format!("{} has a profile [default]", path.display());
            let remedy = "tools that name no profile use it: name one, or use lanyard exec";
            Check::warning(name, what, remedy)
        }
        None => Check::ok(name, "no credentials of your own are in the way"),
    }
}

async fn git() -> Check {
    let name = "git's settings";
    let asked = Command::new("git")
        .args(["config", "--get-all", "credential.helper"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    // Without git there are no settings of it.
    let said = match tokio::time::timeout(ANSWER_WAIT, asked).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(Err(_)) | Err(_) => String::new(),
    };
    let helpers: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
    if helpers.is_empty() {
        return Check::ok(name, "no credential.helper of your own");
    }
    let what = format!("credential.helper is {}", helpers.join(", "));
    let remedy =
        "it is asked for every place that lanyard setup git was not run for, and keeps what works";
    Check::warning(name, what, remedy)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn what_would_win_over_a_profile_is_named() {
        let of = |set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(key, _)| *key == name);
            let check = aws(
                &|name: &str| find(name).map(|(_, value)| value.into()),
                None,
            );
            (check.state, check.what)
        };
        let key = ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE");
        let profile = ("AWS_PROFILE", "work");
        assert_eq!(of(&[]).0, State::Ok);
        assert_eq!(of(&[profile]).1, "AWS_PROFILE is work");
        let (state, what) = of(&[key, profile]);
        assert_eq!(
            (state, what.as_str()),
            (State::Warning, "AWS_ACCESS_KEY_ID is set")
        );
    }
}
