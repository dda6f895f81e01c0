//! The configuration of identities: trusted issuers, their verification, and how long it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};
use lanyard_document::shape::{Choice, Form, List, Map, Open, Shape, Word, optional, required};
use lanyard_document::{Code, Entry, Item, Section};
use lanyard_engine::records::RecordLimits;
use lanyard_identity::break_glass::BreakGlass;
use lanyard_identity::verifier::ClaimPath;
use lanyard_identity::{IssuerKind, spiffe};
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::operator::OperatorRole;
use lanyard_vocabulary::text::escaped;
use lanyard_vocabulary::time::Ttl;
use reqwest::Url;

use super::aws::{self, AwsIdentityConfig};
use super::cluster::{place, place_shape};
use super::issuer::{IssuerConfig, KeySource};
use super::{Lifetimes, LoginConfig, enrolled, names, people};
use crate::freshness::{FreshLogin, Freshness};
use crate::quotas::QuotaConfig;
use crate::urls::hook_url;
use crate::values::{PATH, URL, path};

/// The longest lifetime of a session that can be configured.
///
/// # Limit
/// - for: a session
/// - unit: of time
/// - beyond: the configuration is refused
/// - test: `times_of_the_configuration_have_bounds`
const MAX_SESSION_LIFE: Ttl = Ttl::at_least_a_second(12 * 3600);
/// The longest time since a login that can be required.
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
    /// The schemes and authorities by which callers reach the broker, besides its listen address.
    pub(crate) origins: Vec<String>,
    /// The AWS workloads that may call.
    pub(crate) aws: Option<AwsIdentityConfig>,
    /// The holders of break-glass keys: their names, and their public keys in base64url.
    break_glass: Vec<(String, String)>,
    /// The names of agents, by identity.
    pub(crate) agents: BTreeMap<Identity, AgentName>,
}

/// The kinds of issuer, by the words of the configuration.
const KINDS: &[Word<IssuerKind>] = &[
    Word::new("agents", IssuerKind::Agents),
    Word::new("operators", IssuerKind::Operators),
];
/// The roles of people, by the words of the configuration.
const ROLES: &[Word<OperatorRole>] = &[
    Word::new("viewer", OperatorRole::Viewer),
    Word::new("approver", OperatorRole::Approver),
    Word::new("on-call", OperatorRole::OnCall),
    Word::new("admin", OperatorRole::Admin),
];
/// The roles that a service account can have.
const ACCOUNT_ROLES: &[Word<OperatorRole>] = &[
    Word::new("viewer", OperatorRole::Viewer),
    Word::new("on-call", OperatorRole::OnCall),
];

/// Adds the identities to the description of the configuration.
pub(crate) fn describe(map: Map) -> Map {
    let origin = Form::new(
        "an origin: a scheme, a host and perhaps a port",
        "^[a-z0-9+.-]+://",
    );
    let key = Form::new("32 bytes in base64url", "^[A-Za-z0-9_=-]+$");
    let person = Map::new()
        .with(required("name", "The person's name.", Shape::Text))
        .with(required(
            "public_key",
            "The Ed25519 public key, as `x` of a JWK.",
            key,
        ));
    let session = || Shape::span(MAX_SESSION_LIFE);
    let sessions = Map::new()
        .with(
            optional(
                "agents",
                "How long a session of a workload lasts.",
                session(),
            )
            .or("5m"),
        )
        .with(optional("people", "How long a session of a person lasts.", session()).or("1h"));
    let login = || {
        Map::new()
            .with(
                optional(
                    "within",
                    "How long ago the login may be.",
                    Shape::span(MAX_FRESH_LOGIN),
                )
                .absent("any time"),
            )
            .with(
                optional("acr", "The classes of the login.", List::of(Shape::Text))
                    .absent("every class"),
            )
    };
    let fresh = Map::new()
        .with(optional("rearm", "The login that a re-arm needs.", login()).absent("any login"))
        .with(
            optional(
                "high_risk_approval",
                "The login that approving a plan of high risk needs.",
                login(),
            )
            .absent("any login"),
        );
    map.with(required(
        "issuers",
        "The issuers that are believed, each once.",
        List::of(issuer_shape()),
    ))
    .with(
        optional(
            "agents",
            "The names of agents, each over all identities of one agent.",
            List::of(names::shape()),
        )
        .absent("an agent's name is its identity"),
    )
    .with(
        optional(
            "aws_identities",
            "The AWS workloads that may call.",
            aws::shape(),
        )
        .absent("none"),
    )
    .with(
        optional(
            "origins",
            "The origins by which clients reach the broker.",
            List::of(origin),
        )
        .absent("`issuer` and the listen addresses"),
    )
    .with(optional("sessions", "How long sessions last.", sessions))
    .with(optional("fresh_login", "Decisions that need a fresh login.", fresh).absent("none does"))
    .with(optional(
        "quotas",
        "The bounds of what one identity may do.",
        quotas_shape(),
    ))
    .with(
        optional(
            "break_glass",
            "The people whose own keys engage kills.",
            List::of(person),
        )
        .absent("nobody"),
    )
}

