//! Which of the variables around a command are taken away, because somebody could log in with them.
//!
//! Names and values are judged by patterns that err on the safe side: a list of known names is never complete. What a
//! tool needs to run (paths, regions, proxies, certificate authorities) matches none of them, `--keep NAME` keeps the rest,
//! and one line says what was taken away.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use lanyard_client::v1::credential::Kind;

/// Words of a name that speak of something to log in with. A word ends at anything but a letter or a digit, and digits at
/// its end do not count.
const SECRET_WORDS: &[&str] = &[
    "ASKPASS",
    "ASSERTION",
    "AUTH",
    "BEARER",
    "CERTKEY",
    "COOKIE",
    "CREDS",
    "DSN",
    "JWT",
    "KEY",
    "KEYFILE",
    "KEYS",
    "KEYTAB",
    "LOGIN",
    "OAUTH",
    "OIDC",
    "PASS",
    "PASSCOMMAND",
    "PAT",
    "SAML",
    "SAS",
    "SSHPASS",
];

/// Endings of a word that speak of a login: `GITHUBTOKEN`, `PGPASSWORD`.
const SECRET_ENDINGS: &[&str] = &[
    "APIKEY",
    "ACCESSKEY",
    "SECRETKEY",
    "PRIVATEKEY",
    "AUTHKEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PWD",
    "SECRET",
    "SECRETS",
    "TOKEN",
];

/// Variables that log in, name where logins are kept, mint the identity of the agent, or send a login elsewhere, and whose
/// names do not say so.
const BY_NAME: &[&str] = &[
    // AWS: https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    // Managed identities, and what mints an identity for a workload.
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "GCE_METADATA_HOST",
    "GCE_METADATA_ROOT",
    "GCE_METADATA_IP",
    "SPIFFE_ENDPOINT_SOCKET",
    "SPIRE_AGENT_ADDRESS",
    "ARM_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    // Kubernetes clients.
    "KUBE_HOST",
    "KUBE_USER",
    "KUBE_CONFIG_PATHS",
    "KUBE_CTX",
    "KUBE_CTX_CLUSTER",
    "KUBE_CLIENT_CERT_DATA",
    "KUBE_CLUSTER_CA_CERT_DATA",
    "KUBE_INSECURE",
    "KUBE_TLS_SERVER_NAME",
    "KUBE_PROXY_URL",
    "KUBERNETES_MASTER",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    // git and ssh.
    "GIT_CONFIG_PARAMETERS",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSL_CERT",
    "GPG_AGENT_INFO",
    "GH_HOST",
    "GH_REPO",
    // Databases and message brokers.
    "DATABASE_URL",
    "DATABASE_URI",
    "MONGODB_URI",
    "MONGO_URL",
    "MYSQL_TEST_LOGIN_FILE",
    "PGPASSFILE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "REDIS_URL",
    "AMQP_URL",
    "BROKER_URL",
    // Files and sockets of logins.
    "NETRC",
    "CURL_HOME",
    "KRB5CCNAME",
    "KRB5_CLIENT_KTNAME",
    "KRB5_KTNAME",
    "OS_CLIENT_CONFIG_FILE",
    "OS_CLOUD",
    "HELM_REGISTRY_CONFIG",
    "HELM_REPOSITORY_CONFIG",
    "RCLONE_CONFIG",
    "BOTO_CONFIG",
    "COMPOSER_HOME",
    "LANYARD_DIRECT",
];

/// Settings of package tools in a file, which holds a login or none: mirrors and proxies are named there as well.
const FILES_OF_SETTINGS: &[&str] = &[
    "NPM_CONFIG_USERCONFIG",
    "NPM_CONFIG_GLOBALCONFIG",
    "PIP_CONFIG_FILE",
    "TF_CLI_CONFIG_FILE",
];

/// How much of such a file is looked at.
///
/// # Limit
/// - for: a file of settings
/// - unit: bytes
/// - beyond: the file is taken to hold a login, and its variable is taken away
/// - test: `b33_a_file_of_settings_stays_where_it_holds_no_login`
const MAX_SETTINGS_BYTES: u64 = 64 * 1024;

