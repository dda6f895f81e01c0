"""Tasks, which are runs of an agent with their credentials, for code that blocks; `lanyard.aio` has the other form."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from lanyard._proto.agent.v1 import agent_pb2
from lanyard._proto.v1 import approval_pb2, task_pb2
from lanyard.action import Outcome, report_of
from lanyard.aws import AwsGrants
from lanyard.calls import (
    CLOSE_TASK,
    GET_APPROVAL,
    GET_CREDENTIAL,
    GET_TASK,
    OPEN_TASK,
    RELEASE_CREDENTIALS,
    REPORT_ACTION,
    SUBMIT_PLAN,
)
from lanyard.connection import Connection
from lanyard.credential import Credential, Token, credential_of, expected
from lanyard.errors import LanyardError, NotFound, TaskEnded, killed_within
from lanyard.grants import PlanRef, plan_id
from lanyard.http import HttpGrants
from lanyard.kubernetes import KubernetesGrants
from lanyard.opening import Opening, TaskFacts, current_id, facts_of
from lanyard.plan import POLL_SECONDS, Format, Proposal, Submitted, fields_of, is_approved
from lanyard.secret import Secret
from lanyard.watch import Callback, Watch

if TYPE_CHECKING:
    from typing_extensions import Self


class Task:
    """An open task that is watched. When a kill order or its end stops it, `stopped` is set.

    As a context manager it closes the task at the end of the block, if this process opened the task. A block that ends without
    an error although the task was stopped raises that stop; one that fails with an error raised from Killed raises Killed.
    """

    def __init__(self, connection: Connection, facts: TaskFacts, *, closes: bool) -> None:
        self.facts = facts
        self._connection = connection
        self._closes = closes
        self._watch = Watch(connection, facts.id)
        self._left = False
        self.aws = AwsGrants(self)
        self.kubernetes = KubernetesGrants(self)
        self.http = HttpGrants(self)

    def __repr__(self) -> str:
        return f"<lanyard.Task {self.id} of {self.facts.charter} in {self.facts.environment}>"

    @property
    def id(self) -> str:
        """The task's id, which is not a secret."""
        return self.facts.id

    @property
    def stopped(self) -> threading.Event:
        """The event that is set when another party stops the task. Waiting for it makes no calls."""
        return self._watch.stopped

    def check(self) -> None:
        """Raises the error that stopped the task, if any; makes no call. Use it between the steps of long work.

        Raises Killed, TaskEnded, or BrokerUnavailable if the broker has been silent about the task for too long.
        """
        self._watch.check()

    def on_stop(self, callback: Callback) -> None:
        """Calls back with the error, in a thread of its own, when something stops the task."""
        self._watch.on_stop(callback)

    def credential(self, grant: str, *, plan: PlanRef = None) -> Credential:
        """Returns the credential of a grant from the local agent, which caches it: frequent calls cost little and mint nothing.

        Raises Denied, ApprovalPending, Killed, TaskEnded, Refused, NotLoggedIn or BrokerUnavailable.
        """
        if self._watch.stopped.is_set():
            self._watch.check()
        request = agent_pb2.GetCredentialRequest(task_id=self.id, grant=grant, plan_id=plan_id(plan))
        return credential_of(self._connection.ask(GET_CREDENTIAL, request))

    def token(self, grant: str, *, plan: PlanRef = None) -> Secret:
        """Returns the token of a grant.

        Raises as `credential` does, and Refused if the grant gives something else.
        """
        return expected(Token, grant, self.credential(grant, plan=plan)).token

    def submit_plan(
        self,
        grant: str,
        *,
        content: bytes | str,
        summary: str,
        format: Format = "auto",  # noqa: A002 - the word of the charter language
        destructive: Sequence[str] = (),
    ) -> Plan:
        """Submits a plan for an apply grant, for people to approve.

        Raises Denied if the grant would be denied with this plan, ValueError for an unknown format.
        """
        data = content.encode() if isinstance(content, str) else content
        proposal = Proposal(grant, data, format, summary, tuple(destructive))
        answer = self._connection.send(SUBMIT_PLAN, proposal.messages(self.id))
        return Plan(**fields_of(answer.plan), task=self)

    def is_approved(self, plan: Submitted) -> bool:
        """Returns true if enough people have approved this plan.

        Raises Denied if an approver denied it.
        """
        if plan.approval_id is None:
            return True
        request = approval_pb2.GetApprovalRequest(id=plan.approval_id)
        return is_approved(self._connection.ask(GET_APPROVAL, request).approval)

    def report(
        self,
        action: str,
        *,
        tool: str,
        target: str,
        outcome: Outcome = "succeeded",
        detail: str = "",
        of: str = "",
    ) -> str:
        """Reports an action to the journal, and returns the action's id.

        `of` is the action that this one ends, if that was reported as `started`. Put no secret into a report.
        """
        request = report_of(self.id, action, tool, target, outcome, detail, of)
        return self._connection.ask(REPORT_ACTION, request).action_id

    def release(self) -> list[str]:
        """Releases the task's credentials, keeps the task open, and returns the ids of the leases that ended."""
        request = agent_pb2.ReleaseCredentialsRequest(task_id=self.id)
        return list(self._connection.ask(RELEASE_CREDENTIALS, request).lease_ids)

    def close(self) -> None:
        """Ends the task and all its leases. A task that has ended already is no error.

        Raises BrokerUnavailable.
        """
        self._watch.close()
        try:
            self._connection.ask(CLOSE_TASK, task_pb2.CloseTaskRequest(id=self.id))
        except (TaskEnded, NotFound):
            pass
        finally:
            self._connection.close()

    def leave(self) -> None:
        """Stops watching; the task and its leases stay as they are."""
        self._watch.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        stopped = self._watch.stopped.is_set()
        try:
            if self._closes:
                self.close()
            else:
                self.leave()
        except LanyardError:
            # An error in the block matters more than a failure to report its end.
            if error is None and not stopped:
                raise
        killed = killed_within(error)
        if killed is not None:
            raise killed.again() from error
        if error is None and stopped:
            self._watch.check()


