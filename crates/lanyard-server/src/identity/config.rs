//! The configuration of identities: trusted issuers, their verification, and how long it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use lanyard_core::document::{Code, Diagnostic, Fields, Findings, Node, escaped};
use lanyard_core::identity::{Identity, Method, OperatorRole};
use lanyard_core::scope::AgentName;
use lanyard_core::time::Ttl;
use lanyard_engine::records::RecordLimits;
use lanyard_identity::break_glass::BreakGlass;
use lanyard_identity::verifier::{ClaimPath, PeopleRule, SponsorRule};
use lanyard_identity::{Issuer, IssuerKind, Keys, spiffe};
use reqwest::Url;

use super::aws::{self, AwsIdentityConfig};
use super::{FreshLogin, Freshness, Lifetimes, LoginConfig, QuotaConfig, enrolled, names, people};
use crate::config::{hook_url, keys};

/// The longest a session can last.
///
/// # Limit
/// - for: a session
/// - unit: of time
/// - beyond: the configuration is refused
/// - test: `times_of_the_configuration_have_bounds`
const MAX_SESSION_LIFE: Ttl = Ttl::at_least_a_second(12 * 3600);
/// The longest time since a login that can be asked for.
///
/// # Limit
/// - for: a fresh login
/// - unit: of time
/// - beyond: the configuration is refused
/// - test: `times_of_the_configuration_have_bounds`
const MAX_FRESH_LOGIN: Ttl = Ttl::at_least_a_second(24 * 3600);

/// The trusted issuers, and how their tokens are verified.
#[derive(Debug)]
pub(crate) struct IdentityConfig {
    pub(crate) issuers: Vec<IssuerConfig>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) fresh: FreshLogin,
    pub(crate) quotas: QuotaConfig,
    /// The schemes and authorities that the broker is reached by, besides its listen address.
    pub(crate) origins: Vec<String>,
    /// The AWS workloads.
    pub(crate) aws: Option<AwsIdentityConfig>,
    /// The people with break-glass keys: their names, and the keys in base64url.
    break_glass: Vec<(String, String)>,
    /// The names of agents, by identity.
    pub(crate) agents: BTreeMap<Identity, AgentName>,
}

/// An issuer in the configuration.
#[derive(Debug)]
pub(crate) struct IssuerConfig {
    pub(crate) name: String,
    pub(crate) kind: IssuerKind,
    pub(crate) keys: KeySource,
    audience: Option<String>,
    claims: BTreeSet<String>,
    groups_claim: ClaimPath,
    roles: BTreeMap<String, BTreeSet<OperatorRole>>,
    pub(super) people: PeopleRule,
    pub(super) sponsor: Option<SponsorRule>,
    login: Option<LoginConfig>,
}

/// The location of an issuer's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// A file.
    File(PathBuf),
    /// The issuer's OpenID configuration, over TLS with this authority if one is named.
    Discovery { ca_file: Option<PathBuf> },
    /// The API server of a cluster, which is also asked about each token; the pod's own cluster if
    /// no kubeconfig is named.
    Cluster {
        kubeconfig: Option<PathBuf>,
        context: Option<String>,
    },
    /// The bundle of a SPIFFE trust domain, in a file that something else renews.
    BundleFile(PathBuf),
    /// The bundle endpoint of a federated trust domain (SPIFFE_Federation, profile https_web).
    BundleEndpoint { url: Url, ca_file: Option<PathBuf> },
}

