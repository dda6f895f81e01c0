from __future__ import annotations

import asyncio
import os

import pytest
from kubernetes import client as blocking
from kubernetes.aio import client as asynchronous

import lanyard
import lanyard.aio

from .conftest import Broker

NAMESPACE = os.environ.get("LANYARD_LIVE_KUBERNETES", "")
pytestmark = pytest.mark.skipif(not NAMESPACE, reason="LANYARD_LIVE_KUBERNETES is not set: no cluster is configured")


def opened() -> lanyard.Task:
    return lanyard.task("both", environment="production", reason="ticket 12")


def test_many_calls_are_one_mint(broker: Broker) -> None:
    with opened() as task:
        workers = blocking.AppsV1Api(task.kubernetes.client("read-workers"))
        for _ in range(100):
            workers.list_namespaced_deployment(NAMESPACE)
        with pytest.raises(blocking.ApiException) as raised:
            blocking.CoreV1Api(workers.api_client).list_namespaced_secret(NAMESPACE)
    assert raised.value.status == 403
    assert len(broker.records("begin-mint", task.id)) == 1


def test_a_kill_stops_the_next_request(broker: Broker) -> None:
    with pytest.raises(lanyard.Killed, match=r"it loops($|; stop the work)"), opened() as task:
        workers = blocking.AppsV1Api(task.kubernetes.client("read-workers"))
        workers.list_namespaced_deployment(NAMESPACE)
        broker.ok("oncall", "kill", "--task", task.id, "--reason", "it loops", "--yes")
        workers.list_namespaced_deployment(NAMESPACE)


@pytest.mark.usefixtures("broker")
def test_the_async_client_does_the_same() -> None:
    async def work() -> int:
        async with lanyard.aio.task("both", environment="production", reason="ticket 12") as task:
            async with await task.kubernetes.client("read-workers") as client:
                found = await asynchronous.AppsV1Api(client).list_namespaced_deployment(NAMESPACE)
                return len(found.items)

    assert asyncio.run(work()) >= 0
