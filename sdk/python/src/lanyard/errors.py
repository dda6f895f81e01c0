"""The errors of calls, with one class for each thing that a caller can do about them.

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

    `reason` is the broker's word for it, such as `CHARTER_DENIED`; empty where there is none. `facts` are the details that
    go with it.
    """

    def __init__(self, message: str, *, reason: str = "", facts: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.facts: dict[str, str] = dict(facts or {})

    @property
    def kill_id(self) -> str | None:
        """The id of the kill order that stops this."""
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
    """People have to approve first. `url` is where, if the broker says so."""

    @property
    def url(self) -> str | None:
        """The page where people decide."""
        return self.facts.get("url")


class Killed(LanyardError):
    """A kill order stops this. `kill_id` is the order."""


class TaskEnded(LanyardError):
    """The task was closed, or its time is over. Open another one."""


class NotLoggedIn(LanyardError):
    """The caller has no accepted identity, or logged in too long ago."""


class BrokerUnavailable(LanyardError):
    """The broker does not answer, or cannot answer now. Asking again later may help."""


class AgentUnavailable(BrokerUnavailable):
    """The local agent does not run and cannot be started."""


class NotFound(LanyardError):
    """The named thing does not exist, or belongs to somebody else."""


class Refused(LanyardError):
    """The broker refused for another reason: it does not understand the request, or something is in the way."""


class RefusedForNow(Refused):
    """The same request can be allowed later: a pause, a limit, a cool-down, hours. `retry_after` says when."""

    @property
    def retry_after(self) -> float | None:
        """The seconds until the same request can be allowed; `None` where only people can say."""
        seconds = self.facts.get("retry_after_seconds", "")
        return float(seconds) if seconds.isdecimal() else None

    @property
    def retry_at(self) -> str | None:
        """The time from which the same request can be allowed, in the form of RFC 3339."""
        return self.facts.get("retry_after")

    @property
    def limit(self) -> str | None:
        """The limit that is reached, by its name in the charter, such as `limits.live_leases`."""
        return self.facts.get("limit")


class NoTask(LanyardError):
    """There is no current task: this was not started by `lanyard exec`."""


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
    def trailing_metadata(self) -> Any: ...  # noqa: ANN401 - the two forms have different types for it


def error_of(failure: Failure) -> LanyardError:
    """Returns the error of this package that a failed call means."""
    reason, facts = _info(failure)
    kind = _REASONS.get(reason) or _CODES.get(failure.code(), Refused)
    return kind(failure.details() or failure.code().name, reason=reason, facts=facts)


def is_without_answer(failure: Failure) -> bool:
    """Tells whether nobody answered the call, since whoever answers gives a reason."""
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
