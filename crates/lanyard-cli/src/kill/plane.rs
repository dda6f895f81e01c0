//! The way of a kill to the broker: its address, then its kill plane, and what is left where
//! neither answers.

use std::time::Duration;

use lanyard_client::{Client, ClientError, Context, v1};
use serde_json::{Value, json};

use crate::outcome::Outcome;
use crate::{Global, text};

/// The time for which the broker may think about a kill order before the kill plane is asked, where
/// the context names one.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// Connects to the broker, or to its kill plane if the broker does not answer and the context names
/// one. Everything about kill orders is served there too.
pub(super) async fn connect(global: &Global) -> Result<Client, Outcome> {
    let error = match global.client().await {
        Err(Outcome::Client(error @ ClientError::Unavailable(_))) => error,
        connected => return connected,
    };
    match kill_plane(global).await {
        Ok(Some(client)) => Ok(client),
        // What the context names first is what its owner has to see to.
        Ok(None) | Err(_) => Err(error.into()),
    }
}

/// Gives the broker a kill order, at the kill plane if the broker itself does not answer.
pub(super) async fn engage(
    global: &Global,
    request: &v1::EngageKillRequest,
) -> Result<(Client, v1::EngageKillResponse), Outcome> {
    let context = Context::load(&global.context()?).map_err(ClientError::from)?;
    let at_broker = match global.client().await {
        Ok(client) => {
            // Alone, the broker has all the time of a call.
            let wait = context.kill_endpoint().map(|_| ANSWER_WAIT);
            given(client, request, wait).await
        }
        Err(Outcome::Client(error)) => Err(error),
        Err(other) => return Err(other),
    };
    let error = match at_broker {
        Err(error @ ClientError::Unavailable(_)) => error,
        answered => return answered.map_err(|error| not_engaged(error, &context, request)),
    };
    let at_kill_plane = match kill_plane(global).await {
        Ok(None) => return Err(by_hand(error, &context, request, None)),
        Ok(Some(client)) => {
            global.note("the broker does not answer: asking its kill plane");
            given(client, request, None).await
        }
        Err(error) => Err(error),
    };
    at_kill_plane.map_err(|of_kills| by_hand(error, &context, request, Some(&of_kills)))
}

async fn kill_plane(global: &Global) -> Result<Option<Client>, ClientError> {
    match global.context() {
        Ok(path) => Client::connect_to_kill_plane(&path).await,
        Err(_) => Ok(None),
    }
}

async fn given(
    mut client: Client,
    request: &v1::EngageKillRequest,
    wait: Option<Duration>,
) -> Result<(Client, v1::EngageKillResponse), ClientError> {
    let engaged = client.engage_kill(request.clone());
    let engaged = match wait {
        None => engaged.await?,
        Some(wait) => tokio::time::timeout(wait, engaged).await.map_err(|_| {
            ClientError::Unavailable(format!("no answer to the kill in {} s", wait.as_secs()))
        })??,
    };
    Ok((client, engaged))
}

/// A kill that the broker refused: nothing is stopped, and that is said.
fn not_engaged(error: ClientError, context: &Context, request: &v1::EngageKillRequest) -> Outcome {
    match error {
        ClientError::Refused(why) => Outcome::Usage(format!("{why}; nothing is stopped")),
        error @ ClientError::NotLoggedIn(_) => {
            let lines = [
                "nothing is stopped. Without a login a kill ticket or a break-glass key is enough:"
                    .to_owned(),
                curl(context, TICKET, (context.endpoint(), request)),
                local(request),
                RUNBOOK.to_owned(),
            ];
            Outcome::ClientThen(error, lines.join("\n"))
        }
        other @ (ClientError::Unavailable(_)
        | ClientError::Denied(_)
        | ClientError::FreshLogin(_)
        | ClientError::ApprovalPending(_)
        | ClientError::Killed(_)
        | ClientError::RefusedForNow(_)
        | ClientError::NotFound(_)
        | ClientError::Context(_)) => Outcome::Client(other),
    }
}

/// The token of a curl without a login, as the shell reads it.
const TICKET: &str = "$(cat TICKET)";
const RUNBOOK: &str = "More: lanyard runbook the-broker-is-down";

