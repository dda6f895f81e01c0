from __future__ import annotations

import contextlib
import os

import botocore.exceptions
import pytest

import lanyard

from .conftest import Broker

URL = os.environ.get("LANYARD_LIVE_AWS", "")
pytestmark = pytest.mark.skipif(not URL, reason="LANYARD_LIVE_AWS is not set: no AWS target is configured")


def opened() -> lanyard.Task:
    return lanyard.task("both", environment="production", reason="ticket 12")


@pytest.fixture(autouse=True)
def human(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAHUMAN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "human")
    monkeypatch.setenv("AWS_PROFILE", "human")


# One test: moto ignores the conditions of a revocation, so it also refuses sessions that begin after it.
def test_a_thousand_calls_are_one_mint_and_a_kill_stops_the_loop(broker: Broker) -> None:
    with pytest.raises(lanyard.Killed, match=r"it loops($|; stop the work)"), opened() as task:
        session = task.aws.session("read-queue")
        queues = session.client("sqs", endpoint_url=URL)
        for _ in range(1000):
            queues.list_queues()
        assert "assumed-role" in session.client("sts", endpoint_url=URL).get_caller_identity()["Arn"]
        assert len(broker.records("begin-mint", task.id)) == 1
        # Exit code 8: a revocation is not confirmed yet.
        assert broker.run("oncall", "kill", "--task", task.id, "--reason", "it loops", "--yes").returncode in (0, 8)
        for _ in range(10_000):
            # Until this process learns of the kill, AWS itself refuses the revoked session.
            with contextlib.suppress(botocore.exceptions.ClientError):
                queues.list_queues()


def test_another_grant_is_refused_and_nothing_else_is_used() -> None:
    with opened() as task, pytest.raises(lanyard.Denied, match="there is no grant write-queue"):
        task.aws.session("write-queue")
