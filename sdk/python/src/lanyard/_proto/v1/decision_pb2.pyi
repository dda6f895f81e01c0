import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetDecisionRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetDecisionResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    def __init__(self, decision: _Optional[_Union[Decision, _Mapping]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("id", "time", "index", "outcome", "reason_code", "agent", "identity", "task_id", "environment", "charter", "revision", "grant", "role", "target", "rule", "line", "path", "message", "next", "limit", "limit_value", "retry_after", "lease_id", "expire_time", "plan_id", "approval_id", "people_needed", "approvers", "approved_by", "owners", "held_by")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_CODE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_VALUE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    PEOPLE_NEEDED_FIELD_NUMBER: _ClassVar[int]
    APPROVERS_FIELD_NUMBER: _ClassVar[int]
    APPROVED_BY_FIELD_NUMBER: _ClassVar[int]
    OWNERS_FIELD_NUMBER: _ClassVar[int]
    HELD_BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    time: _timestamp_pb2.Timestamp
    index: int
    outcome: str
    reason_code: str
    agent: str
    identity: str
    task_id: str
    environment: str
    charter: str
    revision: str
    grant: str
    role: str
    target: str
    rule: str
    line: int
    path: str
    message: str
    next: str
    limit: str
    limit_value: str
    retry_after: _timestamp_pb2.Timestamp
    lease_id: str
    expire_time: _timestamp_pb2.Timestamp
    plan_id: str
    approval_id: str
    people_needed: int
    approvers: _containers.RepeatedScalarFieldContainer[str]
    approved_by: int
    owners: CharterOwners
    held_by: str
    def __init__(self, id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., index: _Optional[int] = ..., outcome: _Optional[str] = ..., reason_code: _Optional[str] = ..., agent: _Optional[str] = ..., identity: _Optional[str] = ..., task_id: _Optional[str] = ..., environment: _Optional[str] = ..., charter: _Optional[str] = ..., revision: _Optional[str] = ..., grant: _Optional[str] = ..., role: _Optional[str] = ..., target: _Optional[str] = ..., rule: _Optional[str] = ..., line: _Optional[int] = ..., path: _Optional[str] = ..., message: _Optional[str] = ..., next: _Optional[str] = ..., limit: _Optional[str] = ..., limit_value: _Optional[str] = ..., retry_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lease_id: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., plan_id: _Optional[str] = ..., approval_id: _Optional[str] = ..., people_needed: _Optional[int] = ..., approvers: _Optional[_Iterable[str]] = ..., approved_by: _Optional[int] = ..., owners: _Optional[_Union[CharterOwners, _Mapping]] = ..., held_by: _Optional[str] = ...) -> None: ...

class CharterOwners(_message.Message):
    __slots__ = ("business", "technical", "security")
    BUSINESS_FIELD_NUMBER: _ClassVar[int]
    TECHNICAL_FIELD_NUMBER: _ClassVar[int]
    SECURITY_FIELD_NUMBER: _ClassVar[int]
    business: str
    technical: str
    security: str
    def __init__(self, business: _Optional[str] = ..., technical: _Optional[str] = ..., security: _Optional[str] = ...) -> None: ...
