//! The section `targets` of the configuration, and the providers made from it.

mod github;
mod unusable;
mod vault;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use lanyard_core::charter::{
    Name, TARGET_KINDS, TargetKind, account_of, partition_of, policy_rule,
};
use lanyard_core::document::{Code, Diagnostic, Fields, Findings, Node, Span};
use lanyard_core::provider::Provider;
use lanyard_provider_aws::{Access, AwsProvider, AwsTarget, Roles, Sdk};
use lanyard_provider_kubernetes::{Cluster, KubernetesProvider, KubernetesTarget, look};
use lanyard_provider_token::status::Lists;
use lanyard_provider_token::{Keyring, TokenProvider};

use self::github::GitHubConfig;
use self::unusable::Unusable;
use self::vault::VaultConfig;

/// A target in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetConfig {
    /// Lanyard's own tokens.
    Token,
    /// An AWS account with its roles.
    Aws {
        target: AwsTarget,
        access: Box<Access>,
    },
    /// A Kubernetes cluster and its namespaces.
    Kubernetes {
        target: KubernetesTarget,
        /// The broker's own access; in a pod, its service account.
        kubeconfig: Option<PathBuf>,
        context: Option<String>,
        /// The namespace in which the canary of a drill gets its role.
        drill_namespace: Option<Name>,
    },
    /// A Vault or OpenBao server.
    Vault(Box<VaultConfig>),
    /// The installation of a GitHub App.
    GitHub(Box<GitHubConfig>),
}

impl TargetConfig {
    pub(crate) const fn kind(&self) -> TargetKind {
        match self {
            Self::Token => TargetKind::Token,
            Self::Aws { .. } => TargetKind::Aws,
            Self::Kubernetes { .. } => TargetKind::Kubernetes,
            Self::Vault(_) => TargetKind::Vault,
            Self::GitHub(_) => TargetKind::GitHub,
        }
    }

    /// The account number of an AWS target.
    pub(crate) fn account(&self) -> Option<String> {
        match self {
            Self::Aws { target, .. } => account_of(&target.plan_role),
            Self::Token | Self::Kubernetes { .. } | Self::Vault(_) | Self::GitHub(_) => None,
        }
    }

    pub(crate) fn partition(&self) -> Option<String> {
        match self {
            Self::Aws { target, .. } => partition_of(&target.plan_role),
            Self::Token | Self::Kubernetes { .. } | Self::Vault(_) | Self::GitHub(_) => None,
        }
    }

    /// The namespace with the service accounts of leases, of a Kubernetes target.
    pub(crate) fn lease_namespace(&self) -> Option<&str> {
        match self {
            Self::Kubernetes { target, .. } => Some(&target.namespace),
            Self::Token | Self::Aws { .. } | Self::Vault(_) | Self::GitHub(_) => None,
        }
    }

    /// The roles whose sessions an AWS target hands out.
    pub(crate) fn roles(&self) -> impl Iterator<Item = &str> {
        let roles = match self {
            Self::Aws { target, .. } => [Some(&target.plan_role), Some(&target.apply_role)],
            Self::Token | Self::Kubernetes { .. } | Self::Vault(_) | Self::GitHub(_) => {
                [None, None]
            }
        };
        roles.into_iter().flatten().map(String::as_str)
    }

    /// Checks what the target needs on this machine, and calls nobody.
    ///
    /// # Errors
    /// When something is missing or unsuitable.
    pub(crate) async fn look(&self) -> Result<()> {
        match self {
            Self::Token | Self::Aws { .. } => Ok(()),
            Self::Kubernetes {
                kubeconfig,
                context,
                ..
            } => Ok(look(kubeconfig.as_deref(), context.as_deref()).await?),
            Self::Vault(vault) => vault.look(),
            Self::GitHub(github) => github.connect().map(drop),
        }
    }

    /// True if the AWS principal that mints also revokes.
    pub(crate) fn has_one_principal(&self) -> bool {
        match self {
            Self::Aws { access, .. } => access.minter_profile == access.revoker_profile,
            Self::Token | Self::Kubernetes { .. } | Self::Vault(_) | Self::GitHub(_) => false,
        }
    }

    /// Makes the target's provider. A target that cannot be reached or used is no error here: its
    /// credentials are refused one by one, and the kill switch works.
    pub(crate) async fn provider(
        &self,
        name: &Name,
        issuer: &str,
        own: (&Arc<Keyring>, &Arc<Lists>),
        roles: &Arc<Roles>,
    ) -> Arc<dyn Provider> {
        let connected = self.connect(name, issuer, own, roles).await;
        connected.unwrap_or_else(|error| {
            let why = format!("{error:#}");
            tracing::error!(target = %name, error = why, "this target cannot be used: restart once that is mended");
            let kinds = TARGET_KINDS.iter();
            let mut kinds = kinds.filter(|(_, kind)| *kind == self.kind());
            let provider = kinds.next().map_or("target", |(word, _)| *word);
            Arc::new(Unusable { provider, why })
        })
    }

    async fn connect(
        &self,
        name: &Name,
        issuer: &str,
        (keyring, lists): (&Arc<Keyring>, &Arc<Lists>),
        roles: &Arc<Roles>,
    ) -> Result<Arc<dyn Provider>> {
        Ok(match self {
            Self::Token => {
                let (keyring, lists) = (Arc::clone(keyring), Arc::clone(lists));
                Arc::new(TokenProvider::new(issuer.to_owned(), keyring, lists))
            }
            Self::Aws { target, access } => {
                if self.has_one_principal() {
                    tracing::warn!(target = %name, "one AWS principal both mints and revokes: give the revoker its own");
                }
                let sdk = Sdk::connect(access).await;
                Arc::new(AwsProvider::new(target.clone(), sdk).beside(Arc::clone(roles)))
            }
            Self::Kubernetes {
                target,
                kubeconfig,
                context,
                ..
            } => {
                let cluster = Cluster::connect(kubeconfig.as_deref(), context.as_deref())
                    .await
                    .with_context(|| format!("target {name}"))?;
                Arc::new(KubernetesProvider::new(target.clone(), cluster))
            }
            Self::Vault(vault) => vault.connect().with_context(|| format!("target {name}"))?,
            Self::GitHub(github) => github.connect().with_context(|| format!("target {name}"))?,
        })
    }
}

