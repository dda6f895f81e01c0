"""AWS: sessions of boto3 whose credentials come from a task."""

from __future__ import annotations

import atexit
import contextlib
import os
from typing import TYPE_CHECKING

from lanyard.errors import LanyardError
from lanyard.grants import PlanRef, Source, with_extra

if TYPE_CHECKING:
    import boto3

    from lanyard.tasks import Task


class AwsGrants:
    """The AWS grants of a task, for boto3."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def session(self, grant: str, *, plan: PlanRef = None, region_name: str | None = None) -> boto3.Session:
        """Makes a session under a grant, in the region of its target unless another one is named.

        Every request is signed with the keys that the local agent has at that time. No other keys are used: not the environment's
        keys, not ~/.aws, not the machine's role. The first credential is requested here.

        Raises as `Task.credential` does, and Refused if the grant gives something else. Requests raise the same later on.
        """

        def make() -> boto3.Session:
            from lanyard._botocore import session_of

            return session_of(self._source, grant, plan, region_name)

        return with_extra("aws", make)


def session(
    charter: str,
    grant: str,
    *,
    environment: str,
    reason: str,
    ticket: str | None = None,
    region_name: str | None = None,
    context: str | os.PathLike[str] | None = None,
) -> boto3.Session:
    """Opens a task for one session of boto3; the task is closed when the process exits.

    Raises as `lanyard.task` and `AwsGrants.session` do.
    """
    from lanyard.tasks import task

    opened = task(charter, environment=environment, reason=reason, ticket=ticket, context=context)
    try:
        made = opened.aws.session(grant, region_name=region_name)
    except BaseException:
        opened.close()
        raise
    atexit.register(_end, opened)
    return made


def _end(opened: Task) -> None:
    """Closes the task when the process exits. A failure cannot be reported then; the task expires."""
    with contextlib.suppress(LanyardError):
        opened.close()
