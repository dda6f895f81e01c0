from __future__ import annotations

import asyncio
import base64
import json

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
    with opened() as task, httpx.Client(auth=task.http.auth("read-tickets", origin=recorder.url)) as http:
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


@pytest.mark.usefixtures("agent")
def test_t53_a_token_that_is_for_no_url_is_sent_nowhere(recorder: Recorder) -> None:
    with opened() as task, pytest.raises(ValueError, match="pass origin="):
        httpx.get(recorder.url, auth=task.http.auth("read-tickets"))
    assert recorder.requests == []


def test_a_token_goes_to_its_audience_alone(lanyard_agent: FakeAgent, recorder: Recorder) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"aud": recorder.url}).encode()).decode().rstrip("=")
    lanyard_agent.give_token("read-tickets", f"e30.{claims}.e30")
    with opened() as task:
        auth = task.http.auth("read-tickets")
        httpx.get(recorder.url, auth=auth)
        httpx.get(recorder.url.replace("127.0.0.1", "localhost"), auth=auth)
    assert ["authorization" in request for request in recorder.requests] == [True, False]


def test_a_refusal_is_raised_before_anything_is_sent(agent: FakeAgent, recorder: Recorder) -> None:
    agent.deny("read-tickets")
    with (
        opened() as task,
        httpx.Client(auth=task.http.auth("read-tickets", origin=recorder.url)) as http,
        pytest.raises(lanyard.Denied),
    ):
        http.get(recorder.url)
    assert recorder.requests == []


@pytest.mark.usefixtures("agent")
def test_async_clients_take_both_forms(recorder: Recorder) -> None:
    async def work() -> None:
        async with lanyard.aio.task("ticket-router", environment="production", reason="ticket 12") as task:
            auth = task.http.auth("read-tickets", origin=recorder.url)
            async with httpx.AsyncClient(auth=auth) as http:
                await http.get(recorder.url)
            with httpx.Client(auth=auth) as http, pytest.raises(TypeError, match="AsyncClient"):
                http.get(recorder.url)
        with opened() as blocking:
            async with httpx.AsyncClient(auth=blocking.http.auth("read-tickets", origin=recorder.url)) as http:
                await http.get(recorder.url)

    asyncio.run(work())
    assert len({request["authorization"] for request in recorder.requests}) == 2
