"""Hooks of the Claude Agent SDK: no tool runs under a stopped task, and the journal records what tools did.

Claude's tools only get the id of the task: a command such as aws gets its credentials from `lanyard creds` by that id, and no
secret enters the conversation.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import lanyard
import lanyard.aio

if TYPE_CHECKING:
    from claude_agent_sdk import ClaudeAgentOptions


class Hooks:
    """The hooks of one run under a task."""

    def __init__(self, task: lanyard.aio.Task) -> None:
        self._task = task
        self._started: dict[str, str] = {}

    async def before(self, event: Any, tool_use_id: str | None, _context: Any) -> dict[str, Any]:  # noqa: ANN401
        """PreToolUse: reports the tool use, and refuses it if the task is stopped or the report fails."""
        try:
            self._task.check()
            self._started[tool_use_id or ""] = await self._report(event["tool_name"], "started")
        except lanyard.LanyardError as error:
            decision = {
                "hookEventName": "PreToolUse",
                "permissionDecision": "deny",
                "permissionDecisionReason": str(error),
            }
            over = isinstance(error, lanyard.Killed | lanyard.TaskEnded)
            end = {"continue_": False, "stopReason": str(error)} if over else {}
            return {"hookSpecificOutput": decision, **end}
        return {}

    async def after(self, event: Any, tool_use_id: str | None, _context: Any) -> dict[str, Any]:  # noqa: ANN401
        """PostToolUse: reports the result, and ends the run if the task is stopped."""
        started = self._started.pop(tool_use_id or "", "")
        try:
            if started:
                await self._report(event["tool_name"], "succeeded", started)
            self._task.check()
        except lanyard.LanyardError as error:
            return {"continue_": False, "stopReason": str(error)}
        return {}

    async def _report(self, tool: str, outcome: lanyard.Outcome, of: str = "") -> str:
        # A tool's input is the model's own text, and stays out of the journal.
        return await self._task.report(f"tool.{tool}", tool="claude-agent-sdk", target=tool, outcome=outcome, of=of)


def options_of(task: lanyard.aio.Task) -> ClaudeAgentOptions:
    """Options for a run under a task: a handle in the environment of its tools, and the hooks."""
    from claude_agent_sdk import ClaudeAgentOptions, HookMatcher

    hooks = Hooks(task)
    return ClaudeAgentOptions(
        env={"LANYARD_TASK": task.id},
        hooks={
            # If a hook fails, the tool does not run.
            "PreToolUse": [HookMatcher(hooks=[hooks.before], on_failure="block")],
            "PostToolUse": [HookMatcher(hooks=[hooks.after])],
        },
    )


async def main(prompt: str) -> None:
    """Works on a prompt; a kill order cancels it, in the middle of an answer as well."""
    from claude_agent_sdk import query

    async with lanyard.aio.task("ticket-router", environment="production", reason="route new tickets") as task:
        async for message in query(prompt=prompt, options=options_of(task)):
            print(message)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
