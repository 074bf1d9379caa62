"""A cluster to be measured: the master in this loop, each node a process of its own.

The death of a process is seen through its pidfd and reported to the master
at once, as the supervisor of `manage.py up` does it.

Invariants
  C1  Leaving the block ends every process that it started, by SIGKILL if needed, and removes the data.
Elsewhere: the site's way to run the same (dlmsite.operations.supervisor), the whole of it (tests.bench.site).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from lockcore.service.master_server import MasterServer
from lockcore.service.secrets import FILE_NAME, load_or_create_secret
from lockcore.testing.ports import claim_ports
from lockcore.wire.addresses import GRPC_PORT_OFFSET
from tests.bench.report import NotMeasured

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Literal

    from lockcore.core.events import EventBatch
    from lockcore.core.view import View

SEATS: Final = 16
READY_S: Final = 30.0
END_S: Final = 8.0
LOOK_S: Final = 0.005
NO_MASTER_S: Final = 30
"""Should this process be killed, its nodes end by themselves."""


class NodeProcess:
    """One node: `index` is its seat, from 1."""

    def __init__(self, cluster: Cluster, index: int) -> None:
        self.label = f"n{index}"
        self.address = f"127.0.0.1:{cluster.base + index}.{cluster.base + index + GRPC_PORT_OFFSET}"
        self._cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self.ended = asyncio.Event()

    @property
    def pid(self) -> int:
        """Of the living process."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start a new life."""
        with (self._cluster.data / f"{self.label}.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.ended = asyncio.Event()
        self._pidfd = os.pidfd_open(self._process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._has_ended)

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "lockcore.service.node_main"),
            *("--address", self.address, "--master", self._cluster.master.target, "--label", self.label),
            *("--data", str(self._cluster.data), "--durability", self._cluster.durability),
            *("--no-master-s", str(NO_MASTER_S)),
        ]

    def send(self, which: signal.Signals) -> None:
        """Send a signal."""
        if not self.ended.is_set():
            signal.pidfd_send_signal(self._pidfd, which)

    async def end(self) -> None:
        """End it, whatever it takes."""
        if self._process is None:
            return
        for which in (signal.SIGTERM, signal.SIGKILL):
            self.send(which)
            with suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await self.ended.wait()
                return

    def _has_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        if self._process is not None:
            self._process.wait()
        self.ended.set()
        self._cluster.died(self.address)


class Cluster:
    """Nodes and their master, for the length of an `async with` block.

    Args:
        nodes: how many are started at once; more can be added.
        durability: see NodeConfig.
    """

    def __init__(self, nodes: int, durability: Literal["backup", "async"] = "backup") -> None:
        self.durability = durability
        self.base = claim_ports(SEATS + 1)
        self.data = Path(tempfile.mkdtemp(prefix="lockring-bench-"))
        self.events = 0
        self.master = MasterServer(
            target=f"127.0.0.1:{self.base + GRPC_PORT_OFFSET}",
            journal=self.data / "master.json",
            secret=load_or_create_secret(self.data / FILE_NAME),
            sink=self._count,
        )
        self.nodes = [NodeProcess(self, i) for i in range(1, nodes + 1)]

    async def __aenter__(self) -> Self:
        try:
            await self.master.start()
            for node in self.nodes:
                node.start()
            await self.settled()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def target(self) -> str:
        """What a client connects to."""
        return ",".join(node.address for node in self.nodes)

    @property
    def view(self) -> View:
        """The newest view."""
        if self.master.view is None:
            raise NotMeasured("the master has published no view")
        return self.master.view

    def add(self) -> NodeProcess:
        """Start one more node."""
        node = NodeProcess(self, len(self.nodes) + 1)
        self.nodes.append(node)
        node.start()
        return node

    def died(self, address: str) -> None:
        """Report what was seen to end: every incarnation at the address that the view shows as up."""
        member = self.master.view.up.get(address) if self.master.view else None
        if member is not None:
            self.master.report_death(member)

    async def settled(self) -> None:
        """Wait until all nodes started are members, none else is, and everybody has all that it needs.

        Raises:
            NotMeasured: it took too long.
        """
        await until(self._is_settled, READY_S, lambda: f"the cluster did not settle: {self.master.members()}")

    def _is_settled(self) -> bool:
        view = self.master.view
        if view is None or not self.master.settled:
            return False
        started = {node.address for node in self.nodes if not node.ended.is_set()}
        return set(view.up) == started == {member.address for member in view.members}

    async def _count(self, batch: EventBatch) -> None:
        self.events += len(batch.events)

    async def _close(self) -> None:
        with suppress(Exception):
            await self.master.close_cluster(END_S / 2)
        await asyncio.gather(*(node.end() for node in self.nodes))
        await self.master.stop()
        shutil.rmtree(self.data, ignore_errors=True)


async def until(condition: Callable[[], bool], limit_s: float, otherwise: Callable[[], str]) -> None:
    """Wait for a condition.

    Raises:
        NotMeasured: it did not come true; `otherwise` says what was.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise NotMeasured(f"{otherwise()} (after {limit_s:.0f} s)")
        await asyncio.sleep(LOOK_S)
