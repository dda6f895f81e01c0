"""The sources of credentials for the libraries built on a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from lanyard.credential import Credential
from lanyard.plan import Submitted

PlanRef = Submitted | str | None
"""An approved plan, or its id."""
_Made = TypeVar("_Made")


class Source(Protocol):
    """Gives the credential under a grant, for code that blocks."""

    def credential(self, grant: str, *, plan: PlanRef = None) -> Credential: ...


class AsyncSource(Protocol):
    """Gives the credential under a grant."""

    async def credential(self, grant: str, *, plan: PlanRef = None) -> Credential: ...


def plan_id(plan: PlanRef) -> str:
    """Returns the plan's id as the protocol has it: empty without a plan."""
    return plan.id if isinstance(plan, Submitted) else plan or ""


def with_extra(extra: str, make: Callable[[], _Made]) -> _Made:
    """Calls a function that needs an optional library.

    Raises an ImportError that says how to install the library.
    """
    try:
        return make()
    except ModuleNotFoundError as error:
        raise ImportError(f'{error.name} is not installed: pip install "lanyard-sdk[{extra}]"') from error
