"""The package `lanyard` for asyncio: a kill order cancels the block, which then raises Killed.

import lanyard.aio

async with lanyard.aio.task("ticket-router", environment="production", reason="ticket 12") as task:
    token = await task.token("read-tickets")
"""

from lanyard.aio.tasks import Plan, Task, current_task, task

__all__ = ["Plan", "Task", "current_task", "task"]
