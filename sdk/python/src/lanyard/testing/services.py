"""The calls of the fake local agent, answered from its books."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2, timestamp_pb2
from google.rpc import error_details_pb2, status_pb2

from lanyard import calls
from lanyard._proto.agent.v1 import agent_pb2
from lanyard._proto.v1 import action_pb2, approval_pb2, plan_pb2, task_pb2
from lanyard.calls import Answer, Call, Request
from lanyard.context import HEADER
from lanyard.testing.books import Books, FakeApproval, FakeLease, FakeTask, Refusal, Report, Rule, not_found

NEXT_WITHIN_SECONDS = 15
_AGAIN_SECONDS = 5.0


def handlers(books: Books) -> list[grpc.GenericRpcHandler]:
    """Returns the handlers of all calls, for a gRPC server."""
    answers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    def one(call: Call[Request, Answer], answer: Callable[[Books, Request], Answer]) -> None:
        handler = _guarded(books, call.path, partial(answer, books))
        answers[call.path] = grpc.unary_unary_rpc_method_handler(handler, call.request.FromString, call.encode_answer)

    one(calls.OPEN_TASK, _open_task)
    one(calls.GET_TASK, _get_task)
    one(calls.CLOSE_TASK, _close_task)
    one(calls.GET_CREDENTIAL, _get_credential)
    one(calls.RELEASE_CREDENTIALS, _release)
    one(calls.GET_APPROVAL, _get_approval)
    one(calls.REPORT_ACTION, _report)
    submit, watch = calls.SUBMIT_PLAN, calls.WATCH_TASK
    answers[submit.path] = grpc.stream_unary_rpc_method_handler(
        _guarded(books, submit.path, partial(_submit_plan, books)),
        submit.request.FromString,
        submit.encode_answer,
    )
    answers[watch.path] = grpc.unary_stream_rpc_method_handler(
        partial(_watch, books), watch.request.FromString, watch.encode_answer
    )
    return [_Handlers(answers)]


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, answers: dict[str, grpc.RpcMethodHandler[Any, Any]]) -> None:
        self._answers = answers

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        return self._answers.get(details.method)


def _guarded(books: Books, path: str, answer: Callable[[Request], Answer]) -> Callable[[Request, grpc.ServicerContext], Answer]:
    def handle(request: Request, context: grpc.ServicerContext) -> Answer:
        try:
            _noted(books, path, context)
            return answer(request)
        except Refusal as refusal:
            _refuse(context, refusal)

    return handle


def _noted(books: Books, path: str, context: grpc.ServicerContext) -> None:
    with books.changed:
        books.asked[path.rpartition("/")[2]] += 1
        named = [value for key, value in context.invocation_metadata() if key == HEADER]
        books.contexts.extend(str(value) for value in named)
        if books.outage is not None:
            raise books.outage


def _refuse(context: grpc.ServicerContext, refusal: Refusal) -> NoReturn:
    if refusal.reason:
        info = error_details_pb2.ErrorInfo(reason=refusal.reason, domain="lanyard.dev", metadata=refusal.facts)
        detail = any_pb2.Any()
        detail.Pack(info)
        status = status_pb2.Status(code=refusal.code.value[0], message=refusal.message, details=[detail])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(refusal.code, refusal.message)


def _open_task(books: Books, request: task_pb2.OpenTaskRequest) -> task_pb2.OpenTaskResponse:
    for name in ("charter", "environment", "reason"):
        if not getattr(request, name).strip():
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"{name}: must not be empty")
    with books.changed:
        if books.opening is not None:
            raise books.opening
        known = books.requests.get(request.request_id)
        if known is None:
            known = books.next_id("T")
            books.requests[request.request_id or known] = known
            books.tasks[known] = FakeTask(known, request.charter, request.environment, request.reason, request.ticket)
        return task_pb2.OpenTaskResponse(task=_task(books.tasks[known]))


def _get_task(books: Books, request: task_pb2.GetTaskRequest) -> task_pb2.GetTaskResponse:
    with books.changed:
        return task_pb2.GetTaskResponse(task=_task(books.task(request.id)))


def _close_task(books: Books, request: task_pb2.CloseTaskRequest) -> task_pb2.CloseTaskResponse:
    with books.changed:
        task = books.task(request.id)
        task.closed = True
        task.leases.clear()
        books.changed.notify_all()
    return task_pb2.CloseTaskResponse()


def _get_credential(books: Books, request: agent_pb2.GetCredentialRequest) -> agent_pb2.GetCredentialResponse:
    with books.changed:
        task = books.task(request.task_id)
        rule = _rule(books, task, request.grant)
        _want_approval(books, rule, request)
        kept = task.leases.get(request.grant)
        if kept is None or kept.refreshes <= time.time():
            kept = _minted(books, task, request.grant, rule)
        return agent_pb2.GetCredentialResponse(
            lease_id=kept.id,
            expire_time=_stamp(kept.expires),
            refresh_time=_stamp(kept.refreshes),
            credential=kept.credential,
        )


def _rule(books: Books, task: FakeTask, grant: str) -> Rule:
    """Returns the grant's credential for this task, with the broker's checks."""
    if task.orders:
        raise killed(task.orders[-1].id, f"task {task.id}", task.orders[-1].reason)
    if task.closed:
        raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, f"task {task.id} has ended", "TASK_ENDED")
    rule = books.rules.get(grant)
    if rule is None:
        decision = books.next_id("D")
        known = ", ".join(sorted(books.rules))
        message = f"denied by charter {task.charter} (grants): there is no grant {grant}; the grants are {known}"
        facts = {"charter": task.charter, "rule": "grants", "decision_id": decision}
        raise Refusal(grpc.StatusCode.PERMISSION_DENIED, f"{message} [{decision}]", "CHARTER_DENIED", facts)
    if rule.refusal is not None:
        raise rule.refusal
    return rule


def _want_approval(books: Books, rule: Rule, request: agent_pb2.GetCredentialRequest) -> None:
    if rule.people == 0:
        return
    approval = books.approval_of(request.plan_id)
    if approval is None or approval.task_id != request.task_id or approval.grant != request.grant:
        message = f"grant {request.grant} takes a plan: submit one"
        raise Refusal(grpc.StatusCode.PERMISSION_DENIED, message, "CHARTER_DENIED", {"rule": "plans"})
    facts = {"plan_id": approval.plan_id, "approval_id": approval.id}
    if approval.denied:
        message = f"approval {approval.id}: denied: {approval.denied}"
        raise Refusal(grpc.StatusCode.PERMISSION_DENIED, message, "APPROVAL_DENIED", facts)
    if not approval.complete:
        given = f"{len(approval.consents)} of {approval.people} approvals given"
        message = f"approval {approval.id} of plan {approval.plan_id} is needed first: {given}"
        facts |= {"url": rule.url.replace("{approval}", approval.id)} if rule.url else {}
        raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, message, "APPROVAL_REQUIRED", facts)


def _minted(books: Books, task: FakeTask, grant: str, rule: Rule) -> FakeLease:
    books.mints.append((task.id, grant))
    if rule.mint is None:
        raise Refusal(grpc.StatusCode.UNAVAILABLE, "the target does not answer", "UNAVAILABLE")
    now = time.time()
    credential = rule.mint(len(books.mints))
    kept = FakeLease(books.next_id("L"), credential, now + rule.lifetime, now + rule.lifetime * 2 / 3)
    task.leases[grant] = kept
    return kept


def _release(books: Books, request: agent_pb2.ReleaseCredentialsRequest) -> agent_pb2.ReleaseCredentialsResponse:
    with books.changed:
        task = books.task(request.task_id)
        ended = [lease.id for lease in task.leases.values()]
        task.leases.clear()
        books.changed.notify_all()
    return agent_pb2.ReleaseCredentialsResponse(lease_ids=ended)


def _submit_plan(books: Books, parts: Iterator[plan_pb2.SubmitPlanRequest]) -> plan_pb2.SubmitPlanResponse:
    header = next(parts).header
    content = b"".join(part.chunk for part in parts)
    with books.changed:
        rule = _rule(books, books.task(header.task_id), header.grant)
        plan = plan_pb2.Plan(
            id=books.next_id("P"),
            task_id=header.task_id,
            grant=header.grant,
            format=header.format,
            digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
            size=len(content),
            summary=header.summary,
            risk=plan_pb2.RISK_HIGH if header.destructive else plan_pb2.RISK_LOW,
            destructive=header.destructive,
        )
        books.contents[plan.id] = content
        if rule.people:
            plan.approval_id = books.next_id("A")
            books.approvals[plan.approval_id] = FakeApproval(plan.approval_id, plan.id, header.task_id, header.grant, rule.people)
        return plan_pb2.SubmitPlanResponse(plan=plan)


def _get_approval(books: Books, request: approval_pb2.GetApprovalRequest) -> approval_pb2.GetApprovalResponse:
    with books.changed:
        found = books.approvals.get(request.id)
        if found is None:
            raise not_found("approval")
        return approval_pb2.GetApprovalResponse(
            approval=approval_pb2.Approval(
                id=found.id,
                plan_id=found.plan_id,
                task_id=found.task_id,
                grant=found.grant,
                people_needed=found.people,
                consents=found.consents,
                denied=found.denied,
                complete=found.complete,
            )
        )


def _report(books: Books, request: action_pb2.ReportActionRequest) -> action_pb2.ReportActionResponse:
    with books.changed:
        books.task(request.task_id)
        action = request.action_id or books.next_id("X")
        outcome = action_pb2.ActionOutcome.Name(request.outcome).removeprefix("ACTION_OUTCOME_")
        books.reports.append(
            Report(
                action,
                request.task_id,
                request.tool,
                request.action,
                request.target,
                outcome.lower().replace("_", "-"),
                request.detail,
            )
        )
        return action_pb2.ReportActionResponse(action_id=action)


def _watch(
    books: Books, request: task_pb2.WatchTaskRequest, context: grpc.ServicerContext
) -> Iterator[task_pb2.WatchTaskResponse]:
    def wake() -> None:
        with books.changed:
            books.changed.notify_all()

    context.add_callback(wake)
    try:
        _noted(books, calls.WATCH_TASK.path, context)
        state = None
        while context.is_active() and not books.over:
            with books.changed:
                found = _state(books.task(request.id))
                if found == state and books.changed.wait(_AGAIN_SECONDS):
                    continue
                state = found
            yield found
            if found.task.closed:
                return
    except Refusal as refusal:
        _refuse(context, refusal)


def _state(task: FakeTask) -> task_pb2.WatchTaskResponse:
    return task_pb2.WatchTaskResponse(
        task=_task(task),
        live_lease_ids=[lease.id for lease in task.leases.values()],
        orders=task.orders,
        next_within=duration_pb2.Duration(seconds=NEXT_WITHIN_SECONDS),
    )


def _task(task: FakeTask) -> task_pb2.Task:
    return task_pb2.Task(
        id=task.id,
        charter=task.charter,
        revision="sha256:fake",
        environment=task.environment,
        agent="fake",
        reason=task.reason,
        ticket=task.ticket,
        closed=task.closed,
    )


def _stamp(seconds: float) -> timestamp_pb2.Timestamp:
    whole = int(seconds)
    return timestamp_pb2.Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))


def killed(order: str, where: str, reason: str) -> Refusal:
    """Returns the refusal of a call that a kill order stops."""
    message = f"stopped by kill order {order} over {where}: {reason}"
    return Refusal(grpc.StatusCode.FAILED_PRECONDITION, message, "KILL_ENGAGED", {"kill_id": order})