/// Returns what is left to whoever reached nobody: commands that can be copied as they are, with
/// what was to be stopped.
fn by_hand(
    error: ClientError,
    context: &Context,
    request: &v1::EngageKillRequest,
    of_kills: Option<&ClientError>,
) -> Outcome {
    let mut lines = vec!["whether anything is stopped is not known.".to_owned()];
    let url = match (context.kill_endpoint(), of_kills) {
        (Some(url), Some(error)) => {
            let error = text::line(&error.to_string());
            lines.push(format!("its kill plane at {url} was asked too: {error}"));
            url.to_owned()
        }
        (_, _) => {
            lines.push(format!(
                "A broker with `kill_listen` in its configuration takes kills at a port of its own, which this\n\
                 context does not name (`kill_endpoint` in {}). At that port:",
                context.path().display()
            ));
            format!("https://{}:KILL_PORT", host(context))
        }
    };
    // A proof of possession goes with one call of this program: curl has none.
    let token = match context.has_bearer_token() {
        true => {
            let context = quoted(&context.path().display().to_string());
            format!("$(lanyard --context {context} identity)")
        }
        false => TICKET.to_owned(),
    };
    lines.push(curl(context, &token, (&url, request)));
    lines.push(local(request));
    lines.push(RUNBOOK.to_owned());
    Outcome::ClientThen(error, lines.join("\n"))
}

/// The kill for curl.
fn curl(context: &Context, token: &str, (url, request): (&str, &v1::EngageKillRequest)) -> String {
    let authority = match context.authority_file() {
        Some(file) => format!("--cacert {} ", quoted(&file.display().to_string())),
        None => String::new(),
    };
    let mut body = json!({"scope": json_of(kind(request)), "reason": request.reason});
    if let (v1::RoleFilter::ApplyOnly, Some(fields)) = (request.roles(), body.as_object_mut()) {
        fields.insert("roles".to_owned(), json!("apply-only"));
    }
    let body = quoted(&body.to_string());
    let mut line =
        format!("  curl {authority}-H \"Authorization: Bearer {token}\" -d {body} {url}/v1/kill");
    if token == TICKET {
        line.push_str("\n  (TICKET: a kill ticket, or what `lanyard kill break-glass` printed)");
    }
    line
}

fn kind(request: &v1::EngageKillRequest) -> Option<&v1::scope::Kind> {
    request.scope.as_ref()?.kind.as_ref()
}

/// The kill from the data directory.
fn local(request: &v1::EngageKillRequest) -> String {
    use v1::scope::Kind;
    let mut scope = match kind(request) {
        Some(Kind::Environment(name)) => format!("--environment {}", quoted(name)),
        Some(Kind::Target(name)) => format!("--target {}", quoted(name)),
        Some(Kind::Charter(name)) => format!("--charter {}", quoted(name)),
        Some(Kind::Agent(name)) => format!("--agent {}", quoted(name)),
        // Tasks and leases are stopped there by their agent.
        Some(Kind::TaskId(_) | Kind::LeaseId(_)) => "--agent AGENT".to_owned(),
        Some(Kind::All(_)) | None => "--all".to_owned(),
    };
    if request.roles() == v1::RoleFilter::ApplyOnly {
        scope.push_str(" --role apply");
    }
    let reason = quoted(&request.reason);
    format!(
        "On the broker's machine, with or without a daemon:\n  \
         lanyardd kill --local --config /etc/lanyard/lanyardd.yaml {scope} --reason {reason}"
    )
}

/// A scope as `/v1/kill` and kill tickets have it.
pub(super) fn json_of(kind: Option<&v1::scope::Kind>) -> Value {
    use v1::scope::Kind;
    match kind {
        Some(Kind::Environment(name)) => json!({"environment": name}),
        Some(Kind::Target(name)) => json!({"target": name}),
        Some(Kind::Charter(name)) => json!({"charter": name}),
        Some(Kind::Agent(name)) => json!({"agent": name}),
        Some(Kind::TaskId(id)) => json!({"task": id}),
        Some(Kind::LeaseId(id)) => json!({"lease": id}),
        Some(Kind::All(_)) | None => json!("all"),
    }
}

fn host(context: &Context) -> &str {
    let broker = context.broker();
    broker.rsplit_once(':').map_or(broker, |(host, _)| host)
}

