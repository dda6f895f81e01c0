import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LeaseState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEASE_STATE_UNSPECIFIED: _ClassVar[LeaseState]
    LEASE_STATE_INTENT: _ClassVar[LeaseState]
    LEASE_STATE_ISSUED: _ClassVar[LeaseState]
    LEASE_STATE_FENCED: _ClassVar[LeaseState]
    LEASE_STATE_REQUESTED: _ClassVar[LeaseState]
    LEASE_STATE_ACKNOWLEDGED: _ClassVar[LeaseState]
    LEASE_STATE_PRESUMED_DEAD: _ClassVar[LeaseState]
    LEASE_STATE_PROVED_DEAD: _ClassVar[LeaseState]
    LEASE_STATE_EXPIRED: _ClassVar[LeaseState]
LEASE_STATE_UNSPECIFIED: LeaseState
LEASE_STATE_INTENT: LeaseState
LEASE_STATE_ISSUED: LeaseState
LEASE_STATE_FENCED: LeaseState
LEASE_STATE_REQUESTED: LeaseState
LEASE_STATE_ACKNOWLEDGED: LeaseState
LEASE_STATE_PRESUMED_DEAD: LeaseState
LEASE_STATE_PROVED_DEAD: LeaseState
LEASE_STATE_EXPIRED: LeaseState

