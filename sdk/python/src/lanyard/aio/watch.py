"""Watches a task for asyncio: receives a kill order at once, and cancels the block that uses the task."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sys
from typing import Any

from lanyard._proto.v1 import task_pb2
from lanyard.aio.connection import Connection
from lanyard.calls import WATCH_TASK
from lanyard.errors import LanyardError
from lanyard.stop import BEGIN_SECONDS, Lookout, clock, is_final, seconds_until_next
from lanyard.watch import AGAIN_SECONDS, Callback

_LOG = logging.getLogger("lanyard")


class Watch:
    """Watches one task until something stops it, or until it is closed."""

    def __init__(self, connection: Connection, task_id: str) -> None:
        self.stopped = asyncio.Event()
        self._connection = connection
        self._task_id = task_id
        self._lookout = Lookout(task_id, clock())
        self._stop: LanyardError | None = None
        self._callbacks: list[Callback] = []
        self._block = asyncio.current_task()
        self._cancelling = _cancelling(self._block)
        self._has_cancelled = False
        self._is_closing = False
        self._watcher = asyncio.create_task(self._run(), name=f"lanyard-watch-{task_id}")

    def check(self) -> None:
        """Raises the error that stopped the task, or BrokerUnavailable if the broker has been silent for too long."""
        known = self._stop or (None if self._watcher.done() else self._lookout.silence(clock()))
        if known is not None:
            raise known.again()

    def on_stop(self, callback: Callback) -> None:
        """Calls back when something stops the task, or at once if something already has."""
        if self._stop is None:
            self._callbacks.append(callback)
        else:
            callback(self._stop)

    async def close(self) -> None:
        """Ends the watch; `stopped` stays as it is."""
        # Before Python 3.12, `wait_for` can swallow a cancellation that comes together with a message.
        self._is_closing = True
        self._watcher.cancel()
        await asyncio.gather(self._watcher, return_exceptions=True)

    def let_go(self, error: BaseException | None) -> bool:
        """Stops cancelling. Returns true if this error of the block is the cancellation that was requested here."""
        block, self._block = self._block, None
        if not self._has_cancelled or block is None:
            return False
        if sys.version_info >= (3, 11) and block.uncancel() > self._cancelling:
            # Another party cancelled the block as well.
            return False
        return isinstance(error, asyncio.CancelledError)

    async def _run(self) -> None:
        while not self._is_closing:
            try:
                stop = await self._follow()
                if stop is not None:
                    self._finish(stop)
                    return
            except LanyardError as error:
                if is_final(error):
                    self._finish(error)
                    return
            await asyncio.sleep(random.uniform(*AGAIN_SECONDS))  # noqa: S311 - spreads calls, and hides nothing

    async def _follow(self) -> LanyardError | None:
        """Follows one stream until it ends or is silent for too long. Only a new stream starts a local agent that is gone."""
        request = task_pb2.WatchTaskRequest(id=self._task_id)
        seconds = BEGIN_SECONDS
        async with contextlib.aclosing(self._connection.stream(WATCH_TASK, request)) as states:
            while not self._is_closing:
                try:
                    state = await asyncio.wait_for(anext(states), seconds)
                except (StopAsyncIteration, asyncio.TimeoutError):
                    return None
                stop = self._lookout.hear(state, clock())
                if stop is not None:
                    return stop
                seconds = seconds_until_next(state)
        return None

    def _finish(self, stop: LanyardError) -> None:
        self._stop = stop
        self.stopped.set()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback(stop)
            except Exception:  # noqa: BLE001 - a failing callback must not keep the others from running
                _LOG.exception("a callback of task %s failed", self._task_id)
        if self._block is not None:
            self._has_cancelled = True
            self._block.cancel()


def _cancelling(block: asyncio.Task[Any] | None) -> int:
    """Returns how many cancellations of the running asyncio task are already pending."""
    if sys.version_info >= (3, 11) and block is not None:
        return block.cancelling()
    return 0
