//! Which of the variables around a command are taken away, because somebody could log in with them.
//!
//! Names and values are judged by patterns that err on the safe side: a list of known names is
//! never complete. What a tool needs to run (paths, regions, proxies, certificate authorities)
//! matches none of them, `--keep NAME` keeps the rest, and one line says what was taken away.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use lanyard_client::v1::credential::Kind;

use super::{names, values};

/// Variables that log in, name where logins are kept, mint the identity of the agent, or send a
/// login elsewhere, and whose names do not say so.
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
    "GOOGLE_IMPERSONATE_SERVICE_ACCOUNT",
    // Oracle's: https://docs.oracle.com/en-us/iaas/Content/API/SDKDocs/clienvironmentvariables.htm
    "OCI_CLI_CONFIG_FILE",
    "OCI_CLI_PROFILE",
    "OCI_CLI_RC_FILE",
    // Managed identities, and what mints an identity for a workload.
    "ARM_USE_AKS_WORKLOAD_IDENTITY",
    "ARM_USE_CLI",
    "IMDS_ENDPOINT",
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
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "REDIS_URL",
    "AMQP_URL",
    "BROKER_URL",
    // Files and sockets of logins.
    "NETRC",
    "CURL_HOME",
    "DOCKER_CERT_PATH",
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

/// Settings of package tools in a file, which holds a login or none: mirrors and proxies are named
/// there as well.
const FILES_OF_SETTINGS: &[&str] = &[
    "NPM_CONFIG_USERCONFIG",
    "NPM_CONFIG_GLOBALCONFIG",
    "PIP_CONFIG_FILE",
    "TF_CLI_CONFIG_FILE",
];

/// The most bytes of such a file that are looked at.
///
/// # Limit
/// - for: a file of settings
/// - unit: bytes
/// - beyond: the file is taken to hold a login, and its variable is taken away
/// - test: `b33_a_file_of_settings_stays_where_it_holds_no_login`
const MAX_SETTINGS_BYTES: u64 = 64 * 1024;

/// Beginnings of such names: Helm's cluster, Terraform's hosts.
const BY_BEGINNING: &[&str] = &["HELM_KUBE", "TF_TOKEN_"];

/// The variables, after `VAULT_` or `BAO_`, that decide to whom a Vault client shows its token.
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

/// Folders, whose names are not judged at all.
const HARMLESS: &[&str] = &["PWD", "OLDPWD"];

/// Sessions of a desktop or a terminal, keys of a keyboard, and a prompt: their names say a word of
/// the field and log nobody in. Their values are judged all the same.
const OTHER_SENSES: &[&str] = &[
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SESSION_BUS_PID",
    "DBUS_SESSION_BUS_WINDOWID",
    "DESKTOP_SESSION",
    "GDMSESSION",
    "GNOME_DESKTOP_SESSION_ID",
    "ITERM_SESSION_ID",
    "KDE_FULL_SESSION",
    "KDE_SESSION_UID",
    "KDE_SESSION_VERSION",
    "KONSOLE_DBUS_SESSION",
    "LESSKEY",
    "LESSKEY_SYSTEM",
    "PYTHON_BASIC_REPL",
    "SECURITYSESSIONID",
    "SESSION_MANAGER",
    "SHELL_SESSION_DIR",
    "SHELL_SESSION_FILE",
    "SSH_ASKPASS_REQUIRE",
    "TERM_SESSION_ID",
    "WT_SESSION",
    "XDG_SESSION_CLASS",
    "XDG_SESSION_DESKTOP",
    "XDG_SESSION_ID",
    "XDG_SESSION_PATH",
    "XDG_SESSION_TYPE",
    "ZELLIJ_SESSION_NAME",
];

/// The settings of Bundler with a `.` in their names (`__` in a variable) that are not the login at
/// a host. <https://bundler.io/man/bundle-config.1.html>
const OF_BUNDLER: &[&str] = &["BUILD", "DISABLE", "LOCAL", "MIRROR", "SSL"];

/// Proxies: a command that cannot reach its servers does not run. The login in such an address is
/// the proxy's.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/// The variables to take away, of those around this process, in alphabetical order.
pub(super) fn taken_away(keep: &[String]) -> BTreeSet<OsString> {
    std::env::vars_os()
        .filter(|(name, value)| {
            !keep.iter().any(|kept| name == kept.as_str()) && logs_in(name, value)
        })
        .map(|(name, _)| name)
        .collect()
}

