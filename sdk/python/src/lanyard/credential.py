"""The kinds of credential that a grant can give, with their secrets kept out of sight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TypeVar

from lanyard._proto.agent.v1 import agent_pb2
from lanyard.errors import Refused
from lanyard.secret import Secret


@dataclass(frozen=True)
class Lease:
    """The id and the times of a credential: it ends at `expires`, and from `refresh` on another one is given."""

    id: str
    expires: datetime
    refresh: datetime


@dataclass(frozen=True)
class Token:
    """A Lanyard access token, with its lease."""

    lease: Lease
    token: Secret


@dataclass(frozen=True)
class AwsKeys:
    """An AWS session. `region` is where the target is; empty where that is not said."""

    lease: Lease
    access_key_id: str
    secret_access_key: Secret
    session_token: Secret
    region: str


@dataclass(frozen=True)
class KubernetesToken:
    """A service-account token, and the cluster that it is for.

    `certificate_authority` is PEM, and empty for the system's own. `tls_server_name` is the name that the cluster's certificate
    is for, and `proxy_url` the proxy on the way to the cluster; both are empty where the server's address is enough.
    """

    lease: Lease
    server: str
    certificate_authority: str
    namespace: str
    token: Secret
    tls_server_name: str = ""
    proxy_url: str = ""


@dataclass(frozen=True)
class VaultToken:
    """A service token of Vault or OpenBao, and the server that it is for.

    `namespace` is empty for the root namespace; `certificate_authority` is PEM, and empty for the system's own.
    """

    lease: Lease
    address: str
    namespace: str
    certificate_authority: str
    token: Secret


@dataclass(frozen=True)
class VaultSecret:
    """A dynamic secret that Vault or OpenBao made for the lease: its fields, such as `username` and `password`."""

    lease: Lease
    path: str
    data: Mapping[str, Secret]


@dataclass(frozen=True)
class GitHubToken:
    """An installation token of a GitHub App: `host` is where git clones from, `api` the URL of the API."""

    lease: Lease
    host: str
    api: str
    owner: str
    repositories: tuple[str, ...]
    token: Secret


@dataclass(frozen=True)
class OtherCredential:
    """A credential of a kind of target without a class of its own: its fields by name, and `kind` as charters write it."""

    lease: Lease
    kind: str
    values: Mapping[str, str]
    secrets: Mapping[str, Secret]


Credential = Token | AwsKeys | KubernetesToken | VaultToken | VaultSecret | GitHubToken | OtherCredential
_Kind = TypeVar("_Kind", Token, AwsKeys, KubernetesToken, VaultToken, VaultSecret, GitHubToken)
_NAMES = {
    Token: "a token",
    AwsKeys: "an AWS session",
    KubernetesToken: "a Kubernetes token",
    VaultToken: "a Vault token",
    VaultSecret: "a dynamic secret",
    GitHubToken: "a GitHub token",
}


def credential_of(answer: agent_pb2.GetCredentialResponse) -> Credential:
    """Reads the local agent's answer.

    Raises Refused for a kind of credential that this package does not know.
    """
    lease = Lease(answer.lease_id, _time(answer.expire_time), _time(answer.refresh_time))
    kind = answer.credential.WhichOneof("kind")
    if kind == "token":
        return Token(lease, Secret(answer.credential.token.jwt))
    if kind == "aws":
        aws = answer.credential.aws
        return AwsKeys(lease, aws.access_key_id, Secret(aws.secret_access_key), Secret(aws.session_token), aws.region)
    if kind == "kubernetes":
        cluster = answer.credential.kubernetes
        return KubernetesToken(
            lease,
            cluster.server,
            cluster.certificate_authority,
            cluster.namespace,
            Secret(cluster.token),
            tls_server_name=cluster.tls_server_name,
            proxy_url=cluster.proxy_url,
        )
    if kind == "vault":
        vault = answer.credential.vault
        return VaultToken(lease, vault.address, vault.namespace, vault.certificate_authority, Secret(vault.token))
    if kind == "vault_secret":
        secret = answer.credential.vault_secret
        fields = {field: Secret(value) for field, value in secret.data.items()}
        return VaultSecret(lease, secret.path, MappingProxyType(fields))
    if kind == "github":
        github = answer.credential.github
        return GitHubToken(lease, github.host, github.api, github.owner, tuple(github.repositories), Secret(github.token))
    if kind == "other":
        other = answer.credential.other
        secrets = {field: Secret(value) for field, value in other.secrets.items()}
        return OtherCredential(lease, other.kind, MappingProxyType(dict(other.values)), MappingProxyType(secrets))
    raise Refused("this version of the SDK does not know the kind of credential that was issued")


def expected(kind: type[_Kind], grant: str, credential: Credential) -> _Kind:
    """Returns the credential if it is of this kind.

    Raises Refused if the grant gives another kind.
    """
    if isinstance(credential, kind):
        return credential
    given = f"a credential of kind {credential.kind}" if isinstance(credential, OtherCredential) else _NAMES[type(credential)]
    raise Refused(f"grant {grant} gives {given}, not {_NAMES[kind]}")


def _time(stamp: object) -> datetime:
    seconds, nanos = getattr(stamp, "seconds", 0), getattr(stamp, "nanos", 0)
    return datetime.fromtimestamp(seconds + nanos / 1e9, tz=timezone.utc)
