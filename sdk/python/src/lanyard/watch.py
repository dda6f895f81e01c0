"""Watches a task in a thread, which receives a kill order at once."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator

import grpc

from lanyard._proto.v1 import task_pb2
from lanyard.calls import WATCH_TASK
from lanyard.connection import Connection, Stream
from lanyard.errors import LanyardError, error_of
from lanyard.stop import BEGIN_SECONDS, Lookout, clock, is_final, seconds_until_next

AGAIN_SECONDS = (0.2, 1.0)
"""The shortest and longest wait in seconds until a broken watch is begun again."""
Callback = Callable[[LanyardError], object]
_LOG = logging.getLogger("lanyard")


class Watch:
    """Watches one task until something stops it, or until it is closed."""

    def __init__(self, connection: Connection, task_id: str) -> None:
        self.stopped = threading.Event()
        self._connection = connection
        self._task_id = task_id
        self._lookout = Lookout(task_id, clock())
        self._stop: LanyardError | None = None
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._stream: Stream[task_pb2.WatchTaskResponse] | None = None
        self._callbacks: list[Callback] = []
        threading.Thread(target=self._run, name=f"lanyard-watch-{task_id}", daemon=True).start()

    def check(self) -> None:
        """Raises the error that stopped the task, or BrokerUnavailable if the broker has been silent for too long."""
        with self._lock:
            known = self._stop or (None if self._closing.is_set() else self._lookout.silence(clock()))
        if known is not None:
            raise known.again()

    def on_stop(self, callback: Callback) -> None:
        """Calls back when something stops the task, or at once if something already has."""
        with self._lock:
            stop = self._stop
            if stop is None:
                self._callbacks.append(callback)
        if stop is not None:
            callback(stop)

    def close(self) -> None:
        """Ends the watch; `stopped` stays as it is."""
        self._closing.set()
        with self._lock:
            stream, self._stream = self._stream, None
        if stream is not None:
            stream.cancel()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                stop = self._follow()
            except grpc.RpcError as failure:
                stop = _final(error_of(failure))
            except LanyardError as error:
                stop = _final(error)
            if stop is not None:
                self._finish(stop)
                return
            # The local agent may be gone: the next stream checks that, and starts it.
            self._connection.leave()
            self._closing.wait(random.uniform(*AGAIN_SECONDS))  # noqa: S311 - spreads calls, and hides nothing

    def _follow(self) -> LanyardError | None:
        stream = self._connection.stream(WATCH_TASK, task_pb2.WatchTaskRequest(id=self._task_id))
        with self._lock:
            if self._closing.is_set():
                stream.cancel()
                return None
            self._stream = stream
        states = iter(stream)
        seconds = BEGIN_SECONDS
        while (state := _next_within(seconds, states, stream)) is not None:
            with self._lock:
                stop = self._lookout.hear(state, clock())
            if stop is not None:
                return stop
            seconds = seconds_until_next(state)
        return None

    def _finish(self, stop: LanyardError) -> None:
        if self._closing.is_set():
            return
        with self._lock:
            self._stop = stop
            callbacks, self._callbacks = self._callbacks, []
        self.stopped.set()
        for callback in callbacks:
            try:
                callback(stop)
            except Exception:  # noqa: BLE001 - a failing callback must not keep the others from running
                _LOG.exception("a callback of task %s failed", self._task_id)


def _next_within(
    seconds: float, states: Iterator[task_pb2.WatchTaskResponse], stream: Stream[task_pb2.WatchTaskResponse]
) -> task_pb2.WatchTaskResponse | None:
    """Returns the next message of a stream, or None at its end. Cancels a stream that stays silent too long."""
    # A stream waits until its channel is ready: for ever, if the local agent went away in between, because only a new
    # stream starts the agent again.
    silence = threading.Timer(seconds, stream.cancel)
    silence.daemon = True
    silence.start()
    try:
        return next(states, None)
    finally:
        silence.cancel()


def _final(error: LanyardError) -> LanyardError | None:
    return error if is_final(error) else None
