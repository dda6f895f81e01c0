"""HTTP: authentication for httpx whose token comes from a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lanyard.grants import PlanRef, Source, with_extra

if TYPE_CHECKING:
    import httpx


class HttpGrants:
    """The token grants of a task, as httpx takes them."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def auth(self, grant: str, *, plan: PlanRef = None, origin: str | None = None) -> httpx.Auth:
        """Makes authentication that sends a grant's token, for `httpx.Client(auth=…)` and `httpx.AsyncClient(auth=…)`.

        Requests to anywhere but the `origin`, such as `https://tickets.acme.example`, go without it. Without an `origin` that is
        the URL that the token is for; where it is for none, requests raise ValueError. They raise as `Task.token` does, too.
        """

        def make() -> httpx.Auth:
            from lanyard._httpx import GrantAuth

            return GrantAuth(self._source, grant, plan, origin)

        return with_extra("http", make)
