from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ActionOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTION_OUTCOME_UNSPECIFIED: _ClassVar[ActionOutcome]
    ACTION_OUTCOME_STARTED: _ClassVar[ActionOutcome]
    ACTION_OUTCOME_SUCCEEDED: _ClassVar[ActionOutcome]
    ACTION_OUTCOME_FAILED: _ClassVar[ActionOutcome]
    ACTION_OUTCOME_ROLLED_BACK: _ClassVar[ActionOutcome]
ACTION_OUTCOME_UNSPECIFIED: ActionOutcome
ACTION_OUTCOME_STARTED: ActionOutcome
ACTION_OUTCOME_SUCCEEDED: ActionOutcome
ACTION_OUTCOME_FAILED: ActionOutcome
ACTION_OUTCOME_ROLLED_BACK: ActionOutcome

class ReportActionRequest(_message.Message):
    __slots__ = ("task_id", "lease_id", "tool", "action", "target", "outcome", "detail", "action_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ACTION_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    lease_id: str
    tool: str
    action: str
    target: str
    outcome: ActionOutcome
    detail: str
    action_id: str
    def __init__(self, task_id: _Optional[str] = ..., lease_id: _Optional[str] = ..., tool: _Optional[str] = ..., action: _Optional[str] = ..., target: _Optional[str] = ..., outcome: _Optional[_Union[ActionOutcome, str]] = ..., detail: _Optional[str] = ..., action_id: _Optional[str] = ...) -> None: ...

class ReportActionResponse(_message.Message):
    __slots__ = ("action_id",)
    ACTION_ID_FIELD_NUMBER: _ClassVar[int]
    action_id: str
    def __init__(self, action_id: _Optional[str] = ...) -> None: ...
