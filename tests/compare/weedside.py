"""SeaweedFS as a side: real filers, and a proxy in front of their master.

A master tells everybody its own address and everybody goes there, so a proxy
has to listen at that very address, and the master elsewhere (another loopback
address). Filers dial it from one host, so a cut looks for the connections
whose sockets are the filer's.

Elsewhere: the processes (tests.weed.cluster), the proxy (lockcore.testing.chaos.proxy).
"""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lockcore.testing.chaos.cluster import MASTER
from lockcore.testing.chaos.proxy import Links
from lockcore.wire.addresses import GRPC_PORT_OFFSET
from tests.bench.report import NotMeasured
from tests.compare.side import MEMBERS, NOTICE_S, SETTLE_S, Side
from tests.weed.cluster import WeedCluster
from tests.weed.process import weed_binary

if TYPE_CHECKING:
    from lockcore.core.ring import HashRing
    from tests.weed.process import WeedProcess

MASTER_HOST: Final = "127.0.0.2"


class WeedSide(Side):
    """Filers of the `weed` that is installed here."""

    name = "SeaweedFS"

    def __init__(self) -> None:
        words = subprocess.run([weed_binary(), "version"], capture_output=True, text=True, check=False).stdout.split()
        self.version = next((word for word in words if word[:1].isdigit() and "." in word), "of an unknown version")
        self._weed = WeedCluster(filers=MEMBERS + 1, master_host=MASTER_HOST)
        self._master_port = self._weed.master.port + GRPC_PORT_OFFSET
        self._links = Links()
        self._cut: WeedProcess | None = None

    async def start(self) -> None:
        """Start it: the processes belong to this thread, and end with it."""
        port = self._master_port
        await self._links.open(self._dialler, MASTER, f"{MASTER_HOST}:{port}", port)
        for process in (self._weed.master, *self._weed.filers[:MEMBERS]):
            process.start()
            await asyncio.to_thread(self._weed.wait_up, process)
        await self.settled()

    async def close(self) -> None:
        """End it."""
        self._weed.close()
        await self._links.close()

    @property
    def target(self) -> str:
        """The master and all filers."""
        return "seaweedfs://" + ",".join(each.address for each in (self._weed.master, *self._weed.filers))

    @property
    def spare(self) -> str:
        """Where one more would join."""
        return self._weed.filers[-1].address

    async def ring(self) -> HashRing:
        """Return the published ring."""
        return await asyncio.to_thread(self._weed.ring)

    async def kill(self, address: str) -> None:
        """Kill -9."""
        self._weed.filer_at(address).kill()

    async def start_again(self, address: str) -> None:
        """Start a process, and wait until it listens: another one that starts would end if it did not."""
        self._weed.filer_at(address).start()
        await asyncio.to_thread(self._weed.wait_up, self._weed.filer_at(address))

    def stop(self, address: str) -> None:
        """SIGSTOP."""
        self._weed.filer_at(address).stop()

    def resume(self, address: str) -> None:
        """SIGCONT."""
        self._weed.filer_at(address).resume()

    def cut(self, address: str) -> None:
        """Both ways."""
        self._cut = filer = self._weed.filer_at(address)
        names = [filer.name, *(f"port {port}" for port in dialled_by(filer.pid, self._master_port))]
        self._links.cut(way for name in names for way in ((name, MASTER), (MASTER, name)))

    def heal(self, _address: str) -> None:
        """Both ways."""
        self._cut = None
        self._links.heal()

    async def leave(self, address: str) -> None:
        """End a filer; it has no way to hand over."""
        self._weed.filer_at(address).kill()
        await self.settled()

    async def settled(self, *, without: str = "") -> None:
        """Wait until the master publishes them, and each forwards by that ring."""
        members = [filer for filer in self._weed.filers if filer.is_running and filer.address != without]
        try:
            await asyncio.to_thread(self._weed.wait_ring, members, patience_s=NOTICE_S if without else SETTLE_S)
        except AssertionError as problem:
            raise NotMeasured(str(problem).split("\n", maxsplit=1)[0]) from None

    def _dialler(self, port: int) -> str:
        """Name a new connection by its port; while a filer is cut off, its own by the filer."""
        cut = self._cut
        return cut.name if cut is not None and port in dialled_by(cut.pid, self._master_port) else f"port {port}"


def dialled_by(pid: int, port: int) -> set[int]:
    """Return the local ports from which a process is connected to a port."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            sockets.add(str(entry.readlink()))
    connections = (line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:])
    return {_port(c[1]) for c in connections if f"socket:[{c[9]}]" in sockets and _port(c[2]) == port}


def _port(address: str) -> int:
    return int(address.partition(":")[2], 16)
