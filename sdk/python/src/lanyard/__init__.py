"""Credentials for one task of an agent, from the Lanyard broker by way of the local agent.

    import lanyard

    with lanyard.task("ticket-router", environment="production", reason="ticket 12") as task:
        s3 = task.aws.session("read-bucket").client("s3")

`lanyard.aio` has the same for asyncio, `lanyard.testing` a local agent for tests.
"""

from lanyard import aws
from lanyard.action import Outcome
from lanyard.credential import (
    AwsKeys,
    Credential,
    GitHubToken,
    KubernetesToken,
    Lease,
    OtherCredential,
    Token,
    VaultSecret,
    VaultToken,
)
from lanyard.errors import (
    AgentUnavailable,
    ApprovalPending,
    BrokerUnavailable,
    Denied,
    Killed,
    LanyardError,
    NoTask,
    NotFound,
    NotLoggedIn,
    Refused,
    RefusedForNow,
    TaskEnded,
)
from lanyard.opening import TaskFacts
from lanyard.secret import Secret
from lanyard.tasks import Plan, Task, current_task, task

__all__ = [
    "AgentUnavailable",
    "ApprovalPending",
    "AwsKeys",
    "BrokerUnavailable",
    "Credential",
    "Denied",
    "GitHubToken",
    "Killed",
    "KubernetesToken",
    "LanyardError",
    "Lease",
    "NoTask",
    "NotFound",
    "NotLoggedIn",
    "OtherCredential",
    "Outcome",
    "Plan",
    "Refused",
    "RefusedForNow",
    "Secret",
    "Task",
    "TaskEnded",
    "TaskFacts",
    "Token",
    "VaultSecret",
    "VaultToken",
    "aws",
    "current_task",
    "task",
]
