from __future__ import annotations

import os

import pytest

import lanyard

from .conftest import Broker

URL = os.environ.get("LANYARD_LIVE_AWS", "")
pytestmark = pytest.mark.skipif(not URL, reason="LANYARD_LIVE_AWS is not set: there is no AWS target")


def opened() -> lanyard.Task:
    return lanyard.task("both", environment="production", reason="ticket 12")


@pytest.fixture(autouse=True)
def human(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAHUMAN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "human")
    monkeypatch.setenv("AWS_PROFILE", "human")


# T53
def test_a_thousand_calls_with_a_lease_of_five_minutes_are_one_mint(broker: Broker) -> None:
    with opened() as task:
        session = task.aws.session("read-queue")
        queues = session.client("sqs", endpoint_url=URL)
        for _ in range(1000):
            queues.list_queues()
        assert "assumed-role" in session.client("sts", endpoint_url=URL).get_caller_identity()["Arn"]
    assert len(broker.records("begin-mint", task.id)) == 1


def test_a_kill_in_the_middle_stops_a_loop_of_calls(broker: Broker) -> None:
    calls = 0
    with pytest.raises(lanyard.Killed, match=r"it loops$"), opened() as task:
        queues = task.aws.session("read-queue").client("sqs", endpoint_url=URL)
        while calls < 10_000:
            queues.list_queues()
            calls += 1
            if calls == 20:
                broker.ok("oncall", "kill", "--task", task.id, "--reason", "it loops", "--yes")
    assert 20 <= calls < 10_000
    print(f"{calls - 20} more calls after the command had ended")


def test_another_grant_is_refused_and_nothing_else_is_used() -> None:
    with opened() as task, pytest.raises(lanyard.Denied, match="there is no grant write-queue"):
        task.aws.session("write-queue")
