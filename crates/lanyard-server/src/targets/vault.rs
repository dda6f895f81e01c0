//! Targets of kind `vault`: Vault or OpenBao.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use lanyard_core::document::{Code, Diagnostic, Fields, Findings, Node};
use lanyard_core::provider::Provider;
use lanyard_provider_vault::api::Endpoint;
use lanyard_provider_vault::{Login, Server, VaultProvider, VaultTarget};
use lanyard_secret_file::{Origin, read_plain_text, read_word};

/// One server, or one namespace of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VaultConfig {
    target: VaultTarget,
    address: String,
    namespace: String,
    certificate_authority: Option<PathBuf>,
    login: Login,
    /// The policy that the canary of a drill gets.
    pub(crate) drill_policy: Option<String>,
}

impl VaultConfig {
    /// Reads the certificate authority and the broker's login.
    pub(super) fn look(&self) -> Result<()> {
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

    pub(crate) fn connect(&self) -> Result<Arc<dyn Provider>> {
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

pub(super) fn vault(f: &Findings, fields: &Fields<'_>, base: &Path) -> Option<VaultConfig> {
    let optional = |name| {
        fields
            .optional(name)
            .and_then(|node| f.text(node))
            .map(str::to_owned)
    };
    let address = fields.required("address").and_then(|node| f.text(node));
    let login = fields
        .required("login")
        .and_then(|node| login(f, node, base));
    let role = |name| fields.required(name).and_then(|node| one_segment(f, node));
    let (token_role, parent_role) = (role("token_role"), role("parent_role"));
    let reading = fields.optional("reading").map(|node| {
        let paths = f.list(node).iter().filter_map(|item| exact_path(f, item));
        paths.collect::<BTreeSet<_>>()
    });
    let drill_policy = fields.optional("drill_policy");
    let drill_policy = drill_policy.and_then(|node| one_segment(f, node));
    let namespace = optional("namespace").unwrap_or_default();
    let certificate_authority = optional("certificate_authority").map(|path| base.join(path));
    Some(VaultConfig {
        target: VaultTarget {
            token_role: token_role?,
            parent_role: parent_role?,
            reading: reading.unwrap_or_default(),
        },
        address: address?.trim_end_matches('/').to_owned(),
        namespace,
        certificate_authority,
        login: login?,
        drill_policy,
    })
}

#[derive(Clone, Copy)]
enum Method {
    AppRole,
    Kubernetes,
    Jwt,
}

/// Reads how the broker logs in.
fn login(f: &Findings, node: &Node, base: &Path) -> Option<Login> {
    let methods = [
        ("approle", Method::AppRole),
        ("kubernetes", Method::Kubernetes),
        ("jwt", Method::Jwt),
    ];
    let fields = f.map(node)?;
    let kind = fields
        .required("kind")
        .and_then(|node| f.one_of(node, &methods))?;
    let usual = match kind {
        Method::AppRole => "approle",
        Method::Kubernetes => "kubernetes",
        Method::Jwt => "jwt",
    };
    let mount = fields.optional("mount");
    let mount = mount.map_or(Some(usual.to_owned()), |node| mount_path(f, node));
    let text = |name| {
        let node = fields.required(name)?;
        f.text(node).map(str::to_owned)
    };
    let file = |name| text(name).map(|path| base.join(path));
    let login = match kind {
        Method::AppRole => {
            let (role_id, secret_id_file) = (text("role_id"), file("secret_id_file"));
            Login::AppRole {
                mount: mount?,
                role_id: role_id?,
                secret_id_file: secret_id_file?,
            }
        }
        Method::Kubernetes => {
            let (role, token_file) = (text("role"), file("token_file"));
            Login::Kubernetes {
                mount: mount?,
                role: role?,
                token_file: token_file?,
            }
        }
        Method::Jwt => {
            let (role, token_file) = (text("role"), file("token_file"));
            Login::Jwt {
                mount: mount?,
                role: role?,
                token_file: token_file?,
            }
        }
    };
    fields.finish();
    Some(login)
}

fn plain(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain)
}

fn one_segment(f: &Findings, node: &Node) -> Option<String> {
    named(f, node, plain)
}

fn mount_path(f: &Findings, node: &Node) -> Option<String> {
    named(f, node, |text| text.split('/').all(plain))
}

/// Reads a path that an operator vouches for, which therefore is no pattern.
fn exact_path(f: &Findings, node: &Node) -> Option<String> {
    let text = f.text(node)?;
    if text.split('/').all(plain) {
        return Some(text.to_owned());
    }
    let message = "expected one exact path, without wildcards: database/creds/reporting".to_owned();
    f.add(Diagnostic::new(Code::Value, node.span, message));
    None
}

/// Reads a name that becomes part of a request's path.
fn named(f: &Findings, node: &Node, is_well: impl Fn(&str) -> bool) -> Option<String> {
    let text = f.text(node)?;
    if !is_well(text) {
        let message = "expected a name of letters, digits, dots and dashes".to_owned();
        f.add(Diagnostic::new(Code::Value, node.span, message));
        return None;
    }
    Some(text.to_owned())
}
