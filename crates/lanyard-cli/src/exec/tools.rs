//! What tools are given so that they find the credentials of a task, and no others: files and
//! variables, none of them secret.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use lanyard_client::v1::credential::Kind;
use lanyard_client::v1::{AwsCredential, GitHubCredential};

use super::folder::Folder;
use super::given::{Environment, Given, Helper, Mode};
use super::kubeconfig::{Entry, document};
use super::{git, surroundings};
use crate::words;

/// Folders in which tools keep what they log in with: they find an empty one instead.
const FOLDERS: [&str; 5] = [
    "GH_CONFIG_DIR",
    "GLAB_CONFIG_DIR",
    "DOCKER_CONFIG",
    "CLOUDSDK_CONFIG",
    "AZURE_CONFIG_DIR",
];

/// Writes the files, and says which variables go with them and which are taken away.
pub(crate) fn lay_out(
    folder: &Folder,
    helper: &Helper,
    given: &[Given],
    mode: Mode,
    keep: &[String],
) -> io::Result<Environment> {
    let mut environment = Environment {
        removed: surroundings::taken_away(keep),
        ..Environment::default()
    };
    let nothing = folder.folder("nothing")?;
    for name in FOLDERS {
        environment.put(name, &nothing);
    }
    aws(folder, helper, given, mode, &mut environment)?;
    kubernetes(folder, helper, given, &mut environment)?;
    git::lay_out(folder, helper, given, keep, &mut environment)?;
    vault(folder, helper, given, &mut environment)?;
    if mode == Mode::Env {
        secrets(given, &mut environment);
    }
    Ok(environment)
}

fn aws(
    folder: &Folder,
    helper: &Helper,
    given: &[Given],
    mode: Mode,
    environment: &mut Environment,
) -> io::Result<()> {
    let mut config = String::new();
    let mut first: Option<&AwsCredential> = None;
    for given in given {
        let Kind::Aws(aws) = &given.kind else {
            continue;
        };
        let process = match mode {
            Mode::Files => format!("credential_process = {}\n", helper.line("aws", given)),
            Mode::Endpoint | Mode::Env => String::new(),
        };
        let section = format!("region = {}\n{process}\n", aws.region);
        if first.is_none() {
            config.push_str(&format!("[default]\n{section}"));
            environment.put("AWS_REGION", &aws.region);
            environment.put("AWS_DEFAULT_REGION", &aws.region);
            first = Some(aws);
        }
        config.push_str(&format!("[profile {}]\n{section}", given.grant));
    }
    environment.put("AWS_CONFIG_FILE", folder.write("aws-config", &config)?);
    environment.put(
        "AWS_SHARED_CREDENTIALS_FILE",
        folder.write("aws-credentials", "")?,
    );
    environment.put("AWS_EC2_METADATA_DISABLED", "true");
    environment.put("AWS_SDK_LOAD_CONFIG", "1");
    environment.put("BOTO_CONFIG", folder.write("boto-config", "")?);
    Ok(())
}

fn kubernetes(
    folder: &Folder,
    helper: &Helper,
    given: &[Given],
    environment: &mut Environment,
) -> io::Result<()> {
    let entries: Vec<Entry<'_>> = given
        .iter()
        .filter_map(|given| match &given.kind {
            Kind::Kubernetes(kubernetes) => Some(Entry {
                name: &given.grant,
                kubernetes,
                program: &helper.program,
                arguments: helper.arguments("kube", given),
            }),
            Kind::Token(_)
            | Kind::Aws(_)
            | Kind::Vault(_)
            | Kind::VaultSecret(_)
            | Kind::Github(_)
            | Kind::Other(_) => None,
        })
        .collect();
    let path = folder.write("kubeconfig", &document(&entries))?;
    environment.put("KUBE_CONFIG_PATH", &path);
    environment.put("KUBECONFIG", path);
    Ok(())
}

/// By a token helper of ours, named in the configuration file of the tool: no other is asked, and
/// what is in the user's home is not looked at. The helper is a file, because a path is all that
/// can be named. <https://developer.hashicorp.com/vault/docs/commands/token-helper>
fn vault(
    folder: &Folder,
    helper: &Helper,
    given: &[Given],
    environment: &mut Environment,
) -> io::Result<()> {
    let first = given.iter().find_map(|given| match &given.kind {
        Kind::Vault(vault) => Some((given, vault)),
        Kind::Token(_)
        | Kind::Aws(_)
        | Kind::Kubernetes(_)
        | Kind::VaultSecret(_)
        | Kind::Github(_)
        | Kind::Other(_) => None,
    });
    let command = first.map_or_else(
        || "exit 0".to_owned(),
        |(given, _)| format!("exec {} \"$@\"", helper.shell("vault", given)),
    );
    let program = folder.script("vault-token", &command)?;
    // The tool gives it to a shell as it stands.
    if first.is_some() && !words::is_one_word(&program.display().to_string()) {
        let line = format!("vault cannot be told of {}", program.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, line));
    }
    let config = format!(
        "token_helper = {}\n",
        serde_json::Value::from(program.display().to_string())
    );
    let config = folder.write("vault-config", &config)?;
    let mut put = |name: &str, value: OsString| {
        for product in ["VAULT", "BAO"] {
            environment.put(&format!("{product}_{name}"), value.clone());
        }
    };
    put("CONFIG_PATH", config.into());
    let Some((_, vault)) = first else {
        return Ok(());
    };
    put("ADDR", vault.address.clone().into());
    if !vault.namespace.is_empty() {
        put("NAMESPACE", vault.namespace.clone().into());
    }
    if !vault.certificate_authority.is_empty() {
        let authority = folder.write("vault-authority.pem", &vault.certificate_authority)?;
        put("CACERT", authority.into());
    }
    Ok(())
}

