//! `lanyard creds`: a credential in the form that a tool expects. Stdout holds that and nothing
//! else.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};
use lanyard_client::v1;
use lanyard_client::v1::credential::Kind;
use lanyard_proto::agent::v1 as agent;
use lanyard_vocabulary::time::Ttl;
use serde_json::{Value, json};

use crate::outcome::Outcome;
use crate::streams::Input;
use crate::terminal::say;
use crate::{Global, span, text};

/// The most that git says of what it wants, in bytes.
const ASKED: u64 = 16 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tool {
    /// `credential_process` of the AWS tools.
    Aws,
    /// An exec plugin of kubectl, helm and the client libraries of Kubernetes.
    Kube,
    /// A credential helper of git; says something only to the host that the token is for.
    Git,
    /// A token helper of vault and bao; of a dynamic secret its fields, in JSON.
    Vault,
    /// The access token alone, a JWT.
    Token,
    /// The fields of a credential of any other kind, in JSON.
    Fields,
}

#[derive(Args)]
pub(crate) struct Creds {
    /// The tool that asks for the credential.
    tool: Tool,
    /// The grant of the task's charter.
    grant: String,
    /// The word that git and vault add: get, store or erase.
    #[arg(hide = true)]
    operation: Option<String>,
    /// The task; that of LANYARD_TASK where nothing is named.
    #[arg(long)]
    task: Option<String>,
    /// The approved plan that an apply goes with.
    #[arg(long)]
    plan: Option<String>,
    #[command(flatten)]
    standing: Standing,
    /// Ask the broker itself, every time, and have nothing kept.
    #[arg(long, env = "LANYARD_DIRECT", value_parser = clap::builder::FalseyValueParser::new())]
    direct: bool,
    /// For less time than the charter allows: `90s`, `5m`.
    #[arg(long, value_name = "SPAN", requires = "direct", value_parser = span::parse)]
    ttl: Option<Ttl>,
}

/// A task that is opened where there is none.
#[derive(Args)]
#[group(id = "standing", conflicts_with = "task")]
pub(crate) struct Standing {
    /// Instead of a task: the charter of one that is opened where none is open.
    #[arg(long, requires_all = ["environment", "reason"])]
    charter: Option<String>,
    /// The environment of the task.
    #[arg(long, requires = "charter")]
    environment: Option<String>,
    /// The reason of the task.
    #[arg(long, requires = "charter")]
    reason: Option<String>,
}

/// The credential as it is printed.
struct Issued {
    credential: Option<Kind>,
    expires: Option<lanyard_client::Time>,
}

pub(crate) async fn run(global: &Global, creds: Creds) -> Result<(), Outcome> {
    lanyard_agent::harden().map_err(|error| {
        Outcome::usage(format!(
            "cannot disable core dumps and ptrace for this process: {error}"
        ))
    })?;
    if creds.tool == Tool::Git {
        return git(global, &creds).await;
    }
    if creds.tool == Tool::Vault {
        match creds.operation.as_deref() {
            None | Some("get") => {}
            // Nothing is kept for it, so there is nothing to erase.
            Some("erase") => return Ok(()),
            Some(_) => {
                let line = "the token is that of the task, and no other is kept";
                return Err(Outcome::usage(line));
            }
        }
    }
    let issued = issue(global, &creds).await?;
    let expires = crate::lease::shown(issued.expires);
    match (creds.tool, issued.credential) {
        (Tool::Token, Some(Kind::Token(token))) => println!("{}", token.jwt),
        (Tool::Aws, Some(Kind::Aws(aws))) => println!(
            "{}",
            json!({"Version": 1, "AccessKeyId": aws.access_key_id, "SecretAccessKey": aws.secret_access_key,
                "SessionToken": aws.session_token, "Expiration": expires})
        ),
        (Tool::Kube, Some(Kind::Kubernetes(kube))) => println!(
            "{}",
            json!({"apiVersion": exec_version(), "kind": "ExecCredential",
                "status": {"token": kube.token, "expirationTimestamp": expires}})
        ),
        // What a token helper prints is the token, to its last byte.
        (Tool::Vault, Some(Kind::Vault(vault))) if creds.operation.is_some() => {
            print!("{}", vault.token);
        }
        (Tool::Vault, Some(Kind::Vault(vault))) => println!("{}", vault.token),
        (Tool::Vault, Some(Kind::VaultSecret(secret))) => {
            let data: std::collections::BTreeMap<_, _> = secret.data.iter().collect();
            println!("{}", json!(data));
        }
        (Tool::Fields, Some(Kind::Other(other))) => {
            let fields = other.values.iter().chain(&other.secrets);
            let fields: std::collections::BTreeMap<_, _> = fields.collect();
            println!("{}", json!(fields));
        }
        (Tool::Token | Tool::Aws | Tool::Kube | Tool::Git | Tool::Vault | Tool::Fields, _) => {
            return Err(of_another_kind());
        }
    }
    Ok(())
}

