from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import lanyard
import lanyard.aio
from lanyard.testing import FakeAgent


def run(work: Callable[[lanyard.aio.Task], Coroutine[Any, Any, None]]) -> None:
    async def block() -> None:
        async with asyncio.timeout(30) if hasattr(asyncio, "timeout") else _Nothing():
            async with lanyard.aio.task("ticket-router", environment="production", reason="ticket 12") as task:
                await work(task)

    asyncio.run(block())


class _Nothing:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


def test_a_block_opens_a_task_and_closes_it(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.give_token("read-tickets", "the-token")

    async def work(task: lanyard.aio.Task) -> None:
        assert (await task.token("read-tickets")).expose() == "the-token"
        lease = (await task.credential("read-tickets")).lease.id
        assert await task.release() == [lease]
        task.check()
        assert await task.report("ticket.move", tool="router", target="ticket 12")

    run(work)
    assert lanyard_agent.tasks[0].closed


def test_a_kill_cancels_the_block(lanyard_agent: FakeAgent) -> None:
    seen: list[object] = []

    async def work(task: lanyard.aio.Task) -> None:
        task.on_stop(lambda _: 1 / 0)
        task.on_stop(seen.append)
        lanyard_agent.kill(task.id, "it loops")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(lanyard.Killed, match=r"^stopped by kill order K-\d+ over task T-\d+: it loops$"):
        run(work)
    assert [type(it) for it in seen] == [lanyard.Killed, str]


def test_a_kill_cancels_what_runs_within_the_block(lanyard_agent: FakeAgent) -> None:
    ended: list[int] = []

    async def step(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    async def work(task: lanyard.aio.Task) -> None:
        lanyard_agent.kill(task.id)
        await asyncio.gather(step(1), step(2))

    with pytest.raises(lanyard.Killed):
        run(work)
    assert sorted(ended) == [1, 2]


def test_a_block_that_swallows_its_cancellation_raises_all_the_same(lanyard_agent: FakeAgent) -> None:
    async def work(task: lanyard.aio.Task) -> None:
        lanyard_agent.kill(task.id)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    with pytest.raises(lanyard.Killed):
        run(work)


def test_what_goes_wrong_in_a_stopped_block_is_what_is_raised(lanyard_agent: FakeAgent) -> None:
    async def work(task: lanyard.aio.Task) -> None:
        lanyard_agent.kill(task.id)
        try:
            await asyncio.Event().wait()
        finally:
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        run(work)


def test_a_kill_that_a_framework_wraps_is_a_kill(lanyard_agent: FakeAgent) -> None:
    async def work(task: lanyard.aio.Task) -> None:
        # Without the watch, the call is the first that the order reaches.
        await task.watch.close()
        lanyard_agent.kill(task.id)
        try:
            try:
                await task.credential("read-tickets")
            except lanyard.Killed as error:
                raise ValueError("the tool failed") from error
        except ValueError as error:
            raise OSError("the run failed") from error

    with pytest.raises(lanyard.Killed) as raised:
        run(work)
    assert raised.value.kill_id
    assert isinstance(raised.value.__cause__, OSError)


def test_a_cancellation_from_outside_stays_one(lanyard_agent: FakeAgent) -> None:
    async def main() -> None:
        opened = asyncio.Event()

        async def block() -> None:
            async with lanyard.aio.task("ticket-router", environment="production", reason="ticket 12"):
                opened.set()
                await asyncio.Event().wait()

        running = asyncio.create_task(block())
        await opened.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert lanyard_agent.tasks[0].closed


def test_a_timeout_around_a_block_stays_one(lanyard_agent: FakeAgent) -> None:
    async def main() -> None:
        async def block() -> None:
            async with lanyard.aio.task("ticket-router", environment="production", reason="ticket 12"):
                await asyncio.Event().wait()

        await asyncio.wait_for(block(), 0.5)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(main())
    assert lanyard_agent.tasks[0].closed


def test_a_task_that_somebody_closes_cancels_the_block(lanyard_agent: FakeAgent) -> None:
    async def work(task: lanyard.aio.Task) -> None:
        lanyard_agent.end(task.id)
        await asyncio.Event().wait()

    with pytest.raises(lanyard.TaskEnded):
        run(work)


def test_a_plan_is_waited_for(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.give_token("move-tickets")
    lanyard_agent.require_approval("move-tickets", people=1, url="https://x/{approval}")

    async def work(task: lanyard.aio.Task) -> None:
        plan = await task.submit_plan("move-tickets", content=b"move", summary="move ticket 12")
        with pytest.raises(lanyard.ApprovalPending) as raised:
            await plan.wait_for_approval(timeout=0)
        assert raised.value.url == f"https://x/{plan.approval_id}"
        lanyard_agent.approve(plan)
        await plan.wait_for_approval(timeout=10)
        assert await task.token("move-tickets", plan=plan)

    run(work)


def test_a_refusal_is_the_same_as_in_the_other_form(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.deny("read-tickets", "denied by charter ticket-router (grants, line 7): no; ask")

    async def work(task: lanyard.aio.Task) -> None:
        await task.token("read-tickets")

    with pytest.raises(lanyard.Denied, match=r"^denied by charter ticket-router \(grants, line 7\): no; ask \[D-\d+\]$"):
        run(work)


def test_the_current_task_is_left_open(lanyard_agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(owner: lanyard.aio.Task) -> None:
        monkeypatch.setenv("LANYARD_TASK", owner.id)
        async with lanyard.aio.current_task() as task:
            assert task.id == owner.id
        assert not lanyard_agent.tasks[0].closed

    run(work)


def test_a_session_of_boto3_works_in_threads(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.give_aws("read-bucket")

    async def work(task: lanyard.aio.Task) -> None:
        credentials = (await task.aws.session("read-bucket")).get_credentials()
        frozen = await asyncio.to_thread(credentials.get_frozen_credentials)
        assert frozen.access_key == "ASIAFAKE000000000001"

    run(work)


def test_calls_find_an_agent_that_was_started_again(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.give_token("read-tickets")

    async def work(task: lanyard.aio.Task) -> None:
        await task.token("read-tickets")
        await asyncio.to_thread(lanyard_agent.stop)
        lanyard_agent.start()
        assert await task.token("read-tickets")
        lanyard_agent.kill(task.id)
        await asyncio.Event().wait()

    with pytest.raises(lanyard.Killed):
        run(work)
