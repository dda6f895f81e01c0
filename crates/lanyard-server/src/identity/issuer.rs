//! Issuers, as the configuration names them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use lanyard_identity::verifier::{ClaimPath, PeopleRule, SponsorRule};
use lanyard_identity::{Issuer, IssuerKind, Keys};
use lanyard_vocabulary::identity::Method;
use lanyard_vocabulary::operator::OperatorRole;
use reqwest::Url;

use super::LoginConfig;
use crate::key_set;

/// An issuer in the configuration.
#[derive(Debug)]
pub(crate) struct IssuerConfig {
    pub(crate) name: String,
    pub(crate) kind: IssuerKind,
    pub(crate) keys: KeySource,
    pub(super) audience: Option<String>,
    pub(super) claims: BTreeSet<String>,
    pub(super) groups_claim: ClaimPath,
    pub(super) roles: BTreeMap<String, BTreeSet<OperatorRole>>,
    pub(super) people: PeopleRule,
    pub(super) sponsor: Option<SponsorRule>,
    pub(super) login: Option<LoginConfig>,
}

/// The location of an issuer's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// The path of a file.
    File(PathBuf),
    /// The issuer's OpenID configuration, over TLS. `ca_file` names an authority to trust.
    Discovery { ca_file: Option<PathBuf> },
    /// The API server of a cluster, which also reviews each token. Without a kubeconfig it is the
    /// cluster in which the broker's own pod runs.
    Cluster {
        kubeconfig: Option<PathBuf>,
        context: Option<String>,
    },
    /// The bundle of a SPIFFE trust domain, in a file that another program renews.
    BundleFile(PathBuf),
    /// The bundle endpoint of a federated trust domain (SPIFFE_Federation, profile https_web).
    BundleEndpoint { url: Url, ca_file: Option<PathBuf> },
}

impl IssuerConfig {
    /// Opens the issuer. If its keys cannot be read, its tokens are refused.
    pub(crate) fn open(&self) -> (Issuer, Result<()>) {
        let mut readable = Ok(());
        let (keys, method) = match &self.keys {
            KeySource::File(path) => match key_set::read(&self.name, path) {
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
