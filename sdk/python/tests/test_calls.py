"""The table of calls agrees with the protobuf definitions, and so do the generated modules."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool

from lanyard import calls

HERE = Path(__file__).resolve().parent
TABLE = [value for value in vars(calls).values() if isinstance(value, calls.Call)]


@pytest.mark.parametrize("call", TABLE, ids=lambda call: call.path)
def test_a_call_is_as_it_is_defined(call: calls.Call) -> None:  # type: ignore[type-arg]
    service, name = call.path[1:].split("/")
    method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    assert method.input_type.full_name == call.request.DESCRIPTOR.full_name
    assert method.output_type.full_name == call.answer.DESCRIPTOR.full_name


def test_the_generated_modules_are_up_to_date() -> None:
    pytest.importorskip("grpc_tools")
    if not (HERE.parents[2] / "proto").is_dir():
        pytest.skip("the definitions are only in the repository")
    spec = importlib.util.spec_from_file_location("generate", HERE.parent / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.stale() == []