/// Reads the section.
pub(crate) fn targets(f: &Findings, node: &Node, base: &Path) -> BTreeMap<Name, TargetConfig> {
    f.map(node)
        .iter()
        .flat_map(Fields::open)
        .filter_map(|(_, key, value)| {
            let name: Name = f.parsed(key)?;
            let target = target(f, value, &name, base)?;
            Some((name, target))
        })
        .collect()
}

fn target(f: &Findings, node: &Node, name: &Name, base: &Path) -> Option<TargetConfig> {
    let fields = f.map(node)?;
    let kind = fields
        .required("kind")
        .and_then(|node| f.one_of(node, TARGET_KINDS));
    let target = match kind {
        Some(TargetKind::Token) => Some(TargetConfig::Token),
        Some(TargetKind::Aws) => aws(f, &fields, name),
        Some(TargetKind::Kubernetes) => kubernetes(f, &fields, base),
        Some(TargetKind::Vault) => {
            vault::vault(f, &fields, base).map(|vault| TargetConfig::Vault(Box::new(vault)))
        }
        Some(TargetKind::GitHub) => {
            github::github(f, &fields, base).map(|github| TargetConfig::GitHub(Box::new(github)))
        }
        // What the other fields should be is not known.
        None => return None,
    };
    fields.finish();
    target
}

fn aws(f: &Findings, fields: &Fields<'_>, name: &Name) -> Option<TargetConfig> {
    let optional = |name| {
        fields
            .optional(name)
            .and_then(|node| f.text(node))
            .map(str::to_owned)
    };
    let region = fields
        .required("region")
        .and_then(|node| f.text(node))
        .map(str::to_owned);
    let plan_role = fields.required("plan_role").and_then(|node| role(f, node));
    let apply_role = fields.required("apply_role").and_then(|node| role(f, node));
    let instance = fields.optional("instance");
    let instance = instance.map_or(Some(name.clone()), |node| f.parsed::<Name>(node));
    let (minter_profile, revoker_profile) =
        (optional("minter_profile"), optional("revoker_profile"));
    let (endpoint, boundary) = (optional("endpoint"), optional("boundary"));
    let ((plan_role, _), (apply_role, span)) = (plan_role?, apply_role?);
    if plan_role == apply_role {
        let message = "plan and apply need a role each: what is cut for one must not cut the other";
        f.add(Diagnostic::new(Code::AwsRole, span, message.to_owned()));
        return None;
    }
    let region = region?;
    Some(TargetConfig::Aws {
        access: Box::new(Access {
            region: region.clone(),
            minter_profile,
            revoker_profile,
            endpoint,
        }),
        target: AwsTarget {
            region,
            plan_role,
            apply_role,
            boundary,
            instance: instance?.to_string(),
        },
    })
}

/// Reads a role's ARN: `arn:partition:iam::account:role/path/name`.
fn role(f: &Findings, node: &Node) -> Option<(String, Span)> {
    let text = f.text(node)?;
    let parts: Vec<&str> = text.split(':').collect();
    let well = match parts.as_slice() {
        ["arn", partition, "iam", "", account, resource] => {
            !partition.is_empty()
                && account.len() == 12
                && account.bytes().all(|byte| byte.is_ascii_digit())
                && resource
                    .strip_prefix("role/")
                    .is_some_and(|name| !name.is_empty() && !name.ends_with('/'))
        }
        _ => false,
    };
    if !well {
        let message = "expected the ARN of a role: arn:aws:iam::123456789012:role/name".to_owned();
        f.add(Diagnostic::new(Code::AwsRole, node.span, message));
        return None;
    }
    Some((text.to_owned(), node.span))
}

fn kubernetes(f: &Findings, fields: &Fields<'_>, base: &Path) -> Option<TargetConfig> {
    let namespace = fields
        .required("namespace")
        .and_then(|node| f.parsed::<Name>(node));
    let pinned = |node| {
        let entries = f.map(node).into_iter();
        let texts = entries.flat_map(|entries| entries.open().collect::<Vec<_>>());
        texts
            .filter_map(|(name, _, digest)| Some((name.to_owned(), f.text(digest)?.to_owned())))
            .collect()
    };
    let cluster_roles = fields.optional("cluster_roles").map(pinned);
    let baseline = fields.optional("baseline").map(|node| {
        let rules = f.list(node).iter();
        let rules = rules.filter_map(|rule| policy_rule(f, rule));
        rules.collect::<Vec<_>>()
    });
    let kubeconfig = fields
        .optional("kubeconfig")
        .and_then(|node| f.text(node))
        .map(|path| base.join(path));
    let drill_namespace = fields
        .optional("drill_namespace")
        .and_then(|node| f.parsed::<Name>(node));
    let context = fields
        .optional("context")
        .and_then(|node| f.text(node))
        .map(str::to_owned);
    Some(TargetConfig::Kubernetes {
        target: KubernetesTarget {
            namespace: namespace?.to_string(),
            cluster_roles: cluster_roles.unwrap_or_default(),
            baseline: baseline.unwrap_or_default(),
        },
        kubeconfig,
        context,
        drill_namespace,
    })
}
