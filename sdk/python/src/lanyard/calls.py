"""The calls of the local agent that this package makes, with their requests and answers."""

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
    """A call of the local agent, with its path and the types of its request and answer."""

    path: str
    request: type[Request]
    answer: type[Answer]

    def encode(self, message: Request) -> bytes:
        """Serializes a request."""
        return message.SerializeToString()

    def decode(self, data: bytes) -> Answer:
        """Parses an answer."""
        return self.answer.FromString(data)

    def encode_answer(self, message: Answer) -> bytes:
        """Serializes an answer, for the fake agent of tests."""
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