/// Beginnings of such names: Helm's cluster, Terraform's hosts.
const BY_BEGINNING: &[&str] = &["HELM_KUBE", "TF_TOKEN_"];

/// What decides to whom a Vault client shows its token, after `VAULT_` or `BAO_`.
const OF_VAULT: &[&str] = &[
    "AGENT_ADDR",
    "CACERT",
    "CACERT_BYTES",
    "CAPATH",
    "HTTP_PROXY",
    "NAMESPACE",
    "PROXY_ADDR",
    "ROLE_ID",
    "SKIP_VERIFY",
    "SRV_LOOKUP",
    "TLS_SERVER_NAME",
];

/// Pairs of words: a client certificate, a connection string, a request of an identity token.
const BY_PAIR: &[(&str, &str)] = &[
    ("CLIENT", "CERT"),
    ("CLIENT", "CERTIFICATE"),
    ("CONNECTION", "STRING"),
    ("CONN", "STR"),
    ("ID", "TOKEN"),
    ("SECRET", "ID"),
];

/// Names that match a pattern and log nobody in.
const HARMLESS: &[&str] = &["PWD", "OLDPWD"];

/// Proxies: a command that cannot reach its servers does not run. The login in such an address is the proxy's.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/// Beginnings of values that are a login whatever the variable is called.
const VALUE_BEGINNINGS: &[&str] = &[
    "AIza",
    "AKIA",
    "ASIA",
    "bearer ",
    "basic ",
    "dop_v1_",
    "dp.st.",
    "eyJ",
    "ghp_",
    "gho_",
    "ghr_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "hvs.",
    "hvb.",
    "npm_",
    "pul-",
    "pypi-",
    "sk-",
    "xoxb-",
    "xoxp-",
    "ya29.",
];

/// Parts of values, in lower case, that hold a login.
const VALUE_PARTS: &[&str] = &[
    "private key-----",
    "\"private_key\"",
    "accountkey=",
    "sharedaccesskey=",
    "sharedaccesssignature=",
    "authorization:",
    "password=",
    "passwd=",
    "pwd=",
    "access_token=",
    "private_token=",
    "access_key=",
    "secret_key=",
    "client_secret=",
    "api_key=",
    "apikey=",
    "auth_token=",
    "&sig=",
    "?sig=",
    "x-amz-signature=",
    "_authtoken=",
];

/// The variables to take away, of those around this process, in alphabetical order.
pub(super) fn taken_away(keep: &[String]) -> BTreeSet<OsString> {
    std::env::vars_os()
        .filter(|(name, value)| {
            !keep.iter().any(|kept| name == kept.as_str()) && logs_in(name, value)
        })
        .map(|(name, _)| name)
        .collect()
}

/// Whether tools would log in with a variable in place of the credential of this kind.
pub(super) fn goes_before(name: &str, kind: &Kind) -> bool {
    let beginnings: &[&str] = match kind {
        Kind::Aws(_) => &["AWS_"],
        Kind::Kubernetes(_) => &["KUBE", "HELM_KUBE"],
        Kind::Vault(_) => &["VAULT_", "BAO_"],
        Kind::Github(_) => &["GH_", "GITHUB_"],
        Kind::Token(_) | Kind::VaultSecret(_) => &[],
    };
    beginnings
        .iter()
        .any(|beginning| name.starts_with(beginning))
}

/// The line that says so; none where nothing was taken away.
pub(super) fn line(taken: &BTreeSet<OsString>) -> Option<String> {
    let names: Vec<String> = taken
        .iter()
        .map(|name| name.to_string_lossy().escape_debug().to_string())
        .collect();
    let (count, s) = (names.len(), if names.len() == 1 { "" } else { "s" });
    (count > 0).then(|| {
        format!(
            "took away {count} variable{s} that could log in: {} (--keep NAME keeps one)",
            names.join(", ")
        )
    })
}

