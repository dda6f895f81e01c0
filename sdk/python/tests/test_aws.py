from __future__ import annotations

import atexit
import re
import threading
from pathlib import Path
from typing import Any

import botocore.config
import pytest

import lanyard
from lanyard.testing import FakeAgent

from .conftest import Recorder

CALLER = b"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:sts::123456789012:assumed-role/x/y</Arn><UserId>AROA:y</UserId><Account>123456789012</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""


@pytest.fixture
def agent(lanyard_agent: FakeAgent, recorder: Recorder) -> FakeAgent:
    lanyard_agent.give_aws("read-bucket", lifetime=300)
    recorder.body, recorder.kind = CALLER, "text/xml"
    return lanyard_agent


@pytest.fixture
def human(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user whose own keys are in every place that boto3 reads."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[default]\naws_access_key_id=HUMAN\naws_secret_access_key=x\n")
    (tmp_path / ".aws" / "config").write_text("[profile human]\nregion=us-east-1\naws_access_key_id=HUMAN\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_PROFILE", "human")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "HUMAN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "HUMAN")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/none")


def opened() -> lanyard.Task:
    return lanyard.task("ticket-router", environment="production", reason="ticket 12")


def sts(session: Any, recorder: Recorder) -> Any:
    config = botocore.config.Config(retries={"max_attempts": 1})
    return session.client("sts", endpoint_url=recorder.url, config=config)


def keys(recorder: Recorder) -> list[str]:
    found = [re.search(r"Credential=([A-Z0-9]+)/", request["authorization"]) for request in recorder.requests]
    return [match.group(1) for match in found if match]


def test_a_thousand_calls_with_a_lease_of_five_minutes_are_one_mint(agent: FakeAgent, recorder: Recorder) -> None:
    with opened() as task:
        client = sts(task.aws.session("read-bucket"), recorder)
        for _ in range(1000):
            client.get_caller_identity()
    assert len(recorder.requests) == 1000
    assert keys(recorder) == ["ASIAFAKE000000000001"] * 1000
    assert agent.mints == [(task.id, "read-bucket")]


def test_the_next_request_goes_with_the_next_keys(agent: FakeAgent, recorder: Recorder) -> None:
    with opened() as task:
        client = sts(task.aws.session("read-bucket"), recorder)
        client.get_caller_identity()
        agent.renew()
        client.get_caller_identity()
    assert keys(recorder) == ["ASIAFAKE000000000001", "ASIAFAKE000000000002"]
    assert recorder.requests[0]["x-amz-security-token"] == "fake-session-token"


@pytest.mark.usefixtures("agent")
def test_the_region_is_that_of_the_target_unless_another_is_named() -> None:
    with opened() as task:
        assert task.aws.session("read-bucket").region_name == "eu-central-1"
        assert task.aws.session("read-bucket", region_name="us-west-2").region_name == "us-west-2"


@pytest.mark.usefixtures("human")
def test_nobody_elses_keys_are_used(agent: FakeAgent, recorder: Recorder) -> None:
    with opened() as task:
        session = task.aws.session("read-bucket")
        sts(session, recorder).get_caller_identity()
        assert keys(recorder) == ["ASIAFAKE000000000001"]
        bedrock = session.client("bedrock", endpoint_url=recorder.url)
        recorder.body, recorder.kind = b"{}", "application/json"
        bedrock.list_foundation_models()
        assert keys(recorder) == ["ASIAFAKE000000000001"] * 2
        agent.deny("read-bucket", "denied by charter ticket-router (freezes, line 4): no; wait")
        with pytest.raises(lanyard.Denied, match=r"^denied by charter ticket-router \(freezes, line 4\): no; wait \["):
            sts(session, recorder).get_caller_identity()
        with pytest.raises(lanyard.Denied):
            task.aws.session("read-bucket")
    assert len(recorder.requests) == 2


def test_a_kill_in_the_middle_stops_a_loop_of_calls(agent: FakeAgent, recorder: Recorder) -> None:
    with pytest.raises(lanyard.Killed), opened() as task:
        client = sts(task.aws.session("read-bucket"), recorder)
        for turn in range(100):
            if turn == 3:
                agent.kill(task.id)
            client.get_caller_identity()
    assert len(recorder.requests) == 3


def test_threads_share_one_mint(agent: FakeAgent, recorder: Recorder) -> None:
    with opened() as task:
        client = sts(task.aws.session("read-bucket"), recorder)
        threads = [threading.Thread(target=client.get_caller_identity) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert len(recorder.requests) == 8
    assert len(agent.mints) == 1


def test_one_line_makes_a_session(agent: FakeAgent, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    at_exit: list[tuple[Any, ...]] = []
    monkeypatch.setattr(atexit, "register", lambda *call: at_exit.append(call))
    session = lanyard.aws.session("ticket-router", "read-bucket", environment="production", reason="ticket 12")
    sts(session, recorder).get_caller_identity()
    assert keys(recorder) == ["ASIAFAKE000000000001"]
    assert not agent.tasks[0].closed
    ((end, task),) = at_exit
    end(task)
    assert agent.tasks[0].closed
    agent.lose_broker()
    end(task)


def test_one_line_that_is_refused_leaves_no_task_open(agent: FakeAgent) -> None:
    with pytest.raises(lanyard.Denied):
        lanyard.aws.session("ticket-router", "write-bucket", environment="production", reason="ticket 12")
    assert agent.tasks[0].closed