/// Reads the configuration of identities.
pub(crate) fn identities(f: &Findings, top: &Fields<'_>, base: &Path) -> Option<IdentityConfig> {
    let issuers = top.required("issuers").map(|node| {
        let items = f.list(node).iter();
        let read = items.filter_map(|item| issuer(f, item, base));
        read.collect::<Vec<_>>()
    });
    let lifetimes = top
        .optional("sessions")
        .map_or(Some(Lifetimes::default()), |node| lifetimes(f, node));
    let fresh = top
        .optional("fresh_login")
        .map_or(Some(FreshLogin::default()), |node| fresh(f, node));
    let quotas = top
        .optional("quotas")
        .map_or(Some(QuotaConfig::default()), |node| quotas(f, node));
    let origins = top.optional("origins").map(|node| {
        let items = f.list(node).iter();
        let read = items.filter_map(|item| origin(f, item));
        read.collect()
    });
    let break_glass = top.optional("break_glass").map(|node| {
        let items = f.list(node).iter();
        let read = items.filter_map(|item| break_glass(f, item));
        read.collect()
    });
    let aws = top
        .optional("aws_identities")
        .map(|node| aws::config(f, node, base));
    let agents = top.optional("agents").map(|node| names::agents(f, node));
    let issuers = issuers?;
    let mut names = BTreeSet::new();
    for (name, node) in issuers
        .iter()
        .zip(top.required("issuers").map(|node| f.list(node))?)
    {
        if !names.insert(&name.name) {
            let message = format!(
                "`{}` stands here twice: its tokens cannot be told apart",
                escaped(&name.name)
            );
            f.add(Diagnostic::new(Code::Issuer, node.span, message));
        }
    }
    people::check(f, &issuers, f.list(top.required("issuers")?));
    Some(IdentityConfig {
        issuers,
        lifetimes: lifetimes?,
        fresh: fresh?,
        quotas: quotas?,
        origins: origins.unwrap_or_default(),
        aws: match aws {
            Some(read) => Some(read?),
            None => None,
        },
        break_glass: break_glass.unwrap_or_default(),
        agents: agents.unwrap_or_default(),
    })
}

fn issuer(f: &Findings, node: &Node, base: &Path) -> Option<IssuerConfig> {
    let fields = f.map(node)?;
    let name = fields.required("issuer").and_then(|node| f.text(node));
    let kinds = [
        ("agents", IssuerKind::Agents),
        ("operators", IssuerKind::Operators),
    ];
    let kind = fields
        .required("kind")
        .and_then(|node| f.one_of(node, &kinds));
    let keys = source(f, (node, &fields), name, base);
    let audience = fields.optional("audience").map(|node| f.text(node));
    let claims = fields.optional("claims").map(|node| {
        let names = f.list(node).iter().filter_map(|item| f.text(item));
        names.map(str::to_owned).collect()
    });
    let claim = fields
        .optional("groups_claim")
        .map_or(Some(ClaimPath::from("groups")), |node| claim_path(f, node));
    let roles = fields
        .optional("roles")
        .and_then(|node| f.map(node))
        .map(|fields| roles(f, &fields));
    let operators = fields.optional("operators");
    let operators = operators.map(|node| service_accounts(f, node, keys.as_ref()));
    let login = fields.optional("login").map(|node| login(f, node, name));
    let people = people::rule(f, &fields);
    let sponsor = fields
        .optional("sponsor")
        .map(|node| people::sponsor(f, node));
    fields.finish();
    if kind == Some(IssuerKind::Operators) && operators.is_some() {
        let message = "`operators` is a field of an agents' issuer: this one's people have `roles`";
        f.add(Diagnostic::new(Code::Issuer, node.span, message.to_owned()));
        return None;
    }
    if audience.is_some() && matches!(keys, Some(KeySource::Cluster { .. })) {
        let message = "an API server is asked with the broker's own audience: leave `audience` out"
            .to_owned();
        f.add(Diagnostic::new(Code::Issuer, node.span, message));
        return None;
    }
    let login = match login {
        Some(read) => Some(read?),
        None => None,
    };
    let audience = match audience {
        Some(read) => Some(read?.to_owned()),
        // An ID token is addressed to the client that the person logs in with.
        None => login.as_ref().map(|login| login.client_id.clone()),
    };
    Some(IssuerConfig {
        name: name?.to_owned(),
        kind: kind?,
        keys: keys?,
        audience,
        claims: claims.unwrap_or_default(),
        groups_claim: claim?,
        roles: match (kind?, operators) {
            (IssuerKind::Operators, None) => roles.unwrap_or_default(),
            (IssuerKind::Agents, None) => BTreeMap::new(),
            (_, Some(operators)) => operators?,
        },
        people: people?,
        sponsor: match sponsor {
            Some(read) => Some(read?),
            None => None,
        },
        login,
    })
}

/// Reads a claim: `groups`, the exact name of a claim, or `[realm_access, roles]`, a path into one.
fn claim_path(f: &Findings, node: &Node) -> Option<ClaimPath> {
    if node.is_text() {
        return f.text(node).map(ClaimPath::from);
    }
    let names: Option<Vec<_>> = f.list(node).iter().map(|item| f.text(item)).collect();
    let names = names?.into_iter().map(str::to_owned).collect();
    let path = ClaimPath::of(names);
    if path.is_none() {
        let message = "`groups_claim` names no claim".to_owned();
        let fault = Diagnostic::new(Code::Value, node.span, message);
        f.add(fault.help(
            "write the name of a claim, or the names from the outside in: [realm_access, roles]",
        ));
    }
    path
}