/// Whether somebody could log in with a variable.
fn logs_in(name: &OsStr, value: &OsStr) -> bool {
    // Bytes that are no text cannot be judged.
    let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
        return true;
    };
    if value.is_empty() {
        return false;
    }
    let name = name.to_ascii_uppercase();
    if HARMLESS.contains(&name.as_str())
        || PROXIES.contains(&name.as_str())
        || OURS.contains(&name.as_str())
        || is_of_git(&name)
    {
        return false;
    }
    let of_vault = ["VAULT_", "BAO_"]
        .iter()
        .filter_map(|product| name.strip_prefix(product))
        .any(|setting| OF_VAULT.contains(&setting));
    let listed = of_vault
        || BY_NAME.contains(&name.as_str())
        || BY_BEGINNING
            .iter()
            .any(|beginning| name.starts_with(beginning));
    if FILES_OF_SETTINGS.contains(&name.as_str()) {
        return holds_a_login(value);
    }
    listed || speaks_of_a_login(&name, value) || is_a_login(value)
}

/// What `lanyard` itself needs around the command, none of it secret.
const OURS: &[&str] = &[
    "LANYARD_AGENT",
    "LANYARD_BIN",
    "LANYARD_CONTEXT",
    "LANYARD_GIT_EXEC_PATH",
    "LANYARD_GRANTS",
    "LANYARD_PLAN",
    "LANYARD_STATE",
    "LANYARD_TASK",
];

/// Settings of git in variables: `git::lay_out` makes them anew, because git counts them.
fn is_of_git(name: &str) -> bool {
    name.starts_with("GIT_CONFIG_KEY_") || name.starts_with("GIT_CONFIG_VALUE_")
}

/// Whether a file of settings has a word of a login in it. What cannot be read gives nobody a login.
fn holds_a_login(path: &str) -> bool {
    use std::io::Read as _;
    let Ok(file) = std::fs::File::open(path) else {
        return false;
    };
    let mut text = Vec::new();
    if file
        .take(MAX_SETTINGS_BYTES + 1)
        .read_to_end(&mut text)
        .is_err()
    {
        return false;
    }
    let long = text.len() as u64 > MAX_SETTINGS_BYTES;
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    let words = ["credential", "token", "password", "secret", "_auth"];
    long || words.iter().any(|word| text.contains(word)) || has_user_info(&text)
}

fn speaks_of_a_login(name: &str, value: &str) -> bool {
    let words: Vec<&str> = name
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .map(|word| word.trim_end_matches(|letter: char| letter.is_ascii_digit()))
        .collect();
    // Terraform's inputs name keys that are no secrets (`kms_key_id`, `key_name`), and a plan made without an input is
    // another plan.
    let is_input = name.starts_with("TF_VAR_");
    let single = words.iter().any(|word| {
        let is_plain_key = is_input && matches!(*word, "KEY" | "KEYS");
        !is_plain_key && SECRET_WORDS.contains(word)
            || SECRET_ENDINGS.iter().any(|ending| word.ends_with(ending))
    });
    // A number of tokens is a limit of a model, a word in the plural otherwise is a list of logins.
    let tokens = words.contains(&"TOKENS") && value.parse::<u64>().is_err();
    let pair = words.windows(2).any(|pair| {
        BY_PAIR
            .iter()
            .any(|(first, second)| pair.first() == Some(first) && pair.last() == Some(second))
    });
    single || tokens || pair
}

pub(super) fn is_a_login(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    VALUE_BEGINNINGS
        .iter()
        .any(|beginning| lower.starts_with(&beginning.to_ascii_lowercase()) && value.len() >= 16)
        || VALUE_PARTS.iter().any(|part| lower.contains(part))
        || has_user_info(value)
}

