"""Tests against a real broker, by way of a real local agent. They run where LANYARD_LIVE is 1, on a broker that is fresh: it
refuses plans for a while after one was denied.

LANYARD_BIN is the command, and LANYARD_CONTEXT the agent's context among those that `lanyardd dev` writes. Where there is an AWS
target, LANYARD_LIVE_AWS is the URL of its API, and a charter `both` has the grant `read-queue`.
"""
