from __future__ import annotations

import asyncio

import pytest
from kubernetes import client as blocking
from kubernetes.aio import client as asynchronous

import lanyard
import lanyard.aio
from lanyard.testing import FakeAgent

from .conftest import Recorder

PODS = b'{"apiVersion": "v1", "kind": "PodList", "items": [], "metadata": {}}'


@pytest.fixture
def agent(lanyard_agent: FakeAgent, recorder: Recorder) -> FakeAgent:
    lanyard_agent.give_kubernetes("read-pods", f"{recorder.url}/", namespace="lanyard-leases")
    recorder.body = PODS
    return lanyard_agent


def opened() -> lanyard.Task:
    return lanyard.task("ticket-router", environment="production", reason="ticket 12")


def shown(recorder: Recorder) -> list[str]:
    return [request["authorization"] for request in recorder.requests]


def test_every_request_goes_with_the_token_of_that_time(agent: FakeAgent, recorder: Recorder) -> None:
    with opened() as task:
        pods = blocking.CoreV1Api(task.kubernetes.client("read-pods"))
        for _ in range(50):
            pods.list_namespaced_pod("default")
        assert len(agent.mints) == 1
        agent.renew()
        pods.list_namespaced_pod("default")
        assert task.kubernetes.namespace("read-pods") == "lanyard-leases"
    assert {request[":path"] for request in recorder.requests} == {"/api/v1/namespaces/default/pods"}
    assert len(set(shown(recorder)[:50])) == 1
    assert len(set(shown(recorder))) == 2
    assert all(value.startswith("Bearer fake-token-") for value in shown(recorder))


def test_b33_a_cluster_is_reached_by_the_name_and_the_proxy_of_its_credential(agent: FakeAgent, recorder: Recorder) -> None:
    agent.give_kubernetes("read-pods", "http://cluster.invalid", tls_server_name="api.cluster.example", proxy_url=recorder.url)
    with opened() as task:
        client = task.kubernetes.client("read-pods")
        assert client.configuration.tls_server_name == "api.cluster.example"
        blocking.CoreV1Api(client).list_namespaced_pod("default")
    assert recorder.requests[0]["host"] == "cluster.invalid"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_a_cluster_is_reached_through_the_proxy_of_the_environment(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "http://proxy.corp.example:3128")
    agent.give_kubernetes("read-pods", "https://cluster.example")
    agent.give_kubernetes("read-more", "https://cluster.example", proxy_url="http://other.corp.example:3128")
    with opened() as task:
        assert task.kubernetes.client("read-pods").configuration.proxy == "http://proxy.corp.example:3128"
        assert task.kubernetes.client("read-more").configuration.proxy == "http://other.corp.example:3128"


def test_a_kill_stops_the_next_request(agent: FakeAgent, recorder: Recorder) -> None:
    with pytest.raises(lanyard.Killed), opened() as task:
        pods = blocking.CoreV1Api(task.kubernetes.client("read-pods"))
        pods.list_namespaced_pod("default")
        agent.kill(task.id)
        pods.list_namespaced_pod("default")
    assert len(recorder.requests) == 1


def test_the_async_client_does_the_same(agent: FakeAgent, recorder: Recorder) -> None:
    async def work() -> None:
        async with lanyard.aio.task("ticket-router", environment="production", reason="ticket 12") as task:
            async with await task.kubernetes.client("read-pods") as client:
                pods = asynchronous.CoreV1Api(client)
                await pods.list_namespaced_pod("default")
                assert await task.kubernetes.namespace("read-pods") == "lanyard-leases"
                agent.renew()
                await pods.list_namespaced_pod("default")
                agent.deny("read-pods")
                await pods.list_namespaced_pod("default")

    with pytest.raises(lanyard.Denied):
        asyncio.run(work())
    assert {request[":path"] for request in recorder.requests} == {"/api/v1/namespaces/default/pods"}
    assert len(set(shown(recorder))) == len(recorder.requests) == 2
