"""An agent that reads tickets from a tool until it is stopped.

    TICKETS=http://127.0.0.1:8080 python read_tickets.py

The local agent has the identity and the credentials; this program has the address of the tool, and the id of a task.
"""

from __future__ import annotations

import os
import sys
import time

import httpx

import lanyard

POLL_INTERVAL_S = 1.0


def read(task: lanyard.Task, tool: str, looks: int | None = None) -> None:
    """Prints the tickets, this many times or until the task is stopped."""
    # Each request gets the current token, which is renewed in time and sent to no other origin.
    auth = task.http.auth("read-tickets", origin=tool)
    with httpx.Client(base_url=tool, auth=auth, timeout=10.0) as tickets:
        while looks is None or looks > 0:
            # A kill order reaches the program here, as `Killed`.
            task.check()
            print(tickets.get("/tickets").raise_for_status().text, end="")
            looks = None if looks is None else looks - 1
            if looks != 0:
                time.sleep(POLL_INTERVAL_S)


def main() -> int:
    """Reads tickets under a task of its own."""
    try:
        with lanyard.task("ticket-router", environment="production", reason="read the new tickets") as task:
            read(task, os.environ["TICKETS"])
    except lanyard.LanyardError as error:
        # One line that names the order or the rule, and what to do.
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
