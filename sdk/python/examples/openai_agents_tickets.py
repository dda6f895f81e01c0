"""An agent of the OpenAI Agents SDK whose tools use a task: a kill order cancels the run.

The task is in the context of the run, which is not sent to the model.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

import httpx
from agents import Agent, RunContextWrapper, Runner, function_tool

import lanyard
import lanyard.aio


@dataclass
class Context:
    """The data that tools get and the model does not."""

    task: lanyard.aio.Task
    tickets: httpx.AsyncClient


def told(_context: RunContextWrapper[Context], error: Exception) -> str:
    """Returns the text of an error for the model: only denials are shown. Killed and TaskEnded end the run."""
    if isinstance(error, lanyard.Denied | lanyard.ApprovalPending):
        return str(error)
    raise error


@function_tool(failure_error_function=told)
async def list_tickets(context: RunContextWrapper[Context]) -> str:
    """Lists the unassigned tickets."""
    return str((await context.context.tickets.get("/tickets")).text)


@function_tool(failure_error_function=told)
async def move_ticket(context: RunContextWrapper[Context], number: int, team: str) -> str:
    """Proposes to move a ticket to another team, and moves it once people have approved."""
    task = context.context.task
    content = f"move ticket {number} to {team}"
    plan = await task.submit_plan("move-tickets", content=content, summary=content)
    auth = task.http.auth("move-tickets", plan=plan, origin=str(context.context.tickets.base_url))
    answer = await context.context.tickets.post(f"/tickets/{number}/team", json={"team": team}, auth=auth)
    return str(answer.raise_for_status().text)


ROUTER = Agent[Context](
    name="ticket-router",
    instructions="Move each new ticket to the team that can answer it.",
    tools=[list_tickets, move_ticket],
)


async def main() -> None:
    """Routes the present tickets."""
    async with lanyard.aio.task("ticket-router", environment="production", reason="route new tickets") as task:
        auth = task.http.auth("read-tickets", origin=os.environ["TICKETS"])
        async with httpx.AsyncClient(base_url=os.environ["TICKETS"], auth=auth) as tickets:
            result = await Runner.run(ROUTER, "Look for new tickets.", context=Context(task, tickets))
            print(result.final_output)


if __name__ == "__main__":
    asyncio.run(main())
