"""A canary secret passes through every component, and appears only where it was requested (T49, T53)."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import Any

import pytest

import lanyard
from lanyard.testing import FakeAgent

from .conftest import CANARY, Recorder


@pytest.fixture
def agent(lanyard_agent: FakeAgent, recorder: Recorder) -> FakeAgent:
    lanyard_agent.give_token("read-tickets", CANARY)
    lanyard_agent.give_aws("read-bucket", CANARY, CANARY)
    lanyard_agent.give_kubernetes("read-pods", recorder.url, CANARY)
    lanyard_agent.give_vault("read-config", recorder.url, CANARY)
    lanyard_agent.give_vault_secret("read-ledger", "database/creds/reader", {"username": "reader", "password": CANARY})
    lanyard_agent.give_github("read-code", "acme", ["payments"], CANARY)
    lanyard_agent.give_other("read-orders", "broker", {"name": "reader"}, {"password": CANARY})
    return lanyard_agent


def opened() -> lanyard.Task:
    return lanyard.task("ticket-router", environment="production", reason="ticket 12")


@pytest.mark.usefixtures("agent")
def test_t49_credentials_show_no_secret() -> None:
    with opened() as task:
        for grant in ("read-tickets", "read-bucket", "read-pods", "read-config", "read-ledger", "read-code", "read-orders"):
            credential = task.credential(grant)
            assert CANARY not in f"{credential!r} {credential} {vars(credential)}"
            with pytest.raises(TypeError):
                pickle.dumps(credential)


@pytest.mark.usefixtures("agent")
def test_t49_what_is_built_on_a_task_keeps_no_secret() -> None:
    with opened() as task:
        session = task.aws.session("read-bucket")
        built = [task, task.aws, task.http.auth("read-tickets"), session, session.get_credentials()]
        for thing in built:
            assert CANARY not in f"{thing!r} {vars(thing)}"


def test_t49_errors_show_no_secret(agent: FakeAgent) -> None:
    """Errors show no secret, not even with the local variables of each frame, which crash reporters send."""
    with pytest.raises(lanyard.Killed), opened() as task:
        credentials = task.aws.session("read-bucket").get_credentials()
        task.token("read-tickets")
        for act in _failures(agent, task, credentials):
            with pytest.raises(Exception) as raised:
                act()
            shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
            assert CANARY not in "".join(shown.format())


def _failures(agent: FakeAgent, task: lanyard.Task, credentials: Any) -> Any:
    yield lambda: task.token("read-bucket")
    yield lambda: task.aws.session("read-tickets")
    yield lambda: task.kubernetes.client("read-tickets")
    agent.deny("read-bucket")
    yield credentials.get_frozen_credentials
    agent.lose_broker()
    yield lambda: task.token("read-tickets")
    agent.find_broker()
    agent.kill(task.id)
    assert task.stopped.wait(10)
    yield lambda: task.token("read-tickets")
    yield task.check


def test_t49_logs_show_no_secret(agent: FakeAgent, recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    import httpx

    caplog.set_level(logging.DEBUG)
    with pytest.raises(lanyard.Killed), opened() as task:
        task.on_stop(lambda _: 1 / 0)
        httpx.get(recorder.url, auth=task.http.auth("read-tickets", origin=recorder.url))
        session = task.aws.session("read-bucket")
        session.client("sts", endpoint_url=recorder.url).meta.events.emit("nothing")
        session.get_credentials().get_frozen_credentials()
        agent.kill(task.id)
        assert task.stopped.wait(10)
    assert recorder.requests[0]["authorization"] == f"Bearer {CANARY}"
    ours = [record for record in caplog.records if record.name.startswith(("lanyard", "botocore.credentials", "grpc"))]
    assert CANARY not in "".join(f"{record.getMessage()} {record.exc_text}" for record in ours)