fn quotas_shape() -> Map {
    let count = || Shape::number(1, u32::MAX);
    Map::new()
        .with(optional("calls_per_second", "Calls of one identity in a second.", count()).or("5000"))
        .with(
            optional(
                "calls_at_once",
                "Calls of one identity that are served at a time; watches are not among them.",
                count(),
            )
            .or("8"),
        )
        .with(
            optional(
                "refusals_per_minute",
                "Refusals of one identity from one address, after which it is not listened to for a minute.",
                count(),
            )
            .or("20"),
        )
        .with(
            optional(
                "records_per_minute",
                "Tasks, credentials, plans, reports and sessions of one identity in a minute.",
                count(),
            )
            .or("20"),
        )
        .with(
            optional(
                "records_per_minute_in_all",
                "The same of all identities together.",
                count(),
            )
            .or("60000"),
        )
}

fn issuer_shape() -> Map {
    let ca_file = || {
        optional("ca_file", "The authorities of the endpoint in PEM.", PATH)
            .absent("those of the system")
    };
    let texts = || List::of(Shape::Text);
    let keys = Choice::exactly_one([
        vec![required("jwks_file", "A JWK set, read at the start.", PATH)],
        vec![required(
            "discovery",
            "OpenID Connect Discovery, for an issuer of https.",
            Map::new().with(ca_file()),
        )],
        vec![required(
            "kubernetes",
            "The cluster's API server, which is asked about each token: `{}` is the one of this pod.",
            place_shape(),
        )],
        vec![required(
            "bundle_file",
            "The SPIFFE bundle of a trust domain, for an issuer `spiffe://…`.",
            PATH,
        )],
        vec![required(
            "bundle_endpoint",
            "A SPIFFE bundle over https, for an issuer `spiffe://…`.",
            Map::new()
                .with(required("url", "The URL of the bundle.", URL))
                .with(ca_file()),
        )],
    ]);
    let login = Map::new()
        .with(required(
            "client_id",
            "The client that people log in with.",
            Shape::Text,
        ))
        .with(optional("scopes", "The scopes that are asked for.", texts()).absent("`openid`"));
    let role = Form::new("a role", "^(viewer|approver|on-call|admin)$");
    let account_role = Form::new("`viewer` or `on-call`", "^(viewer|on-call)$");
    let account = Form::new(
        "a service account: `system:serviceaccount:NAMESPACE:NAME`",
        "^system:serviceaccount:",
    );
    let map = Map::new()
        .with(required(
            "issuer",
            "The issuer of tokens (`iss`), byte for byte; `spiffe://` and a trust domain for SPIFFE.",
            Shape::Text,
        ))
        .with(required(
            "kind",
            "The identities that it vouches for.",
            Shape::words(KINDS),
        ))
        .with(keys.code(Code::Issuer))
        .with(
            optional(
                "audience",
                "The audience (`aud`) of its tokens; not with `kubernetes`.",
                Shape::Text,
            )
            .absent("`login.client_id`, else the broker's `audience`"),
        )
        .with(
            optional(
                "claims",
                "Further claims that are taken over, for charters and the journal.",
                texts(),
            )
            .absent("none"),
        )
        .with(
            optional(
                "groups_claim",
                "The claim with a person's groups, or the names from the outside in.",
                Shape::OneOrList(Form::new("a claim", "."), texts()),
            )
            .or("groups"),
        )
        .with(
            optional(
                "roles",
                "The groups that give each role, for people.",
                Open::of(role, texts()),
            )
            .absent("none"),
        )
        .with(
            optional(
                "operators",
                "With `kubernetes` and agents: the service accounts that people act as, by role.",
                Open::of(account_role, List::of(account)),
            )
            .absent("none"),
        );
    people::describe(map).with(
        optional("login", "The client of `lanyard login`.", login).absent("nobody logs in here"),
    )
}

