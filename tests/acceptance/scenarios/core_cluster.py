"""A cluster of pure cores in virtual time: the same code, no process, no clock.

Elsewhere: what can be done to it (driver), the world (lockcore.testing.world).
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from lockcore.core.limits import LEASE_MS_MAX
from lockcore.core.messages import FromPeer, Operation
from lockcore.testing.world import World
from tests.acceptance.scenarios.driver import Asked, Cluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.core.events import Event
    from lockcore.core.messages import PeerBatch, Result
    from lockcore.core.view import View

STEP_MS = 10


class CoreCluster(Cluster):
    """Cores in a `World`."""

    name = "core"
    longest_lease_ms = LEASE_MS_MAX

    def __init__(self, seed: int = 0) -> None:
        """Start with a master."""
        self.world = World(seed)
        self._ports = count(8_001)

    def add(self) -> str:
        """Start a node at a new address."""
        port = next(self._ports)
        address = f"127.0.0.1:{port}.{port + 10_000}"
        self.world.start_node(address)
        return address

    def start_at(self, address: str) -> None:
        """Start a node again."""
        self.world.start_node(address)

    def kill(self, *addresses: str) -> None:
        """SIGKILL at once."""
        for address in addresses:
            self.world.kill(address)
        self.wait(lambda: self._are_down(addresses), f"{addresses} are known to be dead")

    def _are_down(self, addresses: tuple[str, ...]) -> bool:
        view = self.published()
        return view is None or view.up.keys().isdisjoint(addresses)

    def leave(self, address: str) -> None:
        """Goodbye."""
        self.world.leave(address)

    def pause(self, address: str) -> None:
        """SIGSTOP."""
        self.world.pause(address)

    def resume(self, address: str) -> None:
        """SIGCONT."""
        self.world.resume(address)

    def begin(self, address: str, operation: Operation, timeout_ms: int = 5_000) -> Asked:
        """Send a request."""
        asked = Asked()

        def take(result: Result) -> None:
            asked.result = result

        self.world.call(address, operation, take, timeout_ms)
        return asked

    def wait(self, condition: Callable[[], bool], what: str, limit_ms: int = 30_000) -> None:
        """Let virtual time pass, in steps that no condition depends on."""
        until_ns = self.world.now_ns + limit_ms * 1_000_000
        while not condition():
            assert self.world.now_ns < until_ns, f"it never became true that {what}"
            self.world.run_ms(STEP_MS if self.world.now_ns else 1)

    def breathe(self) -> None:
        """Let a retry's pause pass."""
        self.world.run_ms(50)

    @property
    def living(self) -> set[str]:
        """The addresses that run."""
        return {n.address for n in self.world.nodes.values() if n.alive}

    def published(self) -> View | None:
        """Return the master's view."""
        return self.world.master.view if self.world.master else None

    def settled(self) -> bool:
        """Say whether it is settled."""
        return self.world.is_settled()

    def versions(self) -> list[int]:
        """Return the ring versions published."""
        return sorted({v.version for v in self.world.views})

    def facts(self) -> list[tuple[str, Event]]:
        """Return the facts."""
        return [(h.source, h.event) for h in self.world.facts]

    def forge(self, batch: PeerBatch) -> None:
        """Deliver a batch at once."""
        self.world.tell_node(self.world.nodes[batch.receiver.address], FromPeer(batch))

    def close(self) -> None:
        """Nothing runs."""
