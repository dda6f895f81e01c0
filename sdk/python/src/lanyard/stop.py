"""Decides what stops a task, from the broker's messages and from its silence. Does no IO."""

from __future__ import annotations

import time

from lanyard._proto.v1 import kill_pb2, task_pb2
from lanyard.errors import BrokerUnavailable, Killed, LanyardError, NotFound, TaskEnded

FIRST_SECONDS = 15.0
"""Seconds within which the first message must arrive. Each message announces when the next one is due."""
BEGIN_SECONDS = 5.0
"""Seconds after which a silent stream is cancelled, and a new one begun."""
LIFTED = "everything"
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Returns the seconds of a clock that counts the machine's sleep, if the system has one."""
    return time.clock_gettime(_CLOCK)


class Lookout:
    """The last known state of a task, and the time until which it counts."""

    def __init__(self, task_id: str, now: float) -> None:
        self._task_id = task_id
        self._good_until = now + FIRST_SECONDS
        self._past: frozenset[str] | None = None

    def hear(self, state: task_pb2.WatchTaskResponse, now: float) -> LanyardError | None:
        """Processes a message, and returns the error that stops the task, if any.

        An order that was lifted before the first message does not count: the task goes on without the leases that it ended.
        """
        self._good_until = now + _promised_seconds(state)
        if self._past is None:
            self._past = frozenset(order.id for order in state.orders if order.lifted == LIFTED)
        for order in state.orders:
            if order.id not in self._past:
                return _killed(order)
        return self.ended() if state.task.closed else None

    def ended(self) -> LanyardError:
        """Returns the error of a task that has ended."""
        return TaskEnded(f"task {self._task_id} has ended", reason="TASK_ENDED")

    def silence(self, now: float) -> LanyardError | None:
        """Returns an error if the next message is later than the last one announced."""
        if now <= self._good_until:
            return None
        return BrokerUnavailable(
            f"no current state of task {self._task_id} is known: the broker has been silent for "
            f"{now - self._good_until:.0f} s longer than allowed"
        )


def seconds_until_next(state: task_pb2.WatchTaskResponse) -> float:
    """Returns the seconds after which the stream is cancelled if no message follows this one."""
    return max(BEGIN_SECONDS, _promised_seconds(state))


def _promised_seconds(state: task_pb2.WatchTaskResponse) -> float:
    return state.next_within.seconds + state.next_within.nanos / 1e9


def is_final(error: LanyardError) -> bool:
    """Returns true if an error of the watch stops the task; other errors are retried."""
    return isinstance(error, Killed | TaskEnded | NotFound)


def _killed(order: kill_pb2.KillOrder) -> Killed:
    kind = order.scope.WhichOneof("kind")
    where = "everything" if kind in (None, "all") else f"{_WORDS[kind]} {getattr(order.scope, kind)}"
    why = order.reason.encode("unicode_escape").decode("ascii") if not order.reason.isprintable() else order.reason
    message = f"stopped by kill order {order.id} over {where}: {why}"
    return Killed(message, reason="KILL_ENGAGED", facts={"kill_id": order.id})


_WORDS = {
    "environment": "environment",
    "target": "target",
    "charter": "charter",
    "agent": "agent",
    "task_id": "task",
    "lease_id": "lease",
}
