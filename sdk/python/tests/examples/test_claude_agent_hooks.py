from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from claude_agent_hooks import Hooks, options_of

import lanyard.aio
from lanyard.testing import FakeAgent

from ..conftest import CANARY

BASH = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": "aws s3 ls"}}
CONTEXT = {"signal": None}


def run(work: Callable[[lanyard.aio.Task], Coroutine[Any, Any, None]]) -> None:
    async def block() -> None:
        async with lanyard.aio.task("ticket-router", environment="production", reason="route new tickets") as task:
            await work(task)

    asyncio.run(block())


def test_a_tool_that_runs_is_in_the_journal_without_its_input(lanyard_agent: FakeAgent) -> None:
    async def work(task: lanyard.aio.Task) -> None:
        hooks = Hooks(task)
        assert await hooks.before(BASH, "toolu_1", CONTEXT) == {}
        assert await hooks.after(BASH, "toolu_1", CONTEXT) == {}

    run(work)
    started, done = lanyard_agent.reports
    assert (started.action, started.outcome, done.outcome) == ("tool.Bash", "started", "succeeded")
    assert started.id == done.id
    assert "aws s3 ls" not in str(lanyard_agent.reports)


def test_a_kill_denies_the_next_tool_and_ends_the_run(lanyard_agent: FakeAgent) -> None:
    async def work(task: lanyard.aio.Task) -> None:
        hooks = Hooks(task)
        kill = lanyard_agent.kill(task.id, "it loops")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            answer = await hooks.before(BASH, "toolu_1", CONTEXT)
            line = f"stopped by kill order {kill} over task {task.id}: it loops"
            assert answer["hookSpecificOutput"]["permissionDecision"] == "deny"
            assert answer["hookSpecificOutput"]["permissionDecisionReason"] == line
            assert (answer["continue_"], answer["stopReason"]) == (False, line)
            assert (await hooks.after(BASH, "toolu_1", CONTEXT))["continue_"] is False
            raise

    with pytest.raises(lanyard.Killed):
        run(work)
    assert lanyard_agent.reports == []


def test_what_cannot_be_reported_is_not_done(lanyard_agent: FakeAgent) -> None:
    async def work(task: lanyard.aio.Task) -> None:
        lanyard_agent.lose_broker("the broker is not available")
        answer = await Hooks(task).before(BASH, "toolu_1", CONTEXT)
        assert answer == {
            "hookSpecificOutput": {
                "hookEventName": "PreToolUse",
                "permissionDecision": "deny",
                "permissionDecisionReason": "the broker is not available",
            }
        }
        lanyard_agent.find_broker()

    run(work)


# T53
def test_t53_the_tools_get_a_handle_and_no_secret(lanyard_agent: FakeAgent) -> None:
    pytest.importorskip("claude_agent_sdk")
    lanyard_agent.give_token("read-tickets", CANARY)

    async def work(task: lanyard.aio.Task) -> None:
        await task.token("read-tickets")
        options = options_of(task)
        assert options.env == {"LANYARD_TASK": task.id}
        assert CANARY not in repr(options)

    run(work)
