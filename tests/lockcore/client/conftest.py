"""A real cluster for the tests of this folder."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from lockcore.wire.addresses import grpc_target
from tests.lockcore.service.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

WAIT_S = 60.0


def target_of(cluster: Cluster) -> str:
    """Return a target that names all nodes."""
    return ",".join(grpc_target(cluster.address(label)) for label in cluster.nodes)


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Three settled nodes, processes of their own."""
    async with Cluster(tmp_path) as running:
        await running.start_nodes(3)
        yield running


class ThreadedCluster:
    """A cluster whose master runs in another thread: for tests of what blocks."""

    def __init__(self, data: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.cluster: Cluster | None = None
        self._data = data
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Start three nodes."""

        async def work() -> None:
            self.cluster = await Cluster(self._data).__aenter__()
            await self.cluster.start_nodes(3)

        asyncio.run_coroutine_threadsafe(work(), self.loop).result(WAIT_S)

    def stop(self) -> None:
        """End them."""
        if self.cluster is not None:
            asyncio.run_coroutine_threadsafe(self.cluster.__aexit__(), self.loop).result(WAIT_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT_S)
        self.loop.close()

    @property
    def running(self) -> Cluster:
        """The cluster."""
        assert self.cluster is not None
        return self.cluster

    @property
    def target(self) -> str:
        """A target that names all nodes."""
        return target_of(self.running)

    def kill_primary(self, key: str) -> None:
        """SIGKILL, seen by the supervisor."""
        work = self.running.kill(self.running.primary(key))
        asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT_S)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedCluster]:
    """Three nodes for a whole module of tests that break none of them."""
    cluster = ThreadedCluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
