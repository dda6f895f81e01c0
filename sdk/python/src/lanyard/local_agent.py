"""The local agent: where its socket is, and how it is started if it does not run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lanyard.errors import AgentUnavailable

OPTIONS = (
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
"""Options of the channel. Without an authority grpc would send the socket's path, which is not a host name. A proxy is never used
for a local socket. The short backoff finds a restarted agent within a second."""
START_SECONDS = 10.0
"""Seconds within which a started agent must listen."""
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class LocalAgent:
    """A local agent at a socket, and the program that starts it."""

    socket: Path
    binary: str | None = None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] | None = None) -> LocalAgent:
        """Finds the agent that the environment variables name, or the user's usual one."""
        given = os.environ if environment is None else environment
        return cls(_socket(given), given.get("LANYARD_BIN") or shutil.which("lanyard", path=given.get("PATH")))

    @property
    def address(self) -> str:
        """The socket as a grpc target."""
        return f"unix:{self.socket}"

    def is_listening(self) -> bool:
        """Returns true if an agent accepts connections at the socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
        return True

    def ensure(self) -> None:
        """Starts the agent if none listens, and waits until it does.

        Raises AgentUnavailable if no `lanyard` command is found, if it fails, or after 10 seconds.
        """
        if self.is_listening():
            return
        started = self._start()
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.is_listening():
                return
            if started.poll() not in (None, 0):
                raise AgentUnavailable(f"the local agent ended with status {started.returncode}: run {self.binary} agent run")
            time.sleep(_LOOK_SECONDS)
        raise AgentUnavailable(f"the local agent does not listen at {self.socket}: run {self.binary} agent run")

    def _start(self) -> subprocess.Popen[bytes]:
        if self.binary is None:
            raise AgentUnavailable(
                f"no local agent listens at {self.socket}, and no lanyard command was found to start one: "
                "put it on PATH, or name it in LANYARD_BIN"
            )
        null = subprocess.DEVNULL
        try:
            started = subprocess.Popen(  # noqa: S603 - the user's own command
                [self.binary, "agent", "run"],
                stdin=null,
                stdout=null,
                stderr=null,
                start_new_session=True,
                cwd="/",
                env=self._environment(),
            )
        except OSError as error:
            raise AgentUnavailable(f"{self.binary} does not start: {error.strerror}") from None
        # The agent outlives this process. If another agent was quicker, it ends, and must be reaped.
        threading.Thread(target=started.wait, name="lanyard-agent-end", daemon=True).start()
        return started

    def _environment(self) -> dict[str, str]:
        """Returns the agent's environment: without this process's task, and with absolute paths, as the agent runs in `/`."""
        kept = {name: value for name, value in os.environ.items() if name not in ("LANYARD_TASK", "LANYARD_GRANTS")}
        if kept.get("LANYARD_STATE"):
            kept["LANYARD_STATE"] = str(Path(kept["LANYARD_STATE"]).absolute())
        return {**kept, "LANYARD_AGENT": str(self.socket)}


def _socket(given: Mapping[str, str]) -> Path:
    if given.get("LANYARD_AGENT"):
        return Path(given["LANYARD_AGENT"]).absolute()
    if given.get("LANYARD_STATE"):
        return Path(given["LANYARD_STATE"]).absolute() / "agent.sock"
    if given.get("XDG_RUNTIME_DIR"):
        return Path(given["XDG_RUNTIME_DIR"]) / "lanyard" / "agent.sock"
    home = Path(given.get("HOME") or Path.home())
    state = Path(given["XDG_STATE_HOME"]) if given.get("XDG_STATE_HOME") else home / ".local" / "state"
    return state / "lanyard" / "agent.sock"
