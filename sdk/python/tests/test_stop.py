from __future__ import annotations

import pytest
from google.protobuf import duration_pb2

from lanyard import Killed, TaskEnded
from lanyard._proto.v1 import kill_pb2, task_pb2
from lanyard.stop import FIRST_SECONDS, Lookout


def order(lifted: str = "nothing", name: str = "K-1", reason: str = "it loops") -> kill_pb2.KillOrder:
    return kill_pb2.KillOrder(id=name, scope=kill_pb2.Scope(all=True), reason=reason, lifted=lifted)


def state(*orders: kill_pb2.KillOrder, closed: bool = False) -> task_pb2.WatchTaskResponse:
    within = duration_pb2.Duration(seconds=15)
    return task_pb2.WatchTaskResponse(task=task_pb2.Task(id="T-1", closed=closed), orders=orders, next_within=within)


def test_nothing_stops_a_task_without_orders() -> None:
    assert Lookout("T-1", 0.0).hear(state(), 1.0) is None


def test_an_order_stops_it_in_the_words_of_the_broker() -> None:
    stop = Lookout("T-1", 0.0).hear(state(order()), 1.0)
    assert isinstance(stop, Killed)
    assert str(stop) == "stopped by kill order K-1 over everything: it loops"
    assert stop.kill_id == "K-1"


# T78
def test_t78_what_a_terminal_would_act_on_is_escaped() -> None:
    stop = Lookout("T-1", 0.0).hear(state(order(reason="a\x1b[2J\nb")), 1.0)
    assert str(stop) == r"stopped by kill order K-1 over everything: a\x1b[2J\nb"


def test_an_order_that_is_lifted_only_for_plans_stops_it() -> None:
    assert isinstance(Lookout("T-1", 0.0).hear(state(order("plan")), 1.0), Killed)


def test_an_order_of_the_past_does_not_stop_it_and_a_new_one_does() -> None:
    lookout = Lookout("T-1", 0.0)
    assert lookout.hear(state(order("everything")), 1.0) is None
    assert isinstance(lookout.hear(state(order(name="K-2"), order("everything")), 2.0), Killed)


def test_an_order_that_came_and_went_while_it_was_watched_stops_it() -> None:
    lookout = Lookout("T-1", 0.0)
    assert lookout.hear(state(), 1.0) is None
    assert isinstance(lookout.hear(state(order("everything")), 2.0), Killed)


def test_a_closed_task_is_over() -> None:
    assert isinstance(Lookout("T-1", 0.0).hear(state(closed=True), 1.0), TaskEnded)


# T72
@pytest.mark.parametrize(("now", "known"), [(FIRST_SECONDS, True), (FIRST_SECONDS + 0.1, False)])
def test_t72_silence_before_the_first_message(now: float, known: bool) -> None:
    assert (Lookout("T-1", 0.0).silence(now) is None) == known


# T72
@pytest.mark.parametrize(("now", "known"), [(115.0, True), (116.0, False)])
def test_t72_silence_after_a_message(now: float, known: bool) -> None:
    lookout = Lookout("T-1", 0.0)
    lookout.hear(state(), 100.0)
    assert (lookout.silence(now) is None) == known
