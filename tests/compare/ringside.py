"""Lockring as a side: the cluster of `make chaos`, with its proxies.

Deaths are told to the master, as the supervisor of `manage.py up` does.

Elsewhere: the cluster (lockcore.testing.chaos.cluster).
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from lockcore.core.ring import HashRing
from lockcore.testing.chaos.cluster import MASTER, Cluster, Node, NotReached
from tests.bench.report import NotMeasured
from tests.compare.side import MEMBERS, NOTICE_S, SETTLE_S, Side

if TYPE_CHECKING:
    from collections.abc import Callable


class RingSide(Side):
    """Lockring's nodes, durability "backup"."""

    name = "Lockring"

    def __init__(self) -> None:
        self._data = Path(tempfile.mkdtemp(prefix="lockring-compare-"))
        self._cluster = Cluster(self._data, MEMBERS, "backup", apart=True)  # as the filers are
        try:
            self.version = version("lockring")
        except PackageNotFoundError:
            self.version = "from its sources"

    async def start(self) -> None:
        """Start it."""
        try:
            await self._cluster.start()
        except NotReached as problem:
            raise NotMeasured(f"Lockring did not start: {problem}") from None

    async def close(self) -> None:
        """End it."""
        await self._cluster.close()
        shutil.rmtree(self._data, ignore_errors=True)

    @property
    def target(self) -> str:
        """The master and all nodes."""
        host, port = self._cluster.master_target.rsplit(":", 1)
        addresses = [f"{host}:{port}.{port}", *(node.address for node in self._cluster.nodes)]
        return "seaweedfs://" + ",".join(addresses)

    @property
    def spare(self) -> str:
        """Where one more would join."""
        return self._cluster.spare.address

    async def ring(self) -> HashRing:
        """Return the ring of the newest view."""
        return HashRing(self._cluster.seen.addresses)

    async def kill(self, address: str) -> None:
        """Kill -9; the master is told."""
        await self._cluster.kill_node(self._node(address), seen=True)

    async def start_again(self, address: str) -> None:
        """Start a process."""
        await self._cluster.start_node(self._node(address))

    def stop(self, address: str) -> None:
        """SIGSTOP."""
        self._cluster.signal(self._node(address).name, signal.SIGSTOP)

    def resume(self, address: str) -> None:
        """SIGCONT."""
        self._cluster.signal(self._node(address).name, signal.SIGCONT)

    def cut(self, address: str) -> None:
        """Both ways."""
        self._cluster.links.cut(self._ways(address))

    def heal(self, _address: str) -> None:
        """All ways."""
        self._cluster.links.heal()

    async def leave(self, address: str) -> None:
        """Goodbye."""
        await self._cluster.end_node(self._node(address))
        await self.settled()

    async def settled(self, *, without: str = "") -> None:
        """Wait for the master's word."""
        if not without:
            await self._wait(self._is_settled, SETTLE_S, "the nodes settled")
        else:
            await self._wait(lambda: without not in self._cluster.seen.addresses, NOTICE_S, f"{without} marked down")

    def _is_settled(self) -> bool:
        running = {node.address for node in self._cluster.running}
        seen = self._cluster.seen
        return seen.settled and seen.addresses == running and not seen.up & self._cluster.gone

    async def _wait(self, condition: Callable[[], bool], limit_s: float, what: str) -> None:
        try:
            await self._cluster.wait(condition, limit_s, what)
        except NotReached as problem:
            raise NotMeasured(str(problem)) from None

    def _node(self, address: str) -> Node:
        return next(node for node in self._cluster.nodes if node.address == address)

    def _ways(self, address: str) -> list[tuple[str, str]]:
        name = self._node(address).name
        return [(name, MASTER), (MASTER, name)]