/// Tells if tools would log in with a variable in place of the credential of this kind.
pub(super) fn goes_before(name: &str, kind: &Kind) -> bool {
    let beginnings: &[&str] = match kind {
        Kind::Aws(_) => &["AWS_"],
        Kind::Kubernetes(_) => &["KUBE", "HELM_KUBE"],
        Kind::Vault(_) => &["VAULT_", "BAO_"],
        Kind::Github(_) => &["GH_", "GITHUB_"],
        Kind::Token(_) | Kind::VaultSecret(_) | Kind::Other(_) => &[],
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

/// Tells if a variable of this name is one of the settings that git counts: `git::lay_out` makes
/// them anew.
pub(super) fn is_git_setting(name: &str) -> bool {
    name.starts_with("GIT_CONFIG_KEY_") || name.starts_with("GIT_CONFIG_VALUE_")
}

/// Tells if somebody could log in with a variable.
fn logs_in(name: &OsStr, value: &OsStr) -> bool {
    // Bytes that are no text cannot be judged.
    let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
        return true;
    };
    if value.is_empty() {
        return false;
    }
    let written = name;
    let name = name.to_ascii_uppercase();
    if HARMLESS.contains(&name.as_str())
        || PROXIES.contains(&name.as_str())
        || OURS.contains(&name.as_str())
        || is_git_setting(&name)
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
    let in_file = names::names_settings(written) && is_file(value) && holds_a_login(value);
    let speaks = !OTHER_SENSES.contains(&name.as_str()) && names::speaks_of_a_login(written, value);
    listed || speaks || in_file || is_of_bundler(&name) || values::is_a_login(value)
}

/// Tells if Bundler logs in at a host with a variable: `BUNDLE_GEMS__ACME__EXAMPLE`.
fn is_of_bundler(name: &str) -> bool {
    let setting = name.strip_prefix("BUNDLE_");
    let first = setting.and_then(|setting| setting.split_once("__"));
    first.is_some_and(|(first, _)| !OF_BUNDLER.contains(&first))
}

/// The variables that `lanyard` itself needs around the command, none of them secret.
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

/// Tells if a value is the whole path of a file.
fn is_file(value: &str) -> bool {
    let path = Path::new(value);
    path.is_absolute() && path.is_file()
}

/// Tells if a file of settings has a word of a login in it. What cannot be read gives nobody a
/// login.
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
    long || words.iter().any(|word| text.contains(word)) || values::has_user_info(&text)
}

#[cfg(test)]
mod tried;

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
            ("KEYBOARD_LAYOUT", "de"),
            ("XKB_DEFAULT_KEYMAP", "de"),
            ("XDG_SESSION_TYPE", "wayland"),
            ("DESKTOP_SESSION", "gnome"),
            ("SESSION_MANAGER", "local/host:@/tmp/.ICE-unix/1"),
            ("TERM_SESSION_ID", "w0t0p0"),
            ("CARGO_HOME", "/home/me/.cargo"),
            ("CARGO_TARGET_DIR", "/target"),
            ("MAKEFLAGS", " -j4 --jobserver-auth=3,4"),
            ("LS_COLORS", "rs=0:di=01;34:*.key=01;31"),
            ("LESSKEY", "/home/me/.lesskey"),
            ("BUNDLE_BUILD__NOKOGIRI", "--use-system-libraries"),
            ("DOCKER_HOST", "tcp://127.0.0.1:2375"),
            (
                "TF_CLI_ARGS_init",
                "-backend-config=key=prod/terraform.tfstate",
            ),
            ("KUBERNETES_PORT", "tcp://10.0.0.1:443"),
            ("VALKEY_HOST", "127.0.0.1"),
            ("TF_VAR_session_duration", "3600"),
        ];
        for (name, value) in settings {
            assert!(!judged(name, value), "{name}");
        }
    }

    #[test]
    fn b33_names_of_files_of_logins_and_of_other_identities_are_known() {
        for (name, value) in [
            ("ARM_USE_MSI", "true"),
            ("ARM_USE_OIDC", "true"),
            ("OCI_CLI_CONFIG_FILE", "/x/oci"),
            ("PGSERVICE", "prod"),
            ("DOCKER_CERT_PATH", "/x/certs"),
            ("BUNDLE_GEMS__CONTRIBSYS__COM", "CANARY"),
            ("BUNDLE_GITHUB__COM", "0123:x-oauth-basic"),
            ("PASSWORDFILE", "/x"),
            ("XDG_SESSION_ID", "ghp_0123456789abcdef0123"),
        ] {
            assert!(judged(name, value), "{name}");
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
    fn b33_a_file_of_settings_of_any_tool_is_judged_by_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings");
        let judge = |name: &str, text: &str| {
            std::fs::write(&file, text).unwrap();
            judged(name, &file.display().to_string())
        };
        for name in [
            "DATABRICKS_CONFIG_FILE",
            "GLAB_CONFIG",
            "DBT_SETTINGS",
            "myToolConfig",
        ] {
            assert!(judge(name, "[prod]\ntoken = x\n"), "{name}");
            assert!(!judge(name, "[prod]\nhost = h.example\n"), "{name}");
            assert!(!judged(name, "/nowhere/settings"), "{name}");
        }
        // Without it git would read the user's own settings.
        assert!(!judge(
            "GIT_CONFIG_GLOBAL",
            "[credential]\nhelper = store\n"
        ));
        assert!(!judge("LOG_FILE", "token"));
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