/// Reads the configuration of identities.
pub(crate) fn identities(top: &Section<'_>, base: &Path) -> Option<IdentityConfig> {
    let items = top.get("issuers").map(Item::items);
    let lifetimes = top
        .get("sessions")
        .map_or(Some(Lifetimes::default()), lifetimes);
    let fresh = top
        .get("fresh_login")
        .map_or(Some(FreshLogin::default()), fresh);
    let quotas = top
        .get("quotas")
        .map_or(Some(QuotaConfig::default()), quotas);
    let list = |name| {
        top.get(name)
            .map(Item::items)
            .unwrap_or_default()
            .into_iter()
    };
    let origins = list("origins").filter_map(origin).collect();
    let break_glass = list("break_glass").filter_map(break_glass).collect();
    let aws = top
        .get("aws_identities")
        .map(|item| aws::config(item, base));
    let agents = top.get("agents").map(names::agents);
    let items = items?;
    let read = items.iter().filter_map(|item| issuer(*item, base));
    let issuers: Vec<_> = read.collect();
    let mut names = BTreeSet::new();
    for (name, item) in issuers.iter().zip(&items) {
        if !names.insert(&name.name) {
            let message = format!(
                "`{}` is configured twice: which settings hold for its tokens is not clear",
                escaped(&name.name)
            );
            item.report(Code::Issuer, message);
        }
    }
    people::check(&issuers, &items);
    Some(IdentityConfig {
        issuers,
        lifetimes: lifetimes?,
        fresh: fresh?,
        quotas: quotas?,
        origins,
        aws: match aws {
            Some(read) => Some(read?),
            None => None,
        },
        break_glass,
        agents: agents.unwrap_or_default(),
    })
}

