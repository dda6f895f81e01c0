//! The local agent, its folder, and what commands left in it.

use std::os::unix::fs::FileTypeExt as _;
use std::time::Duration;

use lanyard_agent::{AgentSocket, Connection};
use lanyard_proto::agent::v1;
use lanyard_vocabulary::count::counted;

use super::{Check, files};
use crate::Global;
use crate::exec::{close, folder};

/// The time for which the agent has to say how it is.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

pub(super) async fn look() -> Vec<Check> {
    let name = "local agent";
    let Some(place) = AgentSocket::of_user() else {
        let what = "there is no place for its socket";
        return vec![Check::fault(
            name,
            what,
            "set HOME, XDG_RUNTIME_DIR or LANYARD_STATE",
        )];
    };
    let mut checks = vec![running(name, &place).await];
    if let Some(why) = place.passed_over() {
        let what = format!("XDG_RUNTIME_DIR is not used: {why}");
        let remedy = format!(
            "the socket is at {}; under sudo, `sudo -H` and no XDG_RUNTIME_DIR",
            place.socket().display()
        );
        checks.push(Check::warning("runtime folder", what, remedy));
    }
    if let Some(parent) = place.socket().parent() {
        checks.push(files::folder("agent's folder", parent));
    }
    checks
}

async fn running(name: &'static str, place: &AgentSocket) -> Check {
    let asked = async {
        let connection = Connection::existing(None).await?;
        Some(connection.agent().get_status(v1::GetStatusRequest {}).await)
    };
    let own = env!("CARGO_PKG_VERSION");
    match tokio::time::timeout(ANSWER_WAIT, asked).await {
        Ok(Some(Ok(status))) => {
            let status = status.into_inner();
            let what = format!(
                "{} as process {}, with {}",
                status.version,
                status.pid,
                counted(status.tasks.len() as u64, "task")
            );
            if status.version == own {
                Check::ok(name, what)
            } else {
                let remedy =
                    format!("this is {own}: lanyard agent stop; the next command starts it anew");
                Check::warning(name, what, remedy)
            }
        }
        Ok(Some(Err(status))) => Check::fault(
            name,
            format!("answers with an error: {}", status.message()),
            "lanyard agent stop",
        ),
        Err(_) => {
            let what = format!("{} takes calls and answers none", place.socket().display());
            Check::fault(
                name,
                what,
                "end its process; the next command starts it anew",
            )
        }
        Ok(None) => {
            let found = std::fs::symlink_metadata(place.socket());
            match found {
                Ok(found) if !found.file_type().is_socket() => {
                    let what = format!("{} is no socket", place.socket().display());
                    Check::fault(
                        name,
                        what,
                        "move it away, or name another place in LANYARD_AGENT",
                    )
                }
                Ok(_) | Err(_) => Check::ok(name, "does not run; it is started when it is needed"),
            }
        }
    }
}

/// Checks for what `lanyard exec` left behind when it was killed, and removes it if that is wanted.
pub(super) async fn leftovers(global: &Global, fix: bool) -> Vec<Check> {
    let name = "leftovers";
    let Some(place) = AgentSocket::of_user() else {
        return Vec::new();
    };
    let left = folder::leftovers(&place);
    if left.is_empty() {
        return vec![Check::ok(name, "none of lanyard exec")];
    }
    let mut checks = Vec::new();
    for one in left {
        let path = one.path.display();
        let what = format!("{path}, of a command under {} that was killed", one.task);
        if !fix {
            let remedy = "lanyard doctor --fix removes it, and closes its task";
            checks.push(Check::warning(name, what, remedy));
            continue;
        }
        if let Ok(connection) = crate::agent::connect(global).await {
            close(&connection, &one.task).await;
        }
        checks.push(match std::fs::remove_dir_all(&one.path) {
            Ok(()) => Check::ok(name, format!("removed {what}")),
            Err(error) => Check::fault(name, format!("{path} cannot be removed: {error}"), ""),
        });
    }
    checks
}