/// Reads exactly one location of keys.
fn source(
    f: &Findings,
    (node, fields): (&Node, &Fields<'_>),
    issuer: Option<&str>,
    base: &Path,
) -> Option<KeySource> {
    let file = |node| Some(base.join(f.text(node)?));
    let found = [
        fields
            .optional("jwks_file")
            .map(|node| file(node).map(KeySource::File)),
        fields
            .optional("discovery")
            .map(|node| discovered(f, node, issuer, base)),
        fields
            .optional("kubernetes")
            .map(|node| cluster(f, node, base)),
        fields.optional("bundle_file").map(|node| {
            bundle(f, node, issuer).and_then(|()| file(node).map(KeySource::BundleFile))
        }),
        fields
            .optional("bundle_endpoint")
            .map(|node| bundle(f, node, issuer).and_then(|()| endpoint(f, node, base))),
    ];
    let mut found = found.into_iter().flatten();
    match (found.next(), found.next()) {
        (Some(source), None) => source,
        (None, _) | (Some(_), Some(_)) => {
            let message = "write exactly one of `jwks_file`, `discovery`, `kubernetes`, `bundle_file` and `bundle_endpoint`".to_owned();
            f.add(Diagnostic::new(Code::Issuer, node.span, message));
            None
        }
    }
}

/// Reads `discovery: {}`, optionally with a `ca_file`.
fn discovered(f: &Findings, node: &Node, issuer: Option<&str>, base: &Path) -> Option<KeySource> {
    let fields = f.map(node)?;
    let ca_file = fields.optional("ca_file").and_then(|node| f.text(node));
    fields.finish();
    if issuer.is_some_and(|issuer| !issuer.starts_with("https://")) {
        let message = "keys are discovered from an issuer of https alone".to_owned();
        f.add(Diagnostic::new(Code::Issuer, node.span, message));
        return None;
    }
    Some(KeySource::Discovery {
        ca_file: ca_file.map(|file| base.join(file)),
    })
}

/// Reads `kubernetes: {}` in a pod, or one with a `kubeconfig` and a `context`.
fn cluster(f: &Findings, node: &Node, base: &Path) -> Option<KeySource> {
    let fields = f.map(node)?;
    let kubeconfig = fields.optional("kubeconfig").and_then(|node| f.text(node));
    let context = fields.optional("context").and_then(|node| f.text(node));
    fields.finish();
    Some(KeySource::Cluster {
        kubeconfig: kubeconfig.map(|file| base.join(file)),
        context: context.map(str::to_owned),
    })
}

/// Checks that a bundle's issuer is named after its trust domain.
fn bundle(f: &Findings, node: &Node, issuer: Option<&str>) -> Option<()> {
    let is_domain = |issuer: &str| spiffe::trust_domain(&format!("{issuer}/x")).is_some();
    if issuer.is_some_and(is_domain) {
        return Some(());
    }
    let message = "a bundle is of a trust domain: the issuer is spiffe://its-name".to_owned();
    f.add(Diagnostic::new(Code::Issuer, node.span, message));
    None
}

/// Reads `bundle_endpoint: {url: …}`, with a `ca_file` if the system's authorities do not know the
/// endpoint.
fn endpoint(f: &Findings, node: &Node, base: &Path) -> Option<KeySource> {
    let fields = f.map(node)?;
    let url = fields.required("url").and_then(|node| hook_url(f, node));
    let ca_file = fields.optional("ca_file").and_then(|node| f.text(node));
    fields.finish();
    Some(KeySource::BundleEndpoint {
        url: url?,
        ca_file: ca_file.map(|file| base.join(file)),
    })
}

/// Reads `login: {client_id: …}`, with the scopes to request.
fn login(f: &Findings, node: &Node, issuer: Option<&str>) -> Option<LoginConfig> {
    let fields = f.map(node)?;
    let client = fields.required("client_id").and_then(|node| f.text(node));
    let scopes = fields.optional("scopes").map(|node| {
        let scopes = f.list(node).iter().filter_map(|item| f.text(item));
        scopes.map(str::to_owned).collect()
    });
    fields.finish();
    Some(LoginConfig {
        issuer: issuer?.to_owned(),
        client_id: client?.to_owned(),
        scopes: scopes.unwrap_or_else(|| vec!["openid".to_owned()]),
    })
}

/// Reads `role: [group, …]`; the result is indexed by group.
fn roles(f: &Findings, fields: &Fields<'_>) -> BTreeMap<String, BTreeSet<OperatorRole>> {
    let words = [
        ("viewer", OperatorRole::Viewer),
        ("approver", OperatorRole::Approver),
        ("on-call", OperatorRole::OnCall),
        ("admin", OperatorRole::Admin),
    ];
    let mut roles: BTreeMap<String, BTreeSet<OperatorRole>> = BTreeMap::new();
    for (_, key, groups) in fields.open() {
        let Some(role) = f.one_of(key, &words) else {
            continue;
        };
        for group in f.list(groups).iter().filter_map(|item| f.text(item)) {
            roles.entry(group.to_owned()).or_default().insert(role);
        }
    }
    roles
}

/// Reads `role: [system:serviceaccount:namespace:name, …]`: service accounts that people act as.
/// They may read and stop; decisions that need several people need logins.
fn service_accounts(
    f: &Findings,
    node: &Node,
    keys: Option<&KeySource>,
) -> Option<BTreeMap<String, BTreeSet<OperatorRole>>> {
    if !matches!(keys, Some(KeySource::Cluster { .. })) {
        let message = "`operators` names service accounts of a cluster, and this issuer is none";
        let fault = Diagnostic::new(Code::Issuer, node.span, message.to_owned());
        f.add(fault.help("name people by their groups, in `roles` of an operators' issuer"));
        return None;
    }
    let words = [
        ("viewer", OperatorRole::Viewer),
        ("on-call", OperatorRole::OnCall),
    ];
    let mut roles: BTreeMap<String, BTreeSet<OperatorRole>> = BTreeMap::new();
    for (_, key, accounts) in f.map(node)?.open() {
        let Some(role) = f.one_of(key, &words) else {
            continue;
        };
        for account in f.list(accounts) {
            let Some(name) = f.text(account) else {
                continue;
            };
            if is_service_account(name) {
                roles.entry(name.to_owned()).or_default().insert(role);
                continue;
            }
            let message = format!("`{}` is no service account", escaped(name));
            let fault = Diagnostic::new(Code::Issuer, account.span, message);
            f.add(fault.help("write `system:serviceaccount:`, the namespace, a colon, the name"));
        }
    }
    Some(roles)
}

fn is_service_account(name: &str) -> bool {
    let parts: Vec<&str> = name.split(':').collect();
    let ["system", "serviceaccount", namespace, account] = parts.as_slice() else {
        return false;
    };
    let is_exact = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        !part.is_empty() && part.bytes().all(allowed)
    };
    is_exact(namespace) && is_exact(account)
}

