"""Reports of an agent about its actions with a credential."""

from __future__ import annotations

from typing import Literal

from lanyard._proto.v1 import action_pb2

Outcome = Literal["started", "succeeded", "failed", "rolled-back"]
_OUTCOMES: dict[str, action_pb2.ActionOutcome] = {
    "started": action_pb2.ACTION_OUTCOME_STARTED,
    "succeeded": action_pb2.ACTION_OUTCOME_SUCCEEDED,
    "failed": action_pb2.ACTION_OUTCOME_FAILED,
    "rolled-back": action_pb2.ACTION_OUTCOME_ROLLED_BACK,
}


def report_of(
    task_id: str, action: str, tool: str, target: str, outcome: Outcome, detail: str, of: str
) -> action_pb2.ReportActionRequest:
    """Builds a report. `action` and `tool` are at most 100 characters, `target` 300, `detail` 1,000.

    Raises ValueError for an unknown outcome.
    """
    if outcome not in _OUTCOMES:
        raise ValueError(f"{outcome!r} is not an outcome: use one of {', '.join(_OUTCOMES)}")
    return action_pb2.ReportActionRequest(
        task_id=task_id,
        action=action,
        tool=tool,
        target=target,
        outcome=_OUTCOMES[outcome],
        detail=detail,
        action_id=of,
    )
