"""The fake local agent: a gRPC server on a socket of its own, controlled by a test."""

from __future__ import annotations

import math
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import grpc

from lanyard._proto.v1 import credential_pb2, kill_pb2
from lanyard.plan import Submitted
from lanyard.testing.books import Books, FakeApproval, FakeTask, Refusal, Report, Rule
from lanyard.testing.services import handlers

if TYPE_CHECKING:
    from typing_extensions import Self

THREADS = 32
"""Calls that the fake agent answers at the same time; each watch of a task is one of them."""


class FakeAgent:
    """A local agent with scripted answers. It denies grants that the test did not set up, as a charter without them does.

    Use it as a context manager, and put `environment()` into the environment of the code under test.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lanyard-"))
        self._books = Books()
        self._server: grpc.Server | None = None

    @property
    def socket(self) -> Path:
        """The path of the socket that the agent listens at."""
        return self._folder / "agent.sock"

    def environment(self) -> dict[str, str]:
        """The environment variables that lead to this agent."""
        return {"LANYARD_AGENT": str(self.socket)}

    def start(self) -> None:
        """Starts listening, also after `stop`."""
        self._books.over = False
        self._server = grpc.server(ThreadPoolExecutor(THREADS), handlers=handlers(self._books))
        self._server.add_insecure_port(f"unix:{self.socket}")
        self._server.start()

    def stop(self) -> None:
        """Stops listening and aborts running calls; the agent's state stays."""
        with self._books.changed:
            self._books.over = True
            self._books.changed.notify_all()
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None
        self.socket.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def give_token(self, grant: str, secret: str | None = None, *, lifetime: float = 300.0) -> None:
        """Makes the grant issue a token: this one, or a new one with every mint. Lifetimes are in seconds."""

        def mint(count: int) -> credential_pb2.Credential:
            jwt = secret or f"fake-token-{count}-{secrets.token_hex(8)}"
            return credential_pb2.Credential(token=credential_pb2.TokenCredential(jwt=jwt))

        self._give(grant, mint, lifetime)

    def give_aws(
        self,
        grant: str,
        secret_access_key: str = "fake-secret-key",  # noqa: S107 - opens nothing
        session_token: str = "fake-session-token",  # noqa: S107
        *,
        region: str = "eu-central-1",
        lifetime: float = 300.0,
    ) -> None:
        """Makes the grant issue an AWS session; the access key id counts the mints."""

        def mint(count: int) -> credential_pb2.Credential:
            aws = credential_pb2.AwsCredential(
                access_key_id=f"ASIAFAKE{count:012d}",
                secret_access_key=secret_access_key,
                session_token=session_token,
                region=region,
            )
            return credential_pb2.Credential(aws=aws)

        self._give(grant, mint, lifetime)

    def give_kubernetes(
        self,
        grant: str,
        server: str,
        token: str | None = None,
        *,
        certificate_authority: str = "",
        namespace: str = "default",
        tls_server_name: str = "",
        proxy_url: str = "",
        lifetime: float = 300.0,
    ) -> None:
        """Makes the grant issue a service-account token for this cluster."""

        def mint(count: int) -> credential_pb2.Credential:
            cluster = credential_pb2.KubernetesCredential(
                server=server,
                certificate_authority=certificate_authority,
                namespace=namespace,
                tls_server_name=tls_server_name,
                proxy_url=proxy_url,
                token=token or f"fake-token-{count}-{secrets.token_hex(8)}",
            )
            return credential_pb2.Credential(kubernetes=cluster)

        self._give(grant, mint, lifetime)

    def give_vault(
        self,
        grant: str,
        address: str,
        token: str | None = None,
        *,
        namespace: str = "",
        certificate_authority: str = "",
        lifetime: float = 300.0,
    ) -> None:
        """Makes the grant issue a token of this Vault or OpenBao."""

        def mint(count: int) -> credential_pb2.Credential:
            vault = credential_pb2.VaultCredential(
                address=address,
                namespace=namespace,
                certificate_authority=certificate_authority,
                token=token or f"fake-token-{count}-{secrets.token_hex(8)}",
            )
            return credential_pb2.Credential(vault=vault)

        self._give(grant, mint, lifetime)

    def give_vault_secret(self, grant: str, path: str, data: Mapping[str, str], *, lifetime: float = 300.0) -> None:
        """Makes the grant issue this dynamic secret."""

        def mint(_count: int) -> credential_pb2.Credential:
            secret = credential_pb2.VaultSecretCredential(path=path, data=dict(data))
            return credential_pb2.Credential(vault_secret=secret)

        self._give(grant, mint, lifetime)

    def give_github(
        self,
        grant: str,
        owner: str,
        repositories: Sequence[str],
        token: str | None = None,
        *,
        host: str = "https://github.com",
        api: str = "https://api.github.com",
        lifetime: float = 300.0,
    ) -> None:
        """Makes the grant issue a token for these repositories of the owner."""

        def mint(count: int) -> credential_pb2.Credential:
            github = credential_pb2.GitHubCredential(
                host=host,
                api=api,
                owner=owner,
                repositories=repositories,
                token=token or f"fake-token-{count}-{secrets.token_hex(8)}",
            )
            return credential_pb2.Credential(github=github)

        self._give(grant, mint, lifetime)

    def give_other(
        self,
        grant: str,
        kind: str,
        values: Mapping[str, str],
        secret_values: Mapping[str, str],
        *,
        lifetime: float = 300.0,
    ) -> None:
        """Lets the grant give a credential of a kind of target without a class of its own."""

        def mint(_count: int) -> credential_pb2.Credential:
            other = credential_pb2.OtherCredential(kind=kind, values=dict(values), secrets=dict(secret_values))
            return credential_pb2.Credential(other=other)

        self._give(grant, mint, lifetime)

    def require_approval(self, grant: str, *, people: int = 1, url: str = "") -> None:
        """Makes the grant require a plan that this many people approved. `{approval}` in the url stands for the approval's id."""
        with self._books.changed:
            rule = self._books.rules.setdefault(grant, Rule())
            rule.people, rule.url = people, url

    def refuse(self, grant: str, refusal: Refusal) -> None:
        """Answers requests for the grant with this refusal from now on."""
        with self._books.changed:
            self._books.rules.setdefault(grant, Rule()).refusal = refusal

    def deny(self, grant: str, message: str = "denied by charter fake (grants): no; ask for another grant") -> None:
        """Denies the grant from now on, as a charter does."""
        decision = self._books.next_id("D")
        facts = {"charter": "fake", "rule": "grants", "decision_id": decision}
        code = grpc.StatusCode.PERMISSION_DENIED
        self.refuse(grant, Refusal(code, f"{message} [{decision}]", "CHARTER_DENIED", facts))

    def refuse_for_now(
        self,
        grant: str,
        *,
        retry_after: float | None = 30.0,
        reason: str = "QUOTA",
        limit: str = "limits.live_leases",
    ) -> None:
        """Refuses the grant for now, until `allow`, as a limit does that frees up after `retry_after` seconds.

        Without a `retry_after` only people decide when, as with the reasons `PAUSED` and `FROZEN`, which have no limit.
        """
        message = f"grant {grant} is refused for now"
        facts = {"charter": "fake", "decision_id": self._books.next_id("D")}
        if reason == "QUOTA":
            message, facts["limit"] = f"{message}: {limit} is reached", limit
        if retry_after is not None:
            at = datetime.now(timezone.utc) + timedelta(seconds=retry_after)
            facts["retry_after_seconds"] = str(math.ceil(retry_after))
            facts["retry_after"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        codes = grpc.StatusCode
        code = codes.RESOURCE_EXHAUSTED if reason == "QUOTA" else codes.FAILED_PRECONDITION
        self.refuse(grant, Refusal(code, f"{message} [{facts['decision_id']}]", reason, facts))

    def allow(self, grant: str) -> None:
        """Ends the refusal of the grant, which issues again what it issued before."""
        with self._books.changed:
            self._books.rules.setdefault(grant, Rule()).refusal = None

    def refuse_tasks(self, refusal: Refusal | None) -> None:
        """Answers the opening of a task with this refusal; None lets tasks be opened again."""
        with self._books.changed:
            self._books.opening = refusal

    def lose_broker(self, message: str = "the broker is not available") -> None:
        """Answers every call as if the broker were unreachable, until `find_broker`."""
        with self._books.changed:
            self._books.outage = Refusal(grpc.StatusCode.UNAVAILABLE, message, "UNAVAILABLE")

    def find_broker(self) -> None:
        """Makes the broker reachable again."""
        with self._books.changed:
            self._books.outage = None

    def approve(self, plan: Submitted | str, people: int | None = None) -> None:
        """Records approvals of a plan by this many people, or by as many as it needs."""
        with self._books.changed:
            approval = self._approval(plan)
            more = approval.people - len(approval.consents) if people is None else people
            approval.consents.extend(f"person-{len(approval.consents) + n}" for n in range(more))

    def reject(self, plan: Submitted | str, why: str = "not today") -> None:
        """Records a person's denial of a plan."""
        with self._books.changed:
            self._approval(plan).denied = why

    def kill(self, task_id: str, reason: str = "it loops") -> str:
        """Issues a kill order over this task, and returns the order's id."""
        with self._books.changed:
            task = self._books.task(task_id)
            order = kill_pb2.KillOrder(
                id=self._books.next_id("K"), scope=kill_pb2.Scope(task_id=task_id), reason=reason, lifted="nothing"
            )
            task.orders.append(order)
            task.leases.clear()
            self._books.changed.notify_all()
        return order.id

    def end(self, task_id: str) -> None:
        """Closes this task, as another party would."""
        with self._books.changed:
            task = self._books.task(task_id)
            task.closed = True
            task.leases.clear()
            self._books.changed.notify_all()

    def renew(self) -> None:
        """Makes every credential due for a refresh, so that the next request returns a new one."""
        with self._books.changed:
            for task in self._books.tasks.values():
                for lease in task.leases.values():
                    lease.refreshes = 0.0

    @property
    def tasks(self) -> list[FakeTask]:
        """The tasks that were opened, oldest first."""
        return list(self._books.tasks.values())

    @property
    def mints(self) -> list[tuple[str, str]]:
        """The task and the grant of every mint, in order."""
        return list(self._books.mints)

    @property
    def asked(self) -> Counter[str]:
        """The number of calls by name, such as `GetCredential`."""
        return Counter(self._books.asked)

    @property
    def contexts(self) -> list[str]:
        """The contexts that calls have named."""
        return list(self._books.contexts)

    @property
    def reports(self) -> list[Report]:
        """The actions that were reported, oldest first."""
        return list(self._books.reports)

    def content(self, plan: Submitted | str) -> bytes:
        """Returns the bytes of a plan as they were submitted."""
        return self._books.contents[plan if isinstance(plan, str) else plan.id]

    def _give(self, grant: str, mint: Callable[[int], credential_pb2.Credential], lifetime: float) -> None:
        with self._books.changed:
            rule = self._books.rules.setdefault(grant, Rule())
            rule.mint, rule.lifetime, rule.refusal = mint, lifetime, None

    def _approval(self, plan: Submitted | str) -> FakeApproval:
        plan_id = plan if isinstance(plan, str) else plan.id
        found = self._books.approval_of(plan_id)
        if found is None:
            raise ValueError(f"plan {plan_id} needs no approval")
        return found
