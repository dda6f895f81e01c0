"""The connection to the local agent, for code that blocks."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

import grpc

from lanyard.calls import Answer, Call, Request
from lanyard.context import Metadata, metadata_of
from lanyard.errors import error_of, is_without_answer
from lanyard.local_agent import OPTIONS, LocalAgent

CALL_SECONDS = 60.0
"""Seconds that an answer may take."""
_Item = TypeVar("_Item", covariant=True)


class Stream(Protocol[_Item]):
    """A stream of answers, which its reader can cancel."""

    def __iter__(self) -> Iterator[_Item]: ...
    def cancel(self) -> object: ...


class Connection:
    """A connection to the local agent, which is started on the first call if it does not run."""

    def __init__(self, context: str | os.PathLike[str] | None = None, agent: LocalAgent | None = None) -> None:
        self._agent = agent or LocalAgent.of_environment()
        self._metadata: Metadata = metadata_of(context)
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None

    def ask(self, call: Call[Request, Answer], request: Request) -> Answer:
        """Makes a call, and repeats it once if no agent was running.

        Raises the error that the answer stands for, or AgentUnavailable.
        """
        channel = self._open()
        try:
            return self._once(channel, call, request)
        except grpc.RpcError as failure:
            if not is_without_answer(failure):
                raise error_of(failure) from None
        self.leave()
        try:
            return self._once(self._open(), call, request)
        except grpc.RpcError as failure:
            raise error_of(failure) from None

    def send(self, call: Call[Request, Answer], requests: Iterable[Request]) -> Answer:
        """Makes a call that sends several messages; never repeats it.

        Raises the error that the answer stands for, or AgentUnavailable.
        """
        many = self._open().stream_unary(call.path, call.encode, call.decode)
        try:
            return many(iter(requests), timeout=CALL_SECONDS, metadata=self._metadata)
        except grpc.RpcError as failure:
            raise error_of(failure) from None

    def stream(self, call: Call[Request, Answer], request: Request) -> Stream[Answer]:
        """Makes a call that streams answers. Iterating raises grpc's own errors.

        Raises AgentUnavailable.
        """
        many = self._open().unary_stream(call.path, call.encode, call.decode)
        # In grpc, a stream that fails while it connects can leave its reader waiting for ever. So this stream begins only when
        # the agent listens.
        return many(request, metadata=self._metadata, wait_for_ready=True)

    def leave(self) -> None:
        """Drops the channel: the next call opens one and starts the local agent if it is gone. Running calls keep theirs."""
        with self._lock:
            self._channel = None

    def close(self) -> None:
        """Closes the connection. A later call opens another one."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _once(self, channel: grpc.Channel, call: Call[Request, Answer], request: Request) -> Answer:
        one = channel.unary_unary(call.path, call.encode, call.decode)
        return one(request, timeout=CALL_SECONDS, metadata=self._metadata)

    def _open(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None:
                self._agent.ensure()
                self._channel = grpc.insecure_channel(self._agent.address, options=OPTIONS)
            return self._channel
