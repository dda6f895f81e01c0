from __future__ import annotations

import asyncio

import httpx
import pytest

import lanyard
import lanyard.aio
from lanyard.testing import FakeAgent

from .conftest import Recorder


@pytest.fixture
def agent(lanyard_agent: FakeAgent) -> FakeAgent:
    lanyard_agent.give_token("read-tickets")
    return lanyard_agent


def opened() -> lanyard.Task:
    return lanyard.task("ticket-router", environment="production", reason="ticket 12")


def test_every_request_goes_with_the_token_of_that_time(agent: FakeAgent, recorder: Recorder) -> None:
    with opened() as task, httpx.Client(auth=task.http.auth("read-tickets")) as http:
        http.get(recorder.url)
        http.get(recorder.url)
        agent.renew()
        http.get(recorder.url)
    shown = [request["authorization"] for request in recorder.requests]
    assert shown[0] == shown[1] != shown[2]
    assert all(value.startswith("Bearer fake-token-") for value in shown)


@pytest.mark.usefixtures("agent")
def test_another_origin_gets_no_token(recorder: Recorder) -> None:
    with opened() as task:
        auth = task.http.auth("read-tickets", origin="https://tickets.acme.example")
        httpx.get(recorder.url, auth=auth)
        httpx.get(recorder.url, auth=task.http.auth("read-tickets", origin=recorder.url))
    assert ["authorization" in request for request in recorder.requests] == [False, True]


def test_a_refusal_is_raised_before_anything_is_sent(agent: FakeAgent, recorder: Recorder) -> None:
    agent.deny("read-tickets")
    with opened() as task, httpx.Client(auth=task.http.auth("read-tickets")) as http, pytest.raises(lanyard.Denied):
        http.get(recorder.url)
    assert recorder.requests == []


@pytest.mark.usefixtures("agent")
def test_async_clients_take_both_forms(recorder: Recorder) -> None:
    async def work() -> None:
        async with lanyard.aio.task("ticket-router", environment="production", reason="ticket 12") as task:
            auth = task.http.auth("read-tickets")
            async with httpx.AsyncClient(auth=auth) as http:
                await http.get(recorder.url)
            with httpx.Client(auth=auth) as http, pytest.raises(TypeError, match="AsyncClient"):
                http.get(recorder.url)
        with opened() as blocking:
            async with httpx.AsyncClient(auth=blocking.http.auth("read-tickets")) as http:
                await http.get(recorder.url)

    asyncio.run(work())
    assert len({request["authorization"] for request in recorder.requests}) == 2