fn of_another_kind() -> Outcome {
    Outcome::usage("this grant gives a credential of another kind")
}

/// The version of the exec plugin's contract that is asked for; an old client asks for the one
/// before.
fn exec_version() -> String {
    let default = "client.authentication.k8s.io/v1";
    let asked = std::env::var("KUBERNETES_EXEC_INFO").unwrap_or_default();
    let asked: Value = serde_json::from_str(&asked).unwrap_or_default();
    let version = asked.get("apiVersion").and_then(Value::as_str);
    let known = version.filter(|it| it.starts_with("client.authentication.k8s.io/"));
    known.unwrap_or(default).to_owned()
}

async fn issue(global: &Global, creds: &Creds) -> Result<Issued, Outcome> {
    let plan_id = creds.plan.clone().unwrap_or_default();
    let grant = creds.grant.clone();
    if creds.direct {
        let task = creds.task();
        let task_id = task.ok_or_else(|| Outcome::usage("--direct needs --task"))?;
        let ttl = creds.ttl.map(|ttl| lanyard_client::Span {
            seconds: ttl.as_secs().into(),
            nanos: 0,
        });
        let ask = v1::IssueCredentialRequest {
            task_id,
            grant,
            plan_id,
            ttl,
            ..Default::default()
        };
        let issued = global.client().await?.issue_credential(ask).await?;
        return Ok(Issued {
            credential: issued.credential.and_then(|credential| credential.kind),
            expires: issued.expire_time,
        });
    }
    let ask = agent::GetCredentialRequest {
        task_id: creds.task().unwrap_or_default(),
        grant,
        plan_id,
        open: creds.standing.asked(),
    };
    if ask.task_id.is_empty() && ask.open.is_none() {
        return Err(Outcome::usage(
            "whose? name --task, or --charter, --environment and --reason",
        ));
    }
    let issued = crate::agent::connect(global).await?.credential(ask).await?;
    Ok(Issued {
        credential: issued.credential.and_then(|credential| credential.kind),
        expires: issued.expire_time,
    })
}

impl Creds {
    /// The task that is meant: a charter that is named beats the variable.
    fn task(&self) -> Option<String> {
        let around = || {
            std::env::var("LANYARD_TASK")
                .ok()
                .filter(|it| !it.is_empty())
        };
        let task = self.task.clone();
        task.or_else(|| self.standing.charter.is_none().then(around).flatten())
    }
}

impl Standing {
    fn asked(&self) -> Option<v1::OpenTaskRequest> {
        Some(v1::OpenTaskRequest {
            charter: self.charter.clone()?,
            environment: self.environment.clone()?,
            reason: self.reason.clone()?,
            ..Default::default()
        })
    }
}

/// git-credential(1): what is wanted comes on stdin, a line each; on a refusal git is told not to
/// ask anybody else.
async fn git(global: &Global, creds: &Creds) -> Result<(), Outcome> {
    match creds.operation.as_deref() {
        Some("get") => {}
        // Nothing is kept for git, so there is nothing to store or to erase; what a helper does not
        // know it ignores (gitcredentials(7)).
        Some(_) => return Ok(()),
        None => return Err(Outcome::usage("git adds get, store or erase")),
    }
    let mut asked = String::new();
    let read = Input.take(ASKED).read_to_string(&mut asked);
    read.map_err(|error| Outcome::usage(format!("what git asks for cannot be read: {error}")))?;
    let answered = answer(global, creds, &asked).await;
    if answered.is_err() {
        println!("quit=1");
    }
    answered
}

