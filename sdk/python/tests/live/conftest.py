from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# pytest takes the one fixture by its name, and this file has no other.
IS_LIVE = os.environ.get("LANYARD_LIVE") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and not IS_LIVE:
            item.add_marker(pytest.mark.skip(reason="LANYARD_LIVE is not 1: no broker is running"))


class Broker:
    """The command lines of a broker's people."""

    def __init__(self, state: Path) -> None:
        self.binary = os.environ["LANYARD_BIN"]
        self.contexts = Path(os.environ["LANYARD_CONTEXT"]).parent
        self.environment = {**os.environ, "LANYARD_STATE": str(state)}

    def run(self, person: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command and returns its result."""
        command = [self.binary, "--context", str(self.contexts / f"{person}.json"), *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)

    def ok(self, person: str, *arguments: str) -> str:
        """Runs a command that must succeed, and returns its stdout."""
        ran = self.run(person, *arguments)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def records(self, kind: str, mentions: str) -> list[dict[str, Any]]:
        """Records of the journal."""
        found: list[dict[str, Any]] = json.loads(self.ok("oncall", "-o", "json", "audit", "query", "--kind", kind, mentions))
        return found


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    state = tmp_path_factory.mktemp("state")
    state.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANYARD_STATE", str(state))
        patch.delenv("LANYARD_AGENT", raising=False)
        patch.delenv("LANYARD_TASK", raising=False)
        broker = Broker(state)
        yield broker
        broker.run("agent", "agent", "stop")
