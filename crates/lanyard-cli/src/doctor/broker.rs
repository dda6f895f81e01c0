//! The context, the broker behind it, and whether that knows who asks.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lanyard_client::{Client, ClientError, Context, Probe, Proxies, v1};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Check;
use crate::Global;

/// The longest time that each question to the broker may take.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// From when on a difference of the clocks is worth a word, and from when on it keeps proofs from
/// being accepted.
const ODD: SignedDuration = SignedDuration::from_secs(5);
const TOO_FAR: SignedDuration = SignedDuration::from_secs(30);
/// The remedy if a kill plane does not answer.
const NO_KILL_PLANE: &str = "does the broker's configuration have `kill_listen`? Else take `kill_endpoint` out of the context";
/// The time before its end from which a certificate is worth a warning.
const CERTIFICATE_WARNING_SPAN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The context that counts here, and by what.
pub(super) fn context(global: &Global) -> (Option<Context>, Vec<Check>) {
    let why = match (&global.context, std::env::var_os("LANYARD_CONTEXT")) {
        (Some(asked), Some(named)) if *asked == named => "named by LANYARD_CONTEXT",
        (Some(_), _) => "named by --context",
        (None, _) => "the current one",
    };
    let name = "context";
    let remedy =
        "lanyard context list names those there are; lanyard login --endpoint URL makes one";
    let path = match global.context() {
        Ok(path) => path,
        Err(error) => {
            return (
                None,
                vec![Check::fault(
                    name,
                    error.told().1.unwrap_or_default(),
                    remedy,
                )],
            );
        }
    };
    match Context::load(&path) {
        Ok(context) => {
            let what = format!("{} ({why}), for {}", path.display(), context.endpoint());
            (Some(context), vec![Check::ok(name, what)])
        }
        Err(error) => (None, vec![Check::fault(name, error.to_string(), remedy)]),
    }
}

/// Checks the proxies that gRPC and HTTP go through on the way to the broker.
pub(super) fn proxy(endpoint: &str, proxies: &Proxies) -> Check {
    let name = "proxy";
    match proxies.to(endpoint) {
        Ok(Some(proxy)) => Check::ok(name, format!("the broker is reached through {proxy}")),
        Ok(None) if proxies.is_named() => Check::ok(
            name,
            "the broker is reached directly: it is on loopback, or NO_PROXY names it",
        ),
        Ok(None) => Check::ok(name, "none is named"),
        Err(error) => Check::fault(name, error.to_string(), ""),
    }
}

pub(super) async fn look(global: &Global, context: &Context) -> Vec<Check> {
    let probe = tokio::time::timeout(ANSWER_WAIT, context.probe()).await;
    let fault = |why: String| {
        let remedy = "is its address right, is it up, is its authority the context's ca_file?";
        vec![Check::fault("broker", why, remedy)]
    };
    let probe = match probe {
        Ok(Ok(probe)) => probe,
        Ok(Err(error)) => return fault(error.to_string()),
        Err(_) => return fault(format!("{} says nothing", context.endpoint())),
    };
    let mut checks = vec![broker(&probe)];
    checks.extend(
        probe
            .certificate
            .as_deref()
            .map(|der| certificate(der, Timestamp::now())),
    );
    checks.extend(
        probe
            .date
            .as_deref()
            .map(|date| clock(date, Timestamp::now())),
    );
    if let Ok(path) = global.context() {
        checks.push(identity(&path).await);
        checks.extend(asked(&path).await);
        checks.extend(kill_plane(context, &path).await);
    }
    checks
}

/// Tells if the kill plane that the context names would take a kill from here.
async fn kill_plane(context: &Context, path: &Path) -> Option<Check> {
    let (name, url) = ("kill plane", context.kill_endpoint()?);
    let asked = async {
        match Client::connect_to_kill_plane(path).await? {
            Some(mut client) => {
                let listed = client.list_kill_orders(v1::ListKillOrdersRequest {});
                listed.await.map(drop)
            }
            None => Ok(()),
        }
    };
    let answer = tokio::time::timeout(ANSWER_WAIT, asked).await;
    Some(match answer {
        // A kill plane that denies the caller's role has answered all the same.
        Ok(Ok(()) | Err(ClientError::Denied(_))) => Check::ok(name, format!("{url} answers")),
        Ok(Err(error @ ClientError::NotLoggedIn(_))) => {
            let remedy = format!(
                "where `identity` is ok: have whoever runs the broker list {url} in `origins`"
            );
            Check::fault(name, error.to_string(), remedy)
        }
        Ok(Err(error)) => Check::fault(name, error.to_string(), NO_KILL_PLANE),
        Err(_) => Check::fault(name, format!("{url} says nothing"), NO_KILL_PLANE),
    })
}

