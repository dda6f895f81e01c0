from __future__ import annotations

import hashlib
import threading

import pytest

import lanyard
from lanyard.testing import FakeAgent


@pytest.fixture
def agent(lanyard_agent: FakeAgent) -> FakeAgent:
    lanyard_agent.give_token("move-tickets")
    lanyard_agent.require_approval("move-tickets", people=2, url="https://lanyard.acme.example/{approval}")
    return lanyard_agent


def opened() -> lanyard.Task:
    return lanyard.task("ticket-router", environment="production", reason="ticket 12")


def submitted(task: lanyard.Task, content: bytes | str = b"move ticket 12") -> lanyard.Plan:
    return task.submit_plan("move-tickets", content=content, summary="move ticket 12", destructive=["ticket.close"])


def test_the_exact_bytes_are_submitted(agent: FakeAgent) -> None:
    content = bytes(range(256)) * 400
    with opened() as task:
        plan = submitted(task, content)
        assert agent.content(plan) == content
        assert plan.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert (plan.grant, plan.summary, plan.risk) == ("move-tickets", "move ticket 12", "high")
        assert agent.content(submitted(task, "über")) == "über".encode()


def test_an_apply_waits_for_people(agent: FakeAgent) -> None:
    with opened() as task:
        plan = submitted(task)
        with pytest.raises(lanyard.ApprovalPending) as raised:
            task.token("move-tickets", plan=plan)
        assert raised.value.plan_id == plan.id
        assert raised.value.url == f"https://lanyard.acme.example/{plan.approval_id}"
        waiter = threading.Thread(target=plan.wait_for_approval, args=(30,))
        waiter.start()
        agent.approve(plan)
        waiter.join(10)
        assert not waiter.is_alive()
        assert task.token("move-tickets", plan=plan).expose() == task.token("move-tickets", plan=plan.id).expose()


def test_a_wait_that_is_too_long_says_where_people_decide(agent: FakeAgent) -> None:
    with opened() as task:
        plan = submitted(task)
        agent.approve(plan, people=1)
        with pytest.raises(lanyard.ApprovalPending) as raised:
            plan.wait_for_approval(timeout=0)
        line = f"approval {plan.approval_id} of plan {plan.id} is needed first: 1 of 2 approvals given"
        assert str(raised.value) == line
        assert raised.value.url == f"https://lanyard.acme.example/{plan.approval_id}"


def test_a_no_ends_the_wait(agent: FakeAgent) -> None:
    with opened() as task:
        plan = submitted(task)
        agent.reject(plan, "not on a Friday")
        with pytest.raises(lanyard.Denied, match=rf"^approval {plan.approval_id}: denied: not on a Friday$"):
            plan.wait_for_approval()
        with pytest.raises(lanyard.Denied, match="not on a Friday"):
            task.token("move-tickets", plan=plan)


def test_a_kill_ends_the_wait(agent: FakeAgent) -> None:
    with pytest.raises(lanyard.Killed), opened() as task:
        plan = submitted(task)
        agent.kill(task.id)
        plan.wait_for_approval()


# T20
def test_t20_a_plan_of_another_task_is_no_use(agent: FakeAgent) -> None:
    with opened() as task, opened() as other:
        plan = submitted(other)
        agent.approve(plan)
        with pytest.raises(lanyard.Denied):
            task.token("move-tickets", plan=plan)


def test_a_plan_that_nobody_has_to_approve_is_not_waited_for(agent: FakeAgent) -> None:
    agent.require_approval("move-tickets", people=0)
    with opened() as task:
        plan = submitted(task)
        assert plan.approval_id is None
        plan.wait_for_approval(timeout=0)


@pytest.mark.usefixtures("agent")
def test_an_unknown_format_is_refused_by_name() -> None:
    said = "'yaml' is not a plan format: use one of auto, text, terraform-json"
    with opened() as task, pytest.raises(ValueError, match=said):
        task.submit_plan("move-tickets", content=b"", summary="s", format="yaml")  # type: ignore[arg-type]
