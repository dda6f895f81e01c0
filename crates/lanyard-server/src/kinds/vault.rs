//! Targets of kind `vault`: Vault or OpenBao.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use lanyard_charter::TargetKind;
use lanyard_core::provider::Provider;
use lanyard_core::target::{Shared, Target, TargetError, TargetReader};
use lanyard_document::shape::{Form, Kinds, List, Map, Shape, optional, required};
use lanyard_document::{Code, Item, Section};
use lanyard_provider_vault::api::Endpoint;
use lanyard_provider_vault::{Login, Server, VaultProvider, VaultTarget};
use lanyard_secret_file::{Origin, read_plain_text, read_word};
use lanyard_vocabulary::name::Name;

use crate::values::{PATH, path};

/// The entry of kind `vault` in the registry.
pub(super) struct Vault;

impl TargetReader for Vault {
    fn kind(&self) -> TargetKind {
        TargetKind::VAULT
    }

    fn meaning(&self) -> &'static str {
        "A Vault or OpenBao server, or one namespace of it."
    }

    fn shape(&self) -> Map {
        shape()
    }

    fn read(&self, section: &Section<'_>, _name: &Name, base: &Path) -> Option<Arc<dyn Target>> {
        Some(Arc::new(server(section, base)?))
    }
}

/// A server, or one namespace of it.
#[derive(Debug)]
struct VaultServer {
    target: VaultTarget,
    address: String,
    namespace: String,
    certificate_authority: Option<PathBuf>,
    login: Login,
    /// The policy that the canary of a drill gets.
    drill_policy: Option<String>,
}

impl VaultServer {
    fn connect(&self) -> Result<Arc<dyn Provider>> {
        let certificate_authority = match &self.certificate_authority {
            Some(path) => read_plain_text(path)?,
            None => String::new(),
        };
        let endpoint = Endpoint {
            address: self.address.clone(),
            namespace: self.namespace.clone(),
            certificate_authority,
        };
        let server = Server::new(endpoint, self.login.clone())?;
        Ok(Arc::new(VaultProvider::new(self.target.clone(), server)))
    }
}

#[tonic::async_trait]
impl Target for VaultServer {
    async fn provider(&self, _shared: &mut Shared) -> Result<Arc<dyn Provider>, TargetError> {
        Ok(self.connect()?)
    }

    /// Reads the certificate authority and the broker's login.
    async fn look(&self) -> Result<(), TargetError> {
        self.connect()?;
        match &self.login {
            Login::AppRole { secret_id_file, .. } => {
                read_word(secret_id_file, Origin::Configured)?;
            }
            Login::Kubernetes { token_file, .. } | Login::Jwt { token_file, .. } => {
                read_word(token_file, Origin::Projected)?;
            }
        }
        Ok(())
    }

    fn drill(&self, name: &Name) -> Option<String> {
        let policy = self.drill_policy.as_ref()?;
        Some(format!("vault: {{target: {name}, policies: ['{policy}']}}"))
    }
}

const SEGMENT: Form = Form::new(
    "a name of letters, digits, dots and dashes",
    "^[A-Za-z0-9_.-]+$",
);

fn shape() -> Map {
    let exact = Form::new("an exact path", "^[A-Za-z0-9_./-]+$");
    Map::new()
        .with(required("address", "The server's URL.", Shape::Text))
        .with(required("login", "How the broker logs in.", login_shape()))
        .with(required(
            "token_role",
            "The token role of agents' tokens.",
            SEGMENT,
        ))
        .with(required(
            "parent_role",
            "The token role of the tokens above them.",
            SEGMENT,
        ))
        .with(
            optional(
                "reading",
                "Paths of dynamic secrets that an operator vouches to only read.",
                List::of(exact),
            )
            .absent("none"),
        )
        .with(
            optional(
                "drill_policy",
                "The policy that the canary of a drill gets.",
                SEGMENT,
            )
            .absent("no drill is held"),
        )
        .with(
            optional("namespace", "The namespace of the server.", Shape::Text)
                .absent("the root namespace"),
        )
        .with(
            optional(
                "certificate_authority",
                "The authorities of the server in PEM.",
                PATH,
            )
            .absent("those of the system"),
        )
}

