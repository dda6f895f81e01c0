"""The state of the fake local agent: tasks, scripted grants, approvals, and calls."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from lanyard._proto.v1 import credential_pb2, kill_pb2


@dataclass(frozen=True)
class Refusal(Exception):
    """A refusal: gRPC code, text for people, reason, and details."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    facts: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeTask:
    """An opened task, with its state."""

    id: str
    charter: str
    environment: str
    reason: str
    ticket: str
    closed: bool = False
    orders: list[kill_pb2.KillOrder] = field(default_factory=list)
    leases: dict[str, FakeLease] = field(default_factory=dict)


@dataclass
class FakeLease:
    """A cached credential. `expires` and `refreshes` are seconds since the epoch."""

    id: str
    credential: credential_pb2.Credential
    expires: float
    refreshes: float


@dataclass
class FakeApproval:
    """A request for approval. `denied` is the reason of the person who denied it."""

    id: str
    plan_id: str
    task_id: str
    grant: str
    people: int
    consents: list[str] = field(default_factory=list)
    denied: str = ""

    @property
    def complete(self) -> bool:
        """Returns true if enough people have approved."""
        return not self.denied and len(self.consents) >= self.people


@dataclass
class Rule:
    """What a grant issues, or its refusal. `mint` makes the nth credential."""

    mint: Callable[[int], credential_pb2.Credential] | None = None
    lifetime: float = 300.0
    refusal: Refusal | None = None
    people: int = 0
    url: str = ""


@dataclass(frozen=True)
class Report:
    """A reported action, as the journal would have it."""

    id: str
    task_id: str
    tool: str
    action: str
    target: str
    outcome: str
    detail: str


@dataclass
class Books:
    """The whole state of the fake agent, under one lock that is notified of changes."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    tasks: dict[str, FakeTask] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    approvals: dict[str, FakeApproval] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    mints: list[tuple[str, str]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    requests: dict[str, str] = field(default_factory=dict)
    contexts: list[str] = field(default_factory=list)
    opening: Refusal | None = None
    outage: Refusal | None = None
    over: bool = False
    count: int = 0

    def next_id(self, kind: str) -> str:
        """Makes another id in the broker's form."""
        self.count += 1
        return f"{kind}-{self.count:026d}"

    def task(self, task_id: str) -> FakeTask:
        """Returns the task.

        Raises Refusal if there is none.
        """
        found = self.tasks.get(task_id)
        if found is None:
            raise not_found("task")
        return found

    def approval_of(self, plan_id: str) -> FakeApproval | None:
        """Returns the approval that a plan waits for."""
        return next((one for one in self.approvals.values() if one.plan_id == plan_id), None)


def not_found(what: str) -> Refusal:
    """Returns the refusal for an object that does not exist or belongs to another identity."""
    return Refusal(grpc.StatusCode.NOT_FOUND, f"there is no such {what}", "NOT_FOUND")
