"""A LangGraph agent whose tools use a task: the graph's state has no secret, and a kill order ends the run.

The task is in the context of the run, which models and checkpoints never see.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import httpx
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, ToolRuntime, tools_condition

import lanyard


@dataclass
class Context:
    """The data that tools get and models do not."""

    task: lanyard.Task
    tickets: httpx.Client


@tool
def list_tickets(runtime: ToolRuntime[Context]) -> str:
    """Lists the unassigned tickets."""
    return str(runtime.context.tickets.get("/tickets").text)


@tool
def move_ticket(number: int, team: str, runtime: ToolRuntime[Context]) -> str:
    """Proposes to move a ticket to another team, and moves it once people have approved."""
    task = runtime.context.task
    plan = task.submit_plan("move-tickets", content=f"move ticket {number} to {team}", summary=f"move ticket {number} to {team}")
    auth = task.http.auth("move-tickets", plan=plan, origin=str(runtime.context.tickets.base_url))
    answer = runtime.context.tickets.post(f"/tickets/{number}/team", json={"team": team}, auth=auth)
    return str(answer.raise_for_status().text)


TOOLS = [list_tickets, move_ticket]
# The model sees a denial and can go on. Killed and TaskEnded end the run.
NODE = ToolNode(TOOLS, handle_tool_errors=(lanyard.Denied, lanyard.ApprovalPending))


def graph_of(model: Any) -> Any:  # noqa: ANN401 - the framework's own types
    """Returns the graph around a chat model."""

    def answer(state: MessagesState, runtime: Any) -> dict[str, Any]:  # noqa: ANN401
        runtime.context.task.check()
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState, context_schema=Context)
    graph.add_node("model", answer)
    graph.add_node("tools", NODE)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile()


def main() -> None:
    """Routes the present tickets."""
    from langchain.chat_models import init_chat_model

    model = init_chat_model(os.environ["MODEL"]).bind_tools(TOOLS)
    with (
        lanyard.task("ticket-router", environment="production", reason="route new tickets") as task,
        httpx.Client(
            base_url=os.environ["TICKETS"], auth=task.http.auth("read-tickets", origin=os.environ["TICKETS"])
        ) as tickets,
    ):
        question = {"messages": [("user", "Move each new ticket to the team that can answer it.")]}
        print(graph_of(model).invoke(question, context=Context(task, tickets))["messages"][-1].content)


if __name__ == "__main__":
    main()