fn lifetimes(f: &Findings, node: &Node) -> Option<Lifetimes> {
    let fields = f.map(node)?;
    let usual = Lifetimes::default();
    let span = |name, usual: Duration| {
        let node = fields.optional(name);
        node.map_or(Some(usual), |node| {
            Some(f.span_of_time(node, MAX_SESSION_LIFE)?.as_duration())
        })
    };
    let (agents, people) = (span("agents", usual.agents), span("people", usual.people));
    fields.finish();
    Some(Lifetimes {
        agents: agents?,
        people: people?,
    })
}

fn fresh(f: &Findings, node: &Node) -> Option<FreshLogin> {
    let fields = f.map(node)?;
    let read = |name| {
        let node = fields.optional(name);
        node.map_or(Some(Freshness::default()), |node| freshness(f, node))
    };
    let (rearm, high_risk) = (read("rearm"), read("high_risk_approval"));
    fields.finish();
    Some(FreshLogin {
        rearm: rearm?,
        high_risk: high_risk?,
    })
}

fn freshness(f: &Findings, node: &Node) -> Option<Freshness> {
    let fields = f.map(node)?;
    let within = fields.optional("within");
    let within = within.map(|node| f.span_of_time(node, MAX_FRESH_LOGIN));
    let acr = fields.optional("acr").map(|node| {
        let values = f.list(node).iter().filter_map(|item| f.text(item));
        values.map(str::to_owned).collect()
    });
    fields.finish();
    Some(Freshness {
        within: match within {
            Some(read) => Some(read?.as_duration()),
            None => None,
        },
        acr: acr.unwrap_or_default(),
    })
}

