from __future__ import annotations

import threading
from pathlib import Path

import pytest

import lanyard
from lanyard.testing import FakeAgent


def opened() -> lanyard.Task:
    return lanyard.task("ticket-router", environment="production", reason="ticket 12", ticket="T-12")


def test_a_block_opens_a_task_and_closes_it(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.give_token("read-tickets", "the-token")
    with opened() as task:
        assert task.token("read-tickets").expose() == "the-token"
        assert not lanyard_agent.tasks[0].closed
        assert not task.stopped.is_set()
        task.check()
    (known,) = lanyard_agent.tasks
    assert known.closed
    assert (known.charter, known.environment, known.reason, known.ticket) == (
        "ticket-router",
        "production",
        "ticket 12",
        "T-12",
    )


def test_a_block_that_fails_closes_the_task_and_fails_the_same(lanyard_agent: FakeAgent) -> None:
    with pytest.raises(ZeroDivisionError), opened():
        _ = 1 / 0
    assert lanyard_agent.tasks[0].closed


def test_a_credential_is_minted_once_and_again_when_its_time_has_come(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.give_token("read-tickets")
    with opened() as task:
        first = {task.token("read-tickets").expose() for _ in range(10)}
        assert len(first) == len(lanyard_agent.mints) == 1
        lanyard_agent.renew()
        assert task.token("read-tickets").expose() not in first
    assert len(lanyard_agent.mints) == 2


def test_what_is_released_is_minted_again(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.give_token("read-tickets")
    with opened() as task:
        lease = task.credential("read-tickets").lease.id
        assert task.release() == [lease]
        assert task.credential("read-tickets").lease.id != lease


def test_a_kill_in_the_middle_stops_the_block(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.give_token("read-tickets")
    told: list[lanyard.LanyardError] = []
    heard = threading.Event()

    def tell(stop: lanyard.LanyardError) -> None:
        told.append(stop)
        heard.set()

    with pytest.raises(lanyard.Killed) as raised, opened() as task:
        task.on_stop(lambda _: 1 / 0)
        task.on_stop(tell)
        kill = lanyard_agent.kill(task.id, "it loops")
        assert task.stopped.wait(10)
        with pytest.raises(lanyard.Killed):
            task.check()
        with pytest.raises(lanyard.Killed):
            task.token("read-tickets")
        assert heard.wait(10)
    assert raised.value.kill_id == kill
    assert str(raised.value) == f"stopped by kill order {kill} over task {task.id}: it loops"
    assert [str(error) for error in told] == [str(raised.value)]
    task.on_stop(tell)
    assert len(told) == 2


def test_a_task_that_somebody_closes_is_stopped(lanyard_agent: FakeAgent) -> None:
    with pytest.raises(lanyard.TaskEnded), opened() as task:
        lanyard_agent.end(task.id)
        assert task.stopped.wait(10)


def test_what_goes_wrong_in_a_stopped_block_is_what_is_raised(lanyard_agent: FakeAgent) -> None:
    with pytest.raises(ZeroDivisionError), opened() as task:
        lanyard_agent.kill(task.id)
        assert task.stopped.wait(10)
        _ = 1 / 0


def test_a_kill_that_a_framework_wraps_is_a_kill(lanyard_agent: FakeAgent) -> None:
    with pytest.raises(lanyard.Killed) as raised, opened() as task:
        lanyard_agent.kill(task.id)
        try:
            task.credential("read-tickets")
        except lanyard.Killed as error:
            raise ValueError("the tool failed") from error
    assert raised.value.kill_id
    assert isinstance(raised.value.__cause__, ValueError)


def test_a_kill_is_heard_of_after_the_local_agent_was_gone(lanyard_agent: FakeAgent) -> None:
    with pytest.raises(lanyard.Killed), opened() as task:
        lanyard_agent.stop()
        lanyard_agent.start()
        lanyard_agent.kill(task.id)
        assert task.stopped.wait(20)


def test_calls_find_an_agent_that_was_started_again(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.give_token("read-tickets")
    with opened() as task:
        task.token("read-tickets")
        lanyard_agent.stop()
        lanyard_agent.start()
        assert task.token("read-tickets")


def test_a_broker_that_cannot_be_asked_is_an_error_of_its_own(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.give_token("read-tickets")
    with opened() as task:
        lanyard_agent.lose_broker("nothing was heard for 40 s")
        with pytest.raises(lanyard.BrokerUnavailable, match=r"^nothing was heard for 40 s$"):
            task.token("read-tickets")
        assert not task.stopped.is_set()
        lanyard_agent.find_broker()
        assert task.token("read-tickets")


def test_the_end_of_a_block_says_that_the_task_could_not_be_closed(lanyard_agent: FakeAgent) -> None:
    with pytest.raises(lanyard.BrokerUnavailable), opened():
        lanyard_agent.lose_broker()


def test_a_grant_of_another_kind_is_refused_by_name(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.give_aws("read-bucket")
    with opened() as task, pytest.raises(lanyard.Refused, match=r"^grant read-bucket gives an AWS session, not a token$"):
        task.token("read-bucket")


def test_a_credential_of_a_kind_without_a_class_has_its_fields_by_name(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.give_other("read-orders", "broker", {"name": "reader"}, {"password": "hidden"})
    with lanyard.task("ticket-router", environment="production", reason="ticket 12") as task:
        credential = task.credential("read-orders")
        assert isinstance(credential, lanyard.OtherCredential)
        assert (credential.kind, dict(credential.values)) == ("broker", {"name": "reader"})
        assert credential.secrets["password"].expose() == "hidden"
        with pytest.raises(lanyard.Refused, match="gives a credential of kind broker, not a token"):
            task.token("read-orders")


def test_the_current_task_is_left_open(lanyard_agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    lanyard_agent.give_token("read-tickets")
    with opened() as owner:
        monkeypatch.setenv("LANYARD_TASK", owner.id)
        with lanyard.current_task() as task:
            assert task.id == owner.id
            assert task.facts.charter == "ticket-router"
            assert task.token("read-tickets")
        assert not lanyard_agent.tasks[0].closed


@pytest.mark.usefixtures("lanyard_agent")
def test_there_is_no_current_task_outside_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(lanyard.NoTask, match="LANYARD_TASK is not set"):
        lanyard.current_task()
    monkeypatch.setenv("LANYARD_TASK", "T-of-somebody-else")
    with pytest.raises(lanyard.NotFound, match=r"^there is no such task$"):
        lanyard.current_task()


def test_the_context_goes_with_every_call(lanyard_agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with opened():
        assert lanyard_agent.contexts == []
    monkeypatch.setenv("LANYARD_CONTEXT", "work")
    with opened():
        assert set(lanyard_agent.contexts) == {"work"}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agent.json").write_text("{}")
    with lanyard.task("ticket-router", environment="production", reason="r", context="agent.json"):
        assert lanyard_agent.contexts[-1] == str(tmp_path / "agent.json")


def test_what_was_done_is_reported(lanyard_agent: FakeAgent) -> None:
    with opened() as task:
        action = task.report("ticket.move", tool="router", target="ticket 12", outcome="started")
        assert task.report("ticket.move", tool="router", target="ticket 12", of=action) == action
        with pytest.raises(ValueError, match="'done' is not an outcome"):
            task.report("ticket.move", tool="router", target="ticket 12", outcome="done")  # type: ignore[arg-type]
    assert [(report.id, report.outcome) for report in lanyard_agent.reports] == [(action, "started"), (action, "succeeded")]
