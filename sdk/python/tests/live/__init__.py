"""Tests against a real broker, through a real local agent. They run if LANYARD_LIVE is 1.

The broker is fresh: it refuses plans for a while after one was denied. LANYARD_BIN is the command, LANYARD_CONTEXT the agent's
context among those that `lanyardd dev` writes. A charter `both` has the grants for further targets: `read-queue` where
LANYARD_LIVE_AWS is the URL of an AWS, `read-workers` where LANYARD_LIVE_KUBERNETES is a namespace. LANYARD_LIVE_DAEMON is the
process of the daemon, where it may be halted.
"""
