"""The calls of the local agent that this package makes, with what each takes and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from lanyard._proto.agent.v1 import agent_pb2
from lanyard._proto.v1 import action_pb2, approval_pb2, plan_pb2, task_pb2

Request = TypeVar("Request", bound=Message)
Answer = TypeVar("Answer", bound=Message)


@dataclass(frozen=True)
class Call(Generic[Request, Answer]):
    """One call: its path, and the types of its two sides."""

    path: str
    request: type[Request]
    answer: type[Answer]

    def encode(self, message: Request) -> bytes:
        """The bytes of a request."""
        return message.SerializeToString()

    def decode(self, data: bytes) -> Answer:
        """The answer in these bytes."""
        return self.answer.FromString(data)

    def encode_answer(self, message: Answer) -> bytes:
        """The bytes of an answer."""
        return message.SerializeToString()


OPEN_TASK = Call("/lanyard.v1.TaskService/OpenTask", task_pb2.OpenTaskRequest, task_pb2.OpenTaskResponse)
GET_TASK = Call("/lanyard.v1.TaskService/GetTask", task_pb2.GetTaskRequest, task_pb2.GetTaskResponse)
WATCH_TASK = Call("/lanyard.v1.TaskService/WatchTask", task_pb2.WatchTaskRequest, task_pb2.WatchTaskResponse)
CLOSE_TASK = Call("/lanyard.v1.TaskService/CloseTask", task_pb2.CloseTaskRequest, task_pb2.CloseTaskResponse)
SUBMIT_PLAN = Call("/lanyard.v1.PlanService/SubmitPlan", plan_pb2.SubmitPlanRequest, plan_pb2.SubmitPlanResponse)
GET_APPROVAL = Call("/lanyard.v1.ApprovalService/GetApproval", approval_pb2.GetApprovalRequest, approval_pb2.GetApprovalResponse)
REPORT_ACTION = Call("/lanyard.v1.ActionService/ReportAction", action_pb2.ReportActionRequest, action_pb2.ReportActionResponse)
GET_CREDENTIAL = Call(
    "/lanyard.agent.v1.AgentService/GetCredential", agent_pb2.GetCredentialRequest, agent_pb2.GetCredentialResponse
)
RELEASE_CREDENTIALS = Call(
    "/lanyard.agent.v1.AgentService/ReleaseCredentials",
    agent_pb2.ReleaseCredentialsRequest,
    agent_pb2.ReleaseCredentialsResponse,
)