fn issuer(item: Item<'_>, base: &Path) -> Option<IssuerConfig> {
    let section = item.section()?;
    let name = section.get("issuer").and_then(Item::text);
    let kind = section.get("kind").and_then(|item| item.word(KINDS));
    let keys = source(&section, name, base);
    let audience = section.get("audience").map(Item::text);
    let claims = section.get("claims").map(Item::texts);
    let claim = section.get("groups_claim").and_then(claim_path);
    let roles = section.get("roles").map(roles);
    let operators = section.get("operators");
    let operators = operators.map(|item| service_accounts(item, keys.as_ref()));
    let login = section.get("login").map(|item| login(item, name));
    let people = people::rule(&section);
    let sponsor = section.get("sponsor").map(people::sponsor);
    if kind == Some(IssuerKind::Operators) && operators.is_some() {
        let message =
            "`operators` is a field of an agents' issuer: an operators' issuer has `roles`";
        item.report(Code::Issuer, message);
        return None;
    }
    if audience.is_some() && matches!(keys, Some(KeySource::Cluster { .. })) {
        let message = "the API server is asked with the broker's own audience: remove `audience`";
        item.report(Code::Issuer, message);
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

/// Reads a claim: `groups`, the exact name of a claim, or a path such as `[realm_access, roles]`.
fn claim_path(item: Item<'_>) -> Option<ClaimPath> {
    if item.node.is_text() {
        return item.text().map(ClaimPath::from);
    }
    let names: Option<Vec<_>> = item.items().into_iter().map(Item::text).collect();
    let names = names?.into_iter().map(str::to_owned).collect();
    let path = ClaimPath::of(names);
    if path.is_none() {
        let message = "`groups_claim` names no claim".to_owned();
        let fault = item.finding(Code::Value, message);
        item.f.add(fault.help(
            "write the name of a claim, or the names from the outside in: [realm_access, roles]",
        ));
    }
    path
}

/// Reads the location of the keys. The description says that there is exactly one.
fn source(section: &Section<'_>, issuer: Option<&str>, base: &Path) -> Option<KeySource> {
    let found = [
        section
            .get("jwks_file")
            .map(|item| path(item, base).map(KeySource::File)),
        section
            .get("discovery")
            .map(|item| discovered(item, issuer, base)),
        section.get("kubernetes").map(|item| cluster(item, base)),
        section.get("bundle_file").map(|item| {
            bundle(item, issuer).and_then(|()| path(item, base).map(KeySource::BundleFile))
        }),
        section
            .get("bundle_endpoint")
            .map(|item| bundle(item, issuer).and_then(|()| endpoint(item, base))),
    ];
    found.into_iter().flatten().next()?
}

/// Reads `discovery: {}`, optionally with a `ca_file`.
fn discovered(item: Item<'_>, issuer: Option<&str>, base: &Path) -> Option<KeySource> {
    let section = item.section()?;
    let ca_file = section.get("ca_file").and_then(|item| path(item, base));
    if issuer.is_some_and(|issuer| !issuer.starts_with("https://")) {
        let message = "`discovery` needs an issuer with an `https://` URL";
        item.report(Code::Issuer, message);
        return None;
    }
    Some(KeySource::Discovery { ca_file })
}

/// Reads `kubernetes: {}` in a pod, or one with a `kubeconfig` and a `context`.
fn cluster(item: Item<'_>, base: &Path) -> Option<KeySource> {
    let place = place(item, base)?;
    Some(KeySource::Cluster {
        kubeconfig: place.kubeconfig,
        context: place.context,
    })
}

/// Checks that a bundle's issuer is named after its trust domain.
fn bundle(item: Item<'_>, issuer: Option<&str>) -> Option<()> {
    let is_domain = |issuer: &str| spiffe::trust_domain(&format!("{issuer}/x")).is_some();
    if issuer.is_some_and(is_domain) {
        return Some(());
    }
    let message = "a bundle belongs to a trust domain: the issuer must be `spiffe://TRUST-DOMAIN`";
    item.report(Code::Issuer, message);
    None
}

/// Reads `bundle_endpoint: {url: …}`, with a `ca_file` if the system's roots do not verify the
/// endpoint.
fn endpoint(item: Item<'_>, base: &Path) -> Option<KeySource> {
    let section = item.section()?;
    let url = section.get("url").and_then(hook_url);
    let ca_file = section.get("ca_file").and_then(|item| path(item, base));
    Some(KeySource::BundleEndpoint { url: url?, ca_file })
}

/// Reads `login: {client_id: …}`, with the scopes to request.
fn login(item: Item<'_>, issuer: Option<&str>) -> Option<LoginConfig> {
    let section = item.section()?;
    let client = section.get("client_id").and_then(Item::text);
    let scopes = section.get("scopes").map(|item| {
        let scopes = item.items().into_iter().filter_map(Item::text);
        scopes.map(str::to_owned).collect()
    });
    Some(LoginConfig {
        issuer: issuer?.to_owned(),
        client_id: client?.to_owned(),
        scopes: scopes.unwrap_or_else(|| vec!["openid".to_owned()]),
    })
}

/// Reads `role: [group, …]`; the result is indexed by group.
fn roles(item: Item<'_>) -> BTreeMap<String, BTreeSet<OperatorRole>> {
    let mut roles: BTreeMap<String, BTreeSet<OperatorRole>> = BTreeMap::new();
    for Entry { key, value, .. } in item.entries() {
        let Some(role) = item.f.word(key, ROLES) else {
            continue;
        };
        for group in value.items().into_iter().filter_map(Item::text) {
            roles.entry(group.to_owned()).or_default().insert(role);
        }
    }
    roles
}

/// Reads `role: [system:serviceaccount:namespace:name, …]`: service accounts that people act as.
/// They may read and stop; decisions that need several people need logins.
fn service_accounts(
    item: Item<'_>,
    keys: Option<&KeySource>,
) -> Option<BTreeMap<String, BTreeSet<OperatorRole>>> {
    if !matches!(keys, Some(KeySource::Cluster { .. })) {
        let message =
            "`operators` names service accounts of a cluster, and this issuer is not a cluster";
        let fault = item.finding(Code::Issuer, message);
        item.f
            .add(fault.help("name people by their groups, in `roles` of an operators' issuer"));
        return None;
    }
    let mut roles: BTreeMap<String, BTreeSet<OperatorRole>> = BTreeMap::new();
    for Entry { key, value, .. } in item.entries() {
        let Some(role) = item.f.word(key, ACCOUNT_ROLES) else {
            continue;
        };
        for account in value.items() {
            let Some(name) = account.text() else {
                continue;
            };
            if is_service_account(name) {
                roles.entry(name.to_owned()).or_default().insert(role);
                continue;
            }
            let message = format!("`{}` is not a service account", escaped(name));
            let fault = account.finding(Code::Issuer, message);
            item.f.add(
                fault.help("write `system:serviceaccount:`, the namespace, a colon, the name"),
            );
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

fn lifetimes(item: Item<'_>) -> Option<Lifetimes> {
    let section = item.section()?;
    let span = |name| section.get(name).and_then(Item::span_of_time);
    let (agents, people) = (span("agents"), span("people"));
    Some(Lifetimes {
        agents: agents?.as_duration(),
        people: people?.as_duration(),
    })
}

fn fresh(item: Item<'_>) -> Option<FreshLogin> {
    let section = item.section()?;
    let read = |name| {
        let item = section.get(name);
        item.map_or(Some(Freshness::default()), freshness)
    };
    let (rearm, high_risk) = (read("rearm"), read("high_risk_approval"));
    Some(FreshLogin {
        rearm: rearm?,
        high_risk: high_risk?,
    })
}

fn freshness(item: Item<'_>) -> Option<Freshness> {
    let section = item.section()?;
    let within = section.get("within").map(Item::span_of_time);
    let acr = section.get("acr").map(Item::texts);
    Some(Freshness {
        within: match within {
            Some(read) => Some(read?.as_duration()),
            None => None,
        },
        acr: acr.unwrap_or_default(),
    })
}

fn quotas(item: Item<'_>) -> Option<QuotaConfig> {
    let section = item.section()?;
    let count = |name| section.get(name).and_then(Item::number);
    let (calls, at_once) = (count("calls_per_second"), count("calls_at_once"));
    let refusals = count("refusals_per_minute");
    let records = count("records_per_minute");
    let records_in_all = count("records_per_minute_in_all");
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

/// Reads an origin: a scheme and an authority, without a path.
fn origin(item: Item<'_>) -> Option<String> {
    let text = item.text()?;
    let url: Url = item.parsed()?;
    let origin = url.origin().ascii_serialization();
    if origin != text {
        let message = format!("`{}` is not an origin", escaped(text));
        let finding = item.finding(Code::Value, message);
        item.f.add(
            finding.help(
                "write the scheme, the host and, if needed, the port: https://lanyard.example",
            ),
        );
        return None;
    }
    Some(origin)
}

fn break_glass(item: Item<'_>) -> Option<(String, String)> {
    let section = item.section()?;
    let name = section.get("name").and_then(Item::text);
    let read = section.get("public_key").and_then(|item| {
        let text = item.text()?;
        match enrolled::key(text) {
            Ok(_) => Some(text.to_owned()),
            Err(why) => {
                let finding =
                    item.finding(Code::Value, format!("not an Ed25519 public key: {why}"));
                item.f
                    .add(finding.help("write its 32 bytes in base64url, as `x` of a JWK"));
                None
            }
        }
    });
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
