"""The connection to the local agent, for asyncio. The event loop of its first call owns it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable

import grpc
import grpc.aio

from lanyard.calls import Answer, Call, Request
from lanyard.connection import CALL_SECONDS
from lanyard.context import metadata_of
from lanyard.errors import error_of, is_without_answer
from lanyard.local_agent import OPTIONS, LocalAgent


class Connection:
    """A connection to the local agent, which is started on the first call if it does not run."""

    def __init__(self, context: str | os.PathLike[str] | None = None, agent: LocalAgent | None = None) -> None:
        self._agent = agent or LocalAgent.of_environment()
        self._metadata = metadata_of(context)
        self._lock = asyncio.Lock()
        self._channel: grpc.aio.Channel | None = None
        self._left: list[grpc.aio.Channel] = []

    async def ask(self, call: Call[Request, Answer], request: Request) -> Answer:
        """Makes a call, and repeats it once if no agent was running.

        Raises the error that the answer stands for, or AgentUnavailable.
        """
        channel = await self._open()
        try:
            return await self._once(channel, call, request)
        except grpc.aio.AioRpcError as failure:
            if not is_without_answer(failure):
                raise error_of(failure) from None
        self._leave(channel)
        try:
            return await self._once(await self._open(), call, request)
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure) from None

    async def send(self, call: Call[Request, Answer], requests: Iterable[Request]) -> Answer:
        """Makes a call that sends several messages; never repeats it.

        Raises the error that the answer stands for, or AgentUnavailable.
        """
        many = (await self._open()).stream_unary(call.path, call.encode, call.decode)
        try:
            return await many(iter(requests), timeout=CALL_SECONDS, metadata=self._metadata)
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure) from None

    async def stream(self, call: Call[Request, Answer], request: Request) -> AsyncGenerator[Answer, None]:
        """Makes a call that streams answers.

        Raises the error that the last answer stands for, or AgentUnavailable.
        """
        channel = await self._open()
        many = channel.unary_stream(call.path, call.encode, call.decode)
        try:
            # As in the blocking form, begin only when the agent listens.
            async for answer in many(request, metadata=self._metadata, wait_for_ready=True):
                yield answer
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure) from None
        finally:
            # The local agent may be gone: the next stream checks that, and starts it.
            self._leave(channel)

    def _leave(self, channel: grpc.aio.Channel) -> None:
        """Makes the next call open a new channel and start the local agent if it is gone. Running calls keep their channel."""
        if self._channel is channel:
            self._left.append(channel)
            self._channel = None

    async def close(self) -> None:
        """Closes the connection. A later call opens another one."""
        channels, self._left = [*self._left, self._channel], []
        self._channel = None
        for channel in channels:
            if channel is not None:
                await channel.close()

    async def _once(self, channel: grpc.aio.Channel, call: Call[Request, Answer], request: Request) -> Answer:
        one = channel.unary_unary(call.path, call.encode, call.decode)
        return await one(request, timeout=CALL_SECONDS, metadata=self._metadata)

    async def _open(self) -> grpc.aio.Channel:
        async with self._lock:
            if self._channel is None:
                await asyncio.to_thread(self._agent.ensure)
                self._channel = grpc.aio.insecure_channel(self._agent.address, options=OPTIONS)
            return self._channel
