"""The part of `lanyard.http` that needs httpx; imported when authentication is requested."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Generator

import httpx

from lanyard.credential import Credential, Token, expected
from lanyard.grants import AsyncSource, PlanRef, Source


class _Bearer(httpx.Auth):
    """Authentication that adds the token to each request to the right origin."""

    def __init__(self, grant: str, plan: PlanRef, origin: str | None) -> None:
        self.grant = grant
        self.plan = plan
        self._origin = None if origin is None else [_origin(httpx.URL(origin))]

    def may_be_for(self, request: httpx.Request) -> bool:
        return self._origin is None or _origin(request.url) in self._origin

    def put(self, request: httpx.Request, credential: Credential) -> None:
        token = expected(Token, self.grant, credential).token.expose()
        if _origin(request.url) in (self._origin or _audience(self.grant, token)):
            request.headers["Authorization"] = f"Bearer {token}"


class GrantAuth(_Bearer):
    """Authentication for a blocking task. An async client requests the token in a thread."""

    def __init__(self, source: Source, grant: str, plan: PlanRef, origin: str | None) -> None:
        super().__init__(grant, plan, origin)
        self._source = source

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Adds the token to the request if it goes to the right origin."""
        if self.may_be_for(request):
            self.put(request, self._source.credential(self.grant, plan=self.plan))
        yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Adds the token to the request if it goes to the right origin."""
        if self.may_be_for(request):
            self.put(request, await asyncio.to_thread(self._source.credential, self.grant, plan=self.plan))
        yield request


class AsyncGrantAuth(_Bearer):
    """Authentication for an asyncio task, which only async clients can use."""

    def __init__(self, source: AsyncSource, grant: str, plan: PlanRef, origin: str | None) -> None:
        super().__init__(grant, plan, origin)
        self._source = source

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Refuses blocking clients, since the task is asynchronous.

        Raises TypeError.
        """
        raise TypeError(f"the task belongs to lanyard.aio: use an httpx.AsyncClient for {request.url.host}")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Adds the token to the request if it goes to the right origin."""
        if self.may_be_for(request):
            self.put(request, await self._source.credential(self.grant, plan=self.plan))
        yield request


def _audience(grant: str, token: str) -> list[tuple[str, str, int | None]]:
    """Reads the URLs in the token's audience.

    Raises ValueError if the audience names no URL: then only the caller knows the origin.
    """
    payload = [*token.split("."), "", ""][1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        claims = {}
    named = claims.get("aud", []) if isinstance(claims, dict) else []
    named = [named] if isinstance(named, str) else named
    urls = [httpx.URL(each) for each in named if isinstance(each, str) and each.startswith(("https://", "http://"))]
    if not urls:
        raise ValueError(f"the audience of {grant}'s token names no URL: pass origin=")
    return [_origin(url) for url in urls]


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
