from __future__ import annotations

import sys

import pytest

import lanyard
from lanyard.testing import FakeAgent

MISSING = [
    ("boto3", "lanyard._botocore", "aws", lambda task: task.aws.session("read-bucket")),
    ("kubernetes", "lanyard._kubernetes", "kubernetes", lambda task: task.kubernetes.client("read-pods")),
    ("httpx", "lanyard._httpx", "http", lambda task: task.http.auth("read-tickets")),
]


@pytest.mark.parametrize(("library", "module", "extra", "use"), MISSING)
def test_a_missing_library_is_named_with_what_installs_it(
    library: str, module: str, extra: str, use: object, lanyard_agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(use)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with lanyard.task("ticket-router", environment="production", reason="r") as task, pytest.raises(ImportError) as raised:
        use(task)
    assert str(raised.value) == f'{library} is not installed: pip install "lanyard-sdk[{extra}]"'
    assert lanyard_agent.mints == []
