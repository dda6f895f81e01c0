"""The grants of a task for asyncio, in the forms that libraries need."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from lanyard._proto.agent.v1 import agent_pb2
from lanyard.aio.watch import Watch
from lanyard.calls import GET_CREDENTIAL
from lanyard.connection import Connection
from lanyard.credential import Credential, KubernetesToken, credential_of, expected
from lanyard.grants import AsyncSource, PlanRef, Source, plan_id, with_extra

if TYPE_CHECKING:
    import boto3
    import httpx
    from kubernetes.aio.client import ApiClient

    Adaptor = Callable[[AsyncSource, str, PlanRef], Awaitable[ApiClient]]


class BlockingSource:
    """The credentials of a task for blocking libraries, in the calling thread."""

    def __init__(self, connection: Connection, task_id: str, watch: Watch) -> None:
        self._connection = connection
        self._task_id = task_id
        self._watch = watch

    def credential(self, grant: str, *, plan: PlanRef = None) -> Credential:
        """Returns a credential as `lanyard.Task.credential` does."""
        if self._watch.stopped.is_set():
            self._watch.check()
        request = agent_pb2.GetCredentialRequest(task_id=self._task_id, grant=grant, plan_id=plan_id(plan))
        return credential_of(self._connection.ask(GET_CREDENTIAL, request))


class AwsGrants:
    """The AWS grants of a task. boto3 blocks: use its clients in threads (`asyncio.to_thread`)."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def session(self, grant: str, *, plan: PlanRef = None, region_name: str | None = None) -> boto3.Session:
        """Makes a session as `lanyard.aws.AwsGrants.session` does."""

        def make() -> boto3.Session:
            from lanyard._botocore import session_of

            return session_of(self._source, grant, plan, region_name)

        return await asyncio.to_thread(with_extra, "aws", make)


class KubernetesGrants:
    """The Kubernetes grants of a task, for the Kubernetes client."""

    def __init__(self, source: AsyncSource) -> None:
        self._source = source

    async def client(self, grant: str, *, plan: PlanRef = None) -> ApiClient:
        """Makes a client of `kubernetes.aio` for the grant's cluster. Every request carries the token that is current then.

        Raises as `Task.credential` does, and Refused if the grant gives something else. Close it, or use `async with`.
        """

        def adaptor() -> Adaptor:
            from lanyard.aio._kubernetes import client_of

            return client_of

        return await with_extra("kubernetes", adaptor)(self._source, grant, plan)

    async def namespace(self, grant: str, *, plan: PlanRef = None) -> str:
        """Returns the namespace that the grant's credential belongs to."""
        return expected(KubernetesToken, grant, await self._source.credential(grant, plan=plan)).namespace


class HttpGrants:
    """The token grants of a task, for httpx."""

    def __init__(self, source: AsyncSource) -> None:
        self._source = source

    def auth(self, grant: str, *, plan: PlanRef = None, origin: str | None = None) -> httpx.Auth:
        """Makes authentication as `lanyard.http.HttpGrants.auth` does, for `httpx.AsyncClient(auth=…)`."""

        def make() -> httpx.Auth:
            from lanyard._httpx import AsyncGrantAuth

            return AsyncGrantAuth(self._source, grant, plan, origin)

        return with_extra("http", make)