fn quotas(f: &Findings, node: &Node) -> Option<QuotaConfig> {
    let fields = f.map(node)?;
    let usual = QuotaConfig::default();
    let count = |name, usual| {
        let node = fields.optional(name);
        node.map_or(Some(usual), |node| {
            Some(f.parsed::<NonZeroU32>(node)?.get())
        })
    };
    let calls = count("calls_per_second", usual.calls_per_second);
    let at_once = u32::try_from(usual.calls_at_once).unwrap_or(u32::MAX);
    let at_once = count("calls_at_once", at_once);
    let refusals = count("refusals_per_minute", usual.refusals_per_minute);
    let records = count("records_per_minute", usual.records.of_identity);
    let records_in_all = count("records_per_minute_in_all", usual.records.in_all);
    fields.finish();
    Some(QuotaConfig {
        calls_per_second: calls?,
        calls_at_once: usize::try_from(at_once?).unwrap_or(usize::MAX),
        refusals_per_minute: refusals?,
        records: RecordLimits {
            of_identity: records?,
            in_all: records_in_all?,
        },
    })
}

/// Reads an origin: a scheme and an authority, nothing more.
fn origin(f: &Findings, node: &Node) -> Option<String> {
    let text = f.text(node)?;
    let url: Url = f.parsed(node)?;
    let origin = url.origin().ascii_serialization();
    if origin != text {
        let message = format!("`{}` is not an origin", escaped(text));
        let finding = Diagnostic::new(Code::Value, node.span, message);
        f.add(
            finding
                .help("write the scheme, the host and perhaps the port: https://lanyard.example"),
        );
        return None;
    }
    Some(origin)
}

fn break_glass(f: &Findings, node: &Node) -> Option<(String, String)> {
    let fields = f.map(node)?;
    let name = fields.required("name").and_then(|node| f.text(node));
    let key = fields.required("public_key");
    let read = key.and_then(|node| {
        let text = f.text(node)?;
        match enrolled::key(text) {
            Ok(_) => Some(text.to_owned()),
            Err(why) => {
                let message = format!("not an Ed25519 public key: {why}");
                let finding = Diagnostic::new(Code::Value, node.span, message);
                f.add(finding.help("write its 32 bytes in base64url, as `x` of a JWK"));
                None
            }
        }
    });
    fields.finish();
    Some((name?.to_owned(), read?))
}

impl IdentityConfig {
    /// The issuers at which people log in.
    pub(crate) fn logins(&self) -> Vec<LoginConfig> {
        let logins = self.issuers.iter().map(|issuer| issuer.login.clone());
        logins.flatten().collect()
    }

    pub(crate) fn break_glass(&self, audience: &str) -> Result<BreakGlass> {
        let mut people = Vec::new();
        for (name, key) in &self.break_glass {
            match enrolled::key(key) {
                Ok((_, public)) => people.push((name.clone(), public)),
                Err(why) => bail!("the break-glass key of {name}: {why}"),
            }
        }
        Ok(BreakGlass::new(audience.to_owned(), people))
    }
}

impl IssuerConfig {
    /// Opens the issuer. Its tokens are refused if its keys cannot be read.
    pub(crate) fn open(&self) -> (Issuer, Result<()>) {
        let mut readable = Ok(());
        let (keys, method) = match &self.keys {
            KeySource::File(path) => match keys(&self.name, path) {
                Ok(keys) => (Keys::fixed(keys), Method::Oidc),
                Err(error) => {
                    readable = Err(error);
                    (Keys::unknown(), Method::Oidc)
                }
            },
            KeySource::Discovery { .. } => (Keys::unknown(), Method::Oidc),
            KeySource::Cluster { .. } => (Keys::unknown(), Method::ClusterKeys),
            KeySource::BundleFile(_) | KeySource::BundleEndpoint { .. } => {
                (Keys::unknown(), Method::JwtSvid)
            }
        };
        let issuer = Issuer {
            name: self.name.clone(),
            kind: self.kind,
            audience: self.audience.clone(),
            method,
            claims: self.claims.clone(),
            keys,
            groups_claim: self.groups_claim.clone(),
            roles: self.roles.clone(),
            people: self.people.clone(),
            sponsor: self.sponsor.clone(),
        };
        (issuer, readable)
    }
}