fn secrets(given: &[Given], environment: &mut Environment) {
    // The first of each kind: its variables have one name.
    let mut kinds = HashSet::new();
    for given in given {
        let other = match &given.kind {
            Kind::Other(other) => Some(other.kind.as_str()),
            Kind::Token(_)
            | Kind::Aws(_)
            | Kind::Kubernetes(_)
            | Kind::Vault(_)
            | Kind::VaultSecret(_)
            | Kind::Github(_) => None,
        };
        if !kinds.insert((std::mem::discriminant(&given.kind), other)) {
            continue;
        }
        match &given.kind {
            Kind::Aws(aws) => {
                environment.put("AWS_ACCESS_KEY_ID", &aws.access_key_id);
                environment.put("AWS_SECRET_ACCESS_KEY", &aws.secret_access_key);
                environment.put("AWS_SESSION_TOKEN", &aws.session_token);
            }
            Kind::Token(token) => {
                environment.put("LANYARD_TOKEN", &token.jwt);
            }
            Kind::Vault(vault) => {
                environment.put("VAULT_TOKEN", &vault.token);
                environment.put("BAO_TOKEN", &vault.token);
            }
            Kind::Github(github) => {
                for (name, value) in of_gh(github) {
                    environment.put(name, value);
                }
            }
            Kind::VaultSecret(secret) => {
                for (field, value) in &secret.data {
                    let name = words::variable(field);
                    environment.put(&format!("LANYARD_SECRET_{name}"), value);
                }
            }
            // The prefix keeps the fields of such a kind from setting a variable of some program.
            Kind::Other(other) => {
                let kind = words::variable(&other.kind);
                for (field, value) in other.values.iter().chain(&other.secrets) {
                    let name = words::variable(field);
                    environment.put(&format!("LANYARD_{kind}_{name}"), value);
                }
            }
            // kubectl and its like read no token from a variable.
            Kind::Kubernetes(_) => {}
        }
    }
}

/// gh sends a token to the host that its variable is for: github.com and its like, or a server of
/// one's own. <https://cli.github.com/manual/gh_help_environment>
fn of_gh(github: &GitHubCredential) -> Vec<(&'static str, &str)> {
    let host = github.host.split_once("://");
    let host = host.map_or(github.host.as_str(), |(_, host)| host);
    let token = github.token.as_str();
    if host == "github.com" {
        return vec![("GH_TOKEN", token), ("GITHUB_TOKEN", token)];
    }
    let names = if host.ends_with(".ghe.com") {
        ["GH_TOKEN", "GITHUB_TOKEN"]
    } else {
        ["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"]
    };
    let tokens = names.map(|name| (name, token));
    tokens.into_iter().chain([("GH_HOST", host)]).collect()
}

/// A path as others see it.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    // T51
    #[test]
    fn gh_sends_a_token_to_the_host_that_it_is_for() {
        let names = |host: &str| {
            let github = GitHubCredential {
                host: host.to_owned(),
                ..GitHubCredential::default()
            };
            let all = of_gh(&github);
            all.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names("https://github.com"), ["GH_TOKEN", "GITHUB_TOKEN"]);
        assert_eq!(
            names("https://acme.ghe.com"),
            ["GH_TOKEN", "GITHUB_TOKEN", "GH_HOST"]
        );
        assert_eq!(
            names("https://code.acme.example"),
            ["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GH_HOST"]
        );
    }

    #[test]
    fn a_line_has_quotes_where_it_needs_them_and_never_at_both_ends() {
        let line = |program: &str| {
            let helper = Helper {
                program: program.into(),
                context: "/c/agent.json".into(),
                task: "T-1".into(),
            };
            let given = Given {
                grant: "read-queue".into(),
                plan: None,
                kind: Kind::Aws(AwsCredential::default()),
            };
            helper.line("aws", &given)
        };
        let rest = "--context /c/agent.json creds aws --task T-1 read-queue";
        assert_eq!(line("/bin/lanyard"), format!("/bin/lanyard {rest}"));
        assert_eq!(
            line("/my bin/lanyard"),
            format!("\"/my bin/lanyard\" {rest}")
        );
    }
}
