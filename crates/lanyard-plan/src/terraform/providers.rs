//! Programs that run where Terraform runs: the providers of a plan, their configuration, and the
//! resource types that run programs.

use serde_json::Value;

use lanyard_charter::plan::Risk;

use super::Outline;
use super::expressions::{expressions, unwritten, unwritten_parts};
use crate::review::Piece::{Named, Own, Plan};
use crate::review::Review;
use crate::shown::MAX_SHOWN_BYTES;
use crate::tree::{Marks, Tree};

/// Provider attributes that choose neither an identity, nor a target, nor a program. Any other
/// attribute makes the risk high.
const HARMLESS: &[&str] = &[
    "allowed_account_ids",
    "client_timeout",
    "default_labels",
    "default_tags",
    "features",
    "forbidden_account_ids",
    "ignore_annotations",
    "ignore_labels",
    "ignore_tags",
    "load_config_file",
    "max_retries",
    "max_retry_delay",
    "organization",
    "owner",
    "project",
    "region",
    "request_timeout",
    "retry_mode",
    "skip_credentials_validation",
    "skip_metadata_api_check",
    "skip_region_validation",
    "skip_requesting_account_id",
    "subscription_id",
    "tenant_id",
    "token_validation",
    "version_constraint",
    "zone",
];

/// Widely used providers of other owners than HashiCorp.
const USUAL: &[&str] = &[
    "alekc/kubectl",
    "auth0/auth0",
    "cloudflare/cloudflare",
    "confluentinc/confluent",
    "cyrilgdn/postgresql",
    "databricks/databricks",
    "datadog/datadog",
    "digitalocean/digitalocean",
    "elastic/ec",
    "fastly/fastly",
    "gavinbunney/kubectl",
    "gitlabhq/gitlab",
    "grafana/grafana",
    "hetznercloud/hcloud",
    "integrations/github",
    "kreuzwerker/docker",
    "launchdarkly/launchdarkly",
    "mongodb/mongodbatlas",
    "newrelic/newrelic",
    "okta/okta",
    "opsgenie/opsgenie",
    "oracle/oci",
    "pagerduty/pagerduty",
    "scaleway/scaleway",
    "snowflakedb/snowflake",
];

/// Words in attribute names whose constant values are treated as secrets.
const SECRET_WORDS: &[&str] = &[
    "access_key",
    "api_key",
    "auth_key",
    "client_key",
    "credential",
    "passphrase",
    "password",
    "private_key",
    "secret",
    "token",
];

/// Prefixes of resource types that do more than change a resource, and what each does.
const ACTING: &[(&str, &str)] = &[
    ("ansible_", RUNS),
    ("archive_file", WRITES),
    ("aws_lambda_invocation", "has a function run"),
    ("bash_", RUNS),
    ("cmd_", RUNS),
    ("command_", RUNS),
    ("docker_image", "builds an image with commands of its own"),
    ("exec_", RUNS),
    ("external", RUNS),
    ("external_", RUNS),
    ("http", "sends a request from where Terraform runs"),
    ("http_", "sends a request from where Terraform runs"),
    ("local_", WRITES),
    ("localos_", RUNS),
    ("multispace_", RUNS),
    ("packer_", RUNS),
    ("powershell_", RUNS),
    ("python_", RUNS),
    ("remote_", "writes or runs something on another machine"),
    ("restapi_", "sends a request from where Terraform runs"),
    ("script_", RUNS),
    ("scripts_", RUNS),
    ("shell", RUNS),
    ("shell_", RUNS),
    ("ssh_", "writes or runs something on another machine"),
    ("system_", "writes or runs something on another machine"),
    ("toolbox_", RUNS),
];

const RUNS: &str = "runs a program where Terraform runs";
const WRITES: &str = "reads or writes a file where Terraform runs";

/// Returns what a resource type does where Terraform runs, if anything.
pub(super) fn acting(kind: &str) -> Option<&'static str> {
    let is = |begin: &str| match begin.strip_suffix('_') {
        Some(_) => kind.starts_with(begin),
        None => kind == begin,
    };
    let found = ACTING.iter().find(|(begin, _)| is(begin));
    found.map(|(_, does)| *does)
}

