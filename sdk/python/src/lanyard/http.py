"""HTTP: authentication for httpx whose token comes from a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lanyard.grants import PlanRef, Source, with_extra

if TYPE_CHECKING:
    import httpx


class HttpGrants:
    """The token grants of a task, for httpx."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def auth(self, grant: str, *, plan: PlanRef = None, origin: str | None = None) -> httpx.Auth:
        """Makes authentication that sends a grant's token, for `httpx.Client(auth=…)` and `httpx.AsyncClient(auth=…)`.

        Only requests to `origin`, such as `https://tickets.acme.example`, carry the token. Without an `origin`, the URL in the
        token's audience is used; if it has none, requests raise ValueError. Requests also raise as `Task.token` does.
        """

        def make() -> httpx.Auth:
            from lanyard._httpx import GrantAuth

            return GrantAuth(self._source, grant, plan, origin)

        return with_extra("http", make)