async fn answer(global: &Global, creds: &Creds, asked: &str) -> Result<(), Outcome> {
    let field = |name: &str| {
        let mut lines = asked.lines().filter_map(|line| line.split_once('='));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let (scheme, host) = (
        field("protocol").unwrap_or_default(),
        field("host").unwrap_or_default(),
    );
    let place = Repository {
        origin: format!("{scheme}://{host}"),
        path: field("path").unwrap_or_default(),
    };
    let issued = issue(global, creds).await?;
    let token = match issued.credential {
        Some(Kind::Token(token)) => token,
        Some(Kind::Github(github)) => {
            if place.is_one_of(&github) {
                println!("username=x-access-token\npassword={}", github.token);
                say_until(issued.expires);
            } else {
                // Another grant may be for it: git goes on asking.
                let (grant, origin) = (&creds.grant, &place.origin);
                let line = format!("the token of {grant} is not for {origin}/{}", place.path);
                say(text::line(&line));
            }
            return Ok(());
        }
        Some(
            Kind::Aws(_)
            | Kind::Kubernetes(_)
            | Kind::Vault(_)
            | Kind::VaultSecret(_)
            | Kind::Other(_),
        )
        | None => {
            return Err(of_another_kind());
        }
    };
    let audiences = audiences(&token.jwt);
    if !audiences.iter().any(|audience| place.is_of(audience)) {
        let line = format!(
            "the token of {} is for {}, and is not shown to {}",
            creds.grant,
            audiences.join(", "),
            place.origin
        );
        return Err(Outcome::usage(line));
    }
    println!("username=lanyard\npassword={}", token.jwt);
    say_until(issued.expires);
    Ok(())
}

fn say_until(expires: Option<lanyard_client::Time>) {
    if let Some(expires) = expires {
        println!("password_expiry_utc={}", expires.seconds);
    }
}

/// The repository that git wants to reach.
struct Repository<'a> {
    origin: String,
    path: &'a str,
}

impl Repository<'_> {
    /// Tells if it is one of the repositories of the token. GitHub's names are the same in upper
    /// and lower case.
    fn is_one_of(&self, token: &v1::GitHubCredential) -> bool {
        let Some(path) = self.segments() else {
            return false;
        };
        let is = |segment: Option<&&str>, name: &str| {
            segment.is_some_and(|segment| bare(segment).eq_ignore_ascii_case(name))
        };
        let mut names = token.repositories.iter();
        // What lies beneath a repository is its own: git-lfs asks for `OWNER/NAME.git/info/lfs`.
        self.is_of(&token.host)
            && path
                .first()
                .is_some_and(|it| it.eq_ignore_ascii_case(&token.owner))
            && names.any(|name| is(path.get(1), name))
    }

    /// The parts of the path; none where another reader could take it for another path: with `..`,
    /// with a part that is empty, or with what is encoded.
    fn segments(&self) -> Option<Vec<&str>> {
        let whole = self.path.trim_matches('/');
        if whole.is_empty() {
            return Some(Vec::new());
        }
        let odd = |c: char| c.is_control() || c.is_whitespace() || "%\\?#;".contains(c);
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(odd);
        let parts: Vec<&str> = whole.split('/').collect();
        parts.iter().all(|part| plain(part)).then_some(parts)
    }

    /// Tells if the audience is the URL of this repository, or of what it is part of. Off this
    /// machine only over TLS.
    fn is_of(&self, audience: &str) -> bool {
        let Some((origin, path)) = split(audience) else {
            return false;
        };
        let here = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        let loopback = here.iter().any(|it| {
            let rest = origin.strip_prefix(it);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        });
        let Some(parts) = self.segments() else {
            return false;
        };
        let above: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let last = above.len().saturating_sub(1);
        let is = |(place, (own, named)): (usize, (&&str, &&str))| {
            // The last one may be the repository, with `.git` or without.
            own == named || place == last && bare(own) == bare(named)
        };
        let within = parts.len() >= above.len() && parts.iter().zip(&above).enumerate().all(is);
        (origin.starts_with("https://") || loopback) && origin == self.origin && within
    }
}

/// The name of a repository, without what servers take for a part of it or leave out.
fn bare(segment: &str) -> &str {
    segment.strip_suffix(".git").unwrap_or(segment)
}

/// A URL without a user: where it is, and the path there without slashes around it.
pub(crate) fn split(url: &str) -> Option<(String, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = !host.is_empty() && !host.contains(['@', '?', '#']);
    (plain && matches!(scheme, "http" | "https")).then(|| {
        (
            format!("{scheme}://{}", host.to_lowercase()),
            path.trim_matches('/'),
        )
    })
}

