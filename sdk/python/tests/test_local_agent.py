from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import lanyard
from lanyard import calls
from lanyard._proto.v1 import task_pb2
from lanyard.connection import Connection
from lanyard.local_agent import LocalAgent
from lanyard.testing import FakeAgent
from lanyard.watch import Watch

PLACES = [
    ({"LANYARD_AGENT": "/a/b.sock", "LANYARD_STATE": "/s", "XDG_RUNTIME_DIR": "/run/user/7", "HOME": "/h"}, "/a/b.sock"),
    ({"LANYARD_STATE": "/s", "XDG_RUNTIME_DIR": "/run/user/7", "HOME": "/h"}, "/s/agent.sock"),
    ({"XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/run/user/7/lanyard/agent.sock"),
    ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/lanyard/agent.sock"),
    ({"HOME": "/h"}, "/h/.local/state/lanyard/agent.sock"),
]


@pytest.mark.parametrize(("environment", "socket"), PLACES)
def test_the_socket_is_where_the_environment_says(environment: dict[str, str], socket: str) -> None:
    assert LocalAgent.of_environment(environment).socket == Path(socket)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LANYARD_AGENT", str(tmp_path / "agent.sock"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("LANYARD_BIN", raising=False)
    return tmp_path


def opened() -> lanyard.Task:
    return lanyard.task("ticket-router", environment="production", reason="ticket 12")


@pytest.mark.usefixtures("place")
def test_without_a_binary_the_error_says_what_to_do() -> None:
    with pytest.raises(lanyard.AgentUnavailable, match="put it on PATH, or name it in LANYARD_BIN") as raised:
        opened()
    assert isinstance(raised.value, lanyard.BrokerUnavailable)


def test_an_agent_that_fails_is_an_error_with_its_status(place: Path) -> None:
    _script(place / "lanyard", "raise SystemExit(5)")
    with pytest.raises(lanyard.AgentUnavailable, match="ended with status 5"):
        opened()


def test_a_binary_that_cannot_be_run_is_an_error(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANYARD_BIN", str(place / "nothing"))
    with pytest.raises(lanyard.AgentUnavailable, match="does not start"):
        opened()


def test_an_agent_is_started_when_nobody_listens(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script(
        place / "lanyard",
        f"""
import os, pathlib, socket, sys
assert sys.argv[1:] == ["agent", "run"]
assert os.getsid(0) == os.getpid() and os.getcwd() == "/"
assert "LANYARD_TASK" not in os.environ and os.environ["LANYARD_STATE"] == {str(place / "state")!r}
listener = socket.socket(socket.AF_UNIX)
listener.bind(os.environ["LANYARD_AGENT"])
listener.listen()
pathlib.Path({str(place / "pid")!r}).write_text(str(os.getpid()))
listener.accept()[0].close()
listener.accept()[0].close()
""",
    )
    monkeypatch.chdir(place)
    monkeypatch.setenv("LANYARD_STATE", "state")
    monkeypatch.setenv("LANYARD_TASK", "T-1")
    agent = LocalAgent.of_environment()
    assert not agent.is_listening()
    agent.ensure()
    assert agent.is_listening()
    assert int((place / "pid").read_text()) != os.getpid()


def test_a_running_agent_is_used(lanyard_agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANYARD_BIN", "/nothing")
    with opened():
        assert lanyard_agent.tasks


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "grpc_proxy"])
def test_no_proxy_stands_before_the_local_agent(lanyard_agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    lanyard_agent.give_token("read-tickets")
    # No server listens there.
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with opened() as task:
        assert task.token("read-tickets")


def test_a_local_agent_that_goes_away_under_a_task_is_started_again_by_its_watch(
    lanyard_agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    _script(tmp_path / "lanyard", f"import pathlib; pathlib.Path({str(started)!r}).touch()")
    monkeypatch.setenv("LANYARD_BIN", str(tmp_path / "lanyard"))
    with pytest.raises(lanyard.Killed), opened() as task:
        lanyard_agent.stop()
        # No call is made meanwhile.
        while not started.exists():
            assert not task.stopped.wait(0.05)
        lanyard_agent.start()
        lanyard_agent.kill(task.id)
        assert task.stopped.wait(20)


def test_a_watch_that_begins_on_the_channel_of_an_agent_that_is_gone_starts_another_one(
    lanyard_agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    _script(tmp_path / "lanyard", f"import pathlib; pathlib.Path({str(started)!r}).touch()")
    monkeypatch.setenv("LANYARD_BIN", str(tmp_path / "lanyard"))
    connection = Connection()
    request = task_pb2.OpenTaskRequest(charter="ticket-router", environment="production", reason="ticket 12", request_id="one")
    task = connection.ask(calls.OPEN_TASK, request).task
    lanyard_agent.stop()
    watch = Watch(connection, task.id)
    # The script starts no agent, so the next streams wait as well.
    while not started.exists():
        assert not watch.stopped.wait(0.05)
    lanyard_agent.start()
    lanyard_agent.kill(task.id)
    assert watch.stopped.wait(20)
    watch.close()
    connection.close()


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
