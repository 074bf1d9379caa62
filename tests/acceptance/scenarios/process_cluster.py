"""A cluster of real node processes, a real master and real gRPC, on loopback.

The master runs in a thread of the test, as it runs inside `manage.py up`;
each node is `python -m lockcore.service.node_main`, so that a kill is a
SIGKILL and a pause a SIGSTOP.

Elsewhere: what can be done to it (driver).
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lockcore.core.config import MasterConfig
from lockcore.core.messages import Code, Operation, Refused
from lockcore.service.channels import STREAM_BROKEN, Gate, next_bytes, open_channel, open_stream
from lockcore.service.master_server import MasterServer
from lockcore.service.secrets import FILE_NAME, load_or_create_secret
from lockcore.testing.ports import claim_ports
from lockcore.wire.addresses import grpc_target
from lockcore.wire.codec import Call, decode_server_batch, encode_client_batch
from lockcore.wire.methods import CONVERSE, LINK
from lockcore.wire.peer_codec import encode_envelope
from tests.acceptance.scenarios.driver import Asked, Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import grpc

    from lockcore.core.events import Event, EventBatch
    from lockcore.core.messages import PeerBatch
    from lockcore.core.view import MemberId, View

ROOT = Path(__file__).resolve().parent.parent.parent.parent
POLL_S = 0.003
T = TypeVar("T")


class ProcessCluster(Cluster):
    """Node processes under one master. Close it, or they stay.

    Args:
        data: a folder of its own.
    """

    name = "processes"
    longest_lease_ms = 3_000  # the master of these tests; a minute each would be waited for otherwise

    def __init__(self, data: Path) -> None:
        """Start the master."""
        self.data = data
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._labels = count(1)
        self._facts: list[tuple[str, Event]] = []
        self._versions: set[int] = set()
        self._never = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="master", daemon=True)
        self._thread.start()
        secret = load_or_create_secret(data / FILE_NAME)
        self._gate = Gate(secret)
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._master_target = f"127.0.0.1:{claim_ports()}"
        self.master = self._run(self._start_master(secret))
        self._watch = asyncio.run_coroutine_threadsafe(self._note_versions(), self._loop)

    async def _start_master(self, secret: bytes) -> MasterServer:
        master = MasterServer(
            target=self._master_target,
            journal=self.data / "master.json",
            secret=secret,
            sink=self._take_facts,
            config=MasterConfig(longest_lease_ms=self.longest_lease_ms),
        )
        await master.start()
        return master

    async def _take_facts(self, batch: EventBatch) -> None:
        self._facts.extend((batch.source, numbered.event) for numbered in batch.events)

    async def _note_versions(self) -> None:
        async for view, _ in self.master.subscribe():
            self._versions.add(view.version)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    @property
    def proof(self) -> tuple[tuple[str, str], ...]:
        """The metadata by which a caller shows that it belongs to this cluster."""
        return self._gate.metadata

    # --- nodes ---------------------------------------------------------------------------

    def add(self) -> str:
        """Start a node at a new address."""
        port = claim_ports()
        address = f"127.0.0.1:{port}.{port}"
        self.start_at(address)
        self.wait(lambda: any(m.address == address for m in self.master.members()), f"{address} wants to join")
        return address

    def start_at(self, address: str) -> None:
        """Start a node process."""
        label = f"n{next(self._labels)}"
        command = [sys.executable, "-m", "lockcore.service.node_main", "--address", address]
        command += ["--master", self._master_target, "--data", str(self.data), "--label", label]
        with (self.data / f"{label}.log").open("wb") as log:
            self._processes[address] = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def kill(self, *addresses: str) -> None:
        """SIGKILL the processes; tell the master as the supervisor does."""
        view = self.published()
        members = [view.up[a] for a in addresses if a in view.up] if view else []
        for address in addresses:
            self._processes[address].kill()
        for address in addresses:
            self._processes[address].wait()
        for member in members:
            self._loop.call_soon_threadsafe(self.master.report_death, member)
        self.wait(lambda: not any(self._is_up(m) for m in members), f"{addresses} are known to be dead")

    def _is_up(self, member: MemberId) -> bool:
        view = self.published()
        return view is not None and view.is_up(member)

    def leave(self, address: str) -> None:
        """SIGTERM."""
        self._processes[address].terminate()

    def pause(self, address: str) -> None:
        """SIGSTOP."""
        os.kill(self._processes[address].pid, signal.SIGSTOP)

    def resume(self, address: str) -> None:
        """SIGCONT."""
        os.kill(self._processes[address].pid, signal.SIGCONT)

    @property
    def living(self) -> set[str]:
        """The addresses whose process runs."""
        return {address for address, process in self._processes.items() if process.poll() is None}

    # --- clients and peers ------------------------------------------------------------------

    def begin(self, address: str, operation: Operation, timeout_ms: int = 5_000) -> Asked:
        """Send a request over a conversation of its own."""
        asked = Asked()
        asyncio.run_coroutine_threadsafe(self._converse(address, operation, timeout_ms, asked), self._loop)
        return asked

    async def _converse(self, address: str, operation: Operation, timeout_ms: int, asked: Asked) -> None:
        stream = open_stream(self._channel(address), CONVERSE)
        try:
            await stream.write(encode_client_batch([Call(1, operation, timeout_ms)]))
            while asked.result is None:
                data = await next_bytes(stream)
                if data is None:
                    break
                for _, result in decode_server_batch(data).results:
                    asked.result = result
        except STREAM_BROKEN as error:
            asked.result = Refused(Code.NOT_SERVING, f"no connection to {address}: {type(error).__name__}")
        finally:
            stream.cancel()

    def _channel(self, address: str) -> grpc.aio.Channel:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = open_channel(grpc_target(address))
        return channel

    def forge(self, batch: PeerBatch) -> None:
        """Send a batch over a peer's stream of its own, and have it written."""
        self._run(self._link(batch))

    async def _link(self, batch: PeerBatch) -> None:
        stream = open_stream(self._channel(batch.receiver.address), LINK, self._gate)
        await stream.write(encode_envelope([batch]))
        await stream.done_writing()
        await next_bytes(stream)  # the end: everything was read
        stream.cancel()

    # --- time and the master -------------------------------------------------------------------

    def wait(self, condition: Callable[[], bool], what: str, limit_ms: int = 60_000) -> None:
        """Poll until a condition holds."""
        until = time.monotonic() + limit_ms / 1_000
        while not condition():
            assert time.monotonic() < until, f"it never became true that {what}\n{self._logs()}"
            self._never.wait(POLL_S)

    def breathe(self) -> None:
        """Let a retry's pause pass."""
        self._never.wait(0.05)

    def published(self) -> View | None:
        """Return the master's view."""
        return self.master.view

    def settled(self) -> bool:
        """Say whether it is settled."""
        return self.master.settled

    def versions(self) -> list[int]:
        """Return the ring versions published."""
        return sorted(self._versions)

    def facts(self) -> list[tuple[str, Event]]:
        """Return the facts."""
        return list(self._facts)

    def _logs(self) -> str:
        return "\n".join(f"{p.name}: {p.read_text()[-1_500:]}" for p in sorted(self.data.glob("*.log")))

    def close(self) -> None:
        """End all processes, then the master."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._watch.cancel()
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        for channel in self._channels.values():
            await channel.close(None)
        await self.master.stop()
