import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from lanyard._proto.v1 import decision_pb2 as _decision_pb2
from lanyard._proto.v1 import plan_pb2 as _plan_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Approval(_message.Message):
    __slots__ = ("id", "plan_id", "plan_digest", "task_id", "people_needed", "consents", "denied", "request_time", "complete", "charter", "environment", "agent", "reason", "ticket", "grant", "summary", "risk", "reasons", "groups", "also_groups", "given", "expire_time", "usable_for", "effects", "sensitive_count", "void", "technical_owner", "owners")
    ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PEOPLE_NEEDED_FIELD_NUMBER: _ClassVar[int]
    CONSENTS_FIELD_NUMBER: _ClassVar[int]
    DENIED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    ALSO_GROUPS_FIELD_NUMBER: _ClassVar[int]
    GIVEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    USABLE_FOR_FIELD_NUMBER: _ClassVar[int]
    EFFECTS_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_COUNT_FIELD_NUMBER: _ClassVar[int]
    VOID_FIELD_NUMBER: _ClassVar[int]
    TECHNICAL_OWNER_FIELD_NUMBER: _ClassVar[int]
    OWNERS_FIELD_NUMBER: _ClassVar[int]
    id: str
    plan_id: str
    plan_digest: str
    task_id: str
    people_needed: int
    consents: _containers.RepeatedScalarFieldContainer[str]
    denied: str
    request_time: _timestamp_pb2.Timestamp
    complete: bool
    charter: str
    environment: str
    agent: str
    reason: str
    ticket: str
    grant: str
    summary: str
    risk: _plan_pb2.Risk
    reasons: _containers.RepeatedScalarFieldContainer[str]
    groups: _containers.RepeatedScalarFieldContainer[str]
    also_groups: _containers.RepeatedScalarFieldContainer[str]
    given: _containers.RepeatedCompositeFieldContainer[Consent]
    expire_time: _timestamp_pb2.Timestamp
    usable_for: _duration_pb2.Duration
    effects: _plan_pb2.PlanEffects
    sensitive_count: int
    void: str
    technical_owner: str
    owners: _decision_pb2.CharterOwners
    def __init__(self, id: _Optional[str] = ..., plan_id: _Optional[str] = ..., plan_digest: _Optional[str] = ..., task_id: _Optional[str] = ..., people_needed: _Optional[int] = ..., consents: _Optional[_Iterable[str]] = ..., denied: _Optional[str] = ..., request_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., complete: bool = ..., charter: _Optional[str] = ..., environment: _Optional[str] = ..., agent: _Optional[str] = ..., reason: _Optional[str] = ..., ticket: _Optional[str] = ..., grant: _Optional[str] = ..., summary: _Optional[str] = ..., risk: _Optional[_Union[_plan_pb2.Risk, str]] = ..., reasons: _Optional[_Iterable[str]] = ..., groups: _Optional[_Iterable[str]] = ..., also_groups: _Optional[_Iterable[str]] = ..., given: _Optional[_Iterable[_Union[Consent, _Mapping]]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., usable_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., effects: _Optional[_Union[_plan_pb2.PlanEffects, _Mapping]] = ..., sensitive_count: _Optional[int] = ..., void: _Optional[str] = ..., technical_owner: _Optional[str] = ..., owners: _Optional[_Union[_decision_pb2.CharterOwners, _Mapping]] = ...) -> None: ...

class Consent(_message.Message):
    __slots__ = ("person", "comment", "time")
    PERSON_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    person: str
    comment: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, person: _Optional[str] = ..., comment: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WithdrawRequest(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class WithdrawResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ...) -> None: ...

class WatchApprovalsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchApprovalsResponse(_message.Message):
    __slots__ = ("approvals",)
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    def __init__(self, approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ...) -> None: ...

class ListApprovalsRequest(_message.Message):
    __slots__ = ("waiting_only",)
    WAITING_ONLY_FIELD_NUMBER: _ClassVar[int]
    waiting_only: bool
    def __init__(self, waiting_only: bool = ...) -> None: ...

class ListApprovalsResponse(_message.Message):
    __slots__ = ("approvals",)
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    def __init__(self, approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ...) -> None: ...

class GetApprovalRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetApprovalResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ...) -> None: ...

class ApproveRequest(_message.Message):
    __slots__ = ("id", "plan_digest", "comment", "acknowledged_sensitive")
    ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_SENSITIVE_FIELD_NUMBER: _ClassVar[int]
    id: str
    plan_digest: str
    comment: str
    acknowledged_sensitive: int
    def __init__(self, id: _Optional[str] = ..., plan_digest: _Optional[str] = ..., comment: _Optional[str] = ..., acknowledged_sensitive: _Optional[int] = ...) -> None: ...

class ApproveResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ...) -> None: ...

class DenyRequest(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DenyResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ...) -> None: ...
