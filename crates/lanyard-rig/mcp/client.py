"""A client of the official SDK: starts a server and does as its standard input says, a JSON document a line.

Arguments: how it begins (legacy, auto or a revision), and the server's command.
"""

import json
import os
import sys

import anyio
import mcp
from mcp.client.stdio import StdioServerParameters, stdio_client


def say(**document):
    print(json.dumps(document), flush=True)


async def told():
    line = await anyio.to_thread.run_sync(sys.stdin.readline)
    return json.loads(line) if line else None


async def opened(_context, params):
    """Whoever drives this opens the page, or does not."""
    say(page=params.model_dump(mode="json", by_alias=True))
    answer = await told()
    return sys.modules["mcp.types"].ElicitResult(action=answer["action"])


async def obey(session, protocol):
    listed = await session.list_tools()
    say(protocol=protocol, tools=[tool.name for tool in listed.tools])
    while (asked := await told()) is not None:
        result = await session.call_tool(asked["tool"], asked["arguments"])
        say(result=result.model_dump(mode="json", by_alias=True))


async def main():
    mode, command, *arguments = sys.argv[1:]
    server = StdioServerParameters(command=command, args=arguments, env=dict(os.environ))
    if hasattr(mcp, "Client"):
        async with mcp.Client(server, mode=mode, elicitation_callback=opened) as client:
            await obey(client, client.protocol_version)
    else:
        async with stdio_client(server) as streams, mcp.ClientSession(*streams) as session:
            begun = await session.initialize()
            await obey(session, begun.protocolVersion)


anyio.run(main)