/// Whether an address names a user with a password before its host or, over HTTP, a user at all: a token stands there
/// as well.
pub(super) fn has_user_info(value: &str) -> bool {
    let mut before = "";
    for rest in value.split("://") {
        let is_http = before.ends_with("http") || before.ends_with("https");
        let end = rest
            .find(|letter: char| "/?# \t\n\"'".contains(letter))
            .unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or(rest);
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        if !before.is_empty() && user.is_some_and(|user| user.contains(':') || is_http) {
            return true;
        }
        before = rest;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, value: &str) -> bool {
        logs_in(OsStr::new(name), OsStr::new(value))
    }

    #[test]
    fn b33_names_that_log_in_are_known_by_their_words() {
        let names = "GITLAB_TOKEN GITLAB_ACCESS_TOKEN OAUTH_TOKEN CI_JOB_TOKEN CI_JOB_JWT_V2 AZURE_STORAGE_KEY \
            AZURE_STORAGE_CONNECTION_STRING AZURE_STORAGE_SAS_TOKEN AZURE_DEVOPS_EXT_PAT AZURE_PASSWORD ARM_CLIENT_SECRET \
            ARM_OIDC_REQUEST_TOKEN ARM_OIDC_REQUEST_URL ACTIONS_ID_TOKEN_REQUEST_TOKEN ACTIONS_ID_TOKEN_REQUEST_URL ACTIONS_RUNTIME_TOKEN \
            NODE_AUTH_TOKEN CARGO_REGISTRY_TOKEN TWINE_PASSWORD PULUMI_ACCESS_TOKEN CLOUDFLARE_API_TOKEN DIGITALOCEAN_TOKEN \
            OPENAI_API_KEY ANTHROPIC_API_KEY SPACELIFT_API_KEY_SECRET BITBUCKET_STEP_OIDC_TOKEN CIRCLE_OIDC_TOKEN_V2 BUILDKITE_AGENT_ACCESS_TOKEN \
            PGPASSWORD PGPASSFILE MYSQL_PWD REDISCLI_AUTH DATABASE_URL CONSUL_HTTP_AUTH NOMAD_TOKEN HCLOUD_TOKEN DD_APP_KEY \
            SCW_SECRET_KEY TENCENTCLOUD_SECRET_ID OS_APPLICATION_CREDENTIAL_SECRET RESTIC_PASSWORD BORG_PASSCOMMAND SSHPASS SSH_AUTH_SOCK \
            KRB5CCNAME SOPS_AGE_KEY SOPS_AGE_KEY_FILE GRAFANA_AUTH TFE_TOKEN TF_TOKEN_app_terraform_io TF_VAR_db_password githubToken \
            npm_config__auth npm_config_//h.example/:_authToken AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE \
            AWS_WEB_IDENTITY_TOKEN_FILE AWS_CONTAINER_AUTHORIZATION_TOKEN GOOGLE_APPLICATION_CREDENTIALS VAULT_ROLE_ID VAULT_TOKEN \
            LANYARD_ADMIN_TOKEN LANYARD_BREAK_GLASS_KEY TF_VAR_api_key_secret IDENTITY_HEADER MSI_SECRET SPIFFE_ENDPOINT_SOCKET GIT_ASKPASS GIT_SSL_KEY HELM_KUBETOKEN KUBE_TOKEN LANYARD_TOKEN SENTRY_DSN";
        for name in names.split_whitespace() {
            assert!(judged(name, "CANARY"), "{name}");
        }
    }

    #[test]
    fn b33_settings_that_tools_need_stay() {
        let settings = [
            ("PATH", "/usr/bin"),
            ("PWD", "/home/me/my-password"),
            ("VAULT_ADDR", "https://vault.acme.example"),
            ("VAULT_FORMAT", "json"),
            ("HOME", "/home/me"),
            ("LANG", "C.UTF-8"),
            ("TERM", "xterm"),
            ("SHELL", "/bin/sh"),
            ("XDG_RUNTIME_DIR", "/run/user/1000"),
            ("XDG_SESSION_ID", "3"),
            ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:5000"),
            ("AWS_CA_BUNDLE", "/etc/ssl/ca.pem"),
            ("SSL_CERT_FILE", "/etc/ssl/ca.pem"),
            ("GIT_SSL_CAINFO", "/etc/ssl/ca.pem"),
            ("REQUESTS_CA_BUNDLE", "/etc/ssl/ca.pem"),
            ("NODE_EXTRA_CA_CERTS", "/etc/ssl/ca.pem"),
            ("HTTPS_PROXY", "http://me:own@proxy.example:3128"),
            ("https_proxy", "http://proxy.example:3128"),
            ("NO_PROXY", ".acme.example"),
            ("GIT_AUTHOR_NAME", "agent"),
            ("GIT_CONFIG_COUNT", "1"),
            ("TF_VAR_region", "eu-west-1"),
            ("TF_PLUGIN_CACHE_DIR", "/cache"),
            ("CLOUDSDK_CORE_PROJECT", "acme"),
            ("AZURE_TENANT_ID", "8d2c"),
            ("MAX_OUTPUT_TOKENS", "8192"),
            ("TOKENIZERS_PARALLELISM", "false"),
            ("JAVA_HOME", "/opt/java"),
            ("NODE_OPTIONS", "--max-old-space-size=4096"),
            ("CI", "true"),
            ("GITHUB_REPOSITORY", "acme/payments"),
            ("DISPLAY", ":0"),
            ("XAUTHORITY", "/run/user/1000/xauth"),
            ("COLORTERM", "truecolor"),
            ("LANYARD_STATE", "/run/lanyard"),
            ("TF_VAR_kms_key_id", "8d2c"),
            ("TF_VAR_key_name", "deploy"),
            ("GIT_CONFIG_KEY_0", "safe.directory"),
            ("SOME_TOKEN", ""),
        ];
        for (name, value) in settings {
            assert!(!judged(name, value), "{name}");
        }
    }

    #[test]
    fn b33_values_that_log_in_are_known_whatever_they_are_called() {
        let values = [
            "https://me:own@h.example/simple",
            "see postgres://me:own@db.example:5432/x",
            "ghp_0123456789abcdef0123",
            "eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
            "AKIAIOSFODNN7EXAMPLE",
            "Server=db;User Id=sa;Password=own;",
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=b25l",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb25l",
            "{\"type\":\"service_account\",\"private_key\":\"x\"}",
            "Authorization: Basic b25lOm93bg==",
            "https://glpat-0123456789@h.example/a.git",
            "https://h.example/?private_token=0123",
            "https://h.example/c?sv=1&sig=0123",
            "-backend-config=secret_key=0123",
        ];
        for value in values {
            assert!(judged("SETTING", value), "{value}");
        }
        for value in [
            "https://h.example/a@b:c",
            "me@h.example",
            "ssh://git@h.example/a.git",
            "git@h.example:a/b.git",
            "eyJ",
            "sk-ip",
        ] {
            assert!(!judged("SETTING", value), "{value}");
        }
    }

    #[test]
    fn b33_a_file_of_settings_stays_where_it_holds_no_login() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings");
        let judge = |text: &str| {
            std::fs::write(&file, text).unwrap();
            judged("PIP_CONFIG_FILE", &file.display().to_string())
        };
        assert!(!judge(
            "[global]\nindex-url = https://mirror.example/simple\n"
        ));
        assert!(judge(
            "[global]\nindex-url = https://me:own@mirror.example/simple\n"
        ));
        assert!(judge("credentials \"app.example\" { }"));
        let limit = usize::try_from(MAX_SETTINGS_BYTES).unwrap();
        assert!(!judge(&"#".repeat(limit)));
        assert!(judge(&"#".repeat(limit + 1)));
    }

    #[test]
    fn b33_one_line_names_what_was_taken_away() {
        assert_eq!(line(&BTreeSet::new()), None);
        let taken = ["B_TOKEN", "A_KEY"].map(OsString::from).into();
        assert_eq!(
            line(&taken).as_deref(),
            Some("took away 2 variables that could log in: A_KEY, B_TOKEN (--keep NAME keeps one)")
        );
    }
}