@dataclass(frozen=True)
class Plan(Submitted):
    """A submitted plan, whose approval can be waited for."""

    task: Task = field(repr=False, compare=False)

    def wait_for_approval(self, timeout: float | None = None) -> None:
        """Waits until enough people have approved, for at most `timeout` seconds.

        Raises ApprovalPending after that time, with the page where people decide as `url`; Denied if an approver denied it; and
        Killed or TaskEnded when the task is stopped.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not self.task.is_approved(self):
            left = POLL_SECONDS if until is None else min(POLL_SECONDS, until - time.monotonic())
            if left <= 0:
                # The broker's error says which approvals are missing, and where to give them.
                self.task.credential(self.grant, plan=self)
                return
            self.task.stopped.wait(left)
            self.task.check()


def task(
    charter: str,
    *,
    environment: str,
    reason: str,
    ticket: str | None = None,
    model: str | None = None,
    prompt_digest: str | None = None,
    context: str | os.PathLike[str] | None = None,
) -> Task:
    """Opens a task under a charter.

    `context` is a file or a name; without it, LANYARD_CONTEXT or the user's current context is used. `model` and
    `prompt_digest` name the build of the agent, if the charter requires that.

    Raises Denied, Killed, NotLoggedIn, Refused or BrokerUnavailable.
    """
    opening = Opening(charter, environment, reason, ticket, model, prompt_digest)
    connection = Connection(context)
    answer = connection.ask(OPEN_TASK, opening.request())
    return Task(connection, facts_of(answer.task), closes=True)


def current_task() -> Task:
    """Returns the task that `lanyard exec` started this process for. The block does not close it; its owner does.

    Raises NoTask if the process has no task, NotFound if the task belongs to another identity.
    """
    connection = Connection()
    answer = connection.ask(GET_TASK, task_pb2.GetTaskRequest(id=current_id()))
    return Task(connection, facts_of(answer.task), closes=False)