fn login_shape() -> Kinds {
    let mount = |usual| {
        let mount = Form::new("a path", "^[A-Za-z0-9_./-]+$");
        Map::new().with(optional("mount", "Where the method is mounted.", mount).or(usual))
    };
    let token = |usual| {
        mount(usual)
            .with(required("role", "The role of the method.", Shape::Text))
            .with(required("token_file", "The token to log in with.", PATH))
    };
    let approle = mount("approle")
        .with(required("role_id", "The role's id.", Shape::Text))
        .with(required(
            "secret_id_file",
            "The secret id, mode 0600.",
            PATH,
        ));
    Kinds::told_by("kind")
        .with("approle", "The AppRole method.", approle)
        .with("kubernetes", "The Kubernetes method.", token("kubernetes"))
        .with("jwt", "The JWT method.", token("jwt"))
}

fn server(section: &Section<'_>, base: &Path) -> Option<VaultServer> {
    let address = section.get("address").and_then(Item::text);
    let login = section.get("login").and_then(|item| login(item, base));
    let segment = |name| section.get(name).and_then(one_segment);
    let (token_role, parent_role) = (segment("token_role"), segment("parent_role"));
    let reading = section.get("reading").map(|item| {
        let paths = item.items().into_iter().filter_map(exact_path);
        paths.collect::<BTreeSet<_>>()
    });
    let drill_policy = segment("drill_policy");
    let namespace = section.get("namespace").and_then(Item::text);
    let certificate_authority = section
        .get("certificate_authority")
        .and_then(|item| path(item, base));
    Some(VaultServer {
        target: VaultTarget {
            token_role: token_role?,
            parent_role: parent_role?,
            reading: reading.unwrap_or_default(),
        },
        address: address?.trim_end_matches('/').to_owned(),
        namespace: namespace.unwrap_or_default().to_owned(),
        certificate_authority,
        login: login?,
        drill_policy,
    })
}

/// Reads how the broker logs in.
fn login(item: Item<'_>, base: &Path) -> Option<Login> {
    let (kind, section) = (item.kind()?, item.section()?);
    let mount = section.get("mount").and_then(mount_path);
    let text = |name| section.get(name).and_then(Item::text).map(str::to_owned);
    let file = |name| section.get(name).and_then(|item| path(item, base));
    if kind == "approle" {
        let (role_id, secret_id_file) = (text("role_id"), file("secret_id_file"));
        return Some(Login::AppRole {
            mount: mount?,
            role_id: role_id?,
            secret_id_file: secret_id_file?,
        });
    }
    let (role, token_file) = (text("role"), file("token_file"));
    let (mount, role, token_file) = (mount?, role?, token_file?);
    match kind {
        "kubernetes" => Some(Login::Kubernetes {
            mount,
            role,
            token_file,
        }),
        "jwt" => Some(Login::Jwt {
            mount,
            role,
            token_file,
        }),
        _ => None,
    }
}

fn plain(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain)
}

fn one_segment(item: Item<'_>) -> Option<String> {
    named(item, plain)
}

fn mount_path(item: Item<'_>) -> Option<String> {
    named(item, |text| text.split('/').all(plain))
}

/// Reads a path that an operator vouches for, which therefore is no pattern.
fn exact_path(item: Item<'_>) -> Option<String> {
    let text = item.text()?;
    if text.split('/').all(plain) {
        return Some(text.to_owned());
    }
    let message = "expected one exact path, without wildcards: database/creds/reporting";
    item.report(Code::Value, message);
    None
}

/// Reads a name that becomes part of a request's path.
fn named(item: Item<'_>, is_well: impl Fn(&str) -> bool) -> Option<String> {
    let text = item.text()?;
    if !is_well(text) {
        let message = "expected a name of letters, digits, dots and dashes";
        item.report(Code::Value, message);
        return None;
    }
    Some(text.to_owned())
}
