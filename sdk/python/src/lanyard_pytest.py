"""The fixture `lanyard_agent` of pytest.

pytest loads this file in every run of every project with the package installed. It lies outside the package, and imports it
only when needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lanyard.testing.agent import FakeAgent


@pytest.fixture
def lanyard_agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAgent]:
    """A fake local agent for the test's own process; no other program is called or started."""
    from lanyard.testing.agent import FakeAgent

    with FakeAgent() as agent:
        for name in ("LANYARD_CONTEXT", "LANYARD_TASK", "LANYARD_BIN"):
            monkeypatch.delenv(name, raising=False)
        for name, value in agent.environment().items():
            monkeypatch.setenv(name, value)
        yield agent