/// Returns the audiences that a token names. The token came from the broker, and is only read.
pub(crate) fn audiences(jwt: &str) -> Vec<String> {
    let claims = jwt.split('.').nth(1).unwrap_or_default();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&claims).unwrap_or_default();
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => {
            let texts = several.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_to_nobody_but_its_audience() {
        let is_of = |origin: &str, path: &str, audience: &str| {
            let origin = origin.to_owned();
            Repository { origin, path }.is_of(audience)
        };
        let git = "https://git.example";
        assert!(is_of(git, "team/app.git", git));
        assert!(is_of(git, "team/app.git", "https://git.example/team"));
        assert!(is_of(
            git,
            "team/app.git",
            "https://git.example/team/app.git"
        ));
        for (path, audience) in [
            ("team/app.git/info/lfs", "https://git.example/team/app.git"),
            (
                "team/app.git/info/lfs/objects/batch",
                "https://git.example/team/app",
            ),
            ("team/app", "https://git.example/team/app.git"),
            ("/team/app.git/", "https://git.example/team/app"),
        ] {
            assert!(is_of(git, path, audience), "c35 {path} {audience}");
        }
        assert!(is_of("http://127.0.0.1:8080", "a", "http://127.0.0.1:8080"));
        for (origin, path, audience) in [
            ("https://evil.example", "team", git),
            ("https://git.example.evil.example", "", git),
            ("http://git.example", "", "http://git.example"),
            (
                "http://127.0.0.1.evil.example",
                "",
                "http://127.0.0.1.evil.example",
            ),
            (git, "teams/app.git", "https://git.example/team"),
            (git, "", "https://git.example/team"),
            (git, "", "git.example"),
            (git, "team/../other", "https://git.example/team"),
            (
                git,
                "team/app.gitx/info/lfs",
                "https://git.example/team/app.git",
            ),
            (
                git,
                "team/app.git/%2e%2e/other",
                "https://git.example/team/app.git",
            ),
            (
                git,
                "team/app.git/..%2fother",
                "https://git.example/team/app.git",
            ),
            (git, "team//app.git", "https://git.example/team"),
            (git, "team/./app.git", "https://git.example/team"),
            (git, "team/app.git;x", "https://git.example/team"),
            (git, "Team/app.git", "https://git.example/team"),
            ("https://git.example", "", "https://a@git.example"),
            ("://", "", ""),
        ] {
            assert!(!is_of(origin, path, audience), "{origin} {path} {audience}");
        }
    }

    #[test]
    fn c35_a_token_of_github_is_shown_to_its_own_repositories_and_to_what_lies_beneath() {
        let token = v1::GitHubCredential {
            host: "https://github.com".to_owned(),
            owner: "acme".to_owned(),
            repositories: vec!["payments".to_owned()],
            ..v1::GitHubCredential::default()
        };
        let is_one_of = |origin: &str, path: &str| {
            let origin = origin.to_owned();
            Repository { origin, path }.is_one_of(&token)
        };
        for path in [
            "acme/payments",
            "acme/payments.git",
            "Acme/Payments.git/",
            "acme/payments.git/info/lfs",
            "acme/payments.git/info/lfs/objects/batch",
            "acme/payments/info/lfs",
            "ACME/payments.git/info/lfs/locks/verify",
            // Where GitLab keeps what LFS names, and a part of it by its id.
            "acme/payments.git/gitlab-lfs/objects/e7d49ee30cca10c4ff41247877d4257195014ff246cc876ed770b1a715e02158",
        ] {
            assert!(is_one_of("https://github.com", path), "{path}");
        }
        for (origin, path) in [
            ("https://github.com.evil.example", "acme/payments.git"),
            ("http://github.com", "acme/payments.git"),
            ("https://github.com", "acme/payments-2.git"),
            ("https://github.com", "evil/payments.git"),
            ("https://github.com", "acme/payments/../other.git"),
            ("https://github.com", "acme/payments.git/../other.git"),
            ("https://github.com", "acme/payments-other.git/info/lfs"),
            ("https://github.com", "acme/payments.gitx/info/lfs"),
            ("https://github.com", "other/payments.git/info/lfs"),
            ("https://github.com", "acme/payments.git/%2e%2e/other.git"),
            ("https://github.com", "acme/payments.git/..%2fother.git"),
            (
                "https://github.com",
                "acme/payments.git/%252e%252e/other.git",
            ),
            ("https://github.com", "acme/.git/payments"),
            ("https://github.com", "acme//payments.git"),
            ("https://github.com", "other/acme/payments.git"),
            ("https://github.com", "acme/payments.git\\..\\other"),
            ("https://github.com", "acme"),
            ("https://github.com", ""),
        ] {
            assert!(!is_one_of(origin, path), "{origin} {path}");
        }
    }

    #[test]
    fn a_token_says_whom_it_is_for() {
        let jwt = |claims: &str| format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(audiences(&jwt(r#"{"aud":"a"}"#)), ["a"]);
        assert_eq!(audiences(&jwt(r#"{"aud":["a","b",1]}"#)), ["a", "b"]);
        assert!(audiences(&jwt("{}")).is_empty());
        assert!(audiences("nothing").is_empty());
    }
}