/// Asks the broker about itself. An agent may not ask, and is told nothing.
async fn asked(path: &Path) -> Vec<Check> {
    let asked = async {
        let mut client = Client::connect(path).await?;
        client.get_status(v1::GetStatusRequest {}).await
    };
    match tokio::time::timeout(ANSWER_WAIT, asked).await {
        Ok(Ok(status)) => vec![issuing(&status), data(status)],
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// Checks what is issued, on which orders and pauses have a say.
fn issuing(status: &v1::GetStatusResponse) -> Check {
    let (name, said) = ("issuing", crate::status::issuing(status));
    let remedy =
        "lanyard kill list and lanyard pause list name what stops it; lanyard runbook re-arm";
    if said == "yes" {
        Check::ok(name, said)
    } else if said.starts_with("no: ") {
        Check::fault(name, said, remedy)
    } else {
        Check::warning(name, said, remedy)
    }
}

fn data(status: v1::GetStatusResponse) -> Check {
    let name = "data";
    let remedy = "the daemon's log says since when; lanyard runbook when-the-disk-fails";
    if !status.not_issuing.is_empty() {
        Check::fault(name, status.not_issuing, remedy)
    } else if !status.problems.is_empty() {
        Check::warning(name, status.problems.join("; "), remedy)
    } else {
        Check::ok(name, "the journal, its snapshots and its history are kept")
    }
}

fn broker(probe: &Probe) -> Check {
    match probe.ready {
        // Orders and pauses are no fault of the broker: the line `issuing` has them.
        200 => Check::ok("broker", "answers, and is in order"),
        status => {
            let what = format!("answers {status}: it takes kills and revokes, and issues nothing");
            Check::fault(
                "broker",
                what,
                "lanyard status says why; tell whoever runs it",
            )
        }
    }
}

fn certificate(der: &[u8], now: Timestamp) -> Check {
    let name = "certificate";
    let parsed = X509Certificate::from_der(der).ok();
    let ends = parsed.map(|(_, parsed)| parsed.validity().not_after.timestamp());
    let ends = ends.and_then(|ends| Timestamp::from_second(ends).ok());
    match ends {
        None => Check::warning(name, "is believed, and cannot be read here", ""),
        Some(ends) if ends.duration_since(now) < CERTIFICATE_WARNING_SPAN => {
            let remedy = "whoever runs the broker renews it; agents stop when it ends";
            Check::warning(name, format!("ends at {ends}"), remedy)
        }
        Some(ends) => Check::ok(name, format!("good until {ends}")),
    }
}

fn clock(date: &str, now: Timestamp) -> Check {
    let name = "clock";
    let Ok(there) = jiff::fmt::rfc2822::parse(date) else {
        return Check::warning(name, "the broker says no time that is one", "");
    };
    // A whole second is all that it says.
    let apart = now.duration_since(there.timestamp());
    let seconds = apart.as_secs();
    let direction = if seconds < 0 { "behind" } else { "ahead of" };
    let what = format!("{} s {direction} the broker's", seconds.abs());
    let remedy = "set one of them right: timedatectl set-ntp true";
    if apart.abs() > TOO_FAR {
        Check::fault(name, what, remedy)
    } else if apart.abs() > ODD {
        Check::warning(name, what, remedy)
    } else {
        Check::ok(name, format!("within {} s of the broker's", ODD.as_secs()))
    }
}

async fn identity(path: &Path) -> Check {
    let name = "identity";
    let asked = async {
        let mut client = Client::connect(path).await?;
        client.who_am_i(v1::WhoAmIRequest {}).await
    };
    let remedy = "as a person: lanyard login; as an agent: lanyard context show names its identity";
    match tokio::time::timeout(ANSWER_WAIT, asked).await {
        Ok(Ok(me)) => Check::ok(name, format!("{} ({})", me.identity, me.kind)),
        Ok(Err(error)) => Check::fault(name, error.to_string(), remedy),
        Err(_) => Check::fault(name, "the broker does not say", remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_clock_may_differ_by_five_seconds_and_not_by_more_than_thirty() {
        let date = "Fri, 15 Jan 2027 08:00:00 GMT";
        for (now, state, what) in [
            (
                "2027-01-15T08:00:00.9Z",
                State::Ok,
                "within 5 s of the broker's",
            ),
            (
                "2027-01-15T07:59:55Z",
                State::Ok,
                "within 5 s of the broker's",
            ),
            (
                "2027-01-15T08:00:06Z",
                State::Warning,
                "6 s ahead of the broker's",
            ),
            (
                "2027-01-15T07:59:30Z",
                State::Warning,
                "30 s behind the broker's",
            ),
            (
                "2027-01-15T07:59:29Z",
                State::Fault,
                "31 s behind the broker's",
            ),
            (
                "2027-01-15T09:00:00Z",
                State::Fault,
                "3600 s ahead of the broker's",
            ),
        ] {
            let check = clock(date, at(now));
            assert_eq!((check.state, check.what.as_str()), (state, what), "{now}");
        }
        assert_eq!(
            clock("yesterday", at("2027-01-15T08:00:00Z")).state,
            State::Warning
        );
    }
}
