"""Kubernetes: clients whose token comes from a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lanyard.credential import KubernetesToken, expected
from lanyard.grants import PlanRef, Source, with_extra

if TYPE_CHECKING:
    from kubernetes.client import ApiClient


class KubernetesGrants:
    """The Kubernetes grants of a task, for the Kubernetes client."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def client(self, grant: str, *, plan: PlanRef = None) -> ApiClient:
        """Makes a client of the grant's cluster. Every request carries the token that the local agent has at that time.

        Raises as `Task.credential` does, and Refused if the grant gives something else. Requests raise the same later on; a
        running watch is not ended by that.
        """

        def make() -> ApiClient:
            from lanyard._kubernetes import client_of

            return client_of(self._source, grant, plan)

        return with_extra("kubernetes", make)

    def namespace(self, grant: str, *, plan: PlanRef = None) -> str:
        """Returns the namespace that the grant's credential belongs to."""
        return expected(KubernetesToken, grant, self._source.credential(grant, plan=plan)).namespace