/// True if `source` is the provider that a type or a configured name stands for: HashiCorp's own or
/// a widely used one. A typosquat is neither.
fn is_usual(source: &str, of: Option<&str>) -> bool {
    let lower = source.to_ascii_lowercase();
    if lower == "terraform.io/builtin/terraform" {
        return of.is_none_or(|kind| kind.starts_with("terraform_"));
    }
    let Some((registry, rest)) = lower.split_once('/') else {
        return false;
    };
    let Some((owner, name)) = rest.split_once('/') else {
        return false;
    };
    let prefix = of.map(|kind| kind.split('_').next().unwrap_or_default());
    let fits = |prefix: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    matches!(registry, "registry.terraform.io" | "registry.opentofu.org")
        && (owner == "hashicorp" || USUAL.contains(&rest))
        && prefix.is_none_or(fits)
}

/// Returns the provider of a change if it is not the usual one for the type.
pub(super) fn unusual<'a>(provider: Option<&'a str>, kind: &str) -> Option<&'a str> {
    provider.filter(|source| !is_usual(source, Some(kind)))
}

/// A provider with its configuration.
pub(super) struct Provider<'a> {
    /// Key in the configuration: `aws.other`, `module.m:aws`.
    key: &'a str,
    source: Option<&'a str>,
    configured: Tree,
    /// Paths of expressions whose text the plan omits.
    unwritten: Vec<String>,
    /// Attributes that choose an identity, a target or a program.
    grave: Vec<String>,
}

impl Provider<'_> {
    pub(super) const fn tree(&self) -> &Tree {
        &self.configured
    }
}

pub(super) fn configured(outline: &Outline) -> Vec<Provider<'_>> {
    let all = outline.configuration.get("provider_config");
    let all = all.and_then(Value::as_object).into_iter().flatten();
    let mut room = MAX_SHOWN_BYTES;
    all.map(|(key, provider)| {
        let told = expressions(provider, &["alias", "full_name", "module_address", "name"]);
        let attributes = told.as_object().into_iter().flatten();
        let grave = attributes
            .filter(|(name, value)| !HARMLESS.contains(&name.as_str()) && **value != Value::Null);
        Provider {
            key,
            source: provider.get("full_name").and_then(Value::as_str),
            grave: grave.map(|(name, _)| name.clone()).collect(),
            unwritten: unwritten(provider, &mut room),
            configured: told_tree(&told),
        }
    })
    .collect()
}

/// Makes a tree of a configuration. Constants under secret-sounding names are masked, because a
/// configuration has no marks.
pub(super) fn told_tree(told: &Value) -> Tree {
    let marks = secret_marks(told, false);
    let marks = Marks {
        sensitive: Some(&marks),
        unknown: None,
    };
    Tree::of(told, marks)
}

fn secret_marks(value: &Value, is_secret: bool) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, inner)| {
                let lower = key.to_ascii_lowercase();
                let is_secret = SECRET_WORDS.iter().any(|word| lower.contains(word));
                (key.clone(), secret_marks(inner, is_secret))
            })
            .collect(),
        Value::Array(items) => items
            .iter()
            .map(|item| secret_marks(item, is_secret))
            .collect(),
        Value::String(_) | Value::Number(_) => Value::Bool(is_secret),
        Value::Null | Value::Bool(_) => Value::Bool(false),
    }
}

/// True if the provider configuration has an unknown form.
pub(super) fn is_unread(outline: &Outline) -> bool {
    match outline.configuration.get("provider_config") {
        None | Some(Value::Null | Value::Object(_)) => false,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => true,
    }
}

pub(super) fn show(review: &mut Review, provider: Provider<'_>) {
    let name = review.name(&[Own("provider "), Plan(provider.key)]);
    match provider.source {
        Some(source) => review.line(&[Own("  "), Named(&name), Own(" is "), Plan(source)]),
        None => review.line(&[Own("  "), Named(&name)]),
    }
    if let Some(source) = provider.source.filter(|source| !is_usual(source, None)) {
        review.find(
            Risk::High,
            &[
                Named(&name),
                Own(" is "),
                Plan(source),
                Own(", a program that is not known to Lanyard"),
            ],
        );
    }
    let configured = review.mask(provider.configured);
    let found = review.comes("", &configured);
    review.differs(&name, &found);
    unwritten_parts(review, &provider.unwritten);
    for attribute in &provider.grave {
        review.find(
            Risk::High,
            &[
                Named(&name),
                Own(": "),
                Plan(attribute),
                Own(" says as whom, where or with what program it acts"),
            ],
        );
    }
}
