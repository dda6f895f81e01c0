from __future__ import annotations

import pickle

import grpc
import pytest

import lanyard
from lanyard.testing import FakeAgent, Refusal

CODES = grpc.StatusCode
CASES = [
    (CODES.PERMISSION_DENIED, "CHARTER_DENIED", lanyard.Denied),
    (CODES.PERMISSION_DENIED, "ROLE_DENIED", lanyard.Denied),
    (CODES.PERMISSION_DENIED, "APPROVAL_DENIED", lanyard.Denied),
    (CODES.PERMISSION_DENIED, "REAUTHENTICATE", lanyard.NotLoggedIn),
    (CODES.FAILED_PRECONDITION, "APPROVAL_REQUIRED", lanyard.ApprovalPending),
    (CODES.FAILED_PRECONDITION, "KILL_ENGAGED", lanyard.Killed),
    (CODES.FAILED_PRECONDITION, "TASK_ENDED", lanyard.TaskEnded),
    (CODES.FAILED_PRECONDITION, "PAUSED", lanyard.RefusedForNow),
    (CODES.FAILED_PRECONDITION, "OUT_OF_HOURS", lanyard.RefusedForNow),
    (CODES.FAILED_PRECONDITION, "FROZEN", lanyard.RefusedForNow),
    (CODES.RESOURCE_EXHAUSTED, "QUOTA", lanyard.RefusedForNow),
    (CODES.RESOURCE_EXHAUSTED, "LIMIT_SPENT", lanyard.Denied),
    (CODES.INVALID_ARGUMENT, "", lanyard.Refused),
    (CODES.UNAUTHENTICATED, "UNAUTHENTICATED", lanyard.NotLoggedIn),
    (CODES.UNAVAILABLE, "UNAVAILABLE", lanyard.BrokerUnavailable),
    (CODES.UNAVAILABLE, "", lanyard.BrokerUnavailable),
    (CODES.NOT_FOUND, "NOT_FOUND", lanyard.NotFound),
]


@pytest.mark.parametrize(("code", "reason", "kind"), CASES)
def test_each_refusal_is_an_error_of_its_own_with_exactly_its_text(
    lanyard_agent: FakeAgent, code: grpc.StatusCode, reason: str, kind: type[lanyard.LanyardError]
) -> None:
    line = "denied by charter ticket-router (grants, line 7): no; ask the owner [D-1]"
    lanyard_agent.refuse_tasks(Refusal(code, line, reason, {"decision_id": "D-1", "url": "https://x"} if reason else {}))
    with pytest.raises(lanyard.LanyardError) as raised:
        lanyard.task("ticket-router", environment="staging", reason="test")
    assert type(raised.value) is kind
    assert str(raised.value) == line
    assert raised.value.reason == reason
    assert raised.value.decision_id == ("D-1" if reason else None)


def test_the_facts_of_an_error_are_its_attributes() -> None:
    facts = {"kill_id": "K-1", "approval_id": "A-1", "plan_id": "P-1", "decision_id": "D-1", "url": "https://x/A-1"}
    error = lanyard.ApprovalPending("people first", reason="APPROVAL_REQUIRED", facts=facts)
    assert (error.kill_id, error.approval_id, error.plan_id, error.decision_id) == ("K-1", "A-1", "P-1", "D-1")
    assert error.url == "https://x/A-1"
    taken = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(taken), taken.reason, taken.facts) == (str(error), error.reason, error.facts)


def test_u22_a_refusal_for_now_ends_when_the_fake_allows(lanyard_agent: FakeAgent) -> None:
    lanyard_agent.give_token("read-tickets")
    lanyard_agent.refuse_for_now("read-tickets", retry_after=12.5)
    with lanyard.task("ticket-router", environment="staging", reason="test") as task:
        with pytest.raises(lanyard.RefusedForNow, match=r"limits\.live_leases is reached") as raised:
            task.token("read-tickets")
        refused = raised.value
        assert (refused.retry_after, refused.limit, refused.reason) == (13.0, "limits.live_leases", "QUOTA")
        assert refused.retry_at is not None
        assert refused.retry_at.endswith("Z")
        assert refused.decision_id is not None
        lanyard_agent.refuse_for_now("read-tickets", reason="PAUSED", retry_after=None)
        with pytest.raises(lanyard.RefusedForNow) as raised:
            task.token("read-tickets")
        assert (raised.value.retry_after, raised.value.limit) == (None, None)
        lanyard_agent.allow("read-tickets")
        assert task.token("read-tickets")


def test_u22_a_refusal_for_now_says_when_to_ask_again() -> None:
    facts = {"retry_after_seconds": "90", "retry_after": "2027-01-15T08:00:00Z", "limit": "limits.live_leases"}
    error = lanyard.RefusedForNow("five leases", reason="QUOTA", facts=facts)
    assert isinstance(error, lanyard.Refused)
    assert (error.retry_after, error.retry_at, error.limit) == (90.0, facts["retry_after"], "limits.live_leases")
    unknown = lanyard.RefusedForNow("paused", reason="PAUSED")
    assert (unknown.retry_after, unknown.retry_at, unknown.limit) == (None, None, None)
    assert lanyard.RefusedForNow("x", facts={"retry_after_seconds": "soon"}).retry_after is None
