from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import lanyard.aio
from lanyard.testing import FakeAgent

from ..conftest import CANARY, Recorder

pytest.importorskip("agents")

from agents import Model, ModelResponse, RunConfig, Runner, Usage
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from openai_agents_tickets import ROUTER, Context


class Scripted(Model):
    """A model that gives these answers in order."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.seen: list[str] = []

    async def get_response(self, system_instructions: str | None, input: Any, *_: Any, **__: Any) -> ModelResponse:  # noqa: A002
        self.seen.append(f"{system_instructions} {input}")
        return ModelResponse(output=[self.answers.pop(0)], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def agent(lanyard_agent: FakeAgent, recorder: Recorder) -> FakeAgent:
    lanyard_agent.give_token("read-tickets", CANARY)
    lanyard_agent.give_token("move-tickets", CANARY)
    lanyard_agent.require_approval("move-tickets", people=2)
    recorder.body, recorder.kind = b"12: printer on fire", "text/plain"
    return lanyard_agent


def call(name: str, **arguments: Any) -> ResponseFunctionToolCall:
    return ResponseFunctionToolCall(type="function_call", name=name, arguments=json.dumps(arguments), call_id=f"call-{name}")


def said(text: str) -> ResponseOutputMessage:
    content = ResponseOutputText(type="output_text", text=text, annotations=[])
    return ResponseOutputMessage(id="m", type="message", role="assistant", status="completed", content=[content])


def run(recorder: Recorder, model: Scripted, before: Callable[[lanyard.aio.Task], object] = lambda _: None) -> str:
    async def main() -> str:
        async with lanyard.aio.task("ticket-router", environment="production", reason="route new tickets") as task:
            async with httpx.AsyncClient(
                base_url=recorder.url, auth=task.http.auth("read-tickets", origin=recorder.url)
            ) as tickets:
                before(task)
                config = RunConfig(model=model, tracing_disabled=True)
                result = await Runner.run(ROUTER, "go", context=Context(task, tickets), run_config=config)
                return str(result.final_output)

    return asyncio.run(main())


# T53
@pytest.mark.usefixtures("agent")
def test_t53_a_tool_works_and_the_model_sees_no_secret(recorder: Recorder) -> None:
    model = Scripted([call("list_tickets"), said("done")])
    assert run(recorder, model) == "done"
    assert recorder.requests[0]["authorization"] == f"Bearer {CANARY}"
    assert "12: printer on fire" in model.seen[1]
    assert CANARY not in str(model.seen)


@pytest.mark.usefixtures("agent")
def test_the_model_is_told_that_people_have_to_approve(recorder: Recorder) -> None:
    model = Scripted([call("move_ticket", number=12, team="billing"), said("I wait")])
    assert run(recorder, model) == "I wait"
    assert "is needed first: 0 of 2 approvals given" in model.seen[1]
    assert recorder.requests == []


def test_a_kill_ends_the_run(agent: FakeAgent, recorder: Recorder) -> None:
    with pytest.raises(lanyard.Killed):
        run(recorder, Scripted([call("list_tickets"), said("done")]), lambda task: agent.kill(task.id))
    assert recorder.requests == []
