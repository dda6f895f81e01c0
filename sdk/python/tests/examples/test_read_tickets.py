from __future__ import annotations

import pytest
import read_tickets

import lanyard
from lanyard.testing import FakeAgent

from ..conftest import CANARY, Recorder


@pytest.fixture
def agent(lanyard_agent: FakeAgent, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> FakeAgent:
    lanyard_agent.give_token("read-tickets", CANARY)
    recorder.body, recorder.kind = b"12: printer on fire\n", "text/plain"
    monkeypatch.setenv("TICKETS", recorder.url)
    monkeypatch.setattr(read_tickets, "POLL_INTERVAL_S", 0)
    return lanyard_agent


@pytest.mark.usefixtures("agent")
def test_the_tickets_are_read_with_the_token_of_the_task(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    with lanyard.task("ticket-router", environment="production", reason="try") as task:
        read_tickets.read(task, recorder.url, looks=2)
    assert capsys.readouterr().out == "12: printer on fire\n" * 2
    assert [request["authorization"] for request in recorder.requests] == [f"Bearer {CANARY}"] * 2


def test_a_kill_ends_the_program_with_its_reason(
    agent: FakeAgent, recorder: Recorder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = lanyard.Task.check

    def killed(task: lanyard.Task) -> None:
        agent.kill(task.id)
        assert task.stopped.wait(5)
        check(task)

    monkeypatch.setattr(lanyard.Task, "check", killed)
    assert read_tickets.main() == 1
    printed = capsys.readouterr()
    assert "kill" in printed.err.lower()
    assert CANARY not in printed.out + printed.err
    assert recorder.requests == []
