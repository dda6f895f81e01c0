"""The code in the how-tos runs: the blocks of python.md in order, the others as parts of the examples."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from lanyard.testing import FakeAgent

from .conftest import Recorder

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[2] / "docs" / "how-to"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = {
    "langgraph.md": "langgraph_tickets.py",
    "openai-agents.md": "openai_agents_tickets.py",
    "claude-agent-sdk.md": "claude_agent_hooks.py",
}
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the how-tos are only in the repository")


def blocks(page: str) -> list[str]:
    return BLOCK.findall((DOCS / page).read_text()) if DOCS.is_dir() else []


@pytest.mark.parametrize("block", blocks("python.md"), ids=lambda block: block.splitlines()[3][:40])
def test_a_block_runs_as_it_is_written(
    block: str, lanyard_agent: FakeAgent, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanyard_agent.give_token("read-tickets")
    lanyard_agent.give_token("move-tickets")
    lanyard_agent.give_aws("read-queue")
    lanyard_agent.give_kubernetes("read-pods", recorder.url)
    lanyard_agent.give_vault("read-config", recorder.url)
    recorder.body = b'{"apiVersion": "v1", "kind": "PodList", "items": [], "metadata": {}, "QueueUrls": []}'
    monkeypatch.setenv("AWS_ENDPOINT_URL", recorder.url)
    monkeypatch.setattr("atexit.register", lambda *_: None)
    names: dict[str, Any] = {"__name__": "block"}
    exec(block.replace("https://tickets.acme.example", recorder.url), names)  # noqa: S102 - our own words
    for name, value in names.items():
        if name.startswith("test_"):
            value(lanyard_agent)
    assert lanyard_agent.tasks


@pytest.mark.parametrize("page", EXAMPLES)
def test_a_block_is_a_part_of_the_example(page: str) -> None:
    example = (HERE.parent / "examples" / EXAMPLES[page]).read_text()
    found = blocks(page)
    assert found
    for block in found:
        assert block in example
