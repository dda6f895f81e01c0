from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
import time

import pytest

import lanyard
import lanyard.aio

from .conftest import Broker

HEARD_SECONDS = 5.0
"""Seconds within which a process learns of a kill order, on a busy machine."""


def opened() -> lanyard.Task:
    return lanyard.task("ticket-router", environment="production", reason="ticket 12")


def test_a_thousand_tokens_are_one_mint(broker: Broker) -> None:
    with opened() as task:
        tokens = {task.token("read-tickets").expose() for _ in range(1000)}
    assert len(tokens) == 1
    assert len(broker.records("begin-mint", task.id)) == 1
    assert len(broker.records("close-task", task.id)) == 1


def test_a_denial_is_the_line_of_the_command(broker: Broker) -> None:
    with opened() as task, pytest.raises(lanyard.Denied) as raised:
        said = broker.run("agent", "request", "--task", task.id, "move-tickets").stderr.strip()
        task.token("move-tickets")
    decision = re.compile(r"D-[0-9A-Z]+")
    assert decision.sub("D", f"lanyard: {raised.value}") == decision.sub("D", said)
    assert raised.value.reason == "CHARTER_DENIED"
    assert raised.value.facts["rule"] == "plans.required"
    assert f"[{raised.value.decision_id}]" in str(raised.value)


@pytest.mark.usefixtures("broker")
def test_what_there_is_not_is_not_found() -> None:
    with pytest.raises(lanyard.Denied, match="no-such-charter"):
        lanyard.task("no-such-charter", environment="production", reason="ticket 12")
    with opened() as task, pytest.raises(lanyard.Denied, match="there is no grant no-such-grant"):
        task.token("no-such-grant")
    with pytest.raises(lanyard.TaskEnded):
        task.credential("read-tickets")


def test_a_context_that_there_is_not_is_an_error_of_its_own(broker: Broker) -> None:
    with pytest.raises(lanyard.LanyardError, match=r"nobody\.json"):
        lanyard.task("ticket-router", environment="production", reason="r", context=broker.contexts / "nobody.json")


def test_an_apply_waits_for_two_people(broker: Broker) -> None:
    with opened() as task:
        plan = task.submit_plan("move-tickets", content="move ticket 12 to billing", summary="move ticket 12")
        assert plan.approval_id is not None
        with pytest.raises(lanyard.ApprovalPending) as raised:
            plan.wait_for_approval(timeout=0)
        assert (raised.value.plan_id, raised.value.approval_id) == (plan.id, plan.approval_id)
        waiter = threading.Thread(target=plan.wait_for_approval, args=(30,))
        waiter.start()
        for person in ("alice", "bob"):
            broker.ok(person, "approval", "approve", plan.approval_id, "--digest", plan.digest, "--comment", "seen")
        waiter.join(25)
        assert not waiter.is_alive()
        assert task.token("move-tickets", plan=plan)


def test_a_no_ends_the_wait(broker: Broker) -> None:
    with opened() as task:
        plan = task.submit_plan("move-tickets", content="close ticket 12", summary="close ticket 12")
        broker.ok("alice", "approval", "deny", plan.approval_id or "", "--reason", "not today")
        with pytest.raises(lanyard.Denied, match=f"^approval {plan.approval_id}: denied: not today$") as raised:
            plan.wait_for_approval(timeout=30)
        with pytest.raises(lanyard.Denied) as again:
            task.token("move-tickets", plan=plan)
        assert str(again.value).startswith(str(raised.value))


def test_a_kill_in_the_middle_stops_the_block(broker: Broker) -> None:
    heard: list[float] = []
    with pytest.raises(lanyard.Killed) as raised, opened() as task:
        task.token("read-tickets")
        task.on_stop(lambda _: heard.append(time.monotonic()))
        broker.ok("oncall", "kill", "--task", task.id, "--reason", "it loops", "--yes")
        answered = time.monotonic()
        assert task.stopped.wait(HEARD_SECONDS)
        with pytest.raises(lanyard.Killed):
            task.token("read-tickets")
    assert str(raised.value) == f"stopped by kill order {raised.value.kill_id} over task {task.id}: it loops"
    print(f"heard of the kill {1000 * (heard[0] - answered):.0f} ms after the command had ended")


def test_a_kill_cancels_a_block_of_asyncio(broker: Broker) -> None:
    async def work() -> None:
        async with lanyard.aio.task("ticket-router", environment="production", reason="ticket 12") as task:
            await task.token("read-tickets")
            await asyncio.to_thread(broker.ok, "oncall", "kill", "--task", task.id, "--reason", "it loops", "--yes")
            await asyncio.wait_for(asyncio.Event().wait(), HEARD_SECONDS)

    with pytest.raises(lanyard.Killed, match=r"it loops($|; stop the work)"):
        asyncio.run(work())


def test_the_words_of_the_watch_are_those_of_the_broker(broker: Broker) -> None:
    with pytest.raises(lanyard.Killed) as raised, opened() as task:
        broker.ok("oncall", "kill", "--task", task.id, "--reason", "a\nb", "--yes")
        assert task.stopped.wait(HEARD_SECONDS)
    said = broker.run("agent", "request", "--task", task.id, "read-tickets")
    assert said.returncode == 6
    assert said.stderr.strip().startswith(f"lanyard: {raised.value}")


def test_a_task_that_the_command_closes_is_over(broker: Broker) -> None:
    with pytest.raises(lanyard.TaskEnded), opened() as task:
        broker.ok("agent", "task", "close", task.id)
        assert task.stopped.wait(HEARD_SECONDS)


def test_what_was_done_is_in_the_journal(broker: Broker) -> None:
    with opened() as task:
        action = task.report("ticket.move", tool="router", target="ticket 12", outcome="started")
        assert task.report("ticket.move", tool="router", target="ticket 12", of=action) == action
        records = json.loads(broker.ok("oncall", "-o", "json", "audit", "query", task.id))
        assert sum(action in json.dumps(record) for record in records) == 2


def test_exec_hands_the_current_task_on(broker: Broker) -> None:
    program = "import lanyard\nwith lanyard.current_task() as task: print(task.id, task.token('read-tickets'))"
    ran = broker.run(
        "agent",
        "exec",
        "ticket-router",
        "--environment",
        "production",
        "--reason",
        "ticket 12",
        "--grant",
        "read-tickets",
        "--",
        sys.executable,
        "-c",
        program,
    )
    assert re.fullmatch(r"T-[0-9A-Z]+ \[redacted\]\n", ran.stdout), ran.stderr
