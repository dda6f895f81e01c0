"""Tasks, which are runs of an agent with their credentials, for asyncio."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from lanyard._proto.agent.v1 import agent_pb2
from lanyard._proto.v1 import approval_pb2, task_pb2
from lanyard.action import Outcome, report_of
from lanyard.aio.connection import Connection
from lanyard.aio.grants import AwsGrants, BlockingSource, HttpGrants, KubernetesGrants
from lanyard.aio.watch import Watch
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
from lanyard.connection import Connection as BlockingConnection
from lanyard.credential import Credential, Token, credential_of, expected
from lanyard.errors import LanyardError, NotFound, TaskEnded, killed_within
from lanyard.grants import PlanRef, plan_id
from lanyard.opening import Opening, TaskFacts, current_id, facts_of
from lanyard.plan import POLL_SECONDS, Format, Proposal, Submitted, fields_of, is_approved
from lanyard.secret import Secret
from lanyard.watch import Callback


class Task:
    """An open task that is watched. When a kill order or its end stops it, `stopped` is set and the block is cancelled."""

    def __init__(self, connection: Connection, blocking: BlockingConnection, facts: TaskFacts) -> None:
        self.facts = facts
        self.watch = Watch(connection, facts.id)
        self._connection = connection
        self._blocking = blocking
        self.aws = AwsGrants(BlockingSource(blocking, facts.id, self.watch))
        self.kubernetes = KubernetesGrants(self)
        self.http = HttpGrants(self)

    def __repr__(self) -> str:
        return f"<lanyard.aio.Task {self.id} of {self.facts.charter} in {self.facts.environment}>"

    @property
    def id(self) -> str:
        """The task's id, which is not a secret."""
        return self.facts.id

    @property
    def stopped(self) -> asyncio.Event:
        """The event that is set when another party stops the task."""
        return self.watch.stopped

    def check(self) -> None:
        """Raises the error that stopped the task, if any; makes no call.

        Raises Killed, TaskEnded, or BrokerUnavailable if the broker has been silent about the task for too long.
        """
        self.watch.check()

    def on_stop(self, callback: Callback) -> None:
        """Calls back with the error, in the event loop, when something stops the task."""
        self.watch.on_stop(callback)

    async def credential(self, grant: str, *, plan: PlanRef = None) -> Credential:
        """Returns the credential of a grant from the local agent, which caches it: frequent calls cost little and mint nothing.

        Raises Denied, ApprovalPending, Killed, TaskEnded, Refused, NotLoggedIn or BrokerUnavailable.
        """
        if self.watch.stopped.is_set():
            self.watch.check()
        request = agent_pb2.GetCredentialRequest(task_id=self.id, grant=grant, plan_id=plan_id(plan))
        return credential_of(await self._connection.ask(GET_CREDENTIAL, request))

    async def token(self, grant: str, *, plan: PlanRef = None) -> Secret:
        """Returns the token of a grant.

        Raises as `credential` does, and Refused if the grant gives something else.
        """
        return expected(Token, grant, await self.credential(grant, plan=plan)).token

    async def submit_plan(
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
        answer = await self._connection.send(SUBMIT_PLAN, proposal.messages(self.id))
        return Plan(**fields_of(answer.plan), task=self)

    async def is_approved(self, plan: Submitted) -> bool:
        """Returns true if enough people have approved this plan.

        Raises Denied if an approver denied it.
        """
        if plan.approval_id is None:
            return True
        request = approval_pb2.GetApprovalRequest(id=plan.approval_id)
        return is_approved((await self._connection.ask(GET_APPROVAL, request)).approval)

    async def report(
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
        return (await self._connection.ask(REPORT_ACTION, request)).action_id

    async def release(self) -> list[str]:
        """Releases the task's credentials, keeps the task open, and returns the ids of the leases that ended."""
        request = agent_pb2.ReleaseCredentialsRequest(task_id=self.id)
        return list((await self._connection.ask(RELEASE_CREDENTIALS, request)).lease_ids)

    async def close(self) -> None:
        """Ends the task and all its leases. A task that has ended already is no error.

        Raises BrokerUnavailable.
        """
        await self.watch.close()
        try:
            await self._connection.ask(CLOSE_TASK, task_pb2.CloseTaskRequest(id=self.id))
        except (TaskEnded, NotFound):
            pass
        finally:
            await self._hang_up()

    async def leave(self) -> None:
        """Stops watching; the task and its leases stay as they are."""
        await self.watch.close()
        await self._hang_up()

    async def _hang_up(self) -> None:
        self._blocking.close()
        await self._connection.close()


@dataclass(frozen=True)
class Plan(Submitted):
    """A submitted plan, whose approval can be waited for."""

    task: Task = field(repr=False, compare=False)

    async def wait_for_approval(self, timeout: float | None = None) -> None:
        """Waits until enough people have approved, for at most `timeout` seconds.

        Raises ApprovalPending after that time, with the page where people decide as `url`, and Denied if an approver denied it.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not await self.task.is_approved(self):
            left = POLL_SECONDS if until is None else min(POLL_SECONDS, until - time.monotonic())
            if left <= 0:
                # The broker's error says which approvals are missing, and where to give them.
                await self.task.credential(self.grant, plan=self)
                return
            await asyncio.sleep(left)
            self.task.check()


class TaskBlock:
    """A task for one block of `async with`."""

    def __init__(self, context: str | os.PathLike[str] | None, opening: Opening | None) -> None:
        self._context = context
        self._opening = opening
        self._task: Task | None = None

    async def __aenter__(self) -> Task:
        connection = Connection(self._context)
        try:
            facts = await self._facts(connection)
        except BaseException:
            await connection.close()
            raise
        self._task = Task(connection, BlockingConnection(self._context), facts)
        return self._task

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        task = self._task
        if task is None:
            return
        is_ours = task.watch.let_go(error)
        stopped = task.stopped.is_set()
        try:
            await (task.close() if self._opening else task.leave())
        except LanyardError:
            # An error in the block matters more than a failure to report its end.
            if error is None and not stopped:
                raise
        killed = killed_within(error)
        if killed is not None:
            raise killed.again() from error
        if stopped and (error is None or is_ours):
            try:
                task.check()
            except LanyardError as stop:
                raise stop from None

    async def _facts(self, connection: Connection) -> TaskFacts:
        if self._opening is None:
            return facts_of((await connection.ask(GET_TASK, task_pb2.GetTaskRequest(id=current_id()))).task)
        return facts_of((await connection.ask(OPEN_TASK, self._opening.request())).task)


def task(
    charter: str,
    *,
    environment: str,
    reason: str,
    ticket: str | None = None,
    model: str | None = None,
    prompt_digest: str | None = None,
    context: str | os.PathLike[str] | None = None,
) -> TaskBlock:
    """Opens a task under a charter for one block (`async with`), and closes it at the end.

    When a kill order stops the task, or another party ends it, the block is cancelled and raises Killed or TaskEnded. An error
    that a framework raises from Killed becomes Killed again, with that error as its cause. The parameters and errors are those
    of `lanyard.task`.
    """
    return TaskBlock(context, Opening(charter, environment, reason, ticket, model, prompt_digest))


def current_task() -> TaskBlock:
    """Returns, for one block, the task that `lanyard exec` started this process for. Its owner closes it, not the block.

    The block raises NoTask if the process has no task, NotFound if the task belongs to another identity.
    """
    return TaskBlock(None, None)
