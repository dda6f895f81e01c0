"""Finds out what stops a task, from the states that the broker sends and from its silence. Does no input or output."""

from __future__ import annotations

import time

from lanyard._proto.v1 import kill_pb2, task_pb2
from lanyard.errors import BrokerUnavailable, Killed, LanyardError, NotFound, TaskEnded

FIRST_SECONDS = 15.0
"""Seconds that the first message may take; each message says within what time the next one comes."""
LIFTED = "everything"
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Returns seconds of a clock that goes on while the machine sleeps, where the system has one."""
    return time.clock_gettime(_CLOCK)


class Lookout:
    """The last state of a task, and the time until which it is good."""

    def __init__(self, task_id: str, now: float) -> None:
        self._task_id = task_id
        self._good_until = now + FIRST_SECONDS
        self._past: frozenset[str] | None = None

    def hear(self, state: task_pb2.WatchTaskResponse, now: float) -> LanyardError | None:
        """Takes a message, and returns what stops the task, if anything does.

        An order that was lifted before the first message is past: the task goes on without what it ended.
        """
        self._good_until = now + state.next_within.seconds + state.next_within.nanos / 1e9
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
        """Returns an error if no message has come for longer than the last one promised."""
        if now <= self._good_until:
            return None
        return BrokerUnavailable(
            f"nothing is known of task {self._task_id}: the broker has not been heard of for "
            f"{now - self._good_until:.0f} s longer than it may be silent"
        )


def is_final(error: LanyardError) -> bool:
    """Tells whether an error of the watch stops the task; other errors may pass."""
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
