"""A silent broker: cached credentials are handed out for a while, and then no longer (T72)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import lanyard
from lanyard.local_agent import LocalAgent

from .conftest import Broker

DAEMON = int(os.environ.get("LANYARD_LIVE_DAEMON", "0"))
pytestmark = pytest.mark.skipif(not DAEMON, reason="LANYARD_LIVE_DAEMON is not set: no daemon may be halted")
FRESH_SECONDS = 10
"""The smallest value that the local agent accepts."""
LONGEST_SECONDS = 30.0


@pytest.fixture
def impatient(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local agent for this test with a short patience."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv("LANYARD_STATE", str(tmp_path))
    with subprocess.Popen([broker.binary, "agent", "run", "--fresh-for", f"{FRESH_SECONDS}s"]) as agent:
        while not LocalAgent.of_environment().is_listening():
            assert agent.poll() is None
        yield
        agent.terminate()


def token(task: lanyard.Task) -> lanyard.LanyardError | None:
    try:
        task.token("read-tickets")
    except lanyard.LanyardError as error:
        return error
    return None


@pytest.mark.usefixtures("impatient")
def test_t72_a_silent_broker_is_believed_for_a_while() -> None:
    with lanyard.task("ticket-router", environment="production", reason="ticket 12") as task:
        task.token("read-tickets")
        os.kill(DAEMON, signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert token(task) is None
            while (error := token(task)) is None:
                assert time.monotonic() - began < LONGEST_SECONDS
        finally:
            os.kill(DAEMON, signal.SIGCONT)
        print(f"refused after {time.monotonic() - began:.1f} s")
        assert type(error) is lanyard.BrokerUnavailable
        assert str(error).startswith("the broker is not available: no message arrived for ")
        assert not task.stopped.is_set()
        began = time.monotonic()
        while token(task) is not None:
            assert time.monotonic() - began < LONGEST_SECONDS
        print(f"given again after {time.monotonic() - began:.1f} s")