/// A word for a POSIX shell, whatever is in it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/.-_:=@,+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", text::line(word).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use v1::scope::Kind;

    use super::*;

    fn context(text: &str) -> (tempfile::TempDir, Context) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work.json");
        std::fs::write(&path, text).unwrap();
        std::fs::write(directory.path().join("ca.pem"), "").unwrap();
        let context = Context::load(&path).unwrap();
        (directory, context)
    }

    fn said(context: &Context, kind: Kind, of_kills: Option<&ClientError>) -> String {
        let request = v1::EngageKillRequest {
            scope: Some(v1::Scope { kind: Some(kind) }),
            reason: "it's a loop".to_owned(),
            ..v1::EngageKillRequest::default()
        };
        let error = ClientError::Unavailable("connection refused".to_owned());
        let (code, line) = by_hand(error, context, &request, of_kills).told();
        assert_eq!(code, 7);
        line.unwrap()
    }

    #[test]
    fn u18_a_kill_that_reached_nobody_names_commands_with_what_was_to_be_stopped() {
        let (_directory, known) = context(
            r#"{"endpoint":"https://b.example:7070","ca_file":"ca.pem","identity":{"token_file":"t"}}"#,
        );
        let said = said(&known, Kind::Agent("router".to_owned()), None);
        assert!(said.contains("--cacert "), "{said}");
        assert!(said.contains("/ca.pem"), "{said}");
        assert!(said.contains("identity)"), "{said}");
        assert!(
            said.contains("https://b.example:KILL_PORT/v1/kill"),
            "{said}"
        );
        assert!(said.contains(r#""scope":{"agent":"router"}"#), "{said}");
        assert!(
            !said.contains("--all") && !said.contains(r#""all""#),
            "{said}"
        );
        assert!(
            said.contains(r"--agent router --reason 'it'\''s a loop'"),
            "{said}"
        );
        assert!(said.contains("A broker with `kill_listen`"), "{said}");
    }

    #[test]
    fn u18_no_bearer_token_is_named_that_the_context_does_not_have() {
        let (_directory, person) = context(
            r#"{"endpoint":"https://b.example","kill_endpoint":"https://b.example:7071",
                "identity":{"login":{"issuer":"https://i","client_id":"c","scopes":[]}}}"#,
        );
        let down = ClientError::Unavailable("timed out".to_owned());
        let said = said(&person, Kind::All(true), Some(&down));
        assert!(!said.contains(" identity)"), "{said}");
        assert!(said.contains("$(cat TICKET)"), "{said}");
        assert!(said.contains("https://b.example:7071/v1/kill"), "{said}");
        assert!(
            !said.contains("--cacert") && !said.contains("`kill_listen`"),
            "{said}"
        );
        assert!(
            said.contains("its kill plane at https://b.example:7071 was asked too: "),
            "{said}"
        );
        assert!(said.contains(r#""scope":"all""#), "{said}");
    }

    #[test]
    fn u18_a_kill_without_a_login_names_what_kills_without_one() {
        let (_directory, person) = context(
            r#"{"endpoint":"https://b.example:7070","ca_file":"ca.pem",
                "identity":{"login":{"issuer":"https://i","client_id":"c","scopes":[]}}}"#,
        );
        let kind = Some(Kind::Charter("shop".to_owned()));
        let request = v1::EngageKillRequest {
            scope: Some(v1::Scope { kind }),
            roles: v1::RoleFilter::ApplyOnly.into(),
            reason: "it loops".to_owned(),
            ..v1::EngageKillRequest::default()
        };
        let error = ClientError::NotLoggedIn("the login has ended".to_owned());
        let (code, line) = not_engaged(error, &person, &request).told();
        let line = line.unwrap();
        assert_eq!(code, 4);
        assert!(
            line.contains("nothing is stopped. Without a login"),
            "{line}"
        );
        assert!(line.contains("$(cat TICKET)"), "{line}");
        assert!(line.contains(" https://b.example:7070/v1/kill"), "{line}");
        assert!(
            line.contains(r#""roles":"apply-only","scope":{"charter":"shop"}"#),
            "{line}"
        );
        assert!(
            line.contains("--charter shop --role apply --reason 'it loops'"),
            "{line}"
        );
    }

    #[test]
    fn u18_a_word_for_a_shell_is_one_word_whatever_is_in_it() {
        for word in ["a b", "$(reboot)", "`id`", "a'b", "", "x;y", "a\nb", "é"] {
            let quoted = quoted(word);
            assert!(
                quoted.starts_with('\'') && quoted.ends_with('\''),
                "{quoted}"
            );
            assert!(!quoted.contains('\n'), "{quoted}");
            let within = quoted.replace(r"'\''", "");
            assert_eq!(within.matches('\'').count(), 2, "{quoted}");
        }
        assert_eq!(quoted("/etc/lanyard/ca.pem"), "/etc/lanyard/ca.pem");
    }
}
