import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from lanyard._proto.v1 import kill_pb2 as _kill_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Task(_message.Message):
    __slots__ = ("id", "charter", "revision", "environment", "agent", "reason", "open_time", "expire_time", "closed", "ticket", "version", "parent_task_ids", "in_force_revision", "live_leases")
    ID_FIELD_NUMBER: _ClassVar[int]
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PARENT_TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_REVISION_FIELD_NUMBER: _ClassVar[int]
    LIVE_LEASES_FIELD_NUMBER: _ClassVar[int]
    id: str
    charter: str
    revision: str
    environment: str
    agent: str
    reason: str
    open_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    closed: bool
    ticket: str
    version: AgentVersion
    parent_task_ids: _containers.RepeatedScalarFieldContainer[str]
    in_force_revision: str
    live_leases: int
    def __init__(self, id: _Optional[str] = ..., charter: _Optional[str] = ..., revision: _Optional[str] = ..., environment: _Optional[str] = ..., agent: _Optional[str] = ..., reason: _Optional[str] = ..., open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., closed: bool = ..., ticket: _Optional[str] = ..., version: _Optional[_Union[AgentVersion, _Mapping]] = ..., parent_task_ids: _Optional[_Iterable[str]] = ..., in_force_revision: _Optional[str] = ..., live_leases: _Optional[int] = ...) -> None: ...

class AgentVersion(_message.Message):
    __slots__ = ("model", "prompt_digest")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    model: str
    prompt_digest: str
    def __init__(self, model: _Optional[str] = ..., prompt_digest: _Optional[str] = ...) -> None: ...

class OpenTaskRequest(_message.Message):
    __slots__ = ("charter", "environment", "reason", "request_id", "ticket", "version", "parent_task_id", "delegate")
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PARENT_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DELEGATE_FIELD_NUMBER: _ClassVar[int]
    charter: str
    environment: str
    reason: str
    request_id: str
    ticket: str
    version: AgentVersion
    parent_task_id: str
    delegate: AgentIdentity
    def __init__(self, charter: _Optional[str] = ..., environment: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., ticket: _Optional[str] = ..., version: _Optional[_Union[AgentVersion, _Mapping]] = ..., parent_task_id: _Optional[str] = ..., delegate: _Optional[_Union[AgentIdentity, _Mapping]] = ...) -> None: ...

class AgentIdentity(_message.Message):
    __slots__ = ("issuer", "subject")
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    issuer: str
    subject: str
    def __init__(self, issuer: _Optional[str] = ..., subject: _Optional[str] = ...) -> None: ...

class OpenTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("charter", "environment", "agent", "page_size", "page_token")
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    charter: str
    environment: str
    agent: str
    page_size: int
    page_token: str
    def __init__(self, charter: _Optional[str] = ..., environment: _Optional[str] = ..., agent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks", "next_page_token", "unknown_names")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_NAMES_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[Task]
    next_page_token: str
    unknown_names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tasks: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., unknown_names: _Optional[_Iterable[str]] = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class WatchTaskRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class WatchTaskResponse(_message.Message):
    __slots__ = ("task", "live_lease_ids", "orders", "next_within", "next_record")
    TASK_FIELD_NUMBER: _ClassVar[int]
    LIVE_LEASE_IDS_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_WITHIN_FIELD_NUMBER: _ClassVar[int]
    NEXT_RECORD_FIELD_NUMBER: _ClassVar[int]
    task: Task
    live_lease_ids: _containers.RepeatedScalarFieldContainer[str]
    orders: _containers.RepeatedCompositeFieldContainer[_kill_pb2.KillOrder]
    next_within: _duration_pb2.Duration
    next_record: int
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ..., live_lease_ids: _Optional[_Iterable[str]] = ..., orders: _Optional[_Iterable[_Union[_kill_pb2.KillOrder, _Mapping]]] = ..., next_within: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., next_record: _Optional[int] = ...) -> None: ...

class GetTaskTimelineRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetTaskTimelineResponse(_message.Message):
    __slots__ = ("task", "events", "truncated")
    TASK_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    task: Task
    events: _containers.RepeatedCompositeFieldContainer[TaskEvent]
    truncated: bool
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ..., events: _Optional[_Iterable[_Union[TaskEvent, _Mapping]]] = ..., truncated: bool = ...) -> None: ...

class TaskEvent(_message.Message):
    __slots__ = ("time", "index", "kind", "text")
    TIME_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    index: int
    kind: str
    text: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., index: _Optional[int] = ..., kind: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class CloseTaskRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CloseTaskResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
