"""A fake local agent for tests: no broker, no secrets, and every kind of refusal.

pytest has it as the fixture `lanyard_agent`, without any configuration:

    def test_the_router_stops(lanyard_agent):
        lanyard_agent.give_token("read-tickets")
        with pytest.raises(lanyard.Killed), lanyard.task("ticket-router", environment="staging", reason="test") as task:
            lanyard_agent.kill(task.id)
            assert task.stopped.wait(5)
"""

from lanyard.testing.agent import FakeAgent
from lanyard.testing.books import FakeApproval, FakeTask, Refusal, Report

__all__ = ["FakeAgent", "FakeApproval", "FakeTask", "Refusal", "Report"]