class IssueCredentialRequest(_message.Message):
    __slots__ = ("task_id", "grant", "ttl", "plan_id", "request_id", "validate_only")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    grant: str
    ttl: _duration_pb2.Duration
    plan_id: str
    request_id: str
    validate_only: bool
    def __init__(self, task_id: _Optional[str] = ..., grant: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., plan_id: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class IssueCredentialResponse(_message.Message):
    __slots__ = ("lease_id", "expire_time", "revocability", "credential", "lifetime", "record")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    REVOCABILITY_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    expire_time: _timestamp_pb2.Timestamp
    revocability: Revocability
    credential: Credential
    lifetime: _duration_pb2.Duration
    record: int
    def __init__(self, lease_id: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revocability: _Optional[_Union[Revocability, _Mapping]] = ..., credential: _Optional[_Union[Credential, _Mapping]] = ..., lifetime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., record: _Optional[int] = ...) -> None: ...

class Revocability(_message.Message):
    __slots__ = ("mechanism", "worst_case", "source")
    MECHANISM_FIELD_NUMBER: _ClassVar[int]
    WORST_CASE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    mechanism: str
    worst_case: _duration_pb2.Duration
    source: str
    def __init__(self, mechanism: _Optional[str] = ..., worst_case: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., source: _Optional[str] = ...) -> None: ...

class Credential(_message.Message):
    __slots__ = ("token", "aws", "kubernetes", "vault", "vault_secret", "github", "other")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AWS_FIELD_NUMBER: _ClassVar[int]
    KUBERNETES_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    VAULT_SECRET_FIELD_NUMBER: _ClassVar[int]
    GITHUB_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    token: TokenCredential
    aws: AwsCredential
    kubernetes: KubernetesCredential
    vault: VaultCredential
    vault_secret: VaultSecretCredential
    github: GitHubCredential
    other: OtherCredential
    def __init__(self, token: _Optional[_Union[TokenCredential, _Mapping]] = ..., aws: _Optional[_Union[AwsCredential, _Mapping]] = ..., kubernetes: _Optional[_Union[KubernetesCredential, _Mapping]] = ..., vault: _Optional[_Union[VaultCredential, _Mapping]] = ..., vault_secret: _Optional[_Union[VaultSecretCredential, _Mapping]] = ..., github: _Optional[_Union[GitHubCredential, _Mapping]] = ..., other: _Optional[_Union[OtherCredential, _Mapping]] = ...) -> None: ...

class OtherCredential(_message.Message):
    __slots__ = ("kind", "values", "secrets")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    values: _containers.ScalarMap[str, str]
    secrets: _containers.ScalarMap[str, str]
    def __init__(self, kind: _Optional[str] = ..., values: _Optional[_Mapping[str, str]] = ..., secrets: _Optional[_Mapping[str, str]] = ...) -> None: ...

class TokenCredential(_message.Message):
    __slots__ = ("jwt",)
    JWT_FIELD_NUMBER: _ClassVar[int]
    jwt: str
    def __init__(self, jwt: _Optional[str] = ...) -> None: ...

class AwsCredential(_message.Message):
    __slots__ = ("access_key_id", "secret_access_key", "session_token", "region")
    ACCESS_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_ACCESS_KEY_FIELD_NUMBER: _ClassVar[int]
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    access_key_id: str
    secret_access_key: str
    session_token: str
    region: str
    def __init__(self, access_key_id: _Optional[str] = ..., secret_access_key: _Optional[str] = ..., session_token: _Optional[str] = ..., region: _Optional[str] = ...) -> None: ...

class KubernetesCredential(_message.Message):
    __slots__ = ("server", "certificate_authority", "namespace", "token", "tls_server_name", "proxy_url")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TLS_SERVER_NAME_FIELD_NUMBER: _ClassVar[int]
    PROXY_URL_FIELD_NUMBER: _ClassVar[int]
    server: str
    certificate_authority: str
    namespace: str
    token: str
    tls_server_name: str
    proxy_url: str
    def __init__(self, server: _Optional[str] = ..., certificate_authority: _Optional[str] = ..., namespace: _Optional[str] = ..., token: _Optional[str] = ..., tls_server_name: _Optional[str] = ..., proxy_url: _Optional[str] = ...) -> None: ...

class VaultCredential(_message.Message):
    __slots__ = ("address", "namespace", "certificate_authority", "token")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    address: str
    namespace: str
    certificate_authority: str
    token: str
    def __init__(self, address: _Optional[str] = ..., namespace: _Optional[str] = ..., certificate_authority: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class VaultSecretCredential(_message.Message):
    __slots__ = ("path", "data")
    class DataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PATH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    path: str
    data: _containers.ScalarMap[str, str]
    def __init__(self, path: _Optional[str] = ..., data: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GitHubCredential(_message.Message):
    __slots__ = ("host", "api", "owner", "repositories", "token")
    HOST_FIELD_NUMBER: _ClassVar[int]
    API_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    REPOSITORIES_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    host: str
    api: str
    owner: str
    repositories: _containers.RepeatedScalarFieldContainer[str]
    token: str
    def __init__(self, host: _Optional[str] = ..., api: _Optional[str] = ..., owner: _Optional[str] = ..., repositories: _Optional[_Iterable[str]] = ..., token: _Optional[str] = ...) -> None: ...

class ReleaseLeaseRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ReleaseLeaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListLeasesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "live_only", "environment", "target", "charter", "agent", "task_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LIVE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    live_only: bool
    environment: str
    target: str
    charter: str
    agent: str
    task_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., live_only: bool = ..., environment: _Optional[str] = ..., target: _Optional[str] = ..., charter: _Optional[str] = ..., agent: _Optional[str] = ..., task_id: _Optional[str] = ...) -> None: ...

class GetLeaseRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetLeaseResponse(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ...) -> None: ...

class ListLeasesResponse(_message.Message):
    __slots__ = ("leases", "next_page_token", "unknown_names")
    LEASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_NAMES_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[Lease]
    next_page_token: str
    unknown_names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, leases: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., unknown_names: _Optional[_Iterable[str]] = ...) -> None: ...

class ListHoldersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListHoldersResponse(_message.Message):
    __slots__ = ("holders",)
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    holders: _containers.RepeatedCompositeFieldContainer[Holder]
    def __init__(self, holders: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ...) -> None: ...

class Holder(_message.Message):
    __slots__ = ("agent", "kill_as", "live_leases", "stopping_leases", "tasks", "charters", "environments", "targets", "last_expire_time")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    KILL_AS_FIELD_NUMBER: _ClassVar[int]
    LIVE_LEASES_FIELD_NUMBER: _ClassVar[int]
    STOPPING_LEASES_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    CHARTERS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    LAST_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    agent: str
    kill_as: str
    live_leases: int
    stopping_leases: int
    tasks: int
    charters: _containers.RepeatedScalarFieldContainer[str]
    environments: _containers.RepeatedScalarFieldContainer[str]
    targets: _containers.RepeatedScalarFieldContainer[str]
    last_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, agent: _Optional[str] = ..., kill_as: _Optional[str] = ..., live_leases: _Optional[int] = ..., stopping_leases: _Optional[int] = ..., tasks: _Optional[int] = ..., charters: _Optional[_Iterable[str]] = ..., environments: _Optional[_Iterable[str]] = ..., targets: _Optional[_Iterable[str]] = ..., last_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("id", "task_id", "charter", "grant", "role", "target", "environment", "agent", "state", "expire_time", "kill_id", "request_time", "worst_expire_time", "approval_id", "cause")
    ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    KILL_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TIME_FIELD_NUMBER: _ClassVar[int]
    WORST_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    id: str
    task_id: str
    charter: str
    grant: str
    role: str
    target: str
    environment: str
    agent: str
    state: LeaseState
    expire_time: _timestamp_pb2.Timestamp
    kill_id: str
    request_time: _timestamp_pb2.Timestamp
    worst_expire_time: _timestamp_pb2.Timestamp
    approval_id: str
    cause: str
    def __init__(self, id: _Optional[str] = ..., task_id: _Optional[str] = ..., charter: _Optional[str] = ..., grant: _Optional[str] = ..., role: _Optional[str] = ..., target: _Optional[str] = ..., environment: _Optional[str] = ..., agent: _Optional[str] = ..., state: _Optional[_Union[LeaseState, str]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kill_id: _Optional[str] = ..., request_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., worst_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., approval_id: _Optional[str] = ..., cause: _Optional[str] = ...) -> None: ...
