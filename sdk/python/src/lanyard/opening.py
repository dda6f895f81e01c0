"""The request for a task, and the opened task."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from lanyard._proto.v1 import task_pb2
from lanyard.errors import NoTask


@dataclass(frozen=True)
class Opening:
    """A task before it is open. `reason` and `ticket` are at most 1,000 characters."""

    charter: str
    environment: str
    reason: str
    ticket: str | None = None
    model: str | None = None
    prompt_digest: str | None = None

    def request(self) -> task_pb2.OpenTaskRequest:
        """The request. Sent twice, it opens one task only."""
        version = task_pb2.AgentVersion(model=self.model or "", prompt_digest=self.prompt_digest or "")
        return task_pb2.OpenTaskRequest(
            charter=self.charter,
            environment=self.environment,
            reason=self.reason,
            ticket=self.ticket or "",
            version=version if self.model or self.prompt_digest else None,
            request_id=str(uuid.uuid4()),
        )


@dataclass(frozen=True)
class TaskFacts:
    """An open task of the broker. `expires` is the time at which it ends by itself."""

    id: str
    charter: str
    revision: str
    environment: str
    agent: str
    reason: str
    ticket: str | None
    expires: datetime


def facts_of(task: task_pb2.Task) -> TaskFacts:
    """Reads the broker's answer."""
    return TaskFacts(
        id=task.id,
        charter=task.charter,
        revision=task.revision,
        environment=task.environment,
        agent=task.agent,
        reason=task.reason,
        ticket=task.ticket or None,
        expires=datetime.fromtimestamp(task.expire_time.seconds, tz=timezone.utc),
    )


def current_id(environment: Mapping[str, str] | None = None) -> str:
    """Returns the task that this process was started for.

    Raises NoTask if it was not started by `lanyard exec`.
    """
    given = os.environ if environment is None else environment
    if not given.get("LANYARD_TASK"):
        raise NoTask("no current task: LANYARD_TASK is not set; start this with lanyard exec, or open a task")
    return given["LANYARD_TASK"]
