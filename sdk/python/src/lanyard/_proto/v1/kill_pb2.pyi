import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from lanyard._proto.v1 import credential_pb2 as _credential_pb2
from lanyard._proto.v1 import decision_pb2 as _decision_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RoleFilter(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_FILTER_UNSPECIFIED: _ClassVar[RoleFilter]
    ROLE_FILTER_BOTH: _ClassVar[RoleFilter]
    ROLE_FILTER_APPLY_ONLY: _ClassVar[RoleFilter]

class RearmStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REARM_STAGE_UNSPECIFIED: _ClassVar[RearmStage]
    REARM_STAGE_PLAN: _ClassVar[RearmStage]
    REARM_STAGE_APPLY: _ClassVar[RearmStage]
ROLE_FILTER_UNSPECIFIED: RoleFilter
ROLE_FILTER_BOTH: RoleFilter
ROLE_FILTER_APPLY_ONLY: RoleFilter
REARM_STAGE_UNSPECIFIED: RearmStage
REARM_STAGE_PLAN: RearmStage
REARM_STAGE_APPLY: RearmStage

class Scope(_message.Message):
    __slots__ = ("all", "environment", "target", "charter", "agent", "task_id", "lease_id")
    ALL_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    all: bool
    environment: str
    target: str
    charter: str
    agent: str
    task_id: str
    lease_id: str
    def __init__(self, all: bool = ..., environment: _Optional[str] = ..., target: _Optional[str] = ..., charter: _Optional[str] = ..., agent: _Optional[str] = ..., task_id: _Optional[str] = ..., lease_id: _Optional[str] = ...) -> None: ...

class EngageKillRequest(_message.Message):
    __slots__ = ("scope", "roles", "reason", "validate_only", "request_id")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    roles: RoleFilter
    reason: str
    validate_only: bool
    request_id: str
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ..., roles: _Optional[_Union[RoleFilter, str]] = ..., reason: _Optional[str] = ..., validate_only: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class EngageKillResponse(_message.Message):
    __slots__ = ("order", "durable", "fenced_in", "live_leases", "unknown_name", "reaches_nothing", "near_names", "identities", "note", "identity_count")
    class LiveLeasesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ORDER_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    FENCED_IN_FIELD_NUMBER: _ClassVar[int]
    LIVE_LEASES_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_NAME_FIELD_NUMBER: _ClassVar[int]
    REACHES_NOTHING_FIELD_NUMBER: _ClassVar[int]
    NEAR_NAMES_FIELD_NUMBER: _ClassVar[int]
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_COUNT_FIELD_NUMBER: _ClassVar[int]
    order: KillOrder
    durable: bool
    fenced_in: _duration_pb2.Duration
    live_leases: _containers.ScalarMap[str, int]
    unknown_name: str
    reaches_nothing: bool
    near_names: _containers.RepeatedScalarFieldContainer[str]
    identities: _containers.RepeatedScalarFieldContainer[str]
    note: str
    identity_count: int
    def __init__(self, order: _Optional[_Union[KillOrder, _Mapping]] = ..., durable: bool = ..., fenced_in: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., live_leases: _Optional[_Mapping[str, int]] = ..., unknown_name: _Optional[str] = ..., reaches_nothing: bool = ..., near_names: _Optional[_Iterable[str]] = ..., identities: _Optional[_Iterable[str]] = ..., note: _Optional[str] = ..., identity_count: _Optional[int] = ...) -> None: ...

class WithdrawKillRequest(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class WithdrawKillResponse(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: KillOrder
    def __init__(self, order: _Optional[_Union[KillOrder, _Mapping]] = ...) -> None: ...

class KillOrder(_message.Message):
    __slots__ = ("id", "scope", "roles", "reason", "engaged_by", "engage_time", "lifted", "evidence", "drill", "reaches_nothing")
    ID_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ENGAGED_BY_FIELD_NUMBER: _ClassVar[int]
    ENGAGE_TIME_FIELD_NUMBER: _ClassVar[int]
    LIFTED_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    DRILL_FIELD_NUMBER: _ClassVar[int]
    REACHES_NOTHING_FIELD_NUMBER: _ClassVar[int]
    id: str
    scope: Scope
    roles: RoleFilter
    reason: str
    engaged_by: str
    engage_time: _timestamp_pb2.Timestamp
    lifted: str
    evidence: _containers.RepeatedScalarFieldContainer[int]
    drill: bool
    reaches_nothing: bool
    def __init__(self, id: _Optional[str] = ..., scope: _Optional[_Union[Scope, _Mapping]] = ..., roles: _Optional[_Union[RoleFilter, str]] = ..., reason: _Optional[str] = ..., engaged_by: _Optional[str] = ..., engage_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lifted: _Optional[str] = ..., evidence: _Optional[_Iterable[int]] = ..., drill: bool = ..., reaches_nothing: bool = ...) -> None: ...

class ListKillOrdersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListKillOrdersResponse(_message.Message):
    __slots__ = ("orders",)
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[KillOrder]
    def __init__(self, orders: _Optional[_Iterable[_Union[KillOrder, _Mapping]]] = ...) -> None: ...

class WatchKillRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class WatchKillResponse(_message.Message):
    __slots__ = ("order", "lines", "unswept", "confirmed", "requested", "acknowledged", "dead", "targets", "total", "taken", "charters")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    UNSWEPT_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    DEAD_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    CHARTERS_FIELD_NUMBER: _ClassVar[int]
    order: KillOrder
    lines: _containers.RepeatedCompositeFieldContainer[KillLine]
    unswept: int
    confirmed: bool
    requested: int
    acknowledged: int
    dead: int
    targets: _containers.RepeatedCompositeFieldContainer[TargetReport]
    total: TargetReport
    taken: bool
    charters: _containers.RepeatedCompositeFieldContainer[StoppedCharter]
    def __init__(self, order: _Optional[_Union[KillOrder, _Mapping]] = ..., lines: _Optional[_Iterable[_Union[KillLine, _Mapping]]] = ..., unswept: _Optional[int] = ..., confirmed: bool = ..., requested: _Optional[int] = ..., acknowledged: _Optional[int] = ..., dead: _Optional[int] = ..., targets: _Optional[_Iterable[_Union[TargetReport, _Mapping]]] = ..., total: _Optional[_Union[TargetReport, _Mapping]] = ..., taken: bool = ..., charters: _Optional[_Iterable[_Union[StoppedCharter, _Mapping]]] = ...) -> None: ...

class StoppedCharter(_message.Message):
    __slots__ = ("charter", "owners")
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    OWNERS_FIELD_NUMBER: _ClassVar[int]
    charter: str
    owners: _decision_pb2.CharterOwners
    def __init__(self, charter: _Optional[str] = ..., owners: _Optional[_Union[_decision_pb2.CharterOwners, _Mapping]] = ...) -> None: ...

class TargetReport(_message.Message):
    __slots__ = ("target", "requested", "acknowledged", "presumed_dead", "proved_dead", "expired", "collateral", "taken_p50", "taken_p99", "dead_p50", "dead_p99", "settles", "fault")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    PRESUMED_DEAD_FIELD_NUMBER: _ClassVar[int]
    PROVED_DEAD_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    COLLATERAL_FIELD_NUMBER: _ClassVar[int]
    TAKEN_P50_FIELD_NUMBER: _ClassVar[int]
    TAKEN_P99_FIELD_NUMBER: _ClassVar[int]
    DEAD_P50_FIELD_NUMBER: _ClassVar[int]
    DEAD_P99_FIELD_NUMBER: _ClassVar[int]
    SETTLES_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    target: str
    requested: int
    acknowledged: int
    presumed_dead: int
    proved_dead: int
    expired: int
    collateral: int
    taken_p50: _duration_pb2.Duration
    taken_p99: _duration_pb2.Duration
    dead_p50: _duration_pb2.Duration
    dead_p99: _duration_pb2.Duration
    settles: _duration_pb2.Duration
    fault: str
    def __init__(self, target: _Optional[str] = ..., requested: _Optional[int] = ..., acknowledged: _Optional[int] = ..., presumed_dead: _Optional[int] = ..., proved_dead: _Optional[int] = ..., expired: _Optional[int] = ..., collateral: _Optional[int] = ..., taken_p50: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., taken_p99: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., dead_p50: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., dead_p99: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., settles: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., fault: _Optional[str] = ...) -> None: ...

class ReadKillReportRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ReadKillReportResponse(_message.Message):
    __slots__ = ("lines",)
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[KillLine]
    def __init__(self, lines: _Optional[_Iterable[_Union[KillLine, _Mapping]]] = ...) -> None: ...

class KillLine(_message.Message):
    __slots__ = ("lease_id", "target", "state", "collateral", "worst_expire_time", "why", "task_id", "charter", "agent", "grant", "role", "take_time", "dead_time")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    COLLATERAL_FIELD_NUMBER: _ClassVar[int]
    WORST_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TAKE_TIME_FIELD_NUMBER: _ClassVar[int]
    DEAD_TIME_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    target: str
    state: _credential_pb2.LeaseState
    collateral: bool
    worst_expire_time: _timestamp_pb2.Timestamp
    why: str
    task_id: str
    charter: str
    agent: str
    grant: str
    role: str
    take_time: _timestamp_pb2.Timestamp
    dead_time: _timestamp_pb2.Timestamp
    def __init__(self, lease_id: _Optional[str] = ..., target: _Optional[str] = ..., state: _Optional[_Union[_credential_pb2.LeaseState, str]] = ..., collateral: bool = ..., worst_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., why: _Optional[str] = ..., task_id: _Optional[str] = ..., charter: _Optional[str] = ..., agent: _Optional[str] = ..., grant: _Optional[str] = ..., role: _Optional[str] = ..., take_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., dead_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class HoldDrillRequest(_message.Message):
    __slots__ = ("targets",)
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, targets: _Optional[_Iterable[str]] = ...) -> None: ...

class HoldDrillResponse(_message.Message):
    __slots__ = ("drills",)
    DRILLS_FIELD_NUMBER: _ClassVar[int]
    drills: _containers.RepeatedCompositeFieldContainer[Drill]
    def __init__(self, drills: _Optional[_Iterable[_Union[Drill, _Mapping]]] = ...) -> None: ...

class ListDrillsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDrillsResponse(_message.Message):
    __slots__ = ("drills",)
    DRILLS_FIELD_NUMBER: _ClassVar[int]
    drills: _containers.RepeatedCompositeFieldContainer[Drill]
    def __init__(self, drills: _Optional[_Iterable[_Union[Drill, _Mapping]]] = ...) -> None: ...

class Drill(_message.Message):
    __slots__ = ("target", "time", "passed", "why", "fenced_in", "taken_in", "dead_in", "lease_id", "kill_id", "last_pass_time", "overdue", "held_up_by")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    FENCED_IN_FIELD_NUMBER: _ClassVar[int]
    TAKEN_IN_FIELD_NUMBER: _ClassVar[int]
    DEAD_IN_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    KILL_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_PASS_TIME_FIELD_NUMBER: _ClassVar[int]
    OVERDUE_FIELD_NUMBER: _ClassVar[int]
    HELD_UP_BY_FIELD_NUMBER: _ClassVar[int]
    target: str
    time: _timestamp_pb2.Timestamp
    passed: bool
    why: str
    fenced_in: _duration_pb2.Duration
    taken_in: _duration_pb2.Duration
    dead_in: _duration_pb2.Duration
    lease_id: str
    kill_id: str
    last_pass_time: _timestamp_pb2.Timestamp
    overdue: bool
    held_up_by: str
    def __init__(self, target: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., passed: bool = ..., why: _Optional[str] = ..., fenced_in: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., taken_in: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., dead_in: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lease_id: _Optional[str] = ..., kill_id: _Optional[str] = ..., last_pass_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., overdue: bool = ..., held_up_by: _Optional[str] = ...) -> None: ...

class ProposeRearmRequest(_message.Message):
    __slots__ = ("kill_id", "stage", "reason", "despite_unconfirmed")
    KILL_ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DESPITE_UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    kill_id: str
    stage: RearmStage
    reason: str
    despite_unconfirmed: bool
    def __init__(self, kill_id: _Optional[str] = ..., stage: _Optional[_Union[RearmStage, str]] = ..., reason: _Optional[str] = ..., despite_unconfirmed: bool = ...) -> None: ...

class ProposeRearmResponse(_message.Message):
    __slots__ = ("rearm_id",)
    REARM_ID_FIELD_NUMBER: _ClassVar[int]
    rearm_id: str
    def __init__(self, rearm_id: _Optional[str] = ...) -> None: ...

class ConfirmRearmRequest(_message.Message):
    __slots__ = ("rearm_id", "despite_unconfirmed")
    REARM_ID_FIELD_NUMBER: _ClassVar[int]
    DESPITE_UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    rearm_id: str
    despite_unconfirmed: str
    def __init__(self, rearm_id: _Optional[str] = ..., despite_unconfirmed: _Optional[str] = ...) -> None: ...

class ConfirmRearmResponse(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: KillOrder
    def __init__(self, order: _Optional[_Union[KillOrder, _Mapping]] = ...) -> None: ...

class ListRearmsRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListRearmsResponse(_message.Message):
    __slots__ = ("rearms",)
    REARMS_FIELD_NUMBER: _ClassVar[int]
    rearms: _containers.RepeatedCompositeFieldContainer[Rearm]
    def __init__(self, rearms: _Optional[_Iterable[_Union[Rearm, _Mapping]]] = ...) -> None: ...

class Rearm(_message.Message):
    __slots__ = ("id", "order", "stage", "proposed_by", "reason", "propose_time", "expire_time", "despite_unconfirmed", "opens", "still_stopped_by", "open_leases", "void")
    ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROPOSE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    DESPITE_UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    OPENS_FIELD_NUMBER: _ClassVar[int]
    STILL_STOPPED_BY_FIELD_NUMBER: _ClassVar[int]
    OPEN_LEASES_FIELD_NUMBER: _ClassVar[int]
    VOID_FIELD_NUMBER: _ClassVar[int]
    id: str
    order: KillOrder
    stage: RearmStage
    proposed_by: str
    reason: str
    propose_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    despite_unconfirmed: bool
    opens: _containers.RepeatedScalarFieldContainer[str]
    still_stopped_by: _containers.RepeatedScalarFieldContainer[str]
    open_leases: int
    void: str
    def __init__(self, id: _Optional[str] = ..., order: _Optional[_Union[KillOrder, _Mapping]] = ..., stage: _Optional[_Union[RearmStage, str]] = ..., proposed_by: _Optional[str] = ..., reason: _Optional[str] = ..., propose_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., despite_unconfirmed: bool = ..., opens: _Optional[_Iterable[str]] = ..., still_stopped_by: _Optional[_Iterable[str]] = ..., open_leases: _Optional[int] = ..., void: _Optional[str] = ...) -> None: ...
