import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PlanFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLAN_FORMAT_UNSPECIFIED: _ClassVar[PlanFormat]
    PLAN_FORMAT_TERRAFORM_JSON: _ClassVar[PlanFormat]
    PLAN_FORMAT_MANIFEST_DIFF: _ClassVar[PlanFormat]
    PLAN_FORMAT_TEXT: _ClassVar[PlanFormat]
    PLAN_FORMAT_MANIFESTS: _ClassVar[PlanFormat]

class Risk(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RISK_UNSPECIFIED: _ClassVar[Risk]
    RISK_LOW: _ClassVar[Risk]
    RISK_MEDIUM: _ClassVar[Risk]
    RISK_HIGH: _ClassVar[Risk]

class PlanState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLAN_STATE_UNSPECIFIED: _ClassVar[PlanState]
    PLAN_STATE_NO_APPROVAL_NEEDED: _ClassVar[PlanState]
    PLAN_STATE_WAITING: _ClassVar[PlanState]
    PLAN_STATE_APPROVED: _ClassVar[PlanState]
    PLAN_STATE_DENIED: _ClassVar[PlanState]
    PLAN_STATE_VOID: _ClassVar[PlanState]
PLAN_FORMAT_UNSPECIFIED: PlanFormat
PLAN_FORMAT_TERRAFORM_JSON: PlanFormat
PLAN_FORMAT_MANIFEST_DIFF: PlanFormat
PLAN_FORMAT_TEXT: PlanFormat
PLAN_FORMAT_MANIFESTS: PlanFormat
RISK_UNSPECIFIED: Risk
RISK_LOW: Risk
RISK_MEDIUM: Risk
RISK_HIGH: Risk
PLAN_STATE_UNSPECIFIED: PlanState
PLAN_STATE_NO_APPROVAL_NEEDED: PlanState
PLAN_STATE_WAITING: PlanState
PLAN_STATE_APPROVED: PlanState
PLAN_STATE_DENIED: PlanState
PLAN_STATE_VOID: PlanState

class PlanEffects(_message.Message):
    __slots__ = ("created", "updated", "replaced", "destroyed", "forgotten", "imported", "moved")
    CREATED_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    DESTROYED_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    IMPORTED_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    created: int
    updated: int
    replaced: int
    destroyed: int
    forgotten: int
    imported: int
    moved: int
    def __init__(self, created: _Optional[int] = ..., updated: _Optional[int] = ..., replaced: _Optional[int] = ..., destroyed: _Optional[int] = ..., forgotten: _Optional[int] = ..., imported: _Optional[int] = ..., moved: _Optional[int] = ...) -> None: ...

class SubmitPlanRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: PlanHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[PlanHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class PlanHeader(_message.Message):
    __slots__ = ("task_id", "grant", "format", "summary", "destructive")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    DESTRUCTIVE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    grant: str
    format: PlanFormat
    summary: str
    destructive: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task_id: _Optional[str] = ..., grant: _Optional[str] = ..., format: _Optional[_Union[PlanFormat, str]] = ..., summary: _Optional[str] = ..., destructive: _Optional[_Iterable[str]] = ...) -> None: ...

class SubmitPlanResponse(_message.Message):
    __slots__ = ("plan",)
    PLAN_FIELD_NUMBER: _ClassVar[int]
    plan: Plan
    def __init__(self, plan: _Optional[_Union[Plan, _Mapping]] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("id", "task_id", "grant", "format", "digest", "size", "summary", "submit_time", "approval_id", "effects", "risk", "reasons", "warnings", "reach", "destructive", "sensitive_count", "sensitive", "beyond", "gives", "withholds", "lacks")
    ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_TIME_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    EFFECTS_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    REACH_FIELD_NUMBER: _ClassVar[int]
    DESTRUCTIVE_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_FIELD_NUMBER: _ClassVar[int]
    BEYOND_FIELD_NUMBER: _ClassVar[int]
    GIVES_FIELD_NUMBER: _ClassVar[int]
    WITHHOLDS_FIELD_NUMBER: _ClassVar[int]
    LACKS_FIELD_NUMBER: _ClassVar[int]
    id: str
    task_id: str
    grant: str
    format: PlanFormat
    digest: str
    size: int
    summary: str
    submit_time: _timestamp_pb2.Timestamp
    approval_id: str
    effects: PlanEffects
    risk: Risk
    reasons: _containers.RepeatedScalarFieldContainer[str]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    reach: _containers.RepeatedScalarFieldContainer[str]
    destructive: _containers.RepeatedScalarFieldContainer[str]
    sensitive_count: int
    sensitive: _containers.RepeatedScalarFieldContainer[str]
    beyond: str
    gives: _containers.RepeatedScalarFieldContainer[str]
    withholds: _containers.RepeatedScalarFieldContainer[str]
    lacks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., task_id: _Optional[str] = ..., grant: _Optional[str] = ..., format: _Optional[_Union[PlanFormat, str]] = ..., digest: _Optional[str] = ..., size: _Optional[int] = ..., summary: _Optional[str] = ..., submit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., approval_id: _Optional[str] = ..., effects: _Optional[_Union[PlanEffects, _Mapping]] = ..., risk: _Optional[_Union[Risk, str]] = ..., reasons: _Optional[_Iterable[str]] = ..., warnings: _Optional[_Iterable[str]] = ..., reach: _Optional[_Iterable[str]] = ..., destructive: _Optional[_Iterable[str]] = ..., sensitive_count: _Optional[int] = ..., sensitive: _Optional[_Iterable[str]] = ..., beyond: _Optional[str] = ..., gives: _Optional[_Iterable[str]] = ..., withholds: _Optional[_Iterable[str]] = ..., lacks: _Optional[_Iterable[str]] = ...) -> None: ...

class ListPlansRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "task_id", "charter", "environment")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    task_id: str
    charter: str
    environment: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., task_id: _Optional[str] = ..., charter: _Optional[str] = ..., environment: _Optional[str] = ...) -> None: ...

