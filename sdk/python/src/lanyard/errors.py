"""The errors of calls: one class for each reaction that a caller can have.

The text of an error is the broker's own line, complete: it can be shown to a person as it is. No secret is ever in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import grpc
from google.rpc import error_details_pb2, status_pb2

_Self = TypeVar("_Self", bound="LanyardError")


class LanyardError(Exception):
    """The base of all errors of this package.

    `reason` is the broker's reason, such as `CHARTER_DENIED`, or empty if it gave none. `facts` are the details that
    go with it.
    """

    def __init__(self, message: str, *, reason: str = "", facts: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.facts: dict[str, str] = dict(facts or {})

    @property
    def kill_id(self) -> str | None:
        """The id of the kill order that stopped the call."""
        return self.facts.get("kill_id")

    @property
    def approval_id(self) -> str | None:
        """The id of the approval that the error is about."""
        return self.facts.get("approval_id")

    @property
    def plan_id(self) -> str | None:
        """The id of the plan that the error is about."""
        return self.facts.get("plan_id")

    @property
    def decision_id(self) -> str | None:
        """The id of the decision in the journal, which `lanyard explain` explains."""
        return self.facts.get("decision_id")

    def again(self: _Self) -> _Self:
        """Returns a copy of the error, to be raised in another place."""
        return type(self)(str(self), reason=self.reason, facts=self.facts)


class Denied(LanyardError):
    """The charter, the caller's role or an approver denied the call. Asking again does not help."""


class ApprovalPending(LanyardError):
    """People have to approve first. `url` is the page for that, if the broker named one."""

    @property
    def url(self) -> str | None:
        """The page where people decide."""
        return self.facts.get("url")


class Killed(LanyardError):
    """A kill order stopped the call. `kill_id` is the order."""


def killed_within(error: BaseException | None) -> Killed | None:
    """Returns the Killed that this error was raised from, if any: frameworks wrap the errors of their tools."""
    seen: set[int] = set()
    cause = None if error is None else error.__cause__
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, Killed):
            return cause
        seen.add(id(cause))
        cause = cause.__cause__
    return None


class TaskEnded(LanyardError):
    """The task was closed or has expired. Open another one."""


class NotLoggedIn(LanyardError):
    """The caller has no accepted identity, or logged in too long ago."""


class BrokerUnavailable(LanyardError):
    """The broker does not answer, or cannot answer now. A later call may succeed."""


class AgentUnavailable(BrokerUnavailable):
    """The local agent does not run and cannot be started."""


class NotFound(LanyardError):
    """The named object does not exist, or belongs to another identity."""


class Refused(LanyardError):
    """The broker refused for another reason, such as an invalid request."""


class RefusedForNow(Refused):
    """The same request can be allowed later: a pause, a limit, a cool-down or working hours. `retry_after` says when."""

    @property
    def retry_after(self) -> float | None:
        """The seconds until the same request can be allowed; `None` if only people decide that."""
        seconds = self.facts.get("retry_after_seconds", "")
        return float(seconds) if seconds.isdecimal() else None

    @property
    def retry_at(self) -> str | None:
        """The time from which the same request can be allowed, in RFC 3339."""
        return self.facts.get("retry_after")

    @property
    def limit(self) -> str | None:
        """The limit that is reached, by its name in the charter, such as `limits.live_leases`."""
        return self.facts.get("limit")


class NoTask(LanyardError):
    """The process has no current task: `lanyard exec` did not start it."""


_REASONS: dict[str, type[LanyardError]] = {
    "CHARTER_DENIED": Denied,
    "ROLE_DENIED": Denied,
    "APPROVAL_DENIED": Denied,
    "LIMIT_SPENT": Denied,
    "APPROVAL_REQUIRED": ApprovalPending,
    "KILL_ENGAGED": Killed,
    "TASK_ENDED": TaskEnded,
    "PAUSED": RefusedForNow,
    "BREAKER_TRIPPED": RefusedForNow,
    "QUOTA": RefusedForNow,
    "COOLING_DOWN": RefusedForNow,
    "OUT_OF_HOURS": RefusedForNow,
    "FROZEN": RefusedForNow,
    "CHARTER_MOVED": RefusedForNow,
    "REAUTHENTICATE": NotLoggedIn,
}
_CODES: dict[grpc.StatusCode, type[LanyardError]] = {
    grpc.StatusCode.UNAUTHENTICATED: NotLoggedIn,
    grpc.StatusCode.UNAVAILABLE: BrokerUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: BrokerUnavailable,
    grpc.StatusCode.CANCELLED: BrokerUnavailable,
    grpc.StatusCode.NOT_FOUND: NotFound,
}


class Failure(Protocol):
    """The error of a failed call, as both forms of grpc raise it."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Any: ...  # noqa: ANN401 - the type differs between the two forms


def error_of(failure: Failure) -> LanyardError:
    """Returns the error of this package for a failed call."""
    reason, facts = _info(failure)
    kind = _REASONS.get(reason) or _CODES.get(failure.code(), Refused)
    return kind(failure.details() or failure.code().name, reason=reason, facts=facts)


def is_without_answer(failure: Failure) -> bool:
    """Returns true if no server answered the call: every answer has a reason."""
    return failure.code() is grpc.StatusCode.UNAVAILABLE and not _info(failure)[0]


def _info(failure: Failure) -> tuple[str, dict[str, str]]:
    for key, value in failure.trailing_metadata() or ():
        if key != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                return info.reason, dict(info.metadata)
    return "", {}
