"""Plans: the changes that an agent proposes, and their approvals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lanyard._proto.v1 import approval_pb2, plan_pb2
from lanyard.errors import Denied

Format = Literal["auto", "text", "terraform-json", "manifests", "manifest-diff"]
Risk = Literal["unknown", "low", "medium", "high"]

CHUNK_BYTES = 32 * 1024
POLL_SECONDS = 1.0
"""Seconds between two checks of a pending approval."""
_FORMATS: dict[str, plan_pb2.PlanFormat] = {
    "auto": plan_pb2.PLAN_FORMAT_UNSPECIFIED,
    "text": plan_pb2.PLAN_FORMAT_TEXT,
    "terraform-json": plan_pb2.PLAN_FORMAT_TERRAFORM_JSON,
    "manifests": plan_pb2.PLAN_FORMAT_MANIFESTS,
    "manifest-diff": plan_pb2.PLAN_FORMAT_MANIFEST_DIFF,
}
_RISKS: dict[int, Risk] = {plan_pb2.RISK_LOW: "low", plan_pb2.RISK_MEDIUM: "medium", plan_pb2.RISK_HIGH: "high"}


@dataclass(frozen=True)
class Proposal:
    """A plan before it is submitted.

    `summary` is what people read first: at most 1,000 characters. The content is at most 4 MiB; the broker recognises its form
    where `format` is "auto".
    """

    grant: str
    content: bytes = field(repr=False)
    format: Format
    summary: str
    destructive: Sequence[str] = ()

    def messages(self, task_id: str) -> Iterator[plan_pb2.SubmitPlanRequest]:
        """Returns the messages of the plan: a header, and then the content in chunks.

        Raises ValueError for an unknown format.
        """
        if self.format not in _FORMATS:
            raise ValueError(f"{self.format!r} is not a plan format: use one of {', '.join(_FORMATS)}")
        header = plan_pb2.PlanHeader(
            task_id=task_id,
            grant=self.grant,
            format=_FORMATS[self.format],
            summary=self.summary,
            destructive=self.destructive,
        )
        return self._parts(header)

    def _parts(self, header: plan_pb2.PlanHeader) -> Iterator[plan_pb2.SubmitPlanRequest]:
        yield plan_pb2.SubmitPlanRequest(header=header)
        for start in range(0, len(self.content), CHUNK_BYTES):
            yield plan_pb2.SubmitPlanRequest(chunk=self.content[start : start + CHUNK_BYTES])


@dataclass(frozen=True)
class Submitted:
    """A plan that the broker has accepted.

    `digest` covers the exact bytes that people approve. `approval_id` is None if the charter requires no approval.
    `reach` lists what the credential is narrowed to; it is empty if the credential covers the whole grant.
    """

    id: str
    task_id: str
    grant: str
    digest: str
    summary: str
    approval_id: str | None
    risk: Risk
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    reach: tuple[str, ...]


def fields_of(plan: plan_pb2.Plan) -> dict[str, Any]:
    """Reads the fields of `Submitted` from the broker's answer."""
    return {
        "id": plan.id,
        "task_id": plan.task_id,
        "grant": plan.grant,
        "digest": plan.digest,
        "summary": plan.summary,
        "approval_id": plan.approval_id or None,
        "risk": _RISKS.get(plan.risk, "unknown"),
        "reasons": tuple(plan.reasons),
        "warnings": tuple(plan.warnings),
        "reach": tuple(plan.reach),
    }


def is_approved(approval: approval_pb2.Approval) -> bool:
    """Returns true if enough people have approved.

    Raises Denied if an approver denied it.
    """
    if approval.denied:
        raise Denied(
            f"approval {approval.id}: denied: {approval.denied}",
            reason="APPROVAL_DENIED",
            facts={"approval_id": approval.id, "plan_id": approval.plan_id},
        )
    return approval.complete