class ListPlansResponse(_message.Message):
    __slots__ = ("plans", "next_page_token")
    PLANS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    plans: _containers.RepeatedCompositeFieldContainer[ListedPlan]
    next_page_token: str
    def __init__(self, plans: _Optional[_Iterable[_Union[ListedPlan, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListedPlan(_message.Message):
    __slots__ = ("id", "task_id", "charter", "environment", "agent", "grant", "summary", "risk", "submit_time", "approval_id", "state", "people_given", "people_needed")
    ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_TIME_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PEOPLE_GIVEN_FIELD_NUMBER: _ClassVar[int]
    PEOPLE_NEEDED_FIELD_NUMBER: _ClassVar[int]
    id: str
    task_id: str
    charter: str
    environment: str
    agent: str
    grant: str
    summary: str
    risk: Risk
    submit_time: _timestamp_pb2.Timestamp
    approval_id: str
    state: PlanState
    people_given: int
    people_needed: int
    def __init__(self, id: _Optional[str] = ..., task_id: _Optional[str] = ..., charter: _Optional[str] = ..., environment: _Optional[str] = ..., agent: _Optional[str] = ..., grant: _Optional[str] = ..., summary: _Optional[str] = ..., risk: _Optional[_Union[Risk, str]] = ..., submit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., approval_id: _Optional[str] = ..., state: _Optional[_Union[PlanState, str]] = ..., people_given: _Optional[int] = ..., people_needed: _Optional[int] = ...) -> None: ...

class ReadPlanRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ReadPlanResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    def __init__(self, chunk: _Optional[bytes] = ...) -> None: ...

class GetPlanRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetPlanResponse(_message.Message):
    __slots__ = ("plan", "content")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    plan: Plan
    content: str
    def __init__(self, plan: _Optional[_Union[Plan, _Mapping]] = ..., content: _Optional[str] = ...) -> None: ...
