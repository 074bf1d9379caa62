"""A real SeaweedFS on loopback: masters and filers, each a process that can be killed, stopped and started again.

    with WeedCluster(filers=3) as weed:
        weed.filers[0].kill()
        weed.wait_ring(weed.filers[1:])

Blocking, so that it serves browser tests and asyncio tests (through `asyncio.to_thread`, where it waits) alike.

Invariants
  W1  Every process is started here, ended by its own pid at the end of the block, also a stopped one, and its folder
      removed. Should we be killed, the kernel ends it with the thread that started it: that thread must live as long.
  W2  `wait_ring` returns only when the master publishes exactly these filers and each of them forwards by that ring.
Elsewhere: one process (process), the fixture `weed` of three filers (tests/conftest.py).
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from os import getpid
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final, Self

import grpc

from lockcore.core.messages import Granted, Lock, Unlock
from lockcore.core.ring import HashRing
from lockcore.testing.ports import HOST, claim_ports, give_back
from lockcore.wire.addresses import GRPC_PORT_OFFSET
from lockcore.wire.errors import CodecError
from lockcore.wire.methods import KEEP_CONNECTED, SEAWEED_FILER, path
from lockcore.wire.seaweed_client import (
    decode_lock_answer,
    decode_master_told,
    encode_keep_connected,
    encode_lock,
    encode_unlock,
)
from tests.weed.process import WeedMemberProcess, WeedProcess

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lockcore.wire.seaweed_client import RingUpdate

__all__ = ["PACE_S", "PAUSE", "WeedCluster", "WeedMemberProcess", "WeedProcess"]

READY_S: Final = 60.0
ASK_S: Final = 5.0
PACE_S: Final = 0.15
PAUSE: Final = threading.Event()  # never set: the pace of asking, not a guess at how long it takes
_NAMES: Final = count(1)
CHANNEL: Final = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))


class WeedCluster:
    """A SeaweedFS for the length of a `with` block.

    Args:
        filers: how many are started at once; `add_filer` makes more.
        masters: 1, or 3 that elect a leader among them.
        group: the filer group of the first filers.
        verbosity: of the filers' logs; 4 names each backup that is taken in.
        master_host: where the masters listen, if not where they say: for a proxy between them and everybody else.
    """

    def __init__(
        self,
        filers: int = 3,
        *,
        masters: int = 1,
        group: str = "",
        verbosity: int = 0,
        master_host: str = "",
    ) -> None:
        self.folder = Path(mkdtemp(prefix="weed-"))
        self.masters: list[WeedProcess] = []
        self.filers: list[WeedProcess] = []
        self.members: list[WeedMemberProcess] = []
        self._master_host = master_host
        self._verbosity = verbosity
        self._ports: list[int] = []
        self._channels: dict[str, grpc.Channel] = {}
        self._close = ExitStack()
        self._make_masters(masters)
        for _ in range(filers):
            self.make_filer(group)

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self.close)
            for master in self.masters:
                master.start()
            for master in self.masters:
                self.wait_up(master)
            self._start_filers()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_filers(self) -> None:
        """Start the filers, and wait for their ring.

        A new filer reads another one's metadata, and ends itself where that does not listen yet: they come one by one.
        """
        for filer in self.filers:
            filer.start()
            self.wait_up(filer)
        if self.filers:
            self.wait_ring(self.filers)

    def wait_up(self, process: WeedProcess) -> None:
        """Wait until a process takes connections."""
        deadline = time.monotonic() + READY_S
        while not self.is_up(process):
            assert time.monotonic() < deadline, f"{process} (pid {process.pid}) does not listen\n{process.log_end()}"
            PAUSE.wait(PACE_S)

    @property
    def master(self) -> WeedProcess:
        """The first master."""
        return self.masters[0]

    @property
    def targets(self) -> str:
        """The filers' gRPC addresses, joined by commas."""
        return ",".join(filer.target for filer in self.filers)

    def close(self) -> None:
        """End all, by pid, and remove the folder and the claims on ports (W1)."""
        for channel in self._channels.values():
            channel.close()
        for process in (*self.members, *self.filers, *self.masters):
            process.kill()
        rmtree(self.folder, ignore_errors=True)
        for port in self._ports:
            give_back(port)
        self._ports.clear()

    # --- members ------------------------------------------------------------------------

    def make_filer(self, group: str = "") -> WeedProcess:
        """Return a place for one more filer, not started."""
        number = len(self.filers) + 1
        port = self._claim()
        store = self.folder / f"filer{number}"
        store.mkdir()
        master = ",".join(f"127.0.0.1:{each.port}" for each in self.masters)
        arguments = [
            f"-v={self._verbosity}",
            "filer",
            "-ip=127.0.0.1",
            f"-port={port}",
            f"-master={master}",
        ]
        arguments += [f"-defaultStoreDir={store}", f"-localSocket={store}/socket"]
        arguments += [f"-filerGroup={group}"] if group else []
        filer = WeedProcess(f"filer{number}", port, self.folder, arguments)
        self.filers.append(filer)
        return filer

    def make_member(self, group: str = "") -> WeedMemberProcess:
        """Return a place for a Lockring node on this ring, not started."""
        masters = ",".join(f"127.0.0.1:{each.port}" for each in self.masters)
        port = self._claim()
        arguments = ["--join-seaweedfs", masters, "--address", f"127.0.0.1:{port}.{port + GRPC_PORT_OFFSET}"]
        arguments += ["--group", group] if group else []
        self.members.append(WeedMemberProcess(f"member{len(self.members) + 1}", port, self.folder, arguments))
        return self.members[-1]

    def add_member(self, group: str = "") -> WeedMemberProcess:
        """Start a Lockring node that joins; return at once."""
        member = self.make_member(group)
        member.start()
        return member

    def add_filer(self, group: str = "") -> WeedProcess:
        """Start one more filer; return at once."""
        filer = self.make_filer(group)
        filer.start()
        return filer

    def filer_at(self, address: str | None) -> WeedProcess:
        """Return the filer of a ring address."""
        return next(filer for filer in self.filers if filer.address == address)

    def _make_masters(self, count: int) -> None:
        ports = [self._claim() for _ in range(count)]
        peers = ",".join(f"127.0.0.1:{port}" for port in ports) if count > 1 else "none"
        for number, port in enumerate(ports, 1):
            data = self.folder / f"master{number}"
            data.mkdir()
            arguments = ["master", "-ip=127.0.0.1", f"-port={port}", f"-mdir={data}", f"-peers={peers}"]
            arguments += [f"-ip.bind={self._master_host}"] if self._master_host else []
            self.masters.append(WeedProcess(f"master{number}", port, self.folder, arguments))

    def _claim(self) -> int:
        port = claim_ports()
        self._ports.append(port)
        return port

    # --- the ring -----------------------------------------------------------------------

    def ring_update(self, group: str = "") -> RingUpdate | None:
        """Return what a master publishes now, None if none says anything within a moment."""
        return self._asked(group)[1]

    def leader(self) -> WeedProcess | None:
        """Return the master that publishes the ring now."""
        return self._asked("")[0]

    def is_up(self, process: WeedProcess) -> bool:
        """Say whether one takes connections, whether or not it has a ring to tell, or knows one."""
        host = self._master_host if process in self.masters and self._master_host else HOST
        with suppress(OSError), socket.create_connection((host, process.port + GRPC_PORT_OFFSET), ASK_S):
            return True
        return False

    def _asked(self, group: str) -> tuple[WeedProcess | None, RingUpdate | None]:
        for master in self.masters:
            if master.is_running and (update := self._ask_master(master.target, group)) is not None:
                return master, update
        return None, None

    def ring(self, group: str = "") -> HashRing:
        """Return the ring that is published now; empty where none is."""
        update = self.ring_update(group)
        return HashRing(update.servers if update else ())

    def wait_ring(self, members: Iterable[WeedProcess], group: str = "", patience_s: float = READY_S) -> HashRing:
        """Wait until the master publishes exactly these, and each of them knows it (W2); return the ring.

        Raises:
            AssertionError: it did not come; the text says what there was.
        """
        wanted = list(members)
        addresses = {member.address for member in wanted}
        deadline = time.monotonic() + patience_s
        published: set[str] = set()
        while time.monotonic() < deadline:
            published = set(self.ring(group).servers)
            ring = HashRing(addresses)
            if published == addresses and all(self._follows(member, ring) for member in wanted):
                return ring
            PAUSE.wait(PACE_S)
        logs = "\n".join(f"{process.name}:\n{process.log_end()}" for process in (*self.masters, *wanted))
        ended = [member.name for member in wanted if not member.is_running]
        text = f"the ring was {sorted(published)} and never {sorted(addresses)}; ended by itself: {ended or 'nobody'}"
        raise AssertionError(f"{text}\n{logs}")

    def _follows(self, member: WeedProcess, ring: HashRing) -> bool:
        """Say whether a filer forwards a key of each other filer to it, and keeps one of its own."""
        for server in ring.servers:
            key = next(key for i in range(10_000) if ring.primary(key := f"ready/{i}") == server)
            operation = Lock(key, 1_000, "ready", "")
            try:
                data = self.call(member.target, "DistributedLock", encode_lock(operation))
                answer = decode_lock_answer(data, operation)
                if not isinstance(answer, Granted) or answer.moved_to != ("" if server == member.address else server):
                    return False
                self.call(member.target, "DistributedUnlock", encode_unlock(Unlock(key, answer.token)))
            except (grpc.RpcError, CodecError):
                return False
        return True

    def call(self, target: str, method: str, data: bytes, timeout_s: float = ASK_S) -> bytes:
        """Call a method of a filer once, with bytes.

        Raises:
            grpc.RpcError: it was refused, or not answered in time.
        """
        if target not in self._channels:
            self._channels[target] = grpc.insecure_channel(target, CHANNEL)
        opener: Any = self._channels[target].unary_unary
        answer: bytes = opener(path(SEAWEED_FILER, method))(data, timeout=timeout_s, wait_for_ready=True)
        return answer

    def _ask_master(self, target: str, group: str) -> RingUpdate | None:
        # A name of its own each time: a master ends the stream of whoever came before under the same one.
        first = encode_keep_connected("s3", f"test-{next(_NAMES)}:{getpid()}", group)
        with grpc.insecure_channel(target, CHANNEL) as channel, _said(first) as said:
            opener: Any = channel.stream_stream
            call = opener(KEEP_CONNECTED)(said, timeout=ASK_S)
            try:
                for data in call:
                    if (update := decode_master_told(data).ring) is not None:
                        return update
            except grpc.RpcError:
                return None
            finally:
                call.cancel()
        return None


@contextmanager
def _said(first: bytes) -> Iterator[Iterator[bytes]]:
    """Yield a stream that says one thing and stays open until the block's end."""
    over = threading.Event()

    def messages() -> Iterator[bytes]:
        yield first
        over.wait(ASK_S)

    try:
        yield messages()
    finally:
        over.set()
