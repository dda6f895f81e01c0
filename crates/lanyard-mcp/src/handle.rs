//! Handles, which a model gets instead of credentials: the ids, and the command lines by which
//! tools obtain the credential.

use lanyard_vocabulary::name::Name;
use schemars::JsonSchema;
use serde::Serialize;

use crate::credential::{Kind, Wanted};

/// Instructions for using a credential without seeing it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Usage {
    /// The instruction in words.
    how: &'static str,
    /// Command lines for a shell. Words in capitals are placeholders.
    commands: Vec<String>,
    /// A profile for AWS_CONFIG_FILE, for tools that are not started through `lanyard exec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_profile: Option<String>,
}

/// The command line that starts the lanyard program on this machine.
#[derive(Debug, Clone)]
pub struct Program(Vec<String>);

impl Program {
    /// Takes the program and the flags that it always needs.
    #[must_use]
    pub fn of(words: Vec<String>) -> Self {
        Self(words)
    }

    /// Appends words and quotes the result for a shell.
    fn line(&self, words: &[&str]) -> String {
        let own = self.0.iter().map(String::as_str);
        let quoted: Vec<String> = own.chain(words.iter().copied()).map(shell_quote).collect();
        quoted.join(" ")
    }
}

/// Returns the instructions for a credential of this kind.
pub(crate) fn usage(kind: Kind, program: &Program, wanted: &Wanted) -> Usage {
    match kind {
        Kind::Token => token(program, wanted),
        Kind::Aws => aws(program, wanted),
        Kind::Kubernetes => started(program, wanted, "kubectl get pods"),
        Kind::Vault => started(program, wanted, "vault kv get PATH"),
        Kind::VaultSecret => piped(program, wanted, "vault"),
        Kind::Other => piped(program, wanted, "fields"),
        Kind::Github => started(program, wanted, "git clone URL"),
    }
}

fn token(program: &Program, wanted: &Wanted) -> Usage {
    let print = creds(program, "token", wanted);
    let git = creds(program, "git", wanted);
    let helper = shell_quote(&format!("credential.helper=!{git}"));
    Usage {
        how: "Let the tool that needs the token read it from a pipe. Never print it, and never put it into a command line, a file or a message.",
        commands: vec![
            format!("{print} | sed 's/^/Authorization: Bearer /' | curl --header @- URL"),
            format!("git -c credential.helper= -c {helper} clone URL"),
        ],
        aws_profile: None,
    }
}

fn aws(program: &Program, wanted: &Wanted) -> Usage {
    let process = creds(program, "aws", wanted);
    Usage {
        how: how(wanted),
        commands: vec![exec(program, wanted, "aws sts get-caller-identity")],
        aws_profile: Some(format!(
            "[profile {}]\ncredential_process = {process}\n",
            profile(&wanted.grant)
        )),
    }
}

/// Instructions for tools that find the credential where `lanyard exec` puts it.
fn started(program: &Program, wanted: &Wanted, command: &str) -> Usage {
    Usage {
        how: how(wanted),
        commands: vec![exec(program, wanted, command)],
        aws_profile: None,
    }
}

fn piped(program: &Program, wanted: &Wanted, tool: &str) -> Usage {
    let print = creds(program, tool, wanted);
    Usage {
        how: "Let the program that needs the secret read it, a JSON object, from a pipe. Never print it, and never put it into a command line, a file or a message.",
        commands: vec![format!("{print} | PROGRAM")],
        aws_profile: None,
    }
}

const fn how(wanted: &Wanted) -> &'static str {
    if wanted.plan.is_some() {
        "Start the one command that carries out the plan through lanyard exec: it finds the credential by itself, renews it, and ends the \
         task when the command ends. Never print credentials."
    } else {
        "Start each tool (aws, terraform, kubectl, helm, vault, git, …) through lanyard exec: it finds the credential by itself and renews it. Never \
         print credentials."
    }
}

/// Builds a `lanyard creds TOOL` command, which prints a secret to the tool that runs it.
fn creds(program: &Program, tool: &str, wanted: &Wanted) -> String {
    let (task, plan) = named(wanted);
    let mut words = vec!["creds", tool, "--task", &task, wanted.grant.as_str()];
    words.extend(plan.iter().flat_map(|plan| ["--plan", plan]));
    program.line(&words)
}

/// Builds a `lanyard exec` command. Without a plan it runs inside the task, which stays open; with
/// a plan it is the whole task.
fn exec(program: &Program, wanted: &Wanted, command: &str) -> String {
    let (task, plan) = named(wanted);
    let grant = wanted.grant.as_str();
    match plan {
        Some(plan) => {
            let line = program.line(&["exec", "--plan", &plan]);
            format!("{line} -- {command}")
        }
        None => {
            let line = program.line(&["exec", "--grant", grant]);
            format!("LANYARD_TASK={task} LANYARD_GRANTS={grant} {line} -- {command}")
        }
    }
}

fn named(wanted: &Wanted) -> (String, Option<String>) {
    let plan = wanted.plan.map(|plan| plan.to_string());
    (wanted.task.to_string(), plan)
}

fn profile(grant: &Name) -> String {
    format!("lanyard-{grant}")
}

/// Quotes a word for a POSIX shell.
fn shell_quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use lanyard_vocabulary::id::{PlanId, TaskId};

    use super::*;

    #[test]
    fn each_kind_has_a_valid_shell_line() {
        let program = Program::of(vec![
            "/opt/my tools/lanyard".to_owned(),
            "--context".to_owned(),
            "work".to_owned(),
        ]);
        let mut wanted = Wanted {
            task: TaskId::from_bits(7),
            grant: "read".parse().unwrap(),
            plan: None,
        };
        let task = wanted.task;
        let aws = usage(Kind::Aws, &program, &wanted);
        assert_eq!(
            aws.commands,
            [format!(
                "LANYARD_TASK={task} LANYARD_GRANTS=read '/opt/my tools/lanyard' --context work exec --grant read -- aws sts get-caller-identity"
            )]
        );
        assert!(aws.aws_profile.unwrap().ends_with(&format!(
            "lanyard' --context work creds aws --task {task} read\n"
        )));
        wanted.plan = Some(PlanId::from_bits(8));
        let pods = usage(Kind::Kubernetes, &program, &wanted).commands;
        let plan = PlanId::from_bits(8);
        let exec = format!("--context work exec --plan {plan} -- kubectl get pods");
        assert!(pods[0].ends_with(&exec), "{pods:?}");
        let token = usage(Kind::Token, &program, &wanted);
        let (piped, git) = (&token.commands[0], &token.commands[1]);
        assert!(piped.contains(&format!("read --plan {} | sed", PlanId::from_bits(8))));
        assert!(
            git.contains("'credential.helper=!'\\''/opt/my tools"),
            "{git}"
        );
    }
}
