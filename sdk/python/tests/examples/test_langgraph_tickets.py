from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

import lanyard
from lanyard.testing import FakeAgent

from ..conftest import CANARY, Recorder

pytest.importorskip("langgraph")

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph_tickets import Context, graph_of


@pytest.fixture
def agent(lanyard_agent: FakeAgent, recorder: Recorder) -> FakeAgent:
    lanyard_agent.give_token("read-tickets", CANARY)
    lanyard_agent.give_token("move-tickets", CANARY)
    lanyard_agent.require_approval("move-tickets", people=2)
    recorder.body, recorder.kind = b"12: printer on fire", "text/plain"
    return lanyard_agent


def call(name: str, **arguments: Any) -> AIMessage:
    return AIMessage(content="", tool_calls=[{"name": name, "args": arguments, "id": f"call-{name}"}])


def run(recorder: Recorder, answers: list[AIMessage], before: Callable[[lanyard.Task], object] = lambda _: None) -> list[Any]:
    with (
        lanyard.task("ticket-router", environment="production", reason="route new tickets") as task,
        httpx.Client(base_url=recorder.url, auth=task.http.auth("read-tickets", origin=recorder.url)) as tickets,
    ):
        before(task)
        graph = graph_of(GenericFakeChatModel(messages=iter(answers)))
        return list(graph.invoke({"messages": [("user", "go")]}, context=Context(task, tickets))["messages"])


# T53
@pytest.mark.usefixtures("agent")
def test_t53_a_tool_works_and_the_state_has_no_secret(recorder: Recorder) -> None:
    messages = run(recorder, [call("list_tickets"), AIMessage(content="done")])
    assert [message.content for message in messages] == ["go", "", "12: printer on fire", "done"]
    assert recorder.requests[0]["authorization"] == f"Bearer {CANARY}"
    assert CANARY not in repr(messages)


@pytest.mark.usefixtures("agent")
def test_the_model_is_told_that_people_have_to_approve(recorder: Recorder) -> None:
    messages = run(recorder, [call("move_ticket", number=12, team="billing"), AIMessage(content="I wait")])
    assert "is needed first: 0 of 2 approvals given" in messages[2].content
    assert recorder.requests == []


def test_a_kill_ends_the_run(agent: FakeAgent, recorder: Recorder) -> None:
    with pytest.raises(lanyard.Killed):
        run(recorder, [call("list_tickets"), AIMessage(content="done")], lambda task: agent.kill(task.id))
    assert recorder.requests == []
