"""The part of `lanyard.aio` that needs the async Kubernetes client; imported when a client is requested."""

from __future__ import annotations

from kubernetes.aio import client

from lanyard.credential import KubernetesToken, expected
from lanyard.grants import AsyncSource, PlanRef


async def client_of(source: AsyncSource, grant: str, plan: PlanRef) -> client.ApiClient:
    """Makes a client whose requests carry the token of a grant."""

    async def current() -> KubernetesToken:
        return expected(KubernetesToken, grant, await source.credential(grant, plan=plan))

    async def refresh(configuration: client.Configuration) -> None:
        configuration.api_key = {"authorization": (await current()).token.expose()}

    first = await current()
    configuration = client.Configuration(
        host=first.server.rstrip("/"),
        api_key={"authorization": first.token.expose()},
        api_key_prefix={"authorization": "Bearer"},
        ca_cert_data=first.certificate_authority or None,
        tls_server_name=first.tls_server_name or None,
        # Without a proxy in the credential, the client uses HTTPS_PROXY and NO_PROXY, in upper or lower case.
        proxy=first.proxy_url or None,
    )
    configuration.refresh_api_key_hook = refresh
    return client.ApiClient(configuration)
